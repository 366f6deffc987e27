"""Handlers that await curio, trio or asyncio where a blocking call runs them."""

import asyncio
import time
from functools import partial

import pytest
import trio
from support.loops import DEADLINE, curio, make, no_thread_stays

import pygase
from pygase._loops import running

needs_curio = pytest.mark.skipif(curio is None, reason="curio is not there")


@pytest.fixture(autouse=True)
def threads_end():
    with no_thread_stays():
        yield


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
