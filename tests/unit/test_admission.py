"""Admission: an address is nobody until it has proven that it receives what it is sent."""

from __future__ import annotations

import socket

import pytest
from support import wire

import pygase


@pytest.fixture
def server(serve):
    return serve(secret="for players only", big={"list": list(range(300))})


def test_an_honest_client_is_admitted(server, peer, wait_for):
    client = peer().join()
    wait_for(lambda: client.socket.getsockname() in server.connections)
    assert server.host_client == client.socket.getsockname()


def test_the_second_package_of_an_honest_client_is_proof(server, peer):
    client = peer()
    client.send()
    assert client.talk(lambda: client.received, quiet=True)
    client.send()
    assert client.talk(client.has_state, quiet=True), "one acknowledgement is proof enough"


def test_an_address_that_proves_nothing_stays_nobody(server, peer):
    """It sends for longer than a round trip, but never acknowledges what it is sent."""
    stranger, honest = peer(), peer().join()
    for _ in range(60):
        stranger.send(ack=0, bits=0, events=[wire.event("A", "x" * 50)])
        count = len(honest.received)
        assert honest.talk(lambda count=count: len(honest.received) > count)
        stranger.drain()
    assert stranger.received, "an answer is what can be proven with"
    assert not stranger.has_state()
    assert not any(datagram.events for datagram in stranger.received)
    assert stranger.socket.getsockname() not in server.connections
    assert server.host_client == honest.socket.getsockname()


@pytest.mark.parametrize("events", [[], [wire.event("A")], [wire.event("A", "x" * 1500)]])
def test_at_most_three_bytes_for_one(peer, events):
    stranger = peer()
    for _ in range(20):
        stranger.send(ack=0, bits=0, events=events)
        stranger.wait(0.03)
        stranger.drain()
        assert stranger.bytes_in <= 3 * stranger.bytes_out


def test_silence_is_not_answered_for_ever(peer):
    stranger = peer()
    stranger.send(ack=0, bits=0)
    stranger.talk(seconds=1.5, quiet=True)
    assert 0 < stranger.bytes_in <= 3 * stranger.bytes_out


def test_a_wrong_acknowledgement_is_no_proof(server, peer):
    stranger = peer()
    stranger.send()
    assert stranger.talk(lambda: stranger.received, quiet=True)
    real = stranger.received[0].sequence
    for distance in range(100, 140):
        stranger.send(ack=wire.following(real, distance), bits=0)
        stranger.wait(0.01)
        stranger.drain()
    assert not stranger.has_state()
    assert stranger.socket.getsockname() not in server.connections


def test_first_numbers_cannot_be_guessed(peer):
    numbers = []
    for _ in range(8):
        client = peer()
        client.send()
        assert client.talk(lambda client=client: client.received, quiet=True)
        numbers.append(client.received[0].sequence)
    assert len(set(numbers)) > 5
    assert max(numbers) - min(numbers) > 1000


def test_numbers_go_on_by_one(peer):
    client = peer().join()
    assert client.talk(lambda: len(client.received) > 20)
    numbers = [datagram.sequence for datagram in client.received]
    assert numbers == [wire.following(numbers[0], step) for step in range(len(numbers))]


def test_events_before_the_proof_are_delivered_once(server, peer, wait_for):
    got = []
    server.register_event_handler("EARLY", lambda n, client_address: got.append((n, client_address)))
    client = peer()
    client.send(events=[wire.event("EARLY", 1)])
    assert client.talk(lambda: client.received, quiet=True)
    assert not got
    client.join()
    wait_for(lambda: got)
    client.talk(seconds=0.2)
    assert got == [(1, client.socket.getsockname())]


def test_shut_me_down_is_ignored(server, peer):
    client = peer().join()
    stranger = peer()
    for _ in range(3):
        stranger.send_bytes(b"shut_me_down")
        client.send_bytes(b"shut_me_down")
    count = len(client.received)
    assert client.talk(lambda: len(client.received) > count + 20)
    assert server.port == client.server[1]


def test_shutdown_from_others_than_the_host_is_ignored(server, peer):
    host, guest, stranger = peer().join(), peer().join(), peer()
    guest.send_bytes(b"shutdown")
    stranger.send_bytes(b"shutdown")
    count = len(host.received)
    assert host.talk(lambda: len(host.received) > count + 40)


def test_shutdown_from_a_host_that_goes_on_is_forged(server, peer):
    """The bytes have an address that anybody can write on a datagram."""
    host = peer().join()
    host.send_bytes(b"shutdown")
    count = len(host.received)
    assert host.talk(lambda: len(host.received) > count + 40)
    assert server.port == host.server[1]


def test_shutdown_from_a_host_that_falls_silent(server, peer, wait_for):
    host = peer().join()
    host.send_bytes(b"shutdown")
    wait_for(lambda: server.port is None)


GARBAGE = [
    b"",
    b"\xff",
    b"hello, is this the game?",
    wire.PROTOCOL_ID,
    wire.PROTOCOL_ID + bytes(8),
    b"\xff\xd0\xfa\xb8" + bytes(10),
    wire.client_package(1)[:-1],
    wire.client_package(1) + b"\x00",
    wire.client_package(1) + b"\xff\xff\x01",
    wire.client_package(1) + b"\x00\x01\xc1",
    wire.client_package(1) + b"\x07\xd0" + b"\x91" * 2000,
    wire.client_package(1) + b"\x00\x05\xdd\xff\xff\xff\xff",
    wire.client_package(1, events=[{"type": 5, "handler_args": [], "handler_kwargs": {}}]),
    wire.client_package(1, events=[{"type": "A", "handler_args": {}, "handler_kwargs": {}}]),
    wire.client_package(1) + bytes(3000),
]


def test_garbage_is_counted_and_dropped(server, peer, wait_for):
    client = peer().join()
    address = client.socket.getsockname()
    wait_for(lambda: address in server.connections)
    for data in GARBAGE:
        client.send_bytes(data)
        stranger = peer()
        stranger.send_bytes(data)
    count = len(client.received)
    assert client.talk(lambda: len(client.received) > count + 20)
    assert server.connections[address].stats()["malformed"] >= len(GARBAGE) - 3
    assert server.connections[address].status == pygase.connection.ConnectionStatus.get("Connected")
    assert set(server.connections) == {address}


def test_a_flood_of_garbage_from_an_honest_address(peer):
    client = peer().join()
    for number in range(2000):
        client.send_bytes(GARBAGE[number % len(GARBAGE)])
        if number % 100 == 0:
            client.talk(seconds=0.02)
    count = len(client.received)
    assert client.talk(lambda: len(client.received) > count + 20)


def test_our_client_ignores_foreign_senders(serve, wait_for):
    server = serve(ticks=1)
    client = pygase.Client()
    thread = client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    (address,) = server.connections
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        for _ in range(20):
            foreign.sendto(wire.server_package(30000, update={"time_order": 900, "ticks": 666}), address)
    client.wait_until(lambda state: getattr(state, "ticks", None) == 1, timeout=10.0)
    assert client.connection.status == pygase.connection.ConnectionStatus.get("Connected")
    client.disconnect()
    thread.join(10)
