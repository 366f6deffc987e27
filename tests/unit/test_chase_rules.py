"""The rules of chase and its terminal view, without a network."""

import copy
import re
import sys
import types
from pathlib import Path

import pytest

CHASE = Path(__file__).resolve().parents[2] / "examples" / "chase"
DELETED = object()
TICK = 0.02


@pytest.fixture
def game(monkeypatch):
    monkeypatch.syspath_prepend(str(CHASE))
    yield __import__("game")
    for name in ("game", "screen"):
        sys.modules.pop(name, None)


def merge(state, update):
    for key, value in update.items():
        if value is DELETED:
            state.pop(key, None)
        elif isinstance(value, dict):
            merge(state.setdefault(key, {}), value)
        else:
            state[key] = value


def new_world(game, names="ABCD", seed=1):
    world = game.World(DELETED, seed)
    state = types.SimpleNamespace(**game.initial_state())
    ids = [world.join(name) for name in names]
    merge(vars(state), world.step(state, TICK))
    return world, state, ids


@pytest.mark.parametrize("seed", range(10))
def test_four_bots_catch_somebody_within_eight_seconds(game, seed):
    world, state, ids = new_world(game, seed=seed)
    brains = {player_id: game.Brain(seed * 10 + player_id) for player_id in ids}
    seen = []  # bots act on what was true 80 ms ago
    for _ in range(400):
        seen.append((copy.deepcopy(state.players), state.chaser_id))
        players, chaser_id = seen.pop(0) if len(seen) > 4 else seen[0]
        for player_id, brain in brains.items():
            world.steer(player_id, *brain.heading(player_id, players, chaser_id))
        merge(vars(state), world.step(state, TICK))
    assert state.catches >= 1
    assert sum(player["catches"] for player in state.players.values()) == state.catches
    assert state.ticks == 401


def test_nobody_leaves_the_field(game):
    world, state, ids = new_world(game)
    for player_id in ids:
        world.steer(player_id, 1.0, 1.0)
    for _ in range(500):
        merge(vars(state), world.step(state, TICK))
    for player in state.players.values():
        x, y = player["position"]
        assert 0 <= x <= game.WIDTH
        assert 0 <= y <= game.HEIGHT


def test_the_chaser_stands_still_during_the_countdown(game):
    world, state, _ = new_world(game)
    chaser_id = state.chaser_id
    before = list(state.players[chaser_id]["position"])
    world.steer(chaser_id, 1.0, 0.0)
    merge(vars(state), world.step(state, TICK))
    assert 0 < state.countdown < game.COUNTDOWN
    assert state.players[chaser_id]["position"] == before


def test_who_leaves_is_deleted_and_the_chase_goes_on(game):
    world, state, _ = new_world(game)
    gone = state.chaser_id
    world.leave(gone)
    update = world.step(state, TICK)
    assert update["players"][gone] is DELETED
    merge(vars(state), update)
    assert gone not in state.players
    assert state.chaser_id in state.players
    for player_id in list(state.players):
        world.leave(player_id)
    merge(vars(state), world.step(state, TICK))
    assert state.players == {}
    assert state.chaser_id is None


def test_a_heading_that_is_no_number_is_ignored(game):
    world, state, (first, *_) = new_world(game)
    world.steer(first, float("nan"), 1.0)
    merge(vars(state), world.step(state, TICK))
    assert all(value == value for value in state.players[first]["position"])


def test_half_players_are_left_out(game):
    whole = {"name": "A", "position": [1.0, 2.0], "catches": 0}
    state = types.SimpleNamespace(players={1: whole, 2: b"\xd2\x81\xe5\xba", 3: {"name": "C"}})
    assert game.whole_players(state) == {1: whole}
    assert game.whole_players(types.SimpleNamespace()) == {}


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("colour", [True, False])
def test_a_frame_fits_80_by_24(game, colour, unicode):
    screen = __import__("screen")
    now = 0.0
    view = screen.Screen(colour, unicode, clock=lambda: now)
    world, state, ids = new_world(game, names=["a very long name"] * 9)
    figures = [("RTT", "12.3 ms"), ("packages in", "40.0 /s"), ("out", "40.0 /s")]
    for _ in range(120):
        now += 0.05
        for player_id in ids:
            world.steer(player_id, 1.0, player_id - 4.0)
        merge(vars(state), world.step(state, 0.05))
        scene = screen.Scene(
            state.players,
            state.chaser_id,
            state.countdown,
            state.catches,
            now,
            15.0,
            figures,
            [1.0, 5.0],
            "!" * 99,
        )
        lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in view.frame(scene)]
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        assert unicode or "".join(lines).isascii()
