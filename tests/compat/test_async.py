"""Calls that block in plain code return awaitables in an event loop: asyncio's, and curio's as in 0.3.1."""

import asyncio
import inspect
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


@pytest.mark.ours
def test_asyncio():
    async def main():
        async def spawn(awaitable):
            return asyncio.ensure_future(awaitable)

        async def join(task):
            await asyncio.wait_for(task, DEADLINE)

        return await session(spawn, asyncio.sleep, join)

    asyncio.run(main()).join(DEADLINE)


def test_curio():
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
