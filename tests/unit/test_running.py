"""Clients, servers and backends over loopback: how they start, run and end."""

import asyncio
import logging
import threading
import time

import pytest

from pygase import Backend, Client, GameState, GameStateMachine, GameStateStore, Server
from pygase.connection import ConnectionStatus
from pygase.gamestate import GameStateUpdate


def test_server_runs_when_run_in_thread_returns(server):
    thread = server.run_in_thread()
    assert thread.daemon
    assert server.hostname == "localhost"
    assert 0 < server.port < 65536
    with pytest.raises(
        RuntimeError, match=r"already running on \('localhost', \d+\); call shutdown\(\) first"
    ):
        server.run_in_thread()
    with pytest.raises(RuntimeError, match="already running"):
        server.run()
    server.shutdown()
    thread.join(5)
    assert not thread.is_alive()
    assert (server.hostname, server.port) == (None, None)
    server.shutdown()


def test_client_before_during_and_after(server, connect):
    client = Client()
    assert client.connection is None
    for call in (
        client.disconnect,
        client.access_game_state,
        lambda: client.dispatch_event("A"),
        lambda: client.wait_until(bool),
        lambda: client.try_to(bool),
    ):
        with pytest.raises(RuntimeError, match=r"^Client is not connected\.($|\n)"):
            call()
    server.run_in_thread()
    thread = client.connect_in_thread(server.port)
    assert not thread.daemon
    with pytest.raises(
        RuntimeError, match=r"already connected to \('localhost', \d+\); call disconnect\(\) first"
    ):
        client.connect(server.port)
    client.wait_until(lambda game_state: game_state.time_order > 0, timeout=5)
    with pytest.raises(TypeError, match=r"handler_args\[0\]"):
        client.dispatch_event("A", {1})
    with pytest.raises(OverflowError, match=r"\d+ bytes"):
        client.dispatch_event("A", "x" * 3000)
    client.disconnect()
    thread.join(5)
    assert not thread.is_alive()
    assert client.connection.status == ConnectionStatus.DISCONNECTED
    assert client.connection.game_state_context.resource.a == 1
    client.disconnect()
    with pytest.raises(RuntimeError, match=r"^Client is not connected\.($|\n)"):
        client.dispatch_event("A")
    connect(server, client)
    assert client.connection.status == ConnectionStatus.CONNECTED


@pytest.mark.parametrize("run", ["run", "run_in_thread"])
def test_addresses_that_cannot_be_used(server, run):
    with pytest.raises(TypeError, match="port must be an int"):
        getattr(server, run)("80")
    with pytest.raises(ValueError, match="port 65536 is not in the range"):
        getattr(server, run)(65536)
    with pytest.raises(TypeError, match="hostname must be a str"):
        getattr(server, run)(0, 5)
    with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
        getattr(server, run)(0, "no.such.host.invalid")
    other = Server(GameStateStore())
    other.run_in_thread()
    with pytest.raises(OSError, match=str(other.port)):
        getattr(server, run)(other.port)
    other.shutdown()
    assert server.port is None
    server.run_in_thread()


@pytest.mark.parametrize("connect", ["connect", "connect_in_thread"])
def test_servers_that_cannot_be_reached(connect):
    client = Client()
    with pytest.raises(TypeError, match="port must be an int"):
        getattr(client, connect)("80")
    with pytest.raises(ValueError, match="port 0 is not in the range"):
        getattr(client, connect)(0)
    with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
        getattr(client, connect)(80, "no.such.host.invalid")
    assert client.connection is None


def test_a_dead_port_is_tried_on_and_warned_of(caplog, wait_for):
    client = Client()
    client.connect_in_thread(9, "127.0.0.1")
    try:
        wait_for(lambda: [r for r in caplog.records if r.levelno == logging.WARNING])
        time.sleep(0.3)
        assert client.connection.status == ConnectionStatus.CONNECTING
        (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert "('127.0.0.1', 9)" in warning
    finally:
        client.disconnect()
    assert client.connection.status == ConnectionStatus.DISCONNECTED


def test_host_shuts_the_server_down(server, connect, wait_for):
    thread = server.run_in_thread()
    one = connect(server)
    wait_for(lambda: server.host_client)
    two = connect(server)
    wait_for(lambda: len(server.connections) == 2)
    two.disconnect(shutdown_server=True)
    time.sleep(0.5)
    assert server.port is not None
    one.disconnect(shutdown_server=True)
    thread.join(5)
    assert not thread.is_alive()
    assert server.port is None


def test_server_runs_again_and_remembers(server, store, connect, wait_for):
    server.run_in_thread()
    port = server.port
    client = connect(server)
    wait_for(lambda: server.host_client)
    (connection,) = server.connections.values()
    server.shutdown()
    assert list(server.connections.values()) == [connection]
    assert connection.status == ConnectionStatus.DISCONNECTED
    store.push_update(GameStateUpdate(store.get_game_state().time_order + 1, b=2))
    server.run_in_thread(port)
    assert server.host_client is None
    client.wait_until(lambda game_state: "b" in game_state.data, timeout=10)
    wait_for(lambda: server.host_client)
    assert server.connections[server.host_client].status == ConnectionStatus.CONNECTED


def test_everything_can_be_awaited(store, wait_for):
    seen = []

    async def main():
        server, client = Server(store), Client()
        running = asyncio.create_task(server.run())
        await asyncio.sleep(0.05)
        connected = asyncio.create_task(client.connect(server.port))
        await asyncio.sleep(0.3)
        seen.append(client.connection.status)
        seen.append(client.connection.game_state_context.resource.a)
        await client.disconnect()
        await asyncio.wait_for(connected, 5)
        await server.shutdown()
        await asyncio.wait_for(running, 5)
        return server

    server = asyncio.run(main())
    assert seen == [ConnectionStatus.CONNECTED, 1]
    assert server.port is None


def test_cancelled_server_and_client_are_shut_down(store, wait_for):
    async def main():
        server, client = Server(store), Client()
        running = asyncio.create_task(server.run())
        await asyncio.sleep(0.05)
        port = server.port
        connected = asyncio.create_task(client.connect(port))
        await asyncio.sleep(0.2)
        for task in (connected, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert server.port is None
        assert client.connection.status == ConnectionStatus.DISCONNECTED
        await asyncio.wait_for(asyncio.gather(shut(server), client.disconnect()), 5)
        server.run_in_thread(port)
        server.shutdown()

    async def shut(server):
        await server.shutdown()

    asyncio.run(main())


def test_handlers_may_shut_down_what_runs_them(server, connect, wait_for):
    async def quit_server(client_address):
        await server.shutdown()

    client = Client()
    server.register_event_handler("QUIT", quit_server)
    client.register_event_handler("LEAVE", lambda: client.disconnect())
    thread = server.run_in_thread()
    connect(server, client)
    client.dispatch_event("QUIT")
    thread.join(5)
    assert not thread.is_alive()
    server.run_in_thread()
    client.disconnect()
    connect(server, client)
    wait_for(lambda: any(c.status == ConnectionStatus.CONNECTED for c in server.connections.values()))
    server.dispatch_event("LEAVE")
    wait_for(lambda: client.connection.status == ConnectionStatus.DISCONNECTED)


def test_backend_that_cannot_listen_leaves_nothing_behind():
    backend = Backend(GameState(), lambda game_state, dt: {})
    with pytest.raises(ValueError, match="range"):
        backend.run("localhost", 70000)
    with pytest.raises(ValueError, match="interval"):
        backend.run("localhost", 0, interval=0)
    assert backend.server.port is None
    assert backend.game_state_store.get_game_state().is_paused()
    assert threading.active_count() == 1 or all("game-loop" not in t.name for t in threading.enumerate())


def test_starts_stops_and_connections_are_logged(server, connect, caplog, wait_for):
    caplog.set_level(logging.INFO, logger="PyGaSe")
    server.run_in_thread()
    client = connect(server)
    wait_for(lambda: server.host_client)
    address = server.host_client
    client.disconnect()
    server.shutdown()
    for message in (
        "Trying to run server on ('localhost', 0) ...",
        f"New client connection from {address}.",
        f"Setting {address} as client with host permissions.",
        f"Status of connection to {address} set to 'Connected'.",
        "Trying to connect to server ...",
        f"Status of connection to {client.connection.remote_address} set to 'Connected'.",
        f"Shutting down connection to {client.connection.remote_address}.",
    ):
        assert message in caplog.messages
    assert {record.name for record in caplog.records} <= {"PyGaSe", "asyncio"}
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_backend_can_be_awaited(wait_for):
    async def time_step(game_state, dt):
        await asyncio.sleep(0)
        return {"steps": game_state.steps + 1}

    async def main():
        backend = Backend(GameState(steps=0), time_step)
        running = asyncio.create_task(backend.run("localhost", 0, interval=0.01))
        await asyncio.sleep(0.2)
        await backend.shutdown()
        await asyncio.wait_for(running, 5)
        return backend.game_state_store.get_game_state()

    state = asyncio.run(main())
    assert state.steps > 5
    assert state.is_paused()


def test_handlers_in_the_game_loop_may_end_the_game(connect, wait_for):
    backend = Backend(
        GameState(), lambda game_state, dt: {}, {"QUIT": lambda **kwargs: backend.shutdown() and None}
    )
    thread = threading.Thread(target=backend.run, args=("localhost", 0))
    thread.start()
    wait_for(lambda: backend.server.port)
    client = connect(backend.server)
    client.dispatch_event("QUIT", retries=3)
    thread.join(5)
    assert not thread.is_alive()
    assert backend.server.port is None


def test_what_finds_no_event_loop_leaves_nothing_behind(server, monkeypatch, wait_for):
    """As when too many files are open: nothing may go on that nobody handles."""
    client, machine = Client(), GameStateMachine(server.game_state_store)
    machine.time_step = lambda game_state, dt: {}
    server.run_in_thread()
    second = Server(server.game_state_store)
    calls = {
        "server": second.run_in_thread,
        "client": lambda: client.connect_in_thread(server.port),
        "loop": machine.run_game_loop_in_thread,
    }

    def no_loop(*_, **__):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "new_event_loop", no_loop)
        patched.setattr(asyncio.events, "new_event_loop", no_loop)
        for call in calls.values():
            with pytest.raises(OSError, match="Too many open files"):
                call()
    assert second.port is None and not machine._game_loop_is_running
    with pytest.raises(RuntimeError, match="not connected"):
        client.dispatch_event("LOST")
    try:
        for call in calls.values():
            call()
        wait_for(lambda: server.connections and machine.stats()["ticks"])
    finally:
        client.disconnect()
        second.shutdown()
        machine.stop()
