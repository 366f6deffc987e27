"""User code that blocks on both sides: packages go on meanwhile, and no connection ends."""

import threading
import time

import pytest
from support import misbehaviour

import pygase

game = pytest.fixture(misbehaviour.playing)

BLOCK = 1.5


def block_both(game, block):
    """Play, and have an event block a handler of each side; return where it is noted why connections end."""
    ends = []
    for side in (game.server, game.client):
        side.register_event_handler("BLOCK", block)
    game.client.on_disconnect(ends.append)
    game.server.on_disconnect(lambda connection, reason: ends.append(reason))
    game.start()
    game.client.dispatch_event("BLOCK", retries=5)
    game.server.dispatch_event("BLOCK", retries=5)
    return ends


def test_user_code_that_blocks_ends_no_connection(game):
    blocked = threading.Barrier(4)

    def block(**_):
        blocked.wait(10)
        time.sleep(BLOCK)

    def step(game_state, dt):
        if game_state.beat == 20:
            block()
        return {"beat": game_state.beat + 1}

    game.machine.time_step = step
    game.server._options = pygase.options.ServerOptions(connection_timeout=BLOCK / 3)
    game.client._options = pygase.options.ClientOptions(connection_timeout=BLOCK / 3)
    ends = block_both(game, block)
    blocked.wait(10)
    before = game.client.stats()["connection"]
    time.sleep(BLOCK / 2)
    during = game.client.stats()["connection"]
    assert during["status"] == "connected"
    assert during["received"] - before["received"] > 5
    assert during["acknowledged"] - before["acknowledged"] > 5
    game.client.wait_until(lambda game_state: game_state.beat > 25, timeout=10)
    assert not ends


def test_handlers_that_block_for_longer_than_the_connection_timeout_end_no_connection(game, wait_for):
    """On both sides at once: packages go on meanwhile, and each event has one fate after."""
    blocked, may_go_on, fates = threading.Barrier(3), threading.Event(), []

    def block(**_):
        blocked.wait(10)
        may_go_on.wait(30)

    game.client.register_event_handler("NEWS", lambda: None)
    ends = block_both(game, block)
    blocked.wait(10)
    before, begun = game.client.stats()["connection"], time.monotonic()
    for number in range(20):
        game.client.dispatch_event("ASK", number, retries=5, ack_callback=lambda n=number: fates.append(n))
        game.server.dispatch_event("NEWS", retries=5, ack_callback=lambda connection: fates.append("news"))
    with game.client.access_game_state() as game_state:
        beat = game_state.beat
    while time.monotonic() - begun < game.client.options.connection_timeout + 1:
        time.sleep(0.1)
        assert game.client.stats()["connection"]["status"] == "connected"
        assert [client["status"] for client in game.server.stats()["clients"].values()] == ["connected"]
    during = game.client.stats()["connection"]
    assert during["received"] - before["received"] > 20
    assert during["acknowledged"] - before["acknowledged"] > 20
    with game.client.access_game_state() as game_state:
        assert game_state.beat > beat + 20
    assert not fates, "callbacks run where handlers do, and wait for them"
    may_go_on.set()
    wait_for(lambda: len(fates) >= 40)
    wait_for(lambda: len(game.asked) >= 20)
    game.goes_on(wait_for)
    assert sorted(fate for fate in fates if fate != "news") == list(range(20))
    assert fates.count("news") == 20
    assert sorted(game.asked[:20]) == list(range(20))
    assert not ends
