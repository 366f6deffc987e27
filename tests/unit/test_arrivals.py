"""A client that has a game state is in `server.connections`, however busy the server's own thread is."""

from __future__ import annotations

import threading
import time

import pygase
from pygase.connection import ServerConnection


def test_a_client_with_a_state_is_known_though_the_server_is_busy():
    busy, go_on = threading.Event(), threading.Event()

    def block(**_):
        busy.set()
        go_on.wait(20)

    server = pygase.Server(pygase.GameStateStore(pygase.GameState(x=1)))
    server.register_event_handler("BLOCK", block)
    thread = server.run_in_thread()
    first, second = pygase.Client(), pygase.Client()
    try:
        first.connect_in_thread(server.port)
        first.try_to(lambda state: state.x, timeout=10)
        host = server.host_client
        first.dispatch_event("BLOCK")
        assert busy.wait(10)
        heard = threading.Event()
        second.register_event_handler("NEWS", heard.set)
        second.connect_in_thread(server.port)
        second.try_to(lambda state: state.x, timeout=10)
        assert len(server.connections) == 2
        assert all(isinstance(known, ServerConnection) for known in server.connections.values())
        assert server.host_client == host
        server.dispatch_event("NEWS")
        assert heard.wait(10)
    finally:
        go_on.set()
        first.disconnect()
        second.disconnect()
        server.shutdown()
        thread.join(10)


def test_events_left_for_later_keep_their_order():
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(x=1)))
    numbers = []
    server.register_event_handler("A", lambda number, **_: numbers.append(number))
    thread = server.run_in_thread()
    client = pygase.Client()
    try:
        client.connect_in_thread(server.port)
        client.try_to(lambda state: state.x, timeout=10)
        for number in range(200):
            client.dispatch_event("A", number)
            assert server.connections
        deadline = time.monotonic() + 10
        while len(numbers) < 200 and time.monotonic() < deadline:
            assert server.connections
        assert numbers == list(range(200))
    finally:
        client.disconnect()
        server.shutdown()
        thread.join(10)
