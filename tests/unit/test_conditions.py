"""A bad line in process: how it is written, and how a game plays on it."""

from __future__ import annotations

import time

import pytest

import pygase
from pygase.conditions import PRESETS, Conditions


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("4g", PRESETS["4g"]),
        ({"latency": "80ms", "loss": "5%", "seed": 7}, Conditions(latency=0.08, loss=0.05, seed=7)),
        ({"latency": 0.08, "rate": "8kbit"}, Conditions(latency=0.08, rate=1000)),
        ({"preset": "satellite", "latency": "1s"}, Conditions(1.0, 0.02, 0.01, rate=250_000)),
        (Conditions(loss=1), Conditions(loss=1)),
    ],
)
def test_conditions_are_written_in_many_ways(written, meant):
    assert Conditions.of(written) == meant
    assert pygase.Client(conditions=written).options.conditions == meant
    assert pygase.Server(pygase.GameStateStore(), conditions=written).options.conditions == meant


@pytest.mark.parametrize(
    ("written", "error", "message"),
    [
        ("5g", ValueError, "there are no conditions '5g'; the presets are 4g, dsl, satellite, wifi-cafe"),
        (0.1, TypeError, "conditions must be a preset, a dict or Conditions, not float"),
        ({"los": "5%"}, TypeError, "conditions have no 'los'; did you mean 'loss'?"),
        ({"loss": "150%"}, ValueError, "loss of 150 %: at most 100%"),
        ({"loss": 1.5}, ValueError, "loss is 1.5, not a share from 0.0 to 1.0"),
        ({"latency": float("nan")}, ValueError, "latency is nan, not from 0 to 60 seconds"),
        ({"latency": "80"}, ValueError, "latency of '80': no unit; write it like 80ms or 0.5s"),
        ({"rate": 0.5}, TypeError, "rate must be an int or text with a unit, not 0.5"),
        ({"seed": "7"}, TypeError, "seed must be an int, not '7'"),
        ({"seed": -1}, ValueError, "seed is -1, not from 0 to 18446744073709551615"),
    ],
)
def test_mistakes_say_what_was_meant(written, error, message):
    with pytest.raises(error) as raised:
        pygase.Client(conditions=written)
    assert str(raised.value) == message


@pytest.fixture
def play():
    """Run a server and a client, each on the line it is given."""
    running = []

    def start(server=None, client=None):
        heard = []
        server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, a=1)), conditions=server)
        running.append((server, server.run_in_thread()))
        client = pygase.Client(conditions=client)
        client.register_event_handler("NUMBER", heard.append)
        running.append((client, client.connect_in_thread(server.port)))
        return server, client, heard

    yield start
    for runner, thread in running[::-1]:
        runner.disconnect() if isinstance(runner, pygase.Client) else runner.shutdown()
        thread.join(10)


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_game_plays_on_a_bad_line(side, play, wait_for):
    conditions = {
        "latency": "30ms",
        "jitter": "10ms",
        "loss": "10%",
        "duplicate": "20%",
        "reorder": "5%",
        "seed": 3,
    }
    server, client, heard = play(**{side: conditions})
    client.wait_until(lambda state: state.time_order > 0, timeout=10)
    for number in range(50):
        server.dispatch_event("NUMBER", number)
    wait_for(lambda: len(heard) == 50, timeout=20)
    assert sorted(heard) == list(range(50))
    wait_for(lambda: client.connection.latency >= 0.06, timeout=10)
    counts = (server if side == "server" else client.connection)._session._udp.stats()
    assert counts["line_dropped"] > 0
    assert counts["line_duplicated"] > 0


def test_nothing_comes_through_where_all_is_lost(play):
    server, client, _ = play(client={"loss": "100%"})
    time.sleep(0.3)
    assert client.connection._session._udp.stats()["line_dropped"] > 0
    assert server.stats()["server"]["datagrams_received"] == 0


def test_without_conditions_nothing_is_dropped(play):
    server, client, _ = play()
    client.wait_until(lambda state: state.time_order > 0, timeout=10)
    assert server.stats()["server"]["line_dropped"] == 0
    assert client.connection._session._udp.stats()["line_dropped"] == 0
