"""A client of ours that comes from another address stays the player it was."""

from __future__ import annotations

import select
import socket
import threading
import time

import pytest

import pygase


class Relay:
    """Passes datagrams between one client and a server, from an address that can be changed."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.front = self.bound()
        self.port = self.front.getsockname()[1]
        self.back, self.client = self.bound(), None
        self.wants_another = self.is_over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def bound(self):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("127.0.0.1", 0))
        return opened

    @property
    def address(self):
        return self.back.getsockname()

    def rebind(self):
        """Send from another port from now on."""
        before = self.address
        self.wants_another = True
        while self.address == before:
            time.sleep(0.001)

    def run(self):
        while not self.is_over:
            if self.wants_another:
                old, self.back = self.back, self.bound()
                old.close()
                self.wants_another = False
            for ready in select.select([self.front, self.back], [], [], 0.01)[0]:
                try:
                    data, address = ready.recvfrom(4096)
                except ConnectionRefusedError:
                    continue
                if ready is self.front:
                    self.client = address
                    self.back.sendto(data, self.target)
                else:
                    self.front.sendto(data, self.client)

    def close(self):
        self.is_over = True
        self.thread.join(10)
        self.front.close()
        self.back.close()


@pytest.fixture
def relay():
    relays = []

    def start(port):
        relays.append(Relay(port))
        return relays[-1]

    yield start
    for opened in relays:
        opened.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shards", [1, 4])
def test_the_connection_goes_on_from_another_address(serve, relay, wait_for, shards):
    handled, acked = [], []
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, score=0)), shards=shards)
    server.register_event_handler("HIT", lambda n, client_address: handled.append((n, client_address)))
    serve(server)
    line = relay(server.port)
    client = pygase.Client()
    got = []
    client.register_event_handler("NEWS", got.append)
    client.connect_in_thread(line.port)
    try:
        wait_for(lambda: server.connections and client.connection.stats()["hello"])
        before = line.address
        assert list(server.connections) == [before]
        assert server.host_client == before
        connection = server.connections[before]
        wait_for(lambda: connection.stats()["acknowledged"] > 3)
        for n in range(3):
            line.rebind()
            client.dispatch_event("HIT", n, retries=9, ack_callback=lambda n=n: acked.append(n))
            wait_for(lambda: list(server.connections) == [line.address])
            assert server.connections[line.address] is connection
            assert connection.remote_address == line.address
            assert server.host_client == line.address
            wait_for(lambda n=n: n in acked)
            server.dispatch_event("NEWS", n, target_client=line.address, retries=9)
            wait_for(lambda n=n: n in got)
            server.game_state_store._push_changes({"score": n + 1})
            client.wait_until(lambda state, n=n: state.score == n + 1, timeout=10)
        assert [n for n, _ in handled] == [0, 1, 2], "each once"
        assert handled[-1][1] == line.address
        assert acked == got == [0, 1, 2]
    finally:
        client.disconnect()
