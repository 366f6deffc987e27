"""Ctrl-C, and processes that end while something runs."""

import os
import signal
import subprocess
import sys
import time

import pytest

PRELUDE = """
import asyncio, sys, threading, time
from pygase import Backend, Client, GameState, GameStateStore, Server

def say(*words):
    print(*words, flush=True)

def say_when_running(server):
    def wait():
        while server.port is None:
            time.sleep(0.01)
        say("running", server.port)
    threading.Thread(target=wait, daemon=True).start()

"""

RUN_SERVER = """
server = Server(GameStateStore())
say_when_running(server)
try:
    server.run()
except KeyboardInterrupt:
    say("stopped", server.port)
"""

RUN_BACKEND = """
backend = Backend(GameState(), lambda game_state, dt: {})
say_when_running(backend.server)
try:
    backend.run("localhost", 0)
except KeyboardInterrupt:
    threads = [thread.name for thread in threading.enumerate() if not thread.daemon]
    say("stopped", backend.server.port, backend.game_state_store.get_game_state().is_paused(), threads)
"""

RUN_CLIENT = """
client = Client()
threading.Timer(0.2, say, ["running"]).start()
try:
    client.connect(9, "127.0.0.1")
except KeyboardInterrupt:
    say("stopped", client.connection.status.name)
"""

RUN_ASYNC = """
server = Server(GameStateStore())
say_when_running(server)

async def main():
    await asyncio.gather(server.run(), asyncio.sleep(3600))

try:
    asyncio.run(main())
except KeyboardInterrupt:
    say("stopped", server.port)
"""

LEAVE_CONNECTED = """
import logging
logging.basicConfig(level=logging.DEBUG)
server, client = Server(GameStateStore(GameState(a=1))), Client()
server.run_in_thread()
threading.Thread(target=client.connect, args=(server.port,), daemon=True).start()
while client.connection is None:
    time.sleep(0.01)
assert client.try_to(lambda game_state: game_state.a, timeout=5) == 1
say("leaving")
"""


def start(code):
    return subprocess.Popen(
        [sys.executable, "-u", "-W", "error", "-c", PRELUDE + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize(
    ("code", "last_words"),
    [
        (RUN_SERVER, "stopped None"),
        (RUN_BACKEND, "stopped None True ['MainThread']"),
        (RUN_CLIENT, "stopped DISCONNECTED"),
        (RUN_ASYNC, "stopped None"),
    ],
    ids=["server", "backend", "client", "async"],
)
def test_ctrl_c_stops_at_once(code, last_words):
    with start(code) as process:
        assert process.stdout.readline().startswith("running")
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().strip() == last_words
        assert time.monotonic() - sent < 5.0
        _, errors = process.communicate(timeout=5)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(0)"])
def test_process_ends_cleanly_while_connected(end):
    with start(LEAVE_CONNECTED + end) as process:
        output, errors = process.communicate(timeout=10)
        assert output == "leaving\n"
        assert process.returncode == (3 if "3" in end else 0)
        assert "Traceback" not in errors
        assert "Fatal" not in errors


COLLECT_ALL_THE_TIME = """
import gc
from pygase.connection import ClientConnection, ClientPackage, Connection, Header, Package, ServerConnection
gc.set_threshold(1)
for _ in range(300):
    kept = [
        Connection(None, None),
        ClientConnection(("localhost", 1), None),
        ServerConnection(("localhost", 1), None, None, 0),
        Package(Header(1, 2, "0" * 32)),
        ClientPackage(Header(1, 2, "0" * 32), 1),
        GameStateStore(GameState(a=1)),
    ]
    for connection in kept[:3]:
        connection.itself = connection
        connection.dispatch_event(pygase.event.Event("A"), lambda kept=kept: None)
say("survived")
"""


def test_garbage_collection_at_any_time():
    # It may come while an object is made: a class that is visited too early would crash the process.
    with start("import pygase.event\n" + COLLECT_ALL_THE_TIME) as process:
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output, errors) == (0, "survived\n", "")
