"""The crowd: its world without a network, and bots in it with someone who watches."""

import importlib
import signal
import sys

import pytest
from support.examples import EXAMPLES, finish, serving, start, watching

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


def test_whoever_steers_without_a_seat_gets_one(world, monkeypatch):
    server = importlib.import_module("server")
    sys.modules.pop("server")
    crowd, told = server.CrowdServer(2), []
    monkeypatch.setattr(
        crowd.backend.server,
        "dispatch_event",
        lambda *event, target_client: told.append((target_client, *event)),
    )
    crowd.on_join(client_address="a")
    crowd.gone.append("a")
    crowd.time_step(crowd.backend.game_state_store.get_game_state(), 0.1)
    crowd.on_join(client_address="b")
    crowd.on_steer(64, client_address="a")
    assert told == [("a", "WELCOME", 0), ("b", "WELCOME", 0), ("a", "WELCOME", 1)]
    assert sorted(crowd.world.places) == [0, 1]


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


def playing(port, number):
    """Bots that are all in the world."""
    bots = start(CROWD / "bots.py", "--port", port, "--bots", number)
    assert bots.stdout.readline() == f"0 of {number} bots are in the world\n"
    assert bots.stdout.readline() == f"{number} of {number} bots are in the world\n"
    return bots


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_bots_fill_the_world_and_find_back_when_they_were_silent():
    with serving(CROWD / "server.py", "--seats", 60) as (_, port), watching(port) as client:
        bots = playing(port, 60)
        client.wait_until(lambda state: max(state.flocks[0] + state.flocks[1]) < 5000, timeout=30)
        bots.send_signal(signal.SIGSTOP)
        try:
            client.wait_until(lambda state: min(state.flocks[0] + state.flocks[1]) > 5000, timeout=30)
        finally:
            bots.send_signal(signal.SIGCONT)
        client.wait_until(lambda state: max(state.flocks[0] + state.flocks[1]) < 5000, timeout=30)
        bots.send_signal(signal.SIGINT)
        finish(bots)


def test_somebody_watches():
    pytest.importorskip("pygame")
    with serving(CROWD / "server.py", "--seats", 60) as (_, port):
        bots = playing(port, 10)
        assert finish(start(CROWD / "watch.py", "--port", port, "--frames", 20)) == "saw 10 bots\n"
        bots.send_signal(signal.SIGINT)
        finish(bots)
