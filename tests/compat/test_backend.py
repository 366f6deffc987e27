"""`pygase.backend`: store, server, game loop and the backend that ties them together."""

import threading
import time
from types import SimpleNamespace

import pytest

import pygase
from pygase.connection import ConnectionStatus, ServerConnection
from pygase.event import Event
from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate


class TestStore:
    def test_default_state(self):
        store = pygase.GameStateStore()
        state = store.get_game_state()
        assert isinstance(state, GameState)
        assert (state.time_order, state.game_status) == (0, 0)
        assert isinstance(store.get_update_cache(), list)

    def test_holds_the_very_state(self):
        state = GameState(a=1)
        assert pygase.GameStateStore(state).get_game_state() is state
        assert pygase.GameStateStore(initial_game_state=state)._game_state is state

    @pytest.mark.parametrize("value", [5, "text", {}, GameStateUpdate(1)])
    def test_wrong_initial_state(self, value):
        with pytest.raises(TypeError) as error:
            pygase.GameStateStore(value)
        assert (
            str(error.value)
            == f"'initial_game_state' should be of type 'GameState', not '{type(value).__name__}'."
        )

    def test_push_update(self):
        state = GameState(1, a={"x": 1})
        store = pygase.GameStateStore(state)
        store.push_update(GameStateUpdate(2, a={"y": 2}, b=3))
        assert store.get_game_state() is state
        assert (state.a, state.b, state.time_order) == ({"x": 1, "y": 2}, 3, 2)
        assert any(update.time_order == 2 for update in store.get_update_cache())

    def test_old_updates_are_ignored(self):
        store = pygase.GameStateStore(GameState(5, a=1))
        store.push_update(GameStateUpdate(4, a=2))
        assert store.get_game_state().a == 1

    def test_delete(self):
        store = pygase.GameStateStore(GameState(1, a={"x": 1, "y": 2}, b=1))
        store.push_update(GameStateUpdate(2, a={"x": TO_DELETE}, b=TO_DELETE))
        state = store.get_game_state()
        assert state.a == {"y": 2}
        assert not hasattr(state, "b")

    def test_cache_is_bounded(self):
        store = pygase.GameStateStore(GameState())
        for number in range(1, 251):
            store.push_update(GameStateUpdate(number, a=number))
        cache = store.get_update_cache()
        assert len(cache) <= store._update_cache_size
        assert cache[-1].time_order == 250
        assert store.get_game_state().a == 250

    @pytest.mark.ours
    def test_unserialisable_is_refused_at_the_call(self):
        store = pygase.GameStateStore(GameState(1, players={}))
        with pytest.raises(TypeError, match=r"players\[7\]\.bag"):
            store.push_update(GameStateUpdate(2, players={7: {"bag": {1, 2}}}))
        assert store.get_game_state().players == {}
        assert store.get_game_state().time_order == 1

    @pytest.mark.ours
    def test_too_large_a_leaf_is_named(self):
        store = pygase.GameStateStore(GameState(1))
        with pytest.raises(OverflowError, match=r"world\.map") as error:
            store.push_update(GameStateUpdate(2, world={"map": "x" * 5000, "name": "arena"}))
        assert "2048" in str(error.value)


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


class TestGameLoop:
    def test_attributes(self):
        machine = pygase.GameStateMachine(pygase.GameStateStore())
        assert machine.game_time == 0.0

    def test_time_step_must_be_given(self):
        with pytest.raises(NotImplementedError):
            pygase.GameStateMachine(pygase.GameStateStore()).time_step(GameState(), 0.1)

    def test_stop_before_start(self):
        assert pygase.GameStateMachine(pygase.GameStateStore()).stop() is True

    def test_handlers(self):
        machine = pygase.GameStateMachine(pygase.GameStateStore())
        machine.register_event_handler("a", print)
        with pytest.raises(TypeError) as error:
            machine.register_event_handler("b", 5)
        assert str(error.value) == "'int' object is not callable."

    def machine(self, step, **attributes):
        class Machine(pygase.GameStateMachine):
            def time_step(self, game_state, dt):
                time.sleep(0.002)
                return step(game_state, dt)

        attributes.setdefault("game_status", 1)
        return Machine(pygase.GameStateStore(GameState(**attributes)))

    def test_in_a_thread(self, wait_for):
        machine = self.machine(lambda state, dt: {"ticks": state.ticks + 1}, ticks=0)
        thread = machine.run_game_loop_in_thread(interval=0.01)
        assert isinstance(thread, threading.Thread)
        assert not thread.daemon
        store = machine._game_state_store
        wait_for(lambda: store.get_game_state().ticks > 10)
        assert machine.stop(timeout=5.0) is True
        thread.join(10)
        assert not thread.is_alive()
        ticks = store.get_game_state().ticks
        assert machine.game_time > 0
        assert store.get_game_state().ticks == ticks

    @pytest.mark.ours
    def test_stop_right_after_start(self):
        machine = self.machine(lambda state, dt: {})
        thread = machine.run_game_loop_in_thread()
        assert machine.stop(timeout=5.0) is True
        thread.join(10)
        assert not thread.is_alive()

    def test_blocking(self, wait_for):
        machine = self.machine(lambda state, dt: {"ticks": state.ticks + 1}, ticks=0)
        thread = threading.Thread(target=machine.run_game_loop, kwargs={"interval": 0.01})
        thread.start()
        wait_for(lambda: machine._game_state_store.get_game_state().ticks > 3)
        machine.stop()
        thread.join(10)
        assert not thread.is_alive()

    def test_the_first_dt_is_the_interval(self, wait_for):
        steps = []
        machine = self.machine(lambda state, dt: steps.append(dt) or {})
        thread = machine.run_game_loop_in_thread(interval=0.05)
        wait_for(lambda: len(steps) > 2)
        machine.stop()
        thread.join(10)
        assert steps[0] == 0.05

    @pytest.mark.ours
    def test_keeps_its_interval(self, wait_for):
        """0.3.1's loop never sleeps."""
        steps = []
        machine = self.machine(lambda state, dt: steps.append((time.monotonic(), dt)) or {})
        thread = machine.run_game_loop_in_thread(interval=0.02)
        wait_for(lambda: len(steps) > 50)
        machine.stop()
        thread.join(10)
        (start, _), (end, _) = steps[0], steps[50]
        assert end - start >= 0.95
        assert sum(dt for _, dt in steps[1:51]) == pytest.approx(end - start, abs=0.25)

    def test_updates_reach_the_state(self, wait_for):
        machine = self.machine(
            lambda state, dt: {"a": {"x": 1}, "gone": TO_DELETE} if hasattr(state, "gone") else {}, gone=1
        )
        store = machine._game_state_store
        thread = machine.run_game_loop_in_thread()
        wait_for(lambda: getattr(store.get_game_state(), "a", None) == {"x": 1})
        wait_for(lambda: not hasattr(store.get_game_state(), "gone"))
        machine.stop()
        thread.join(10)

    def test_pause(self, wait_for):
        steps = []

        def step(state, dt):
            steps.append(dt)
            return {"game_status": pygase.gamestate.GameStatus.get("Paused")} if len(steps) == 5 else {}

        machine = self.machine(step)
        thread = machine.run_game_loop_in_thread(interval=0.005)
        wait_for(lambda: machine._game_state_store.get_game_state().is_paused())
        thread.join(0.2)
        assert len(steps) <= 6
        machine.stop()
        thread.join(10)

    def test_handler_arguments_and_result(self, wait_for):
        seen = []

        def on_move(name, game_state, dt, **kwargs):
            seen.append((game_state, dt, kwargs))
            return {"players": {name: 1}}

        machine = self.machine(lambda state, dt: {}, players={})
        machine.register_event_handler("MOVE", on_move)
        thread = machine.run_game_loop_in_thread(interval=0.02)
        push(machine, Event("MOVE", "ada", client_address=("a", 1), far=True))
        store = machine._game_state_store
        wait_for(lambda: store.get_game_state().players == {"ada": 1})
        machine.stop()
        thread.join(10)
        state, dt, kwargs = seen[0]
        assert isinstance(state, GameState)
        assert dt > 0
        assert kwargs == {"client_address": ("a", 1), "far": True}

    def test_handlers_may_be_coroutine_functions(self, wait_for):
        async def on_a(game_state, dt, client_address):
            return {"a": 1}

        machine = self.machine(lambda state, dt: {})
        machine.register_event_handler("A", on_a)
        thread = machine.run_game_loop_in_thread(interval=0.02)
        push(machine, Event("A", client_address=("a", 1)))
        wait_for(lambda: getattr(machine._game_state_store.get_game_state(), "a", 0) == 1)
        machine.stop()
        thread.join(10)

    @pytest.mark.ours
    def test_handlers_may_return_nothing(self, wait_for):
        """0.3.1's game loop dies of it."""
        steps = []
        machine = self.machine(lambda state, dt: steps.append(dt) or {})
        machine.register_event_handler("B", lambda game_state, dt, client_address: None)
        thread = machine.run_game_loop_in_thread(interval=0.01)
        push(machine, Event("B", client_address=("a", 1)))
        count = len(steps)
        wait_for(lambda: len(steps) > count + 5)
        machine.stop()
        thread.join(10)

    @pytest.mark.ours
    def test_updates_of_one_tick_merge_deeply(self, wait_for):
        """0.3.1 lets the last handler of a tick overwrite the others' top-level keys."""
        machine = self.machine(lambda state, dt: {"players": {"step": 1}}, players={})
        machine.register_event_handler(
            "MOVE", lambda name, game_state, dt, client_address: {"players": {name: 1}}
        )
        for name in ("ada", "bob"):
            push(machine, Event("MOVE", name, client_address=("a", 1)))
        thread = machine.run_game_loop_in_thread(interval=0.02)
        wait_for(
            lambda: machine._game_state_store.get_game_state().players == {"step": 1, "ada": 1, "bob": 1}
        )
        machine.stop()
        thread.join(10)

    @pytest.mark.ours
    def test_exceptions_stop_nothing(self, wait_for, caplog):
        steps = []

        def step(state, dt):
            steps.append(dt)
            if len(steps) == 3:
                raise ZeroDivisionError("by design")
            return {}

        machine = self.machine(step)
        thread = machine.run_game_loop_in_thread(interval=0.01)
        wait_for(lambda: len(steps) > 10)
        machine.stop()
        thread.join(10)
        assert [record for record in caplog.records if record.name == "PyGaSe" and record.exc_info]


def push(machine, event):
    """Push from outside of any event loop: a plain call, or an awaitable in 0.3.1's way."""
    result = machine._push_event(event)
    if hasattr(result, "send"):
        with pytest.raises(StopIteration):
            result.send(None)


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
