"""What the unit tests share: the support package on the path, polling, and servers that end."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.polling import poll
from support.raw import RawClient
from support.remote import Remote

# Where the tests run in the background, Ctrl-C is ignored, and so it would be by the processes they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_level():
    """Leave the logger as it was: the tools silence it."""
    logger = logging.getLogger("PyGaSe")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session")
def wait_for():
    """Poll a condition with a deadline."""
    return poll


@pytest.fixture
def remote():
    """Start Python processes to steer; they end with the test."""
    started = []

    def start():
        started.append(Remote())
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def serve(wait_for):
    """Run servers in threads; they end with the test."""
    import pygase

    running = []

    def start(server=None, **attributes):
        server = server or pygase.Server(pygase.GameStateStore(pygase.GameState(1, **attributes)))
        thread = server.run_in_thread()
        wait_for(lambda: server.port)
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        if thread.is_alive():
            server.shutdown()
            thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def store():
    """Give a store with a small state."""
    from pygase import GameState, GameStateStore

    return GameStateStore(GameState(a=1, players={1: {"name": "anna"}}))


@pytest.fixture
def server(store):
    """Give a server of that store, which is not running yet."""
    from pygase import Server

    server = Server(store)
    yield server
    server.shutdown()


@pytest.fixture
def connect():
    """Connect clients that wait for their first state; they disconnect with the test."""
    from pygase import Client

    clients = []

    def connect(server, client=None, wait=True):
        client = client or Client()
        clients.append(client)
        client.connect_in_thread(server.port)
        if wait:
            client.try_to(lambda game_state: game_state.time_order or None, timeout=5)
        return client

    yield connect
    for client in clients:
        client.disconnect()


@pytest.fixture
def client():
    """Give a client that soon sees that its server is gone; it is not connected yet."""
    from pygase import Client

    client = Client(connection_timeout=0.5)
    yield client
    if client.connection is not None:
        client.disconnect()


@pytest.fixture
def peer(server):
    """Make raw clients of the server under test; they end with the test."""
    peers = []

    def make(**options):
        peers.append(RawClient(server.port, **options))
        return peers[-1]

    yield make
    for one in peers:
        one.close()
