"""Every event loop: those of asyncio, uvloop, trio and curio, and what becomes of tasks there."""

import asyncio
import threading
import time
from functools import partial

import pytest
import trio
import uvloop

import pygase
from pygase import _foreign
from pygase._dual import Call, dual
from pygase._loops import running

try:
    import curio
except ImportError:  # it is not made for Python 3.12 and later
    curio = None

DEADLINE = 10.0
needs_curio = pytest.mark.skipif(curio is None, reason="curio is not there")


class Asyncio:
    """What the tests need of an event loop, with asyncio's."""

    name = "asyncio"
    sleep = staticmethod(asyncio.sleep)
    cancelled = asyncio.CancelledError

    def run(self, main):
        return asyncio.run(main())

    async def spawn(self, function, *args):
        async def call():
            return await function(*args)

        return asyncio.create_task(call())

    async def join(self, task):
        await asyncio.wait_for(asyncio.shield(task), DEADLINE)

    async def cancel(self, task):
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.cancelled()


class Uvloop(Asyncio):
    """uvloop is an asyncio loop, too."""

    def run(self, main):
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()


class Trio:
    """The same with trio: tasks live in a nursery around the test."""

    name = "trio"
    sleep = staticmethod(trio.sleep)
    cancelled = trio.Cancelled

    def run(self, main):
        async def inside():
            with trio.fail_after(3 * DEADLINE):
                async with trio.open_nursery() as self.nursery:
                    result = await main()
                    self.nursery.cancel_scope.cancel()
                    return result

        return trio.run(inside)

    async def spawn(self, function, *args):
        scope, done = trio.CancelScope(), trio.Event()

        async def call():
            with scope:
                await function(*args)
            done.set()

        self.nursery.start_soon(call)
        return scope, done

    async def join(self, task):
        with trio.fail_after(DEADLINE):
            await task[1].wait()

    async def cancel(self, task):
        task[0].cancel()
        await self.join(task)
        assert task[0].cancelled_caught


class Curio:
    """The same with curio."""

    name = "curio"
    sleep = staticmethod(getattr(curio, "sleep", None))
    cancelled = getattr(curio, "CancelledError", None)

    def run(self, main):
        return curio.run(main)

    async def spawn(self, function, *args):
        return await curio.spawn(function, *args)

    async def join(self, task):
        async with curio.timeout_after(DEADLINE):
            await task.join()

    async def cancel(self, task):
        async with curio.timeout_after(DEADLINE):
            await task.cancel()
        assert task.cancelled


LOOPS = {"asyncio": Asyncio, "uvloop": Uvloop, "trio": Trio, **({"curio": Curio} if curio else {})}


@pytest.fixture(params=LOOPS)
def loop(request):
    return LOOPS[request.param]()


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    if _foreign._users:
        return
    end = time.monotonic() + DEADLINE
    # The thread of all clients stays with the process; what else runs has to end.
    while left := {
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.name.startswith("pygase")
    }:
        assert time.monotonic() < end, left
        time.sleep(0.01)


def step(game_state, dt):
    return {"ticks": game_state.ticks + 1}


def make(time_step=step, **attributes):
    store = pygase.GameStateStore(pygase.GameState(game_status=1, ticks=0, **attributes))
    machine = pygase.GameStateMachine(store)
    machine.time_step = time_step
    return pygase.Server(store), machine


def ticks(client):
    with client.access_game_state() as game_state:
        return getattr(game_state, "ticks", 0)


async def until(condition, sleep):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        await sleep(0.005)


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


async def curio_handler(seen, **kwargs):
    await curio.sleep(0.01)
    seen.append(running().name)


async def trio_handler(seen, **kwargs):
    await trio.sleep(0.01)
    seen.append(running().name)


async def asyncio_handler(seen, **kwargs):
    await asyncio.sleep(0.01)
    seen.append(running().name)


async def handler_with(sleep, seen, **kwargs):
    await sleep(0.01)
    seen.append(running().name)


async def indirect(sleep):
    await sleep(0.01)


class Waits:
    """An awaitable that does not show what it is."""

    def __await__(self):
        return curio.sleep(0.01).__await__()


HANDLERS = {
    "curio": curio_handler,
    "trio": trio_handler,
    "asyncio": asyncio_handler,
    "curio by argument": partial(handler_with, getattr(curio, "sleep", None)),
    "trio by argument": partial(handler_with, trio.sleep),
    "asyncio by argument": partial(handler_with, asyncio.sleep),
    "curio unseen": lambda seen, **kwargs: partial(handler_with, lambda _: Waits())(seen),
}


@pytest.mark.parametrize("kind", [kind for kind in HANDLERS if curio or "curio" not in kind])
@pytest.mark.parametrize("where", ["server", "machine"])
def test_blocking_calls_await_coroutines_of_any_library(kind, where, wait_for, caplog):
    seen = []
    server, machine = make()
    target = server if where == "server" else machine
    target.register_event_handler("HELLO", partial(HANDLERS[kind], seen))
    server_thread = server.run_in_thread(event_wire=machine)
    machine_thread = machine.run_game_loop_in_thread()
    client = pygase.Client()
    client.register_event_handler("BACK", partial(HANDLERS[kind], seen))
    thread = client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    client.dispatch_event("HELLO", retries=3)
    wait_for(lambda: seen)
    server.dispatch_event("BACK", retries=3)
    wait_for(lambda: len(seen) >= 2)
    client.disconnect()
    machine.stop()
    server.shutdown()
    for one in (thread, server_thread, machine_thread):
        one.join(DEADLINE)
        assert not one.is_alive()
    assert set(seen) == {kind.split()[0]}
    assert "exception" not in caplog.text


@needs_curio
def test_coroutines_of_other_libraries_have_results_and_exceptions(wait_for, caplog):
    async def time_step(game_state, dt):
        await curio.sleep(0.001)
        if game_state.ticks == 1:
            raise ValueError("once")
        return {"ticks": game_state.ticks + 1}

    async def on_hello(game_state, dt, client_address):
        return {}

    _, machine = make(time_step)
    thread = machine.run_game_loop_in_thread(0.01)
    wait_for(lambda: "exception in the time_step" in caplog.text)
    machine._game_state_store.push_update(
        pygase.gamestate.GameStateUpdate(machine._game_state_store.get_game_state().time_order + 1, ticks=2)
    )
    wait_for(lambda: machine._game_state_store.get_game_state().ticks > 4)
    assert machine.stop()
    thread.join(DEADLINE)


def test_stop_within_a_coroutine_of_another_library():
    stopped = []

    async def time_step(game_state, dt):
        await trio.sleep(0)
        stopped.append(await machine.stop(5.0))
        return {}

    _, machine = make(time_step)
    then = time.monotonic()
    machine.run_game_loop(0.01)
    assert stopped == [True]
    assert time.monotonic() - then < 5.0


@needs_curio
def test_the_end_of_a_server_cancels_coroutines_of_other_libraries(wait_for):
    seen = []

    async def on_hello(client_address):
        seen.append("begun")
        try:
            await curio.sleep(60)
        except curio.CancelledError:
            seen.append("cancelled")
            raise

    server, _ = make()
    server.register_event_handler("HELLO", on_hello)
    server_thread = server.run_in_thread()
    client = pygase.Client()
    client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    client.dispatch_event("HELLO", retries=3)
    wait_for(lambda: seen)
    client.disconnect()
    server.shutdown()
    server_thread.join(DEADLINE)
    assert not server_thread.is_alive()
    assert seen == ["begun", "cancelled"]
