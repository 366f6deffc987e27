"""Starting, stopping, restarting, and leaving."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import pygase

GENEROUS = 10.0


def make(**attributes):
    return pygase.Server(pygase.GameStateStore(pygase.GameState(1, 1, **attributes)))


@contextlib.contextmanager
def joined(port, hostname="localhost"):
    """A client that got the state."""
    client = pygase.Client()
    thread = client.connect_in_thread(port, hostname)
    try:
        client.wait_until(lambda state: state.time_order > 0, timeout=GENEROUS)
        yield client
    finally:
        client.disconnect()
        thread.join(GENEROUS)
        assert not thread.is_alive()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")


class TestRestart:
    def test_on_the_same_port(self, wait_for):
        """The same server object, at once, several times."""
        server, port = make(ticks=1), 0
        for _ in range(5):
            thread = server.run_in_thread(port)
            wait_for(lambda: server.port)
            port = port or server.port
            assert server.port == port
            with joined(port):
                pass
            server.shutdown()
            thread.join(GENEROUS)
            assert not thread.is_alive()
            assert server.port is None

    def test_another_server_on_the_same_port(self, wait_for):
        first = make(name="first")
        thread = first.run_in_thread()
        wait_for(lambda: first.port)
        port = first.port
        client = pygase.Client()
        client_thread = client.connect_in_thread(port)
        client.wait_until(lambda state: getattr(state, "name", "") == "first", timeout=GENEROUS)
        first.shutdown()
        thread.join(GENEROUS)
        second = make(name="second")
        thread = second.run_in_thread(port)
        client.wait_until(lambda state: state.name == "second", timeout=20.0)
        client.disconnect(shutdown_server=True)
        client_thread.join(GENEROUS)
        thread.join(GENEROUS)
        assert not thread.is_alive()

    def test_start_and_stop_many_times(self, wait_for):
        for _ in range(50):
            server = make()
            thread = server.run_in_thread()
            wait_for(lambda server=server: server.port)
            server.shutdown()
            thread.join(GENEROUS)
            assert not thread.is_alive()

    def test_run_again_keeps_connections_and_clears_the_host(self, wait_for):
        server = make()
        thread = server.run_in_thread()
        wait_for(lambda: server.port)
        with joined(server.port):
            wait_for(lambda: server.connections)
            (address,) = server.connections
            server.shutdown()
            thread.join(GENEROUS)
        thread = server.run_in_thread()
        wait_for(lambda: server.port)
        assert list(server.connections) == [address]
        assert server.connections[address].status == pygase.connection.ConnectionStatus.get("Disconnected")
        assert server.host_client is None
        server.shutdown()
        thread.join(GENEROUS)

    def test_no_thread_stays(self, wait_for):
        before = set(threading.enumerate())
        server = make()
        server.run_in_thread()
        wait_for(lambda: server.port)
        with joined(server.port):
            pass
        server.shutdown()
        wait_for(lambda: set(threading.enumerate()) <= before)


def test_many_clients_in_one_process(serve, wait_for):
    server = serve(ticks=1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(joined(server.port)) for _ in range(25)]
        wait_for(lambda: len(server.connections) == 25)
        got = []
        for client in clients:
            client.register_event_handler("NEWS", got.append)
        server.dispatch_event("NEWS", 1, retries=3)
        wait_for(lambda: len(got) >= 25)


class TestBinding:
    @pytest.mark.parametrize(
        ("hostname", "shown", "reachable"),
        [
            ("localhost", "localhost", ["localhost", "127.0.0.1"]),
            ("127.0.0.1", "localhost", ["localhost", "127.0.0.1"]),
            ("0.0.0.0", "0.0.0.0", ["localhost", "127.0.0.1"]),
            pytest.param("::1", "::1", ["::1"], marks=needs_ipv6),
            pytest.param("::", "::", ["::1", "127.0.0.1", "localhost"], marks=needs_ipv6),
        ],
    )
    def test_hostname(self, hostname, shown, reachable, wait_for):
        server = make()
        thread = server.run_in_thread(0, hostname)
        wait_for(lambda: server.port)
        assert server.hostname == shown
        for address in reachable:
            with joined(server.port, address):
                pass
        server.shutdown()
        thread.join(GENEROUS)
        assert (server.hostname, server.port) == (None, None)

    def test_every_address_of_this_machine(self, wait_for):
        server = make()
        thread = server.run_in_thread(0, "0.0.0.0")
        wait_for(lambda: server.port)
        for address in pygase.get_available_ip_addresses():
            if ":" not in address:
                with joined(server.port, address):
                    pass
        server.shutdown()
        thread.join(GENEROUS)

    def test_connecting_to_what_a_wildcard_server_says(self, wait_for):
        """`client.connect(server.port, server.hostname)` is what every example does."""
        server = make()
        thread = server.run_in_thread(0, "0.0.0.0")
        wait_for(lambda: server.port)
        with joined(server.port, server.hostname):
            pass
        server.shutdown()
        thread.join(GENEROUS)


def script(code, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def interrupt(process):
    """Press Ctrl-C once it is ready; return how long it took to end."""
    assert process.stdout.readline() == "ready\n", process.communicate(timeout=GENEROUS)
    time.sleep(0.3)  # into the blocking call; nothing is decided by it
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=GENEROUS)
    return time.monotonic() - began, errors


class TestInterrupt:
    """A second is promised; the deadline leaves room for a busy machine."""

    CASES = {
        "server": "make().run()",
        "client": """
            server = make()
            server.run_in_thread()
            while not server.port: time.sleep(0.01)
            pygase.Client().connect(server.port)
        """,
        "client without a server": "pygase.Client().connect(9)",
        "game loop": """
            machine = pygase.GameStateMachine(make().game_state_store)
            machine.time_step = lambda game_state, dt: {}
            machine.run_game_loop()
        """,
        "backend": """
            pygase.Backend(pygase.GameState(1, 1), lambda game_state, dt: {}).run("localhost", 0)
        """,
    }

    @pytest.mark.parametrize("case", CASES)
    def test_ends_a_blocking_call(self, case):
        code = textwrap.dedent(
            """
            import time, pygase
            def make():
                return pygase.Server(pygase.GameStateStore(pygase.GameState(1, 1)))
            print("ready", flush=True)
            try:
                {body}
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            """
        ).format(body=textwrap.indent(textwrap.dedent(self.CASES[case]), " " * 4).strip())
        process = script(code)
        took, errors = interrupt(process)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        assert took < 5.0


class TestExit:
    """A process ends with code 0 and no output while it is connected."""

    @pytest.mark.parametrize(
        "end",
        [
            "client.disconnect(); server.shutdown()",
            "client.disconnect()",
            "sys.exit(0)",
            "import os; client.disconnect(); server.dispatch_event('A')",
        ],
    )
    def test_clean(self, end):
        process = script(
            f"""
            import sys, threading, time, pygase
            server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, 1, ticks=0)))
            server.run_in_thread()
            while not server.port: time.sleep(0.01)
            client = pygase.Client()
            # A daemon: else the process would rightly wait for it.
            threading.Thread(target=client.connect, args=(server.port,), daemon=True).start()
            while client.connection is None: time.sleep(0.01)
            client.wait_until(lambda state: state.time_order > 0, timeout=10.0)
            server.register_event_handler("A", lambda client_address: None)
            client.dispatch_event("A")
            {end}
            """
        )
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output, errors) == (0, "", "")

    def test_import_alone(self):
        process = script("import pygase, pygase.connection")
        assert (*process.communicate(timeout=30), process.returncode) == ("", "", 0)

    def test_connections_that_nobody_ran(self):
        process = script(
            """
            import pygase
            client = pygase.connection.ClientConnection(("127.0.0.1", 5), None)
            client.dispatch_event(pygase.event.Event("A"))
            pygase.Server(pygase.GameStateStore())
            """
        )
        assert (*process.communicate(timeout=30), process.returncode) == ("", "", 0)
