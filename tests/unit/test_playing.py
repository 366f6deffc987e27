"""States and events between clients and servers over loopback."""

import asyncio
import logging
import threading
import time

import pytest

from pygase import Backend, Client, GameState, GameStateMachine, Server
from pygase.connection import ClientConnection, ConnectionStatus, ServerConnection
from pygase.event import UniversalEventHandler
from pygase.gamestate import TO_DELETE, GameStateUpdate, GameStatus


def state_of(client):
    with client.access_game_state() as game_state:
        return GameState.from_bytes(game_state.to_bytes())


def test_state_arrives_and_follows(server, store, connect):
    server.run_in_thread()
    client = connect(server)
    assert state_of(client).to_dict() == {
        "a": 1,
        "players": {1: {"name": "anna"}},
        "game_status": 0,
        "time_order": 1,
    }
    with client.access_game_state() as game_state:
        same = game_state
    store.push_update(GameStateUpdate(5, a=TO_DELETE, players={1: {"hp": 3}, 2: {}}, b=[1, (2, None)]))
    client.wait_until(lambda game_state: game_state.time_order == 5, timeout=5)
    with client.access_game_state() as game_state:
        assert game_state is same
        assert game_state.data == {"players": {1: {"name": "anna", "hp": 3}, 2: {}}, "b": [1, [2, None]]}


def test_both_sides_know_of_the_connection(server, connect, wait_for):
    server.run_in_thread()
    client = connect(server)
    assert client.connection.status == ConnectionStatus.CONNECTED
    assert client.connection.remote_address == ("localhost", server.port)
    wait_for(lambda: server.connections)
    (address, connection), *others = server.connections.items()
    assert not others
    assert server.host_client == address
    assert isinstance(connection, ServerConnection)
    assert isinstance(client.connection, ClientConnection)
    assert connection.remote_address == address == server.host_client
    assert connection.status == ConnectionStatus.CONNECTED
    assert connection.stats()["hello"]


def test_events_go_both_ways_with_callbacks(server, connect, wait_for):
    seen, acks = [], []

    def on_server(*args, client_address, **kwargs):
        seen.append(("server", args, kwargs, client_address, threading.current_thread()))

    async def on_client(*args, **kwargs):
        await asyncio.sleep(0.01)
        seen.append(("client", args, kwargs, threading.current_thread()))

    async def client_ack():
        acks.append("client")

    client = Client()
    server.register_event_handler("TO_SERVER", on_server)
    client.register_event_handler("TO_CLIENT", on_client)
    server_thread = server.run_in_thread()
    connect(server, client)
    client.dispatch_event("TO_SERVER", 1, [2], ack_callback=client_ack, name="x", client_address="forged")
    wait_for(lambda: seen and acks)
    assert seen == [("server", (1, [2]), {"name": "x"}, server.host_client, server_thread)]
    seen.clear()
    server.dispatch_event("TO_CLIENT", "a", ack_callback=acks.append, retries=2, b=None)
    server.dispatch_event("TO_CLIENT", "b", target_client=server.host_client)
    wait_for(lambda: len(seen) == 2 and len(acks) == 2)
    assert [entry[:3] for entry in seen] == [("client", ("a",), {"b": None}), ("client", ("b",), {})]
    assert seen[0][3].name == "pygase-client"
    assert acks == ["client", server.connections[server.host_client]]


def test_one_slow_coroutine_holds_up_only_its_own_connection(server, connect, wait_for):
    seen = []

    async def slow(name, client_address):
        await asyncio.sleep(0.3)
        seen.append(name)

    server.register_event_handler("SLOW", slow)
    server.register_event_handler("QUICK", lambda name, client_address: seen.append(name))
    server.run_in_thread()
    one, two = connect(server), connect(server)
    one.dispatch_event("SLOW", "slow")
    one.dispatch_event("QUICK", "behind")
    time.sleep(0.1)
    two.dispatch_event("QUICK", "other")
    wait_for(lambda: len(seen) == 3)
    assert seen == ["other", "slow", "behind"]


def test_events_nobody_can_handle(server, connect, caplog, wait_for):
    def fails(client_address):
        raise LookupError("here")

    server.register_event_handler("FAILS", fails)
    server.register_event_handler("ARGS", lambda client_address: None)
    server.run_in_thread()
    client = connect(server)
    for event in (["UNKNOWN"], ["UNKNOWN", 2], ["ARGS", 1], ["ARGS", 2], ["FAILS"]):
        client.dispatch_event(*event)
    wait_for(lambda: server.host_client)
    connection = server.connections[server.host_client]
    wait_for(lambda: connection.stats().get("user_error"))
    stats = connection.stats()
    assert (stats["unknown_event"], stats["wrong_arguments"], stats["user_error"]) == (2, 2, 1)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert [(r.getMessage(), r.exc_info[0]) for r in errors] == [
        ("exception in the handler for FAILS events", LookupError)
    ]
    done = threading.Event()
    client.dispatch_event("ARGS", ack_callback=done.set)
    assert done.wait(5)


def test_waiting_for_what_never_comes(server, connect):
    server.run_in_thread()
    client = connect(server)
    message = r"^Condition not satisfied after timeout of 0\.05 seconds\.($|\n)"
    with pytest.raises(TimeoutError, match=message):
        client.wait_until(lambda game_state: False, timeout=0.05)
    for function in (lambda game_state: game_state.nope, lambda game_state: {}[1], lambda game_state: None):
        with pytest.raises(TimeoutError, match=message):
            client.try_to(function, timeout=0.05)
    with pytest.raises(IndexError):
        client.try_to(lambda game_state: [][0], timeout=0.05)
    assert client.try_to(lambda game_state: 0, timeout=0) == 0


def test_many_clients_in_one_process(server, connect, wait_for):
    server.run_in_thread()
    clients = [connect(server, wait=False) for _ in range(20)]
    for client in clients:
        client.wait_until(lambda game_state: game_state.time_order > 0, timeout=5)
    wait_for(lambda: len(server.connections) == 20)


def test_changes_behind_the_back_are_seen_by_who_joins(server, store, connect):
    server.run_in_thread()
    one = connect(server)
    store.get_game_state().secret = 7
    store.get_game_state().players[1]["hp"] = 3
    two = connect(server)
    for client in (one, two):
        client.wait_until(lambda game_state: game_state.data.get("secret") == 7, timeout=5)
        assert state_of(client).players == {1: {"name": "anna", "hp": 3}}


def test_custom_store_is_polled(connect):
    class Store:
        def __init__(self):
            self.state = GameState(a=1)

        def get_gamestate(self):
            return self.state

        def get_update_cache(self):
            return []

        def push_update(self, update):
            self.state += update

    store = Store()
    server = Server(store)
    server.run_in_thread()
    client = connect(server)
    assert state_of(client).a == 1
    store.push_update(GameStateUpdate(7, a=2, b=3))
    client.wait_until(lambda game_state: game_state.data == {"a": 2, "b": 3}, timeout=5)
    server.shutdown()


def test_backend_plays(connect, wait_for):
    def time_step(game_state, dt):
        return {"time": game_state.time + dt}

    def move(to, game_state, dt, client_address):
        return {"players": {client_address[1]: to}}

    backend = Backend(GameState(time=0.0, players={}), time_step, {"MOVE": move})
    thread = threading.Thread(target=backend.run, args=("localhost", 0), kwargs={"interval": 0.01})
    thread.start()
    try:
        wait_for(lambda: backend.server.port)
        client = connect(backend.server)
        client.dispatch_event("MOVE", 5, retries=3)
        client.wait_until(lambda game_state: 5 in game_state.players.values(), timeout=5)
        with client.access_game_state() as game_state:
            assert not game_state.is_paused()
    finally:
        backend.shutdown()
        thread.join(5)
    assert not thread.is_alive()
    assert backend.server.port is None
    assert backend.game_state_store.get_game_state().is_paused()
    assert backend.game_state_machine.game_time > 0


def test_events_go_to_handlers_and_the_wire(store, connect):
    machine = GameStateMachine(store)
    machine.time_step = lambda game_state, dt: {}
    machine.register_event_handler("A", lambda game_state, dt, client_address: {"a": 2})
    server, seen = Server(store), []
    server.register_event_handler("A", lambda client_address: seen.append(client_address))
    server.run_in_thread(event_wire=machine)
    machine.run_game_loop_in_thread()
    client = connect(server)
    client.dispatch_event("A")
    client.wait_until(lambda game_state: game_state.a == 2, timeout=5)
    assert seen == [server.host_client]
    assert machine.stop()
    client.wait_until(lambda game_state: game_state.game_status == GameStatus.PAUSED, timeout=5)
    server.shutdown()


def test_connections_run_by_hand(store, wait_for):
    class Owner:
        def __init__(self):
            self.connections, self.host_client = {}, None
            self.game_state_store = store
            self._universal_event_handler = UniversalEventHandler()

    async def main():
        owner = Owner()
        serving = asyncio.create_task(ServerConnection.loop("localhost", 0, owner, None))
        await asyncio.sleep(0.05)
        assert owner._hostname == "127.0.0.1"
        connection = ClientConnection(("localhost", owner._port), UniversalEventHandler())
        looping = asyncio.create_task(connection.loop())
        await asyncio.sleep(0.3)
        with connection.game_state_context as game_state:
            assert game_state.a == 1
        assert connection.game_state_context.resource is game_state
        assert list(owner.connections) == [owner.host_client]
        await connection.shutdown(shutdown_server=True)
        await asyncio.wait_for(asyncio.gather(serving, looping), 5)

    asyncio.run(main())


def test_event_loops_without_readers(monkeypatch, server, connect, wait_for):
    def add_reader(*args):
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_reader", add_reader)
    seen = []
    server.register_event_handler("A", lambda number, client_address: seen.append(number))
    thread = server.run_in_thread()
    client = connect(server)
    for number in range(20):
        client.dispatch_event("A", number)
    wait_for(lambda: len(seen) == 20)
    assert seen == list(range(20))
    assert "pygase-inbox" in [thread.name for thread in threading.enumerate()]
    client.disconnect()
    server.shutdown()
    thread.join(5)
    wait_for(lambda: "pygase-inbox" not in [thread.name for thread in threading.enumerate()])


def test_retries_until_the_other_side_is_back(server, connect, wait_for):
    seen, acks = [], []
    server.register_event_handler("A", lambda number, client_address: seen.append(number))
    server.run_in_thread()
    port = server.port
    client = connect(server)
    server.shutdown()
    client.dispatch_event("A", 1)
    client.dispatch_event("A", 2, retries=5, ack_callback=lambda: acks.append(2))
    time.sleep(1.5)
    server.run_in_thread(port)
    wait_for(lambda: acks and 2 in seen, timeout=8)
    assert seen in ([2], [2, 2])


def test_subclasses_of_a_client_work(server, connect, wait_for):
    class Player(Client):
        def __init__(self):
            super().__init__()
            self.seen = []
            self.register_event_handler("HELLO", self.on_hello)

        async def on_hello(self, name):
            self.seen.append(name)

    server.run_in_thread()
    player = connect(server, Player())
    wait_for(lambda: server.host_client)
    server.dispatch_event("HELLO", "anna")
    wait_for(lambda: player.seen == ["anna"])


def test_slow_handler_holds_up_neither_state_nor_shutdown(server, store, connect):
    server.register_event_handler("SLOW", lambda client_address: time.sleep(1.0))
    server.run_in_thread()
    client = connect(server)
    client.dispatch_event("SLOW")
    time.sleep(0.2)
    store.push_update(GameStateUpdate(50, b=2))
    client.wait_until(lambda game_state: game_state.data.get("b") == 2, timeout=0.5)
    port = server.port
    start = time.monotonic()
    server.shutdown()
    assert 0.1 < time.monotonic() - start < 5.0
    server.run_in_thread(port)


def test_flood_of_events_is_bounded_and_in_order(server, connect, wait_for):
    seen = []
    server.register_event_handler("A", lambda number, client_address: seen.append(number))
    server.run_in_thread()
    client = connect(server)
    for number in range(1000):
        client.dispatch_event("A", number)
    wait_for(lambda: len(seen) == 1000)
    assert seen == list(range(1000))


def test_a_flood_holds_up_no_other_client(server, connect):
    server.register_event_handler("FLOOD", lambda client_address: time.sleep(0.002))
    server.register_event_handler("ASK", lambda client_address: answered.set())
    server.run_in_thread()
    flooder, honest = connect(server), connect(server)
    for _ in range(900):
        flooder.dispatch_event("FLOOD")
    time.sleep(0.5)
    answered = threading.Event()
    start = time.monotonic()
    honest.dispatch_event("ASK")
    assert answered.wait(5)
    assert time.monotonic() - start < 5.0
