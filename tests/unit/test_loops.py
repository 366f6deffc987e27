"""Every event loop: those of asyncio, uvloop, trio and curio, and what becomes of tasks there."""

import asyncio
import threading
import time

import pytest
import trio
from support.loops import DEADLINE, LOOPS, curio, make, no_thread_stays, step, ticks, until

import pygase
from pygase._dual import Call, dual
from pygase._loops import running


@pytest.fixture(params=LOOPS)
def loop(request):
    return LOOPS[request.param]()


@pytest.fixture(autouse=True)
def threads_end():
    with no_thread_stays():
        yield


class Group:
    """A server with a game loop and a client, all in the running event loop."""

    def __init__(self, loop, interval=0.01):
        self.loop, self.interval = loop, interval
        self.server, self.machine = make()
        self.client = pygase.Client()

    async def start(self):
        spawn, sleep = self.loop.spawn, self.loop.sleep
        self.running = await spawn(self.server.run, 0, "localhost", self.machine)
        self.playing = await spawn(self.machine.run_game_loop, self.interval)
        await until(lambda: self.server.port, sleep)
        self.connected = await spawn(self.client.connect, self.server.port)
        await until(lambda: self.client.connection and ticks(self.client) > 3, sleep)

    async def end(self):
        await self.client.disconnect()
        await self.loop.join(self.connected)
        assert await self.machine.stop(5.0) is True
        await self.loop.join(self.playing)
        await self.server.shutdown()
        await self.loop.join(self.running)
        assert self.server.port is None


def test_the_loop_is_recognised(loop):
    async def main():
        return running().name

    assert running() is None
    assert loop.run(main) == loop.name
    assert running() is None


def test_handlers_are_awaited_in_the_loop(loop):
    seen = []

    async def main():
        group = Group(loop)
        home = threading.get_ident()

        async def on_hello(name, client_address):
            await loop.sleep(0.01)
            seen.append((name, running().name, threading.get_ident() == home))
            group.server.dispatch_event("BACK", name, target_client=client_address, retries=3)

        async def on_back(name):
            await loop.sleep(0.01)
            seen.append((f"{name} back", running().name, threading.get_ident() == home))

        async def on_play(name, game_state, dt, client_address):
            await loop.sleep(0)
            seen.append((f"{name} plays", running().name, threading.get_ident() == home))
            return {"player": name}

        group.server.register_event_handler("HELLO", on_hello)
        group.machine.register_event_handler("HELLO", on_play)
        group.client.register_event_handler("BACK", on_back)
        await group.start()
        acked = []

        async def on_ack():
            await loop.sleep(0)
            acked.append(running().name)

        group.client.dispatch_event("HELLO", "ada", retries=3, ack_callback=on_ack)
        await until(lambda: len(seen) >= 3 and acked, loop.sleep)
        await until(
            lambda: getattr(group.machine._game_state_store.get_game_state(), "player", ""), loop.sleep
        )
        await group.end()
        assert acked == [loop.name]

    loop.run(main)
    assert sorted(seen) == [(text, loop.name, True) for text in ("ada", "ada back", "ada plays")]


def test_many_in_one_loop(loop):
    async def main():
        groups = [Group(loop) for _ in range(12)]
        for group in groups:
            await group.start()
        steps = [group.machine.game_time for group in groups]
        await loop.sleep(0.1)
        assert all(group.machine.game_time > then for group, then in zip(groups, steps, strict=True))
        for group in groups:
            await group.end()

    loop.run(main)


@pytest.mark.parametrize("what", ["run", "connect", "run_game_loop", "backend"])
def test_cancelling_stops_what_was_awaited(loop, what):
    async def main():
        server, machine = make()
        client = pygase.Client()
        backend = pygase.Backend(pygase.GameState(ticks=0), step)
        if what == "run":
            task = await loop.spawn(server.run)
            await until(lambda: server.port, loop.sleep)
        elif what == "backend":
            task = await loop.spawn(backend.run, "localhost", 0)
            await until(lambda: backend.server.port and backend.game_state_machine.game_time, loop.sleep)
        elif what == "connect":
            running = await loop.spawn(server.run)
            await until(lambda: server.port, loop.sleep)
            task = await loop.spawn(client.connect, server.port)
            await until(lambda: server.connections, loop.sleep)
        else:
            task = await loop.spawn(machine.run_game_loop, 5.0)
            await until(lambda: machine.game_time, loop.sleep)
        await loop.cancel(task)
        assert server.port is None or what == "connect"
        assert not machine._game_loop_is_running
        assert not backend.game_state_machine._game_loop_is_running
        assert backend.server.port is None
        if what == "connect":
            with pytest.raises(RuntimeError, match="not connected"):
                client.dispatch_event("HELLO")
            await server.shutdown()
            await loop.join(running)
        # What was cancelled can begin anew.
        group = Group(loop)
        group.server, group.machine, group.client = server, machine, client
        await group.start()
        await group.end()

    loop.run(main)


def test_cancelling_ends_a_handler(loop):
    async def main():
        group = Group(loop)
        ended = []

        async def on_hello(client_address):
            ended.append(False)
            try:
                await loop.sleep(60)
            except loop.cancelled:
                ended.append(True)
                raise

        group.server.register_event_handler("HELLO", on_hello)
        await group.start()
        group.client.dispatch_event("HELLO", retries=3)
        await until(lambda: ended, loop.sleep)
        await loop.cancel(group.running)
        assert ended == [False, True]
        await group.client.disconnect()
        await group.machine.stop()

    loop.run(main)


def test_exceptions_of_handlers_end_nothing(loop, caplog):
    async def main():
        group = Group(loop)

        async def on_fail(client_address):
            await loop.sleep(0)
            raise ValueError("oh")

        group.server.register_event_handler("FAIL", on_fail)
        await group.start()
        group.client.dispatch_event("FAIL", retries=3)
        await until(lambda: "exception in the handler for FAIL events" in caplog.text, loop.sleep)
        before = ticks(group.client)
        await until(lambda: ticks(group.client) > before, loop.sleep)
        await group.end()

    loop.run(main)


def test_shutdown_within_a_handler(loop):
    async def main():
        group = Group(loop)

        async def on_bye(client_address):
            await group.server.shutdown()

        group.server.register_event_handler("BYE", on_bye)
        await group.start()
        group.client.dispatch_event("BYE", retries=3)
        await loop.join(group.running)
        await group.client.disconnect()
        await group.machine.stop()

    loop.run(main)


def test_stop_within_the_game_loop_does_not_wait_for_itself(loop):
    async def main():
        stopped = []

        async def time_step(game_state, dt):
            await loop.sleep(0)
            then = time.monotonic()
            stopped.append((await machine.stop(5.0), time.monotonic() - then < 1.0))
            return {}

        _, machine = make(time_step)
        await machine.run_game_loop(0.01)
        assert stopped == [(True, True)]

    loop.run(main)


def test_stop_wakes_a_loop_that_waits_long(loop):
    async def main():
        _, machine = make()
        playing = await loop.spawn(machine.run_game_loop, 30.0)
        await until(lambda: machine.game_time, loop.sleep)
        then = time.monotonic()
        assert await machine.stop() is True
        await loop.join(playing)
        assert time.monotonic() - then < 5.0

    loop.run(main)


def test_the_game_loop_keeps_its_interval(loop):
    async def main():
        times = []

        def time_step(game_state, dt):
            times.append((time.monotonic(), dt))
            if len(times) == 50:
                machine.stop()
            return {}

        _, machine = make(time_step)
        await machine.run_game_loop(0.02)
        return times

    times = loop.run(main)
    assert len(times) == 50
    assert times[0][1] == 0.02
    mean = (times[-1][0] - times[0][0]) / 49
    # Never faster; how much slower is up to the machine, which may leave out ticks when it is busy.
    assert mean > 0.019
    assert sum(dt for _, dt in times[1:]) == pytest.approx(times[-1][0] - times[0][0], abs=0.25)


def test_calls_that_block_elsewhere_are_coroutines(loop):
    seen = []

    async def main():
        call = dual(lambda: time.sleep(0.01) or 5)
        assert loop.name == "curio" or isinstance(call(), Call)
        assert await call() == 5

        async def awaits():
            seen.append(await call())

        await loop.join(await loop.spawn(awaits))
        with pytest.raises(ZeroDivisionError):
            await dual(lambda: 1 // 0)()

    loop.run(main)
    assert seen == [5]


def test_tasks_of_calls():
    async def in_asyncio():
        server, _ = make()
        await asyncio.create_task(server.shutdown())
        await asyncio.gather(server.shutdown(), server.shutdown())
        await asyncio.wait_for(server.shutdown(), DEADLINE)

    async def in_trio():
        server, machine = make()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shutdown)
            nursery.start_soon(machine.stop, 1.0)

    async def in_curio():
        server, machine = make()
        await (await curio.spawn(server.shutdown())).join()
        assert await (await curio.spawn(machine.stop())).join() is True

    asyncio.run(in_asyncio())
    trio.run(in_trio)
    if curio is not None:
        curio.run(in_curio)


def test_pushing_events_is_done_at_once(loop):
    async def main():
        _, machine = make()
        call = machine._push_event(pygase.backend.Event("A"))
        assert call.done() and len(machine._event_queue) == 1
        assert await call is None

    loop.run(main)
