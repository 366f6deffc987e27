"""The crowd: its world without a network, and bots in it with someone who watches."""

import importlib
import sys

import pytest
from support.examples import EXAMPLES, finish, serving, start

CROWD = EXAMPLES / "crowd"


@pytest.fixture
def world(monkeypatch):
    monkeypatch.syspath_prepend(str(CROWD))
    yield importlib.import_module("world")
    sys.modules.pop("world")


def test_there_are_so_many_seats_and_they_come_back(world):
    crowd = world.World(3)
    seats = [crowd.join() for _ in range(4)]
    assert (sorted(seats[:3]), seats[3]) == ([0, 1, 2], None)
    crowd.leave(seats[1])
    assert crowd.join() == seats[1]


def test_bots_go_where_they_want_and_stay_on_the_field(world):
    crowd = world.World(60)
    seat = crowd.join()
    x, y = crowd.places[seat][:2]
    crowd.steer(seat, world.heading(0.0, 1.0))
    crowd.step(0.5)
    assert crowd.places[seat][:2] == pytest.approx([x, y + world.SPEED / 2])
    for nonsense in (-1, 256, 0.5, "x", None, True):
        crowd.steer(seat, nonsense)
    crowd.step(100.0)
    assert crowd.places[seat][1] == world.HEIGHT


def test_only_those_who_are_there_are_seen(world):
    crowd = world.World(60)
    crowd.join()
    flocks = crowd.flocks()
    assert [len(flock) for flock in flocks.values()] == [100, 20]
    assert [len(world.pairs(flock)) for flock in flocks.values()] == [1, 0]
    # Halfway to a seat that is empty now.
    assert world.pairs([(2000 + world.NOBODY) / 2, (1000 + world.NOBODY) / 2]) == []


def test_bots_fill_the_world():
    with serving(CROWD / "server.py", "--seats", 60) as (_, port):
        bots = start(CROWD / "bots.py", "--port", port, "--bots", 60, "--seconds", 2)
        assert finish(bots).splitlines()[-1] == "60 of 60 bots are in the world"


def test_somebody_watches():
    pytest.importorskip("pygame")
    with serving(CROWD / "server.py", "--seats", 60) as (_, port):
        bots = start(CROWD / "bots.py", "--port", port, "--bots", 10, "--seconds", 4)
        bots.stdout.readline()
        assert bots.stdout.readline() == "10 of 10 bots are in the world\n"
        assert finish(start(CROWD / "watch.py", "--port", port, "--frames", 60)) == "saw 10 bots\n"
        bots.kill()
        bots.communicate()
