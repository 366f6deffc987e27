"""Objects of the game's own where PyGaSe takes any: handlers, tables of handlers, wires and stores."""

import asyncio
import itertools
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
from support.polling import poll

import pygase
from pygase._store import StoreWatch
from pygase.connection import ClientConnection, ServerConnection
from pygase.gamestate import GameState

DEADLINE = 10.0


class Handlers:
    """What a game may register for an event: each notes its name and gives a dict."""

    def __init__(self):
        self.seen = []

    def note(self, *args, **kwargs):
        self.seen.append(args)
        return {"noted": True}

    async def later(self, *args, **kwargs):
        await asyncio.sleep(0.001)
        return self.note(*args, **kwargs)

    async def __call__(self, *args, **kwargs):
        return await self.later(*args, **kwargs)

    def task(self, *args, **kwargs):
        return asyncio.ensure_future(self.later(*args, **kwargs))

    def awaitable(self, *args, **kwargs):
        return Awaitable(partial(self.later, *args, **kwargs))

    def done(self, *args, **kwargs):
        future = asyncio.get_running_loop().create_future()
        future.set_result(self.note(*args, **kwargs))
        return future

    def of(self, kind):
        async def coroutine_function(*args, **kwargs):
            return await self.later(*args, **kwargs)

        def function(*args, **kwargs):
            return self.note(*args, **kwargs)

        return {
            "function": function,
            "lambda": lambda *args, **kwargs: self.note(*args, **kwargs),
            "bound method": self.note,
            "partial": partial(self.note),
            "coroutine function": coroutine_function,
            "coroutine method": self.later,
            "partial of a coroutine function": partial(coroutine_function),
            "object": self,
            "task": self.task,
            "awaitable": self.awaitable,
            "done": self.done,
        }[kind]


class Awaitable:
    def __init__(self, function):
        self.function = function

    def __await__(self):
        return self.function().__await__()


KINDS = [
    "function",
    "lambda",
    "bound method",
    "partial",
    "coroutine function",
    "coroutine method",
    "partial of a coroutine function",
    "object",
    "task",
    "awaitable",
    "done",
]


@pytest.fixture(scope="module")
def game():
    """A server with a game loop, and a client."""
    store = pygase.GameStateStore(GameState(noted=False))
    server, machine, client = pygase.Server(store), pygase.GameStateMachine(store), pygase.Client()
    machine.time_step = lambda game_state, dt: {}
    threads = [server.run_in_thread(event_wire=machine), machine.run_game_loop_in_thread(0.01)]
    threads.append(client.connect_in_thread(server.port))
    poll(lambda: server.connections)
    yield SimpleNamespace(server=server, machine=machine, client=client, store=store)
    client.disconnect()
    machine.stop()
    server.shutdown()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()


@pytest.mark.parametrize("kind", KINDS)
def test_handlers_of_any_kind(game, kind):
    handlers = {name: Handlers() for name in ("server", "machine", "client", "ack", "server ack")}
    event_type = kind.upper()
    game.server.register_event_handler(event_type, handlers["server"].of(kind))
    game.machine.register_event_handler(event_type, handlers["machine"].of(kind))
    game.client.register_event_handler(event_type, handlers["client"].of(kind))
    game.store.get_game_state().noted = False
    game.client.dispatch_event(event_type, 1, retries=3, ack_callback=handlers["ack"].of(kind))
    game.server.dispatch_event(event_type, 2, retries=3, ack_callback=handlers["server ack"].of(kind))
    poll(lambda: all(handler.seen for handler in handlers.values()))
    assert handlers["server"].seen == handlers["machine"].seen == [(1,)]
    assert handlers["client"].seen == [(2,)]
    assert handlers["ack"].seen == [()]
    assert handlers["server ack"].seen == [tuple(game.server.connections.values())]
    poll(lambda: game.store.get_game_state().noted)


class Table:
    """An event handler that is nobody's subclass."""

    def __init__(self):
        self.seen = []

    def has_event_type(self, event_type):
        return event_type == "HELLO"

    def handle(self, event, **kwargs):
        self.seen.append((event.type, event.handler_args, event.handler_kwargs, kwargs))


class AsyncTable(Table):
    async def handle(self, event, **kwargs):
        await asyncio.sleep(0.001)
        super().handle(event, **kwargs)


class Wire:
    def __init__(self):
        self.seen = []

    def _push_event(self, event):
        self.seen.append((event.type, event.handler_args, event.handler_kwargs))


class AsyncWire(Wire):
    async def _push_event(self, event):
        await asyncio.sleep(0.001)
        super()._push_event(event)


@pytest.mark.parametrize("table", [Table, AsyncTable])
@pytest.mark.parametrize("wire", [Wire, AsyncWire])
def test_tables_and_wires_of_any_kind(table, wire):
    store = pygase.GameStateStore()
    server = SimpleNamespace(
        connections={}, host_client=None, game_state_store=store, _universal_event_handler=table()
    )
    server_wire, client_table, client_wire = wire(), table(), wire()

    async def main():
        running = asyncio.create_task(ServerConnection.loop("localhost", 0, server, server_wire))
        while not hasattr(server, "_port"):
            await asyncio.sleep(0.005)
        client = ClientConnection(("localhost", server._port), client_table)
        client.event_wire = client_wire
        connected = asyncio.create_task(client.loop())
        end = time.monotonic() + DEADLINE
        while not server.connections:
            assert time.monotonic() < end
            await asyncio.sleep(0.005)
        for connection in (client, *server.connections.values()):
            connection.dispatch_event(pygase.backend.Event("HELLO", 1, loud=True))
            connection.dispatch_event(pygase.backend.Event("OTHER"))
        seen = [server._universal_event_handler.seen, client_table.seen, server_wire.seen, client_wire.seen]
        while [len(events) for events in seen] != [1, 1, 2, 2]:
            assert time.monotonic() < end, seen
            await asyncio.sleep(0.005)
        (address,) = server.connections
        await client.shutdown()
        await connected
        running.cancel()
        await asyncio.wait([running])
        own = {"loud": True, "client_address": address}
        assert server._universal_event_handler.seen == [("HELLO", [1], own, {})]
        assert client_table.seen == [("HELLO", [1], {"loud": True}, {})]
        assert server_wire.seen == [("HELLO", [1], own), ("OTHER", [], {"client_address": address})]
        assert client_wire.seen == [("HELLO", [1], {"loud": True}), ("OTHER", [], {})]

    asyncio.run(main())


class Store:
    """A game state store of somebody's own."""

    def __init__(self):
        self.state = GameState(1, game_status=1, ticks=0)
        self.asked = []
        self.pushed = 0

    def get_game_state(self):
        self.asked.append((time.monotonic(), threading.current_thread().name))
        return self.state

    def get_update_cache(self):
        return []

    def push_update(self, update):
        self.pushed += 1
        self.state += update


class OldStore(Store):
    """With the name of the reference pages."""

    get_gamestate = Store.get_game_state
    get_game_state = None


@pytest.mark.parametrize("kind", [Store, OldStore])
def test_stores_of_any_kind_are_asked_once_in_a_tick(kind):
    store = kind()
    server, machine, client = pygase.Server(store), pygase.GameStateMachine(store), pygase.Client()
    machine.time_step = lambda game_state, dt: {"ticks": game_state.ticks + 1}
    threads = [server.run_in_thread(event_wire=machine), machine.run_game_loop_in_thread(0.02)]
    threads.append(client.connect_in_thread(server.port))
    client.wait_until(lambda game_state: getattr(game_state, "ticks", 0) > 5, timeout=DEADLINE)
    others = [pygase.Client() for _ in range(3)]
    threads += [other.connect_in_thread(server.port) for other in others]
    time.sleep(0.5)
    for one in (client, *others):
        one.disconnect()
    machine.stop()
    server.shutdown()
    for thread in threads:
        thread.join(DEADLINE)
    by_server = [moment for moment, name in store.asked if name == "pygase-server"]
    by_machine = [moment for moment, name in store.asked if name == "pygase-game-loop"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(by_server)]
    assert len(by_server) > 10
    assert min(gaps) > StoreWatch.TICK * 0.9
    # In the end it is asked whether it is paused, and by the update that pauses it.
    assert len(by_machine) <= store.pushed + 2
