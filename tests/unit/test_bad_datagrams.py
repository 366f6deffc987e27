"""What is no package, thrown at a live server and at a live client: dropped, counted, and play goes on."""

import importlib.util
import math
import re
import socket
import struct
import threading
from pathlib import Path

import pytest
from support import wire
from support.raw import RawServer

import pygase

path = Path(__file__).resolve().parent.parent.parent / "scripts" / "attacks.py"
spec = importlib.util.spec_from_file_location("attacks", path)
attacks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(attacks)

CONNECTED = pygase.connection.ConnectionStatus.get("Connected")
# To a server these are too long to be looked at, and counted where they arrive.
OVERSIZE = {"65,507 bytes"}


@pytest.fixture
def server(serve):
    return serve(ticks=0)


@pytest.mark.parametrize("name", attacks.BAD)
def test_thrown_at_a_server(server, peer, wait_for, name):
    player, stranger = peer().join(), peer()
    address = player.socket.getsockname()
    wait_for(lambda: address in server.connections)
    before = server.connections[address].stats()["malformed"]
    # Cut after header and time order, a package is one without events.
    bad = [data for data in attacks.BAD[name] if len(data) != 14]
    for data in bad:
        player.send_bytes(data)
        stranger.send_bytes(data)
    count = len(player.received)
    assert player.talk(lambda: len(player.received) > count + 10)
    if name not in OVERSIZE:
        assert server.connections[address].stats()["malformed"] == before + len(bad)
    assert server.connections[address].status == CONNECTED
    assert set(server.connections) == {address}


def test_thrown_at_a_client(wait_for):
    update = {"time_order": 5, "ticks": 1}
    whole = wire.server_package(30_000, update=update)
    head, event = whole[:12], attacks.fields()
    bad = [whole[:length] for length in range(len(whole))]
    bad += [head + b"\xff\xff" + whole[14:], whole + b"\x00", whole + b"\x00\x05", wire.client_package(9)]
    bad += [whole + len(data).to_bytes(2, "big") + data for data in (b"\xc1", b"\x91" * 1000, event[:-1])]
    bad += [head + b"\x00\x02\x91\x80", head + b"\x00\x01\x80", b"text"]
    bad += attacks.BAD["wrong protocol id"]
    # What is wrong with an event, behind the header and the update of a server.
    wrong = [attacks.BAD[name] for name in attacks.BAD if re.search("event|key|UTF-8|msgpack", name)]
    bad += [whole + data[14:] for group in wrong for data in group]
    oversize = attacks.BAD["65,507 bytes"]
    with RawServer() as server:
        server.update = update
        client = pygase.Client()
        thread = client.connect_in_thread(server.port, "127.0.0.1")
        assert server.talk(lambda: len(server.received) > 10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in [*bad, wire.server_package(30_000, update={"time_order": 900, "ticks": 666})]:
                stranger.sendto(data, server.client)
        for data in [*bad, *oversize]:
            server.send_bytes(data)
        server.update = {"time_order": 6, "ticks": 2}
        server.talk(lambda: client.connection.stats()["malformed"] >= len(bad), seconds=5.0)
        server.talk(seconds=0.3)
        with client.access_game_state() as state:
            assert state.ticks == 2
        assert client.connection.stats()["malformed"] == len(bad)
        assert client.stats()["socket"]["oversize"] == len(oversize)
        assert client.connection.status == CONNECTED
        client.disconnect()
        thread.join(10)


def test_source_port_0_is_counted_and_never_answered(server, peer, wait_for):
    player = peer().join()
    body = wire.client_package(1)
    # Ports, length, and no checksum: what a UDP socket never sends.
    datagram = struct.pack(">HHHH", 0, server.port, 8 + len(body), 0) + body
    before = server.stats()["server"]
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("raw sockets need permission")
    with raw:
        for _ in range(5):
            raw.sendto(datagram, ("127.0.0.1", 0))
    wait_for(lambda: server.stats()["server"]["unanswerable"] == 5)
    after = server.stats()["server"]
    assert (after["unproven"], after["answers"]) == (before["unproven"], before["answers"])
    count = len(player.received)
    assert player.talk(lambda: len(player.received) > count + 10)
    assert server.stats()["server"]["send_failed"] == 0


def test_nan_and_infinities_are_values(server, peer):
    got, came = [], threading.Event()

    def take(*args, client_address):
        got.extend(args)
        came.set()

    server.register_event_handler("VALUES", take)
    player = peer().join()
    player.send(events=[wire.event("VALUES", math.nan, math.inf, -math.inf)])
    player.talk(came.is_set)
    assert math.isnan(got[0])
    assert got[1:] == [math.inf, -math.inf]
