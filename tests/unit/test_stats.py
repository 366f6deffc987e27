"""What `stats` counts and shows, and that README, SECURITY and the page of counters name all of it."""

import pathlib
import re

import pygase

README = pathlib.Path(__file__).parents[2] / "README.md"


def listed(name):
    """The keys that README has of a dict."""
    row = re.search(rf"^\| `{name}` \| (`.*) \|$", README.read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row[1]))


def test_readme_lists_every_key(client, wait_for):
    backend = pygase.Backend(pygase.GameState(level=1), lambda game_state, dt: {}, {})
    assert pygase.Client().stats() == {}
    assert backend.server.stats() == {}
    backend.server.run_in_thread()
    client.connect_in_thread(backend.server.port)
    wait_for(lambda: backend.server.connections)
    stats = backend.stats()
    backend.server.shutdown()
    for dicts in (stats, backend.stats()):
        assert set(dicts) == {"server", "state", "clients", "errors", "game_loop"}
        for name in ("server", "state", "errors", "game_loop"):
            assert set(dicts[name]) - {"errors"} == listed(name) - {"errors"}, name
    connections = [*stats["clients"].values(), client.stats()["connection"]]
    assert len(connections) == 2
    for connection in connections:
        assert set(connection) == listed("connection")
    assert set(client.stats()["socket"]) == listed("socket")


def test_every_counter_is_explained():
    gauges = (
        README.read_text()
        .partition("Gauges, which go up and down, are:")[2]
        .partition("`docs/counters.md`")[0]
    )
    gauges = set(re.findall(r"`(\w+)`", gauges)) | {"game_time", "errors"}
    gauges -= {"ticks", "tick_seconds"}  # named there to explain the one of the average
    counters = (README.parent / "docs" / "counters.md").read_text()
    explained = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", counters, re.MULTILINE))))
    names = ("connection", "server", "socket", "state", "errors", "game_loop")
    every = set.union(*map(listed, names)) | {
        "recorded",
        "records_dropped",
        "announce_answered",
        "announce_dropped",
    }
    assert explained == every - gauges - listed("state")


def test_security_names_what_strangers_can_make_count():
    """What is dropped and is not said to be watched is what the line, the system or the game itself does."""
    counters = (README.parent / "docs" / "counters.md").read_text().partition("## Of a socket")[0]
    dropped = set(re.findall(r"`(\w+)` \*", counters))
    watch = re.search(
        r"Watch `server.stats\(\)`:.*?\n- ", (README.parent / "SECURITY.md").read_text(), re.DOTALL
    )[0]
    watched = set(re.findall(r"`(\w+)`", watch)) - {"server", "clients"}
    ours = {"lost", "duplicate", "late", "events_repeated", "events_out_of_order", "bans_refused"}
    assert watched == dropped - ours | {"unproven", "oversize"}
    assert watched <= listed("server") | listed("connection")


def test_gauges_say_what_waits_and_how_large_it_is(client, wait_for):
    backend = pygase.Backend(
        pygase.GameState(text="x" * 100), lambda game_state, dt: {"now": game_state.time_order}, {}
    )
    backend.server.run_in_thread(event_wire=backend.game_state_machine)
    try:
        client.start(backend.server.port)
        client.register_event_handler("TELL", lambda: None)
        wait_for(lambda: client.stats()["state"]["values"])
        backend.server.dispatch_event("TELL")
        wait_for(lambda: client.stats()["connection"]["events_received"])
        waiting = client.stats()["connection"]["events_to_handle"]
        client.poll()
        assert client.stats()["connection"]["events_to_handle"] < waiting
        for _ in range(3):
            client.dispatch_event("TELL", "x" * 1900)
        assert client.stats()["connection"]["bytes_to_send"] > 1900
        wait_for(lambda: client.stats()["connection"]["events_to_send"] == 0)
        backend.game_state_machine.run_game_loop_in_thread(0.002)
        wait_for(lambda: backend.game_state_machine.stats()["ticks"] > 20)
        backend.game_state_machine.stop()
        stats = backend.server.stats()
        loop = stats["game_loop"]
        assert 0 < loop["tick_time"] <= loop["longest_tick"] <= loop["tick_seconds"]
        assert 100 < stats["state"]["size"] < 200
        wait_for(lambda: client.stats()["state"] == {**backend.server.stats()["state"], "deletions": 0})
        wait_for(
            lambda: (
                next(iter(backend.server.stats()["clients"].values()))["time_order"]
                == client.stats()["state"]["time_order"]
            )
        )
        assert client.stats()["socket"]["datagrams_received"] > 0
    finally:
        backend.shutdown()
