"""Traps that other extensions of Python fell into, and what happens here instead."""

from __future__ import annotations

import asyncio
import math
import modulefinder
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import pygase
from pygase import _core, _ticks
from pygase._ticks import LoopTimer

PRELUDE = """
import asyncio, logging, os, sys, threading, time, pygase
def make(**attributes):
    return pygase.Server(pygase.GameStateStore(pygase.GameState(1, **attributes)))
def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
"""


def run(code, timeout=30, options=("-W", "error")):
    code = PRELUDE + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.timeout(40)
def test_start_and_stop_200_times_with_busy_handlers():
    """Ending a thread of the core while attached to Python would wait for one that wants to attach."""
    began, interval = time.monotonic(), sys.getswitchinterval()
    stop = threading.Event()
    sys.setswitchinterval(interval / 10)  # the more often they change, the sooner one waits for the other
    busy = threading.Thread(target=lambda: [sum(range(2000)) for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        for _ in range(200):
            server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, x=1)))
            server.register_event_handler("A", lambda client_address: sum(range(20_000)))
            thread = server.run_in_thread()
            client = pygase.Client()
            client.start(server.port)
            for _ in range(5):
                client.dispatch_event("A")
            client.snapshot()
            client.disconnect()
            server.shutdown()
            thread.join(5)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        busy.join()
    assert time.monotonic() - began < 30


class TestFork:
    """A forked child has none of the threads that its parent has."""

    pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    # Newer Pythons warn of any fork with threads around.
    OPTIONS = ("-W", "error", "-W", "ignore::DeprecationWarning")

    def test_after_import(self):
        code = """
        pid = os.fork()
        server = make(x=1)
        thread = server.run_in_thread()
        client = pygase.Client()
        client.start(server.port)
        until(lambda: client.snapshot().time_order)
        client.disconnect()
        server.shutdown()
        thread.join(5)
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
        """
        assert run(code, options=self.OPTIONS) == (0, "", "")

    def test_after_start(self):
        code = """
        server, client, other = make(x=1), pygase.Client(), pygase.Client()
        machine = pygase.GameStateMachine(server.game_state_store)
        machine.time_step = lambda game_state, dt: {}
        machine.run_game_loop_in_thread()
        thread = server.run_in_thread()
        client.start(server.port)
        other.register_event_handler("A", lambda: None)
        client_thread = other.connect_in_thread(server.port)
        until(lambda: client.snapshot().time_order and len(server.connections) == 2)
        pid = os.fork()
        if not pid:
            # What ran is the parent's: a clear error, and all of it can be started anew.
            try:
                for one in (client, other):
                    try:
                        one.dispatch_event("A")
                    except RuntimeError as error:
                        assert "not connected" in str(error)
                    else:
                        raise AssertionError("no error")
                    one.disconnect()
                assert server.port is None
                server.shutdown()
                assert machine.stop()
                began = time.monotonic()
                fresh = make(x=2)
                fresh.run_in_thread()
                client.start(fresh.port)
                until(lambda: client.snapshot().time_order and client.snapshot().x == 2)
                machine.run_game_loop_in_thread()
                assert machine.stop()
                client.disconnect()
                server.run_in_thread()
                client.start(server.port)
                until(lambda: client.snapshot().time_order and getattr(client.snapshot(), "x", None) == 1)
                server.shutdown()
                client.disconnect()
                fresh.shutdown()
                assert time.monotonic() - began < 10
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        # The parent has not noticed anything.
        got = []
        client.register_event_handler("A", lambda: got.append(1))
        server.dispatch_event("A", retries=3)
        until(lambda: client.poll() or got)
        client.disconnect()
        other.disconnect()
        client_thread.join(5)
        machine.stop()
        server.shutdown()
        thread.join(5)
        """
        assert run(code, options=self.OPTIONS) == (0, "", "")

    def test_relay_and_load(self):
        code = """
        from pygase import _core
        server = make(x=1)
        thread = server.run_in_thread()
        until(lambda: server.port)
        relay = _core.Relay(("127.0.0.1", 0), ("127.0.0.1", server.port), {})
        load = _core.Load("127.0.0.1", relay.port, 20, 60.0, 1000.0)
        until(lambda: load.report()["joined"] == 20)
        for _ in range(30):
            pid = os.fork()
            if not pid:
                # Their threads are the parent's; what they published can be read.
                done = (relay.over, load.over, relay.report()["clients"], load.report()["joined"])
                relay.stop()
                load.stop()
                del relay, load
                os._exit(done != (True, True, 20, 20))
            assert os.waitpid(pid, 0)[1] == 0
        assert not relay.over and not load.over
        load.stop()
        relay.stop()
        server.shutdown()
        thread.join(5)
        """
        assert run(code, options=self.OPTIONS) == (0, "", "")

    def test_multiprocessing(self):
        code = """
        import multiprocessing
        server = make(x=1)
        server.run_in_thread()
        def play(port, queue):
            client = pygase.Client()
            client.start(port)
            until(lambda: client.snapshot().time_order)
            queue.put(client.snapshot().x)
            client.disconnect()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        process = context.Process(target=play, args=(server.port, queue))
        process.start()
        assert queue.get(timeout=15) == 1
        process.join(10)
        assert process.exitcode == 0
        server.shutdown()
        """
        assert run(code, options=self.OPTIONS) == (0, "", "")


class TestExit:
    """The interpreter may end in every state, with code 0 and nothing said."""

    STATES = {
        "server": "make(x=1).run_in_thread()",
        "server with a game loop": """
            backend = pygase.Backend(pygase.GameState(1), lambda game_state, dt: {})
            threading.Thread(target=backend.run, args=("localhost", 0), daemon=True).start()
            until(lambda: backend.server.port)
            backend.game_state_machine.stop()
        """,
        "connecting": "client = pygase.Client(); client.start(9)",
        "connected": """
            server = make(x=1); server.run_in_thread()
            client = pygase.Client(); client.start(server.port)
            until(lambda: client.snapshot().time_order)
        """,
        "in the middle of a handler": """
            server = make(x=1); server.run_in_thread()
            begun = []
            def handler(client_address): begun.append(1); time.sleep(60)
            server.register_event_handler("A", handler)
            client = pygase.Client(); client.start(server.port)
            client.dispatch_event("A", retries=5)
            until(lambda: begun)
        """,
        "in the middle of a coroutine": """
            server = make(x=1); server.run_in_thread()
            begun = []
            async def handler(client_address): begun.append(1); await asyncio.sleep(60)
            server.register_event_handler("A", handler)
            client = pygase.Client(); client.start(server.port)
            client.dispatch_event("A", retries=5)
            until(lambda: begun)
        """,
        "with everything stopped": """
            server = make(x=1); thread = server.run_in_thread()
            client = pygase.Client(); client.start(server.port)
            client.disconnect(); server.shutdown(); thread.join()
        """,
        "with calls to be made at the exit": """
            import atexit
            server = make(x=1); server.run_in_thread()
            client = pygase.Client(); client.start(server.port)
            until(lambda: client.snapshot().time_order)
            atexit.register(server.shutdown); atexit.register(client.disconnect)
        """,
        "with a client in a dead cycle": """
            server = make(x=1); server.run_in_thread()
            client = pygase.Client(); client.start(server.port)
            client.itself = client
            del client
        """,
        "with log records on their way": """
            class Quiet(logging.Handler):
                def emit(self, record): record.getMessage()
            logging.getLogger("PyGaSe").addHandler(Quiet())
            logging.getLogger("PyGaSe").setLevel(logging.DEBUG)
            logging.getLogger("PyGaSe").propagate = False
            server = make(x=1); server.run_in_thread()
            clients = [pygase.Client(interval_good=0.001, interval_bad=0.001) for _ in range(8)]
            for client in clients:
                threading.Thread(target=client.connect, args=(server.port,), daemon=True).start()
            until(lambda: len(server.connections) == 8)
        """,
    }

    @pytest.mark.parametrize("state", STATES)
    def test_clean(self, state):
        assert run(textwrap.dedent(self.STATES[state])) == (0, "", "")


class TestNesting:
    """Deep nesting overflows no stack, and lengths that lie cost no memory."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\x91" * 1_000_000,
            b"\x81\xa1a" * 400_000,
            b"\xdd\xff\xff\xff\xff" * 200_000,
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
        ],
    )
    def test_bytes(self, data):
        with pytest.raises(ValueError):
            _core.unpackb(data)

    def test_objects(self):
        nested: list = []
        for _ in range(100_000):
            nested = [nested]
        with pytest.raises((TypeError, ValueError, RecursionError)):
            _core.packb(nested)
        loop: dict = {}
        loop["loop"] = loop
        with pytest.raises((TypeError, ValueError, RecursionError)):
            _core.packb(loop)
        while nested:
            nested = nested.pop()


@pytest.mark.timeout(30)
def test_no_object_is_borrowed_already(serve, wait_for):
    """Eight threads that use the same objects at once."""
    server = serve(x=1)
    client = pygase.Client()
    thread = client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    (connection,) = server.connections.values()
    server.register_event_handler("A", lambda client_address: None)
    errors, end = [], time.monotonic() + 1.0

    def use():
        try:
            while time.monotonic() < end:
                client.dispatch_event("A", ack_callback=lambda: None)
                server.dispatch_event("B")
                connection.latency = connection.latency
                connection.stats(), client.connection.status, connection.quality
                client.connection.ack_bitfield, server._session._udp.stats()
                client.snapshot(), client.interpolated("x")
                with client.access_game_state() as state:
                    _ = state.x if hasattr(state, "x") else None
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    client.disconnect()
    thread.join(10)
    assert [error for error in errors if not isinstance(error, KeyError)] == []
    assert not thread.is_alive()


def test_a_client_thread_ends_after_disconnect(serve, wait_for):
    client = pygase.Client()
    for _ in range(5):
        thread = client.connect_in_thread(serve(x=1).port)
        client.wait_until(lambda state: state.time_order > 0, timeout=10)
        client.disconnect()
        thread.join(5)
        assert not thread.is_alive()


def test_dispatching_from_anywhere(serve, wait_for):
    """From handlers, from callbacks, and from threads that know nothing of PyGaSe."""
    server = serve(x=1)
    client = pygase.Client()
    thread = client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    got = []
    server.register_event_handler(
        "PING", lambda n, client_address: server.dispatch_event("PONG", n, retries=5)
    )
    server.register_event_handler("DONE", lambda n, client_address: got.append(n))
    client.register_event_handler(
        "PONG",
        lambda n: client.dispatch_event(
            "NOTHING", retries=5, ack_callback=lambda: client.dispatch_event("DONE", n, retries=5)
        ),
    )
    senders = [
        threading.Thread(target=client.dispatch_event, args=("PING", n), kwargs={"retries": 5})
        for n in range(8)
    ]
    for sender in senders:
        sender.start()
    wait_for(lambda: set(got) == set(range(8)))
    client.disconnect()
    thread.join(5)
    assert not thread.is_alive()


def test_freezers_find_what_the_extension_imports():
    """A freezer takes along what Python code imports; the extension imports by name (`make frozen`)."""
    sources = Path(__file__).resolve().parents[2] / "src" / "python"
    if not sources.is_dir():
        pytest.skip("there are no sources of the extension here")
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources.rglob("*.rs"))
    wanted = set(re.findall(r'^    \w+ = "([\w.]+)", "\w+";', text, re.MULTILINE))
    wanted |= set(re.findall(r'import\((?:\w+, )?"([\w.]+)"', text))
    assert {"pygase.event", "pygase.utils", "errno", "socket"} <= wanted
    finder = modulefinder.ModuleFinder(excludes=["curio", "trio", "uvloop"])
    finder.run_script(str(Path(pygase.__file__)))
    assert wanted - set(finder.modules) - set(sys.builtin_module_names) == set()


def test_a_coarse_clock_of_an_event_loop_moves_no_ticks():
    """Where timers are as coarse as 15 ms, ticks come late, but not fewer: 50 Hz stays 50 Hz."""
    tick, interval, ticks = 0.015625, 0.02, 100

    class CoarseBell:
        def clear(self):
            pass

        async def wait(self, deadline):
            # The system wakes one up at the next of its own ticks.
            clock.now = max(clock.now, math.ceil(deadline / tick) * tick)

        async def close(self):
            pass

    clock = SimpleNamespace(now=7.0, monotonic=lambda: clock.now)

    async def play():
        timer = LoopTimer(interval, SimpleNamespace(bell=lambda inbox: CoarseBell()))
        began = clock.now
        steps = [await timer.wait() for _ in range(ticks)]
        await timer.close()
        return steps, clock.now - began

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ticks, "time", clock)
        steps, took = asyncio.run(play())
    assert sum(steps) == pytest.approx(took)
    assert ticks * interval <= took + LoopTimer.SLACK < ticks * interval + 2 * tick
    assert max(steps) <= interval + tick + 1e-9
