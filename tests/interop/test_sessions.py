"""Whole sessions with one peer of each kind, both ways round."""

from __future__ import annotations

import pytest

PAIRS = [
    pytest.param("ours", "theirs", id="our-server-their-client"),
    pytest.param("theirs", "ours", id="their-server-our-client"),
]
pairs = pytest.mark.parametrize(("server_side", "client_side"), PAIRS)


@pytest.fixture
def session(start_server, start_client):
    def start(server_side, client_side, **options):
        server = start_server(server_side, **options)
        return server, start_client(client_side, server.port)

    return start


@pairs
def test_state_arrives_and_is_followed(session, server_side, client_side):
    server, client = session(server_side, client_side)
    assert client.value("state('world')") == {"size": [3, 0.5]}
    assert client.value("state('doomed')") == {"a": 1, "b": 2}
    assert client.value("state('game_status')") == 1
    ticks = client.value("state('ticks')")
    # Some time at fifty ticks a second, without ever being far behind.
    for step in range(1, 5):
        client.wait(f"state('ticks') >= {ticks + 25 * step}")
        assert server.value("store.get_game_state().ticks") - client.value("state('ticks')") < 50
    assert client.value("status()") == "Connected"


@pairs
def test_both_end_with_the_same_state(session, wait_for, server_side, client_side):
    server, client = session(server_side, client_side)
    for number in range(20):
        client.run(f"client.dispatch_event('MOVE', 'p{number}', {number}, retries=5)")
    server.wait("len(store.get_game_state().players) == 20")
    client.wait("len(state('players')) == 20")
    server.run("machine.stop()")
    client.wait(f"state('ticks') == {server.value('store.get_game_state().ticks')}")
    assert client.value("state('players')") == server.value("store.get_game_state().players")

    def at_rest(state):
        """Without the number of the last update: that is the connection's business."""
        return {key: value for key, value in state.items() if key != "time_order"}

    wait_for(lambda: at_rest(client.value("state()")) == at_rest(server.value("whole()")))


@pairs
def test_events_to_the_server(session, server_side, client_side):
    server, client = session(server_side, client_side)
    client.run("client.dispatch_event('HELLO', 1, 'zwei', [3.5, None], ack_callback=acked, key={'a': b'x'})")
    server.wait("got")
    assert server.value("got == [[[1, 'zwei', [3.5, None]], {'key': {'a': b'x'}}]]")
    client.wait("acks == [1]")
    client.run("for n in range(30): client.dispatch_event('HELLO', n, retries=5, ack_callback=acked)")
    client.wait("len(acks) == 31")
    assert server.value("{args[0] for args, _ in got} >= set(range(30))")


@pairs
def test_events_to_the_client(session, server_side, client_side):
    server, client = session(server_side, client_side)
    server.run("server.dispatch_event('NEWS', 1, {'a': [True]}, ack_callback=acked)")
    client.wait("got == [[1, {'a': [True]}]]")
    server.wait("acks")
    assert server.value("acks == list(server.connections)")
    server.run("for n in range(30): server.dispatch_event('NEWS', n, retries=5, ack_callback=acked)")
    server.wait("len(acks) == 31")
    assert client.value("{args[0] for args in got} >= set(range(30))")


@pairs
def test_answers_from_coroutine_handlers(session, server_side, client_side):
    _, client = session(server_side, client_side)
    client.run("for n in range(5): client.dispatch_event('ECHO', n, retries=5)")
    client.wait("set(got) == set(range(5))")


@pairs
def test_a_client_that_disconnects_is_gone_on_both_sides(session, server_side, client_side):
    server, client = session(server_side, client_side, timeout=1.0)
    client.run("client.disconnect(); client_thread.join(10)")
    assert client.value("client_thread.is_alive()") is False
    assert client.value("status()") == "Disconnected"
    server.wait("statuses() == ['Disconnected']")
    assert server.value("server_thread.is_alive()") is True


@pairs
def test_a_second_client_after_the_first_has_left(session, start_client, server_side, client_side):
    server, client = session(server_side, client_side)
    client.run("client.disconnect(); client_thread.join(10)")
    second = start_client(client_side, server.port)
    ticks = second.value("state('ticks')")
    second.wait(f"state('ticks') > {ticks + 20}")


@pairs
def test_the_host_shuts_the_server_down(session, server_side, client_side):
    server, client = session(server_side, client_side)
    client.run("client.disconnect(shutdown_server=True); client_thread.join(10)")
    assert client.value("client_thread.is_alive()") is False
    server.wait("not server_thread.is_alive()")


def test_their_guest_cannot_shut_our_server_down(session, start_client):
    server, host = session("ours", "theirs")
    guest = start_client("theirs", server.port)
    guest.run("client.disconnect(shutdown_server=True); client_thread.join(10)")
    ticks = host.value("state('ticks')")
    host.wait(f"state('ticks') > {ticks + 50}")
    assert server.value("server_thread.is_alive()") is True


def test_both_kinds_of_clients_in_one_game(session, start_client):
    server, theirs = session("ours", "theirs")
    ours = start_client("ours", server.port)
    theirs.run("client.dispatch_event('MOVE', 'ada', 1, retries=5)")
    ours.run("client.dispatch_event('MOVE', 'bob', 2, retries=5)")
    for client in (theirs, ours):
        client.wait("state('players') == {'ada': {'x': 1}, 'bob': {'x': 2}}")
    server.run("server.dispatch_event('NEWS', 'all', retries=5)")
    for client in (theirs, ours):
        client.wait("['all'] in got")


@pairs
def test_deletion_leaves_no_marker(session, server_side, client_side):
    server, client = session(server_side, client_side)
    server.run("changes.append({'doomed': {'a': TO_DELETE}})")
    client.wait("state('doomed') == {'b': 2}")
    server.run("changes.append({'doomed': TO_DELETE})")
    client.wait("'doomed' not in state()")
    ticks = client.value("state('ticks')")
    client.wait(f"state('ticks') > {ticks + 30}")
    assert client.value("'doomed' not in state()")
    assert client.value("pygase.gamestate.TO_DELETE not in state().values()")


def test_keys_that_come_and_go_at_their_client(session):
    server, client = session("ours", "theirs")
    for number in range(6):
        server.run(f"changes.append({{'items': {{'i{number}': {number}}}}})")
        client.wait(f"(state('items') or {{}}).get('i{number}') == {number}")
        server.run(f"changes.append({{'items': {{'i{number}': TO_DELETE}}}})")
        client.wait(f"'i{number}' not in state('items')")
    assert client.value("state('items')") == {}


@pytest.mark.parametrize("time_order", [1, 32767, 32768, 40000, 65500, 65535])
def test_their_client_joins_our_server_of_any_age(session, time_order):
    _, client = session("ours", "theirs", time_order=time_order)
    ticks = client.value("state('ticks')")
    client.wait(f"state('ticks') > {ticks + 20}")


@pytest.mark.parametrize("time_order", [1, 32000, 40000])
def test_our_client_joins_their_server_of_any_age(session, time_order):
    _, client = session("theirs", "ours", time_order=time_order)
    ticks = client.value("state('ticks')")
    client.wait(f"state('ticks') > {ticks + 20}")


BIG = """
def player(n):
    return {"name": "n" * 30, "place": [n, n + 0.5], "bag": {"gold": n, "items": ["a", None, b"b"]}}

big = {f"player{n}": player(n) for n in range(130)}
store.push_update(pygase.gamestate.GameStateUpdate(store.get_game_state().time_order + 5, big=big))
"""


def test_a_large_state_reaches_their_client(session):
    server, client = session("ours", "theirs", setup=BIG)
    assert server.value("len(store.get_game_state().to_bytes())") > 10_000
    client.wait("len(state('big') or {}) == 130")
    server.run("machine.stop()")
    client.wait(f"state('ticks') == {server.value('store.get_game_state().ticks')}")
    client.wait(
        "repr(state('big')['player129']) == repr({'name': 'n' * 30, 'place': [129, 129.5],"
        " 'bag': {'gold': 129, 'items': ['a', None, b'b']}})"
    )
    assert client.value("sorted(state('big').items())") == server.value("sorted(big.items())")


def test_their_client_outlives_a_pause_of_our_game(session):
    server, client = session("ours", "theirs")
    server.run("changes.append({'game_status': 0})")
    client.wait("state('game_status') == 0")
    client.run("client.dispatch_event('HELLO', 'still here', retries=3)")
    server.wait("got")
    server.run("server.dispatch_event('NEWS', 'still there', retries=3)")
    client.wait("got")
    assert client.value("status()") == "Connected"


@pytest.mark.parametrize("server_side", ["ours", "theirs"])
def test_190_events_a_second_arrive_once_each(start_server, start_client, server_side):
    server = start_server(server_side)
    client = start_client("theirs" if server_side == "ours" else "ours", server.port)
    client.run("""
begin = time.monotonic()
for number in range(380):
    time.sleep(max(begin + number / 190 - time.monotonic(), 0))
    client.dispatch_event("HELLO", number)
""")
    server.wait("len(got) >= 380")
    assert server.value("sorted(args[0] for args, _ in got)") == list(range(380))
