"""Mistakes meet a clear exception at the call; what comes from the network meets none."""

from __future__ import annotations

import logging
import socket

import pytest
from support import wire
from support.raw import RawServer

import pygase
from pygase.connection import ConnectionStatus
from pygase.event import Event
from pygase.gamestate import GameStateUpdate


@pytest.fixture
def server():
    return pygase.Server(pygase.GameStateStore(pygase.GameState(1, 1, ticks=0, players={})))


@pytest.fixture
def taken():
    """A port that somebody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def live(serve, wait_for):
    """A running server with a client."""
    server = serve(ticks=0, players={})
    client = pygase.Client()
    client.thread = client.connect_in_thread(server.port)
    wait_for(lambda: client.connection is not None and client.connection.status == 1 and server.connections)
    client.try_to(lambda state: state.players, timeout=10.0)
    yield server, client
    if client.thread.is_alive():
        client.disconnect()
        client.thread.join(10)


class TestPort:
    @pytest.mark.parametrize("run", ["run", "run_in_thread"])
    def test_in_use(self, server, taken, run):
        with pytest.raises(OSError, match=str(taken)) as error:
            getattr(server, run)(taken, "localhost")
        assert "in use" in str(error.value)
        assert server.port is None

    def test_the_same_server_can_try_again(self, server, taken, wait_for):
        with pytest.raises(OSError):
            server.run(taken, "localhost")
        thread = server.run_in_thread()
        wait_for(lambda: server.port)
        server.shutdown()
        thread.join(10)

    @pytest.mark.parametrize("port", [-1, 65536, 10**12])
    @pytest.mark.parametrize("run", ["run", "run_in_thread"])
    def test_out_of_range(self, server, port, run):
        with pytest.raises((ValueError, OverflowError), match=r"65535"):
            getattr(server, run)(port)

    @pytest.mark.parametrize("port", ["80", 1.5, None, [1]])
    def test_of_the_wrong_type(self, server, port):
        with pytest.raises(TypeError, match="port"):
            server.run(port)

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_client_out_of_range(self, port):
        for connect in (pygase.Client().connect, pygase.Client().connect_in_thread):
            with pytest.raises((ValueError, OverflowError), match="65535"):
                connect(port)

    @pytest.mark.parametrize("port", ["80", 1.5, None])
    def test_client_of_the_wrong_type(self, port):
        for connect in (pygase.Client().connect, pygase.Client().connect_in_thread):
            with pytest.raises(TypeError, match="port"):
                connect(port)

    def test_privileged(self, remote):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            if int(file.read()) <= 7:
                pytest.skip("any user may bind any port here")
        process = remote()
        # asyncio as well: under another user its files may be out of reach.
        process.run("import asyncio, os, pygase; server = pygase.Server(pygase.GameStateStore())")
        process.run("if os.geteuid() == 0: os.setuid(65534)")
        process.run(
            """
            try:
                server.run(7)
            except PermissionError as error:
                message = str(error)
            """
        )
        assert "7" in process.value("message")
        assert process.value("server.port") is None


class TestHostname:
    @pytest.mark.parametrize("run", ["run", "run_in_thread"])
    def test_that_does_not_resolve(self, server, run):
        with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
            getattr(server, run)(0, "no.such.host.invalid")
        assert server.port is None

    @pytest.mark.parametrize("connect", ["connect", "connect_in_thread"])
    def test_of_a_server_that_does_not_resolve(self, connect):
        with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
            getattr(pygase.Client(), connect)(5000, "no.such.host.invalid")

    def test_of_the_wrong_type(self, server):
        with pytest.raises(TypeError):
            server.run(0, 5)

    def test_that_is_not_ours(self, server):
        with pytest.raises(OSError, match=r"192\.0\.2\.77"):
            server.run(0, "192.0.2.77")


class TestValues:
    def test_event_names_the_path(self, live):
        server, client = live
        for dispatch in (client.dispatch_event, server.dispatch_event):
            with pytest.raises(TypeError, match=r"handler_args\[1\]\.name"):
                dispatch("A", 1, {"name": object()})
            with pytest.raises(TypeError, match=r"handler_kwargs\.who"):
                dispatch("A", who={1, 2})

    def test_event_type(self, live):
        server, client = live
        for dispatch in (client.dispatch_event, server.dispatch_event):
            with pytest.raises(TypeError):
                dispatch(5)

    def test_event_too_large(self, live):
        server, client = live
        with pytest.raises(OverflowError, match="2032") as error:
            client.dispatch_event("A", "x" * 3000)
        assert "30" in str(error.value)
        with pytest.raises(OverflowError, match="2017"):
            server.dispatch_event("A", "x" * 3000)

    def test_event_just_not_too_large(self, live, wait_for):
        server, client = live
        got = []
        server.register_event_handler("A", lambda text, client_address: got.append(text))
        client.register_event_handler("A", got.append)
        fixed = len(Event("A", "x" * 2000).to_bytes()) - 2000
        client.dispatch_event("A", "c" * (2032 - fixed), retries=3)
        wait_for(lambda: got)
        server.dispatch_event("A", "s" * (2017 - fixed), retries=3)
        wait_for(lambda: len(set(got)) == 2)

    def test_state_names_the_path(self):
        store = pygase.GameStateStore(pygase.GameState(1, players={}))
        with pytest.raises(TypeError, match=r"players\[3\]\.name"):
            store.push_update(GameStateUpdate(2, players={3: {"name": object()}}))
        with pytest.raises(TypeError, match=r"players"):
            pygase.GameStateStore(pygase.GameState(1, players={1: {2}}))

    def test_what_is_no_event(self, live):
        _, client = live
        with pytest.raises(TypeError, match="takes an Event, not Five"):
            client.connection.dispatch_event(type("Five", (), {"to_bytes": lambda self: b"\x05"})())

    def test_float_too_large(self, live):
        _, client = live
        with pytest.raises(OverflowError):
            client.dispatch_event("A", 1e300)

    def test_leaf_too_large_names_path_size_and_limit(self, wait_for):
        store = pygase.GameStateStore(pygase.GameState(1, world={}))
        with pytest.raises(OverflowError, match=r"world\.map") as error:
            store.push_update(GameStateUpdate(2, world={"map": list(range(3000)), "name": "arena"}, other=1))
        assert "2048" in str(error.value)
        assert sum(
            part.isdigit() and int(part) > 2048 for part in str(error.value).replace(",", " ").split()
        ), error.value

    def test_the_rest_of_an_update_with_such_a_leaf_goes_on(self, live, wait_for):
        server, client = live
        with pytest.raises(OverflowError):
            server.game_state_store.push_update(
                GameStateUpdate(2, players={"map": "x" * 5000, "name": "ada"})
            )
        client.wait_until(lambda state: state.players.get("name") == "ada", timeout=10.0)
        with client.access_game_state() as state:
            assert "map" not in state.players
        # Reported once.
        server.game_state_store.push_update(GameStateUpdate(3, players={"map": "y" * 5000, "name": "bob"}))
        client.wait_until(lambda state: state.players.get("name") == "bob", timeout=10.0)


class TestBeforeAndAfter:
    @pytest.mark.parametrize(
        "call",
        [
            lambda client: client.dispatch_event("a"),
            lambda client: client.access_game_state(),
            lambda client: client.disconnect(),
            lambda client: client.wait_until(bool),
            lambda client: client.try_to(bool),
        ],
    )
    def test_before_connect(self, call):
        with pytest.raises(RuntimeError) as error:
            call(pygase.Client())
        assert str(error.value) == "Client is not connected."

    def test_connect_twice(self, live):
        server, client = live
        for connect in (client.connect, client.connect_in_thread):
            with pytest.raises(RuntimeError, match=r"already|connected"):
                connect(server.port)
        assert client.connection.status == ConnectionStatus.get("Connected")

    def test_connect_again_after_disconnect(self, live, wait_for):
        server, client = live
        client.disconnect()
        client.thread.join(10)
        client.thread = client.connect_in_thread(server.port)
        client.wait_until(lambda state: getattr(state, "ticks", None) == 0, timeout=10.0)

    def test_run_twice(self, live):
        server, _ = live
        port = server.port
        for run in (server.run, server.run_in_thread):
            with pytest.raises(RuntimeError, match=r"already|running"):
                run()
        assert server.port == port

    def test_disconnect_twice(self, live):
        _, client = live
        client.disconnect()
        client.thread.join(10)
        client.disconnect()
        client.disconnect(shutdown_server=True)
        assert client.connection.status == ConnectionStatus.get("Disconnected")

    def test_shutdown_before_the_start(self, server):
        server.shutdown()
        assert server.port is None

    def test_shutdown_twice(self, server, wait_for):
        thread = server.run_in_thread()
        wait_for(lambda: server.port)
        server.shutdown()
        thread.join(10)
        server.shutdown()
        assert server.port is None

    def test_backend_shutdown_before_the_start(self):
        pygase.Backend(pygase.GameState(), lambda game_state, dt: {}).shutdown()

    def test_dispatch_after_disconnect(self, live):
        _, client = live
        client.disconnect()
        client.thread.join(10)
        with pytest.raises((RuntimeError, ConnectionError)):
            client.dispatch_event("A")

    def test_dispatch_to_a_stranger(self, live):
        server, _ = live
        with pytest.raises(KeyError):
            server.dispatch_event("A", target_client=("127.0.0.1", 1))

    def test_game_loop_twice(self, wait_for):
        machine = pygase.GameStateMachine(pygase.GameStateStore(pygase.GameState(game_status=1)))
        machine.time_step = lambda game_state, dt: {}
        thread = machine.run_game_loop_in_thread()
        wait_for(lambda: machine.game_time > 0)
        with pytest.raises(RuntimeError, match=r"already|running"):
            machine.run_game_loop()
        machine.stop()
        thread.join(10)

    def test_game_loop_interval(self):
        machine = pygase.GameStateMachine(pygase.GameStateStore())
        for interval in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="interval"):
                machine.run_game_loop(interval)
        with pytest.raises(TypeError):
            machine.run_game_loop("fast")


class TestNobodyListens:
    def test_keeps_trying_with_one_warning(self, taken, caplog, wait_for):
        client = pygase.Client()
        with caplog.at_level(logging.WARNING, logger="PyGaSe"):
            thread = client.connect_in_thread(taken, "127.0.0.1")
            wait_for(lambda: caplog.records)
            assert client.connection.status == ConnectionStatus.get("Connecting")
            thread.join(1.0)
            assert thread.is_alive()
            client.disconnect()
            thread.join(10)
            assert not thread.is_alive()
        (record,) = [record for record in caplog.records if record.name == "PyGaSe"]
        assert record.levelno == logging.WARNING
        assert "127.0.0.1" in record.getMessage()
        assert str(taken) in record.getMessage()

    def test_a_closed_port_is_no_error(self, caplog, wait_for):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        client = pygase.Client()
        thread = client.connect_in_thread(port, "127.0.0.1")
        wait_for(lambda: caplog.records)
        assert client.connection.status == ConnectionStatus.get("Connecting")
        late = pygase.Server(pygase.GameStateStore(pygase.GameState(1, here=True)))
        server_thread = late.run_in_thread(port, "127.0.0.1")
        client.wait_until(lambda state: getattr(state, "here", False), timeout=10.0)
        client.disconnect(shutdown_server=True)
        thread.join(10)
        server_thread.join(10)
        assert not server_thread.is_alive()


class TestBadDatagrams:
    def test_the_client_counts_and_drops(self, wait_for, caplog):
        client = pygase.Client()
        with RawServer() as server:
            thread = client.connect_in_thread(server.port, "127.0.0.1")
            server.update = {"ticks": 7, "time_order": 5}
            assert server.talk(lambda: server.received and server.received[-1].ack)
            before = client.connection.stats()["malformed"]
            garbage = [
                b"",
                b"hello",
                wire.PROTOCOL_ID + bytes(9),
                wire.server_package(2)[:-1],
                wire.server_package(2) + b"\x00",
                wire.server_package(2, update={"time_order": "soon"}),
                wire.server_package(2, update={"ticks": 6}),
                wire.server_package(2, events=[{"type": None}]),
                wire.server_package(2) + bytes(2500),
            ]
            for data in garbage:
                server.send_bytes(data)
            assert server.talk(lambda: client.connection.stats()["malformed"] >= before + len(garbage) - 1)
            assert client.connection.status == ConnectionStatus.get("Connected")
            assert client.try_to(lambda state: state.ticks) == 7
            client.disconnect()
            server.talk(lambda: not thread.is_alive())
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


class TestUserCode:
    def test_raising_handler_of_a_client(self, live, wait_for, caplog):
        server, client = live
        got = []

        def broken():
            raise ZeroDivisionError("by design")

        client.register_event_handler("BROKEN", broken)
        client.register_event_handler("FINE", got.append)
        server.dispatch_event("BROKEN")
        wait_for(lambda: [record for record in caplog.records if record.exc_info])
        (record,) = [record for record in caplog.records if record.exc_info]
        assert record.name == "PyGaSe"
        assert record.exc_info[0] is ZeroDivisionError
        server.dispatch_event("FINE", 1, retries=3)
        wait_for(lambda: got)

    def test_raising_callback(self, live, wait_for, caplog):
        server, client = live

        def broken(*_):
            raise ZeroDivisionError("by design")

        acked = []
        client.dispatch_event("A", ack_callback=broken)
        server.dispatch_event("A", ack_callback=broken)
        wait_for(lambda: len([record for record in caplog.records if record.exc_info]) == 2)
        client.dispatch_event("A", ack_callback=lambda: acked.append(1))
        server.dispatch_event("A", ack_callback=acked.append)
        wait_for(lambda: len(acked) == 2)

    def test_wrong_arguments(self, live, wait_for, caplog):
        """Anybody on the network can send them: named once, then only counted."""
        server, client = live
        got = []
        server.register_event_handler("A", lambda n, *, client_address: got.append(n))
        for _ in range(10):
            client.dispatch_event("A", 1, 2, 3)
        wait_for(lambda: [record for record in caplog.records if record.levelno >= logging.WARNING])
        client.dispatch_event("A", 5, retries=3)
        wait_for(lambda: got == [5])
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert record.name == "PyGaSe"
        assert "A events" in record.getMessage()
