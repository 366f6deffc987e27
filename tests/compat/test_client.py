"""`pygase.client`: a client in a live session over loopback."""

import threading
import time
from types import SimpleNamespace

import pytest

import pygase
from pygase.connection import ClientConnection, ConnectionStatus


def status(client):
    return ConnectionStatus.get(client.connection.status)


class TestBefore:
    def test_attributes(self):
        client = pygase.Client()
        assert client.connection is None
        assert not client._universal_event_handler.has_event_type("a")

    @pytest.mark.parametrize(
        "call",
        [
            lambda client: client.dispatch_event("a"),
            lambda client: client.access_game_state(),
            lambda client: client.disconnect(),
            lambda client: client.wait_until(lambda state: True),
            lambda client: client.try_to(lambda state: True),
        ],
        ids=["dispatch_event", "access_game_state", "disconnect", "wait_until", "try_to"],
    )
    def test_needs_a_connection(self, call, is_original):
        with pytest.raises(AttributeError if is_original else RuntimeError) as error:
            call(pygase.Client())
        assert is_original or str(error.value) == "Client is not connected."

    def test_handlers_can_be_registered(self):
        client = pygase.Client()
        client.register_event_handler("a", print)
        assert client._universal_event_handler.has_event_type("a")
        with pytest.raises(TypeError) as error:
            client.register_event_handler("b", "text")
        assert str(error.value) == "'str' object is not callable."


class TestConnecting:
    def test_thread(self, live):
        assert isinstance(live.client.thread, threading.Thread)
        assert live.client.thread.is_alive()
        assert not live.client.thread.daemon

    def test_connection(self, live, wait_for):
        connection = live.client.connection
        assert isinstance(connection, ClientConnection)
        assert status(live.client) == "Connected"
        assert connection.remote_address[1] == live.server.port
        wait_for(lambda: connection.local_sequence > 3 and connection.remote_sequence > 3)
        assert len(connection.ack_bitfield) == 32
        assert set(connection.ack_bitfield) <= {"0", "1"}
        wait_for(lambda: connection.latency > 0)
        assert connection.latency < 1.0
        assert connection.quality in ("good", "bad")

    def test_connection_exists_at_once(self, session):
        client = pygase.Client()
        session.join(client)
        assert client.connection is not None

    def test_blocking_connect(self, session, wait_for):
        client = pygase.Client()
        thread = threading.Thread(
            target=client.connect, args=(session.server.port,), kwargs={"hostname": "localhost"}
        )
        thread.start()
        wait_for(lambda: client.connection is not None and status(client) == "Connected")
        client.disconnect()
        thread.join(10)
        assert not thread.is_alive()

    def test_disconnect(self, live, wait_for):
        live.client.disconnect()
        live.client.thread.join(10)
        assert not live.client.thread.is_alive()
        assert status(live.client) == "Disconnected"
        assert live.client.connection is not None
        assert live.session.server_thread.is_alive()

    def test_state_stays_readable_after_disconnect(self, live):
        live.client.disconnect()
        live.client.thread.join(10)
        with live.client.access_game_state() as state:
            assert state.world == {"size": [3, 4], "name": "arena"}

    def test_several_clients(self, session, wait_for):
        clients = [session.join() for _ in range(3)]
        wait_for(lambda: len(session.server.connections) == 3)
        for client in clients:
            start = session.state_of(client)["ticks"]
            wait_for(lambda client=client, start=start: session.state_of(client)["ticks"] > start)

    def test_host_can_shut_the_server_down(self, live):
        live.client.disconnect(shutdown_server=True)
        live.client.thread.join(10)
        live.session.server_thread.join(10)
        assert not live.client.thread.is_alive()
        assert not live.session.server_thread.is_alive()

    def test_others_cannot(self, live, wait_for):
        guest = live.session.join()
        guest.disconnect(shutdown_server=True)
        guest.thread.join(10)
        ticks = live.session.state_of(live.client)["ticks"]
        wait_for(lambda: live.session.state_of(live.client)["ticks"] > ticks + 20)
        assert live.session.server_thread.is_alive()


class TestGameState:
    def test_access(self, live):
        with live.client.access_game_state() as state:
            assert isinstance(state, pygase.GameState)
            assert state.world == {"size": [3, 4], "name": "arena"}
            assert not state.is_paused()
            assert state.time_order > 0

    def test_follows(self, live, wait_for):
        start = live.session.state_of(live.client)
        wait_for(lambda: live.session.state_of(live.client)["ticks"] >= start["ticks"] + 10)
        assert live.session.state_of(live.client)["time_order"] != start["time_order"]

    def test_access_is_exclusive(self, live):
        order = []

        def other():
            with live.client.access_game_state():
                order.append("other")

        with live.client.access_game_state() as state:
            ticks = state.ticks
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(0.2)
            assert not order
            assert state.ticks == ticks
        thread.join(10)
        assert order == ["other"]

    def test_deletion(self, live, wait_for):
        assert live.session.state_of(live.client)["doomed"] == "here"
        live.machine.time_step = lambda game_state, dt: (
            time.sleep(0.01) or {"doomed": pygase.gamestate.TO_DELETE}
        )
        if hasattr(live.session.store.get_game_state(), "doomed"):
            wait_for(lambda: live.session.state_of(live.client).get("doomed") != "here")

    def test_wait_until(self, live):
        with live.client.access_game_state() as state:
            goal = state.ticks + 5
        assert live.client.wait_until(lambda state: state.ticks >= goal, timeout=10.0) is None
        with live.client.access_game_state() as state:
            assert state.ticks >= goal

    def test_wait_until_times_out(self, live):
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            live.client.wait_until(lambda state: False, timeout=0.2)
        assert 0.15 <= time.monotonic() - start < 5

    def test_try_to(self, live):
        assert live.client.try_to(lambda state: state.world["name"]) == "arena"

    def test_try_to_waits_for_what_is_missing(self, live, wait_for):
        def give(game_state, dt):
            time.sleep(0.01)
            return {"late": {"key": "came"}}

        result = []
        thread = threading.Thread(
            target=lambda: result.append(live.client.try_to(lambda state: state.late["key"], timeout=10.0))
        )
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        live.machine.time_step = give
        thread.join(10)
        assert result == ["came"]

    @pytest.mark.parametrize("function", [lambda state: state.nowhere, lambda state: state.world["nowhere"]])
    def test_try_to_times_out(self, live, function):
        with pytest.raises(TimeoutError):
            live.client.try_to(function, timeout=0.2)

    def test_try_to_lets_other_exceptions_out(self, live):
        with pytest.raises(ZeroDivisionError):
            live.client.try_to(lambda state: 1 / 0)


class TestEvents:
    def test_to_the_server(self, live, wait_for, calls):
        got = calls()
        live.server.register_event_handler("HELLO", got)
        live.client.dispatch_event("HELLO", 1, "two", three=[3])
        wait_for(lambda: got)
        assert got[0].args == (1, "two")
        address = got[0].kwargs.pop("client_address")
        assert address in live.server.connections
        assert got[0].kwargs == {"three": [3]}
        assert got[0].thread is live.session.server_thread

    def test_to_the_game_loop(self, live, wait_for):
        seen = []

        def on_move(name, game_state, dt, client_address, step):
            seen.append((name, step, game_state.world["name"], type(dt), client_address))
            return {"players": {name: {"step": step}}}

        live.machine.register_event_handler("MOVE", on_move)
        live.client.dispatch_event("MOVE", "ada", step=2)
        wait_for(lambda: live.session.state_of(live.client)["players"].get("ada") == {"step": 2})
        name, step, world, kind, address = seen[0]
        assert (name, step, world, kind) == ("ada", 2, "arena", float)
        assert address in live.server.connections

    def test_acknowledged(self, live, wait_for, calls):
        acks = calls()
        live.server.register_event_handler("HELLO", lambda **_: None)
        live.client.dispatch_event("HELLO", ack_callback=acks)
        wait_for(lambda: acks)
        assert (acks[0].args, acks[0].kwargs) == ((), {})
        assert acks[0].thread is live.client.thread
        assert len(acks) == 1

    def test_coroutine_functions(self, live, wait_for):
        seen = []

        async def on_hello(text, client_address):
            seen.append(text)

        async def on_ack():
            seen.append("ack")

        live.server.register_event_handler("HELLO", on_hello)
        live.client.dispatch_event("HELLO", "async", ack_callback=on_ack)
        wait_for(lambda: sorted(seen) == ["ack", "async"])

    def test_many(self, live, wait_for):
        seen = []
        live.server.register_event_handler("N", lambda n, client_address: seen.append(n))
        for number in range(60):
            live.client.dispatch_event("N", number)
        wait_for(lambda: len(seen) >= 60)
        assert sorted(seen) == list(range(60))

    def test_from_the_server(self, live, wait_for, calls):
        got = calls()
        live.client.register_event_handler("NEWS", got)
        live.server.dispatch_event("NEWS", "war", [1, {"a": None}])
        wait_for(lambda: got)
        assert got[0].args == ("war", [1, {"a": None}])
        assert got[0].kwargs == {}
        assert got[0].thread is live.client.thread

    def test_unknown_to_the_client(self, live, wait_for, calls):
        """Ignored, and nothing breaks."""
        acks = calls()
        live.server.dispatch_event("NOBODY_LISTENS", ack_callback=acks)
        wait_for(lambda: acks)
        ticks = live.session.state_of(live.client)["ticks"]
        wait_for(lambda: live.session.state_of(live.client)["ticks"] > ticks)

    def test_answer_from_within_a_handler(self, live, wait_for, calls):
        got = calls()
        live.client.register_event_handler("PONG", got)
        live.server.register_event_handler(
            "PING",
            lambda n, client_address: live.server.dispatch_event("PONG", n, target_client=client_address),
        )
        live.client.dispatch_event("PING", 5)
        wait_for(lambda: got)
        assert got[0].args == (5,)

    @pytest.mark.ours
    def test_a_handler_that_raises_stops_nothing(self, live, wait_for, caplog, calls):
        got = calls()

        def broken(client_address):
            raise ZeroDivisionError("by design")

        live.server.register_event_handler("BROKEN", broken)
        live.server.register_event_handler("HELLO", got)
        live.client.dispatch_event("BROKEN")
        wait_for(lambda: [record for record in caplog.records if record.name == "PyGaSe" and record.exc_info])
        live.client.dispatch_event("HELLO")
        wait_for(lambda: got)

    @pytest.mark.ours
    def test_an_unknown_event_stops_nothing(self, live, wait_for, calls):
        """PyGaSe 0.3.1's server dies of it."""
        got = calls()
        live.server.register_event_handler("HELLO", got)
        live.client.dispatch_event("WHAT_IS_THIS", 1)
        live.client.dispatch_event("HELLO")
        wait_for(lambda: got)


class TestRetries:
    def test_retry_after_a_timeout(self):
        """Stepped through the connection's own callbacks, without waiting for a real loss."""
        dispatched = []
        client = pygase.Client()
        client.connection = SimpleNamespace(
            dispatch_event=lambda event, ack=None, timeout=None: dispatched.append((event, ack, timeout))
        )
        client.dispatch_event("HELLO", 1, retries=2, ack_callback=print, key=2)
        for expected in (2, 3):
            event, ack, timeout = dispatched[-1]
            assert (event.type, event.handler_args, event.handler_kwargs) == ("HELLO", [1], {"key": 2})
            assert ack is print
            run(timeout)
            assert len(dispatched) == expected
        run(dispatched[-1][2])
        assert len(dispatched) == 3

    def test_no_retry_unless_asked(self):
        dispatched = []
        client = pygase.Client()
        client.connection = SimpleNamespace(dispatch_event=lambda *args: dispatched.append(args))
        client.dispatch_event("HELLO")
        run((*dispatched[0], None, None)[2])
        assert len(dispatched) == 1

    def test_retried_until_someone_listens(self, session, wait_for, calls):
        """Nothing answers at first; the event must still arrive."""
        acks = calls()
        got = calls()
        session.server.register_event_handler("HELLO", got)
        client = session.join()
        client.dispatch_event("HELLO", retries=5, ack_callback=acks)
        wait_for(lambda: got and acks)


def run(callback):
    """Call what may be a function, a coroutine function or nothing."""
    if callback is None:
        return
    result = callback()
    if hasattr(result, "send"):
        with pytest.raises(StopIteration):
            result.send(None)


class TestSubclassing:
    def test_handlers_of_a_subclass(self, session, wait_for):
        class Player(pygase.Client):
            def __init__(self, name):
                super().__init__()
                self.name = name
                self.news = []
                self.register_event_handler("NEWS", self.on_news)

            def on_news(self, text):
                self.news.append((self.name, text))

        player = Player("ada")
        session.join(player)
        session.server.dispatch_event("NEWS", "peace")
        wait_for(lambda: player.news == [("ada", "peace")])
