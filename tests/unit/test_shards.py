"""A server with several threads: nobody who plays notices."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path

import pytest

import pygase

CLIENTS, SHARDS = 16, 4


@pytest.fixture
def clients():
    joined = []

    def join(port):
        client = pygase.Client()
        joined.append((client, client.connect_in_thread(port)))
        return client

    yield join
    for client, thread in joined:
        client.disconnect()
        thread.join(10)


def threads():
    """Return the threads of this process that serve; none where the system does not name them."""
    names = {}
    for task in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # it has ended
            names[task.name] = Path(task, "comm").read_text().strip()
    return {task for task, name in names.items() if name == "pygase-server"}


@pytest.mark.timeout(60)
def test_clients_of_all_shards_play_the_same_game(serve, wait_for, clients):
    handled, acked = [], []
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, score=0)), shards=SHARDS)
    server.register_event_handler("HIT", lambda number, client_address: handled.append(number))
    before = threads()
    serve(server)
    if sys.platform == "linux":
        wait_for(lambda: len(threads() - before) == SHARDS)  # each gives itself its name
    crowd = [clients(server.port) for _ in range(CLIENTS)]
    heard = threading.Semaphore(0)
    for client in crowd:
        client.register_event_handler("NEWS", lambda: heard.release())
    for client in crowd:
        client.wait_until(lambda state: getattr(state, "score", None) == 0, timeout=10)
    wait_for(lambda: len(server.connections) == CLIENTS)
    assert server.host_client in server.connections
    for number, client in enumerate(crowd):
        client.dispatch_event("HIT", number, retries=5, ack_callback=lambda: acked.append(1))
    wait_for(lambda: sorted(handled) == list(range(CLIENTS)) and len(acked) == CLIENTS)
    server.dispatch_event("NEWS", retries=5)
    assert all(heard.acquire(timeout=10) for _ in crowd)
    server.game_state_store._push_changes({"score": 7})
    for client in crowd:
        client.wait_until(lambda state: state.score == 7, timeout=10)

    figures = server.stats()["server"]
    assert figures["connections"] == figures["proven"] == CLIENTS
    assert figures["datagrams"] > CLIENTS, "of all shards"
    kicked = next(address for address in server.connections if address != server.host_client)
    server.kick(kicked)
    wait_for(lambda: kicked not in server.connections)
    for host in ("192.0.2.7", "192.0.2.8"):
        server.ban(host)
    # The address of the client that was kicked is the third.
    assert server.stats()["server"]["bans"] == 3


@pytest.mark.timeout(60)
def test_the_host_shuts_down_all_shards_and_the_port_is_free_again(serve, wait_for, clients):
    server = pygase.Server(pygase.GameStateStore(), shards=SHARDS)
    thread = server.run_in_thread()
    port = server.port
    host = clients(port)
    wait_for(lambda: server.host_client is not None)
    others = [clients(port) for _ in range(4)]
    wait_for(lambda: len(server.connections) == 5)
    with pytest.raises(OSError, match=str(port)):
        pygase.Server(pygase.GameStateStore(), shards=SHARDS).run(port)
    host.disconnect(shutdown_server=True)
    thread.join(10)
    assert not thread.is_alive()
    again = pygase.Server(pygase.GameStateStore(pygase.GameState(5)), shards=2)
    thread = again.run_in_thread(port)
    for client in [*others, clients(port)]:
        client.wait_until(lambda state: state.time_order >= 5, timeout=20)
    again.shutdown()
    thread.join(10)
