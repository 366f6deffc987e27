"""Small print of a live session: waiting for the state, and what connections, servers and loops know."""

import time

import pytest

import pygase
from pygase.connection import ConnectionStatus
from pygase.gamestate import GameState


def fail(error):
    raise error


class TestWaiting:
    def test_messages(self, live):
        for call in (live.client.wait_until, live.client.try_to):
            with pytest.raises(TimeoutError) as error:
                call(lambda state: None, timeout=0.1)
            assert str(error.value) == "Condition not satisfied after timeout of 0.1 seconds."

    @pytest.mark.parametrize("value", [0, "", False, [], {}])
    def test_try_to_gives_what_is_not_none(self, live, value):
        assert live.client.try_to(lambda state: value, timeout=5.0) == value

    def test_try_to_goes_on_with_none(self, live):
        results = iter([None, None, 3])
        assert live.client.try_to(lambda state: next(results), timeout=5.0) == 3

    @pytest.mark.parametrize("error", [KeyError("a"), AttributeError("a"), IndexError("a"), ValueError("a")])
    def test_what_a_condition_raises(self, live, error):
        with pytest.raises(type(error)):
            live.client.wait_until(lambda state: fail(error))
        if not isinstance(error, (KeyError, AttributeError)):
            with pytest.raises(type(error)):
                live.client.try_to(lambda state: fail(error))

    def test_any_true_value_will_do(self, live):
        assert live.client.wait_until(game_state_condition=lambda state: "text", timeout=5) is None
        assert live.client.try_to(function=lambda state: state.ticks, timeout=5) > 0

    @pytest.mark.ours
    @pytest.mark.parametrize("timeout", [0, -1])
    def test_a_condition_is_looked_at_once(self, live, timeout):
        assert live.client.wait_until(lambda state: state.world, timeout=timeout) is None
        with pytest.raises(TimeoutError):
            live.client.wait_until(lambda state: False, timeout=timeout)

    def test_try_to_works_without_a_moment(self, live):
        assert live.client.try_to(lambda state: 5, timeout=0) == 5


class TestConnections:
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_of_a_client(self, live):
        connection = live.client.connection
        assert connection.event_wire is None
        assert connection.event_handler is live.client._universal_event_handler
        assert connection.remote_address == ("localhost", live.server.port)
        assert type(connection.latency) is float
        assert type(connection.game_state_context.ressource) is GameState
        assert connection.game_state_context.ressource.world["name"] == "arena"

    def test_of_a_server(self, live):
        ((address, connection),) = live.server.connections.items()
        assert type(address) is tuple
        assert [type(part) for part in address] == [str, int]
        assert connection.remote_address == address
        assert connection.event_wire is live.machine
        assert connection.event_handler is live.server._universal_event_handler
        assert live.server._hostname == "127.0.0.1"

    @pytest.mark.parametrize(
        ("target", "error"),
        [("nobody", KeyError), (None, KeyError), (("127.0.0.1", 1), KeyError), ([1], TypeError)],
    )
    def test_targets_that_are_none(self, live, target, error):
        with pytest.raises(error):
            live.server.dispatch_event("NEWS", target_client=target)

    def test_after_disconnect(self, live, wait_for):
        live.client.disconnect()
        live.client.thread.join(10)
        assert live.client.disconnect() is None
        assert live.client.disconnect(shutdown_server=False) is None
        assert ConnectionStatus.get(live.client.connection.status) == "Disconnected"
        assert live.client.wait_until(lambda state: state.world) is None

    def test_events_after_disconnect(self, live, is_original):
        live.client.disconnect()
        live.client.thread.join(10)
        if is_original:
            assert live.client.dispatch_event("HELLO") is None
        else:
            with pytest.raises(RuntimeError) as error:
                live.client.dispatch_event("HELLO")
            assert str(error.value) == "Client is not connected."

    @pytest.mark.ours
    @pytest.mark.parametrize("jump", [-100_000.0, 100_000.0])
    def test_the_wall_clock_may_jump(self, live, wait_for, calls, monkeypatch, jump):
        acks, got = calls(), calls()
        live.server.register_event_handler("HELLO", got)
        before = time.time
        monkeypatch.setattr(time, "time", lambda: before() + jump)
        ticks = live.session.state_of(live.client)["ticks"]
        live.client.dispatch_event("HELLO", ack_callback=acks)
        wait_for(lambda: acks and got)
        wait_for(lambda: live.session.state_of(live.client)["ticks"] > ticks + 5)
        assert 0 < live.client.connection.latency < 1.0
        assert ConnectionStatus.get(live.client.connection.status) == "Connected"


class TestServer:
    @pytest.mark.parametrize(
        ("hostname", "shown"),
        [("127.0.0.1", "localhost"), ("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "0.0.0.0")],
    )
    def test_hostname(self, wait_for, hostname, shown):
        server = pygase.Server(pygase.GameStateStore())
        thread = server.run_in_thread(0, hostname)
        wait_for(lambda: server.port)
        assert server.hostname == shown
        assert type(server.port) is int
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()

    @pytest.mark.ours
    def test_nothing_to_show_when_it_does_not_run(self, wait_for):
        """0.3.1 goes on showing the last address."""
        server = pygase.Server(pygase.GameStateStore())
        thread = server.run_in_thread()
        server.shutdown()
        thread.join(10)
        assert (server.hostname, server.port) == (None, None)

    def test_connections_are_remembered(self, live):
        live.session.machine.stop()
        addresses = set(live.server.connections)
        live.server.shutdown()
        live.session.server_thread.join(10)
        assert set(live.server.connections) == addresses


class TestGameLoop:
    def test_game_time_goes_by(self, live):
        assert type(live.machine.game_time) is float
        assert live.machine.stop(timeout=5) is True
        before = live.machine.game_time
        time.sleep(0.1)
        assert live.machine.game_time == before > 0
        assert live.machine.stop() is True
        assert live.session.store.get_game_state().is_paused()
