"""The packet path does not wait for Python: packages keep coming while somebody holds the GIL."""

from __future__ import annotations

import time

import pytest
from support.raw import RawClient, RawServer

SERVER = """
import ctypes, threading, time, pygase
server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, 1, ticks=1)))
thread = server.run_in_thread()
"""

CLIENT = """
import ctypes, threading, time, pygase
client = pygase.Client()
thread = client.connect_in_thread({port})
"""

# `PyDLL` calls without releasing the GIL.
HOLD = """
began = time.time()
ctypes.PyDLL(None).usleep(1_000_000)
ended = time.time()
"""


def hold_the_gil(remote, raw, offset):
    """Talk until the GIL was held; return how many packages came meanwhile."""
    remote.start(HOLD)
    raw.talk(seconds=1.4)
    remote.finish()
    began, ended = remote.value("[began, ended]")
    assert ended - began >= 1.0
    return sum(began <= moment + offset <= ended for moment in raw.times)


@pytest.fixture
def offset():
    """From the monotonic clock of this process to the wall clock that all processes have."""
    return time.time() - time.monotonic()


def test_in_the_server(remote, offset):
    process = remote()
    process.run(SERVER)
    port = process.wait("server.port")
    with RawClient(port) as client:
        client.join()
        count = hold_the_gil(process, client, offset)
        assert count >= 30
        assert process.value("[connection.status for connection in server.connections.values()]") == [1]
        before = len(client.received)
        assert client.talk(lambda: len(client.received) > before + 20)


def test_in_the_client(remote, offset):
    process = remote()
    with RawServer() as server:
        process.run(CLIENT.format(port=server.port))
        assert server.talk(lambda: server.received and server.received[-1].ack)
        count = hold_the_gil(process, server, offset)
        assert count >= 30
        assert process.value("client.connection.status") == 1
        before = len(server.received)
        assert server.talk(lambda: len(server.received) > before + 20)
