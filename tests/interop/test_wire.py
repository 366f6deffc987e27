"""What passes between the two kinds of peers is plain PyGaSe: the bytes do not tell who the other is."""

from __future__ import annotations

import pytest
from support import wire

KNOWN = {"HELLO", "ECHO", "MOVE", "NEWS"}
ATTRIBUTES = {"ticks", "players", "world", "doomed", "big", "game_status", "time_order"}


def check(records, server_side):
    """Read every datagram and hold it against the rules; return what each side sent."""
    sent = {True: [], False: []}
    shutdowns, after = 0, 0
    bytes_of_client = bytes_of_server = 0
    proven = False
    for record in records:
        if record.from_client and record.data == b"shutdown":
            shutdowns += 1
            continue
        # An original host sends at most one more package.
        after += bool(record.from_client and shutdowns)
        assert after <= 1, "goes on after `shutdown`"
        datagram = (wire.parse_client if record.from_client else wire.parse_server)(record.data)
        sent[record.from_client].append(datagram)
        assert {event["type"] for event in datagram.events} <= KNOWN
        if datagram.ack:
            numbers = {one.sequence for one in sent[not record.from_client]}
            assert datagram.ack in numbers, "acknowledges what was never sent"
        if record.from_client:
            bytes_of_client += len(record.data)
            proven = proven or datagram.ack != 0
            continue
        bytes_of_server += len(record.data)
        assert set(datagram.update) <= ATTRIBUTES
        if server_side == "ours":
            assert list(datagram.update)[-1] == "time_order"
            if not proven:
                assert bytes_of_server <= 3 * bytes_of_client
                assert list(datagram.update) == ["time_order"]
    for datagrams in sent.values():
        numbers = [datagram.sequence for datagram in datagrams]
        expected = [wire.following(numbers[0], step) for step in range(len(numbers))]
        assert numbers == expected, "not one after the other"
    return sent[True], sent[False], shutdowns


def play(server, client):
    """A session with a bit of everything."""
    client.run("for n in range(12): client.dispatch_event('HELLO', n, retries=3)")
    client.run("client.dispatch_event('MOVE', 'ada', 1.5, retries=3)")
    server.run("for n in range(12): server.dispatch_event('NEWS', n, retries=3)")
    client.wait("(state('players') or {}).get('ada')")
    client.wait("len(got) >= 12")
    server.wait("len(got) >= 12")
    server.run("changes.append({'doomed': TO_DELETE})")
    ticks = client.value("state('ticks')")
    client.wait(f"state('ticks') > {ticks + 100}")
    assert client.value("status()") == "Connected"


@pytest.mark.parametrize(
    ("server_side", "client_side"),
    [("ours", "theirs"), ("theirs", "ours")],
    ids=["our-server-their-client", "their-server-our-client"],
)
def test_plain_pygase(start_server, start_client, recorder, server_side, client_side):
    server = start_server(server_side)
    relay = recorder(server.port)
    client = start_client(client_side, relay.port)
    play(server, client)
    client.run("client.disconnect(); client_thread.join(10)")
    of_client, of_server, _ = check(relay.records, server_side)
    assert len(of_client) > 60
    assert len(of_server) > 60
    ours = of_client if client_side == "ours" else of_server
    assert max(len(datagram.events) for datagram in ours) >= 5
    if client_side == "ours":
        assert of_client[0].sequence == 1
        # The bits of packages that acknowledge something are true ones.
        for datagram in of_client:
            if datagram.ack:
                numbers = {one.sequence for one in of_server}
                for back in range(32):
                    if datagram.bits >> (31 - back) & 1:
                        assert (datagram.ack - 2 - back) % 65535 + 1 in numbers
        assert client.value("client.connection.stats()['hello']") is False
    else:
        assert server.value("[c.stats()['hello'] for c in server.connections.values()]") == [False]


def test_our_rate_is_theirs(start_server, start_client, recorder):
    """Forty packages a second to a good connection, whoever it is."""
    server = start_server("ours")
    relay = recorder(server.port)
    client = start_client("theirs", relay.port)
    ticks = client.value("state('ticks')")
    client.wait(f"state('ticks') > {ticks + 150}")
    records = relay.sent(by_client=False)
    records = [record for record in records if record.moment > records[0].moment + 0.5]
    rate = (len(records) - 1) / (records[-1].moment - records[0].moment)
    assert 30 <= rate <= 45


def test_the_shutdown_of_our_host(start_server, start_client, recorder):
    server = start_server("theirs")
    relay = recorder(server.port)
    client = start_client("ours", relay.port)
    client.run("client.disconnect(shutdown_server=True); client_thread.join(10)")
    server.wait("not server_thread.is_alive()")
    _, _, shutdowns = check(relay.records, "theirs")
    assert 1 <= shutdowns <= 3


def test_a_large_state_in_plain_parts(start_server, start_client, recorder):
    server = start_server(
        "ours",
        setup="big = {f'k{n}': 'x' * 80 for n in range(120)}\n"
        "store.push_update(pygase.gamestate.GameStateUpdate(5, big=big))",
    )
    relay = recorder(server.port)
    client = start_client("theirs", relay.port)
    client.wait("len(state('big') or {}) == 120")
    _, of_server, _ = check(relay.records, "ours")
    assert sum("big" in datagram.update for datagram in of_server) >= 8
    assert max(datagram.size for datagram in of_server) <= 1200
