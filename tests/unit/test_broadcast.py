"""An event for all clients costs one encoding, however many they are."""

import threading

from pygase import Client, GameState, GameStateStore, Server
from pygase.connection import ServerConnection
from pygase.event import Event

CLIENTS = 5


def test_a_broadcast_is_encoded_once(monkeypatch):
    encoded = []
    to_bytes = Event.to_bytes
    monkeypatch.setattr(Event, "to_bytes", lambda event: encoded.append(event.type) or to_bytes(event))
    server = Server(GameStateStore(GameState()))
    serving = server.run_in_thread()
    heard = threading.Semaphore(0)
    clients, threads = [Client() for _ in range(CLIENTS)], []
    for client in clients:
        client.register_event_handler("NEWS", lambda number: heard.release() if number == 7 else None)
        threads.append(client.connect_in_thread(server.port))
    for client in clients:
        client.wait_until(lambda game_state: game_state.time_order > 0, timeout=10)
    assert len(server.connections) == CLIENTS
    server.dispatch_event("NEWS", 7)
    assert all(heard.acquire(timeout=10) for _ in range(CLIENTS))
    assert encoded == ["NEWS"]
    for client, thread in zip(clients, threads, strict=True):
        client.disconnect()
        thread.join(10)
    server.shutdown()
    serving.join(10)


def test_two_thousand_clients_cost_one_encoding(monkeypatch):
    encoded = []
    to_bytes = Event.to_bytes
    monkeypatch.setattr(Event, "to_bytes", lambda event: encoded.append(event.type) or to_bytes(event))
    server = Server(GameStateStore(GameState()))
    for port in range(1, 2001):
        address = ("127.0.0.1", port)
        server.connections[address] = ServerConnection(address, None, server.game_state_store, 0)
    server.dispatch_event("NEWS", "to all", number=7)
    assert encoded == ["NEWS"]
    waiting = {connection._outgoing_event_queue.empty() for connection in server.connections.values()}
    assert waiting == {False}
