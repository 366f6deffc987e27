"""Calls that block in plain code return awaitables in an event loop of asyncio, trio or curio."""

import asyncio
import inspect
import threading
import time

import pytest

import pygase

DEADLINE = 10.0


def step(game_state, dt):
    time.sleep(0.002)
    return {"ticks": game_state.ticks + 1}


def make():
    store = pygase.GameStateStore(pygase.GameState(game_status=1, ticks=0))
    machine = pygase.GameStateMachine(store)
    machine.time_step = step
    return pygase.Server(store), machine


async def until(condition, sleep):
    """Poll within an event loop."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        await sleep(0.01)


def ticks(client):
    with client.access_game_state() as game_state:
        return getattr(game_state, "ticks", 0)


async def session(spawn, sleep, join):
    """Play server, game loop and client in one thread."""
    server, machine = make()
    got = []

    async def on_hello(name, client_address):
        await sleep(0.01)
        got.append(name)

    server.register_event_handler("HELLO", on_hello)
    running = await spawn(server.run(0, "localhost"))
    await until(lambda: server.port, sleep)
    # It only sleeps a little in each step: in 0.3.1 the loop never does, and would starve the others.
    machine_thread = machine.run_game_loop_in_thread(0.01)
    client = pygase.Client()
    connected = await spawn(client.connect(server.port, hostname="localhost"))
    await until(lambda: client.connection is not None, sleep)
    await until(lambda: ticks(client) > 3, sleep)
    client.dispatch_event("HELLO", "ada", retries=3)
    await until(lambda: got, sleep)
    await client.disconnect()
    await join(connected)
    assert await machine.stop(5.0) is True
    await server.shutdown()
    await join(running)
    assert got == ["ada"]
    return machine_thread


async def in_asyncio():
    async def spawn(awaitable):
        return asyncio.ensure_future(awaitable)

    async def join(task):
        await asyncio.wait_for(task, DEADLINE)

    return await session(spawn, asyncio.sleep, join)


@pytest.mark.ours
def test_a_game_runs_in_asyncio():
    asyncio.run(in_asyncio()).join(DEADLINE)


def test_a_game_runs_in_curio():
    curio = pytest.importorskip("curio")

    async def main():
        async def spawn(awaitable):
            async def run():
                return await awaitable

            return await curio.spawn(run)

        async def join(task):
            async with curio.timeout_after(DEADLINE):
                await task.join()

        return await session(spawn, curio.sleep, join)

    curio.run(main).join(DEADLINE)


@pytest.mark.ours
def test_a_game_runs_in_trio():
    trio = pytest.importorskip("trio")

    async def main():
        async with trio.open_nursery() as nursery:

            async def spawn(awaitable):
                done = trio.Event()

                async def run():
                    await awaitable
                    done.set()

                nursery.start_soon(run)
                return done

            async def join(done):
                with trio.fail_after(DEADLINE):
                    await done.wait()

            return await session(spawn, trio.sleep, join)

    trio.run(main).join(DEADLINE)


@pytest.mark.parametrize("where", ["server", "machine", "client"])
def test_curio_coroutines_in_blocking_calls(where, wait_for):
    curio = pytest.importorskip("curio")
    got = []

    async def on_hello(name, **kwargs):
        await curio.sleep(0.01)
        got.append(name)
        return {}

    server, machine = make()
    client = pygase.Client()
    {"server": server, "machine": machine, "client": client}[where].register_event_handler("HELLO", on_hello)
    server.register_event_handler("JOIN", lambda client_address: None)
    # Without a handler for it, an event ends the game loop of 0.3.1.
    server_thread = server.run_in_thread(event_wire=machine if where == "machine" else None)
    wait_for(lambda: server.port)
    machine_thread = machine.run_game_loop_in_thread(0.01)
    client_thread = client.connect_in_thread(server.port)
    wait_for(lambda: server.connections and ticks(client) > 3)
    if where == "client":
        server.dispatch_event("HELLO", "ada", retries=3)
    else:
        client.dispatch_event("HELLO", "ada", retries=3)
    wait_for(lambda: got)
    client.disconnect()
    machine.stop()
    server.shutdown()
    for thread in (client_thread, server_thread, machine_thread):
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert got == ["ada"]


@pytest.mark.ours
def test_a_game_runs_in_uvloop():
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(in_asyncio()).join(DEADLINE)
    finally:
        loop.close()


@pytest.mark.ours
def test_the_game_loop_in_asyncio():
    async def main():
        _, machine = make()
        task = asyncio.ensure_future(machine.run_game_loop(interval=0.01))
        await until(lambda: machine.game_time > 0.05, asyncio.sleep)
        assert await machine.stop() is True
        await asyncio.wait_for(task, DEADLINE)

    asyncio.run(main())


@pytest.mark.ours
def test_cancelling_ends_a_session():
    async def main():
        server, _ = make()
        running = asyncio.ensure_future(server.run())
        await until(lambda: server.port, asyncio.sleep)
        client = pygase.Client()
        connected = asyncio.ensure_future(client.connect(server.port))
        await until(lambda: server.connections, asyncio.sleep)
        for task in (connected, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, DEADLINE)
        await until(lambda: server.port is None, asyncio.sleep)

    asyncio.run(main())


def test_plain_calls_are_plain():
    machine = pygase.GameStateMachine(pygase.GameStateStore())
    result = machine.stop()
    assert not inspect.isawaitable(result)


def stop_when(condition, stop):
    """Stop something from another thread, once a condition holds."""

    def wait():
        end = time.monotonic() + DEADLINE
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        stop()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("library", ["curio", pytest.param("trio", marks=pytest.mark.ours)])
def test_run_from_outside(library):
    """`curio.run(server.run)`: what is given to an event loop before there is one."""
    library = pytest.importorskip(library)
    server, machine = make()
    stopping = stop_when(lambda: server.port, server.shutdown)
    assert library.run(server.run) is None
    stopping.join(DEADLINE)

    stopping = stop_when(lambda: machine._game_state_store.get_game_state().ticks > 2, machine.stop)
    assert library.run(machine.run_game_loop, 0.01) is None
    stopping.join(DEADLINE)

    server, machine = make()
    thread = server.run_in_thread()
    client = pygase.Client()
    while not server.port:
        time.sleep(0.01)
    stopping = stop_when(lambda: server.connections, lambda: client.disconnect())
    assert library.run(client.connect, server.port) is None
    stopping.join(DEADLINE)
    assert library.run(server.shutdown) is None
    thread.join(DEADLINE)
    assert not thread.is_alive()
