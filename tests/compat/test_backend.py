"""`pygase.Server`, and `pygase.Backend`, which ties it to a store and a game loop."""

import threading
import time
from types import SimpleNamespace

import pytest

import pygase
from pygase.connection import ConnectionStatus, ServerConnection
from pygase.gamestate import GameState


class TestServer:
    def test_before_it_runs(self):
        store = pygase.GameStateStore()
        server = pygase.Server(store)
        assert server.connections == {}
        assert server.host_client is None
        assert server.game_state_store is store
        assert (server.hostname, server.port) == (None, None)

    def test_handlers(self):
        server = pygase.Server(pygase.GameStateStore())
        server.register_event_handler("a", print)
        with pytest.raises(TypeError) as error:
            server.register_event_handler("b", [])
        assert str(error.value) == "'list' object is not callable."

    def test_running(self, session):
        assert session.server.hostname == "localhost"
        assert 0 < session.server.port < 65536
        assert isinstance(session.server_thread, threading.Thread)
        assert session.server_thread.daemon

    def test_thread_need_not_be_a_daemon(self, wait_for):
        server = pygase.Server(pygase.GameStateStore())
        thread = server.run_in_thread(daemon=False)
        assert not thread.daemon
        wait_for(lambda: server.port)
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()

    def test_a_chosen_port(self, wait_for, session):
        with_port = pygase.Server(pygase.GameStateStore())
        session.machine.stop()
        session.server.shutdown()
        session.server_thread.join(10)
        port = free_port()
        thread = with_port.run_in_thread(port, "localhost")
        wait_for(lambda: with_port.port)
        assert with_port.port == port
        with_port.shutdown()
        thread.join(10)
        assert not thread.is_alive()

    def test_blocking_run(self, wait_for):
        server = pygase.Server(pygase.GameStateStore())
        thread = threading.Thread(
            target=server.run, kwargs={"hostname": "localhost", "port": 0, "event_wire": None}
        )
        thread.start()
        wait_for(lambda: server.port)
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()

    def test_connections(self, live, wait_for):
        ((address, connection),) = live.server.connections.items()
        assert isinstance(connection, ServerConnection)
        assert connection.remote_address == address
        assert connection.game_state_store is live.session.store
        wait_for(lambda: ConnectionStatus.get(connection.status) == "Connected")
        wait_for(lambda: connection.last_client_time_order > 0)
        assert address[0] == "127.0.0.1"

    def test_the_first_client_is_host(self, live):
        (address,) = live.server.connections
        assert live.server.host_client == address
        live.session.join()
        assert live.server.host_client == address

    def test_dispatch_without_clients(self, session):
        session.server.dispatch_event("NEWS")

    def test_dispatch_to_a_stranger(self, session):
        with pytest.raises(KeyError):
            session.server.dispatch_event("NEWS", target_client=("127.0.0.1", 1))

    def test_dispatch_to_all(self, live, wait_for, calls):
        second = live.session.join()
        got = [calls(), calls()]
        for client, record in zip((live.client, second), got, strict=True):
            client.register_event_handler("NEWS", record)
        live.server.dispatch_event("NEWS", 1)
        wait_for(lambda: all(got))
        assert [[call.args for call in record] for record in got] == [[(1,)], [(1,)]]

    def test_dispatch_to_one(self, live, wait_for, calls):
        got, other = calls(), calls()
        second = live.session.join()
        live.client.register_event_handler("NEWS", other)
        live.client.register_event_handler("END", other)
        second.register_event_handler("NEWS", got)
        (address,) = set(live.server.connections) - {live.server.host_client}
        live.server.dispatch_event("NEWS", 1, target_client=address)
        wait_for(lambda: got)
        live.server.dispatch_event("END", 2)
        wait_for(lambda: other)
        assert [call.args for call in other] == [(2,)]

    def test_ack_callback_gets_the_connection(self, live, wait_for, calls):
        acks = calls()
        live.client.register_event_handler("NEWS", lambda: None)
        live.server.dispatch_event("NEWS", ack_callback=acks)
        wait_for(lambda: acks)
        assert acks[0].args == (live.server.connections[live.server.host_client],)
        assert acks[0].kwargs == {}
        assert acks[0].thread is live.session.server_thread

    @pytest.mark.ours
    def test_ack_callback_as_a_coroutine_function(self, live, wait_for):
        acks = []

        async def on_ack(connection):
            acks.append(connection.remote_address)

        live.server.dispatch_event("NEWS", ack_callback=on_ack, target_client=live.server.host_client)
        wait_for(lambda: acks)
        assert acks == [live.server.host_client]

    def test_keyword_arguments(self, live, wait_for, calls, is_original):
        if is_original:
            with pytest.raises(TypeError):
                live.server.dispatch_event("NEWS", key=1)
            return
        got = calls()
        live.client.register_event_handler("NEWS", got)
        live.server.dispatch_event("NEWS", 1, key=2)
        wait_for(lambda: got)
        assert (got[0].args, got[0].kwargs) == ((1,), {"key": 2})

    def test_any_object_can_stand_for_a_connection(self):
        seen = []
        server = pygase.Server(pygase.GameStateStore())
        one, two = (
            SimpleNamespace(dispatch_event=lambda *args, who=who: seen.append((who, args))) for who in (1, 2)
        )
        server.connections = {("a", 1): one, ("b", 2): two}
        server.dispatch_event("NEWS", 5)
        assert [who for who, _ in seen] == [1, 2]
        for _, args in seen:
            event, ack, timeout = (*args, None, None)[:3]
            assert (event.type, event.handler_args) == ("NEWS", [5])
            assert (ack, timeout) == (None, None)

    @pytest.mark.ours
    def test_a_retry_goes_only_to_who_timed_out(self):
        seen = []
        server = pygase.Server(pygase.GameStateStore())
        one, two = (
            SimpleNamespace(dispatch_event=lambda *args, who=who: seen.append((who, args))) for who in (1, 2)
        )
        server.connections = {("a", 1): one, ("b", 2): two}
        server.dispatch_event("NEWS", retries=1)
        result = seen[1][1][2]()
        if hasattr(result, "send"):
            with pytest.raises(StopIteration):
                result.send(None)
        assert [who for who, _ in seen] == [1, 2, 2]

    def test_subclass(self, wait_for):
        class Lobby(pygase.Server):
            def __init__(self):
                super().__init__(pygase.GameStateStore(GameState(1, open=True)))
                self.seen = []
                self.register_event_handler("HELLO", self.on_hello)

            def on_hello(self, name, client_address):
                self.seen.append(name)

        lobby, client = Lobby(), pygase.Client()
        thread = lobby.run_in_thread()
        wait_for(lambda: lobby.port)
        client_thread = client.connect_in_thread(lobby.port)
        wait_for(lambda: client.connection is not None)
        client.dispatch_event("HELLO", "ada", retries=3)
        wait_for(lambda: "ada" in lobby.seen)
        client.disconnect(shutdown_server=True)
        client_thread.join(10)
        thread.join(10)
        assert not thread.is_alive()


class TestBackend:
    def test_parts(self):
        state = GameState(a=1)
        backend = pygase.Backend(state, lambda game_state, dt: {})
        assert backend.game_state_store.get_game_state() is state
        assert isinstance(backend.game_state_machine, pygase.GameStateMachine)
        assert isinstance(backend.server, pygase.Server)
        assert backend.server.game_state_store is backend.game_state_store

    def test_keywords(self):
        backend = pygase.Backend(
            initial_game_state=GameState(),
            time_step_function=lambda game_state, dt: {"a": 1},
            event_handlers={},
        )
        assert backend.game_state_machine.time_step(GameState(), 0.1) == {"a": 1}

    def test_a_game(self, wait_for):
        def step(game_state, dt):
            time.sleep(0.005)
            return {"ticks": game_state.ticks + 1}

        def on_join(name, game_state, client_address, **kwargs):
            backend.server.dispatch_event("WELCOME", name, target_client=client_address)
            return {"players": {name: {"x": 0}}}

        backend = pygase.Backend(
            GameState(game_status=1, ticks=0, players={}), step, event_handlers={"JOIN": on_join}
        )
        port = free_port()
        thread = threading.Thread(target=backend.run, args=("localhost", port))
        thread.start()
        wait_for(lambda: backend.server.port)
        client, welcomed = pygase.Client(), []
        client.register_event_handler("WELCOME", welcomed.append)
        client_thread = client.connect_in_thread(hostname="localhost", port=port)
        wait_for(lambda: client.connection is not None)
        client.dispatch_event("JOIN", "ada", retries=3)
        client.wait_until(lambda state: getattr(state, "players", {}).get("ada") == {"x": 0}, timeout=10.0)
        wait_for(lambda: welcomed == ["ada"])
        client.disconnect(shutdown_server=True)
        client_thread.join(10)
        thread.join(10)
        assert not client_thread.is_alive()
        assert not thread.is_alive()
        assert backend.game_state_machine.stop(timeout=5.0) is True

    def test_shutdown(self, wait_for):
        backend = pygase.Backend(GameState(game_status=1), lambda game_state, dt: time.sleep(0.005) or {})
        thread = threading.Thread(target=backend.run, kwargs={"hostname": "localhost", "port": free_port()})
        thread.start()
        wait_for(lambda: backend.server.port and backend.game_state_machine.game_time > 0)
        backend.shutdown()
        thread.join(10)
        assert not thread.is_alive()


def free_port():
    """A port nobody has right now."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
