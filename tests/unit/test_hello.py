"""The hello: our own peers know each other, and an original peer cannot tell."""

from __future__ import annotations

import time

from support.raw import RawClient, RawServer

import pygase


def test_ours_with_ours(serve, connect, wait_for):
    server = serve(ticks=1)
    client = connect(server, wait=False)
    wait_for(lambda: client.connection.stats()["hello"])
    wait_for(lambda: server.connections)
    (connection,) = server.connections.values()
    wait_for(lambda: connection.stats()["hello"])


def test_our_server_with_a_plain_client(serve, wait_for):
    server = serve(ticks=1)
    with RawClient(server.port) as client:
        client.join()
        client.talk(seconds=0.3)
        wait_for(lambda: server.connections)
        (connection,) = server.connections.values()
        assert connection.stats()["hello"] is False
        sent = [1]
        for datagram in client.received:
            # Nothing but true acknowledgements: of numbers that were sent.
            assert datagram.ack <= client.sequence
            assert datagram.bits >> 32 - min(datagram.ack, 32) << 32 - min(datagram.ack, 32) == datagram.bits
            sent.append(datagram.ack)
        assert max(sent) > 3


def test_our_client_with_a_plain_server(connect):
    with RawServer() as server:
        client = connect(server, wait=False)
        server.update = {"ticks": 1, "game_status": 1, "time_order": 5}
        assert server.talk(lambda: server.received and server.received[-1].ack)
        server.talk(seconds=0.3)
        assert client.connection.stats()["hello"] is False
        assert client.try_to(lambda state: state.ticks) == 1
        first = server.received[0]
        assert (first.sequence, first.ack, first.time_order) == (1, 0, 0)
        assert first.bits, "the hello is in the bits that acknowledge nothing"
        for datagram in server.received:
            if datagram.ack:
                # From the first answer on only true acknowledgements.
                assert (
                    datagram.bits >> 32 - min(datagram.ack, 32) << 32 - min(datagram.ack, 32) == datagram.bits
                )


def test_any_other_bits_are_no_hello(serve, wait_for):
    server = serve(ticks=1)
    with RawClient(server.port) as client:
        client.send(bits=0xFFFFFFFF)
        client.join()
        wait_for(lambda: server.connections)
        (connection,) = server.connections.values()
        assert connection.stats()["hello"] is False


def datagrams(server, wanted, seconds=10.0):
    """What comes to a raw server until something wanted is in it."""
    end = time.monotonic() + seconds
    came = []
    while time.monotonic() < end:
        server.wait(0.05)
        try:
            data, server.client = server.socket.recvfrom(4096)
        except BlockingIOError:
            continue
        came.append(data)
        if wanted in data:
            return came
    raise AssertionError(f"{wanted} did not come")


def test_events_have_numbers_only_while_the_server_may_be_ours():
    with RawServer() as server:
        client = pygase.Client(ordered_events=True)
        client.start(server.port)
        try:
            client.dispatch_event("FIRST")
            came = datagrams(server, b"FIRST")[-1]
            assert b"\x84\xa1~\x91\x01\xa4type" in came, "an original passes over a key that it does not know"
            for number in range(1, 6):
                server.send(sequence=number, ack=1, bits=0)
            datagrams(server, (5).to_bytes(2, "big") + (0xF0 << 24).to_bytes(4, "big"))
            client.dispatch_event("SECOND", retries=3)
            came = datagrams(server, b"SECOND")[-1]
            assert b"\x83\xa4type\xa6SECOND" in came
        finally:
            client.disconnect()
