"""The arena: the rules without a network, and bots over the network without a window."""

import importlib
import math
import re
import signal
import sys

import pytest
from support.examples import EXAMPLES, finish, serving, start, watching

ARENA = EXAMPLES / "arena"
DELETED = object()
TICK = 0.02


@pytest.fixture
def rules(monkeypatch):
    monkeypatch.syspath_prepend(str(ARENA))
    yield importlib.import_module("rules")
    sys.modules.pop("rules")


def duel(rules, distance=100.0):
    """Two ships in the open; the first aims at the second."""
    world = rules.World(DELETED, seed=1)
    ids = world.join("anna"), world.join("ben")
    for ship_id, x in zip(ids, (400.0, 400.0 + distance), strict=True):
        world.ships[ship_id].position = [x, 80.0]
    return world, *ids


def steps(world, seconds):
    for _ in range(round(seconds / TICK)):
        world.step(TICK)


def test_the_server_decides_who_is_hit(rules):
    world, anna, ben = duel(rules)
    world.steer(anna, (0.0, 0.0), (1.0, 0.0), True)
    steps(world, 2 * rules.COOLDOWN)
    world.steer(anna, (0.0, 0.0), (1.0, 0.0), False)
    steps(world, 1.0)
    assert world.ships[ben].health == rules.FULL_HEALTH - 2
    assert world.ships[anna].health == rules.FULL_HEALTH


def test_who_is_shot_down_is_news_and_comes_back(rules):
    world, anna, ben = duel(rules)
    world.steer(anna, (0.0, 0.0), (1.0, 0.0), True)
    steps(world, rules.COOLDOWN * rules.FULL_HEALTH + 0.3)
    assert (world.ships[ben].health, world.ships[anna].score, world.news) == (0, 1, [("anna", "ben")])
    world.steer(anna, (0.0, 0.0), (-1.0, 0.0), False)
    steps(world, rules.REST)
    assert world.ships[ben].health == rules.FULL_HEALTH


@pytest.mark.parametrize("wish", [(9e9, 0.0), (math.nan, 1.0), (math.inf, 0.0)])
def test_no_wish_makes_a_ship_faster(rules, wish):
    world, anna, _ = duel(rules, distance=300.0)
    world.steer(anna, wish, (0.0, 1.0), False)
    steps(world, 0.5)
    assert math.dist(world.ships[anna].position, (400.0, 80.0)) <= rules.SHIP_SPEED * 0.5 + 1e-6


def test_ships_and_shots_stop_at_pillars(rules):
    world, anna, _ = duel(rules)
    x, y, radius = rules.PILLARS[4]
    world.ships[anna].position = [x - 150.0, y]
    world.steer(anna, (1.0, 0.0), (1.0, 0.0), True)
    steps(world, 2.0)
    assert world.ships[anna].position[0] <= x - radius - rules.SHIP_RADIUS
    world.steer(anna, (0.0, 0.0), (1.0, 0.0), False)
    steps(world, rules.SHOT_SECONDS + rules.AFTERGLOW + 0.1)
    assert world.shots == {}


def test_a_shot_is_sent_once_and_what_went_is_deleted(rules):
    world, anna, ben = duel(rules)
    world.step(TICK)
    world.steer(anna, (0.0, 0.0), (0.0, -1.0), True)
    update = world.step(TICK)
    assert len(update["shots"]) == 1
    world.steer(anna, (0.0, 0.0), (0.0, -1.0), False)
    assert world.step(TICK).keys() == {"time"}
    world.leave(ben)
    assert world.step(TICK)["ships"] == {ben: DELETED}


def test_bots_shoot_over_the_network():
    with serving(ARENA / "server.py", "--seed", 1) as (_, port), watching(port) as client:
        bots = start(ARENA / "bot.py", "--port", port, "--bots", 4, "--seed", 1)
        client.wait_until(lambda state: len(state.ships) == 4 and state.shots, timeout=30)
        bots.send_signal(signal.SIGINT)
        assert re.fullmatch(r"([1-4]: score \d+\n){4}", finish(bots))


def test_a_window_plays_along():
    pytest.importorskip("arcade")
    with serving(ARENA / "server.py") as (_, port):
        assert finish(start(ARENA / "client.py", "--port", port, "--frames", 20)) == "flew ship 1\n"
