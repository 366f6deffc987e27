"""Recordings: what a server writes down while it runs, and what can be read from it."""

from __future__ import annotations

import pytest

import pygase
from pygase.gamestate import TO_DELETE, GameStateUpdate
from pygase.tools._recording import Story, changes, flat, listed


@pytest.fixture
def recorded(tmp_path, serve, connect, wait_for):
    """Record a short game at a server: the file, and the client's address."""
    store = pygase.GameStateStore(pygase.GameState(1, x=0, players={}))
    server = pygase.Server(store, record=tmp_path / "game.pgr")
    heard = []
    server.register_event_handler("JUMP", lambda height, client_address: heard.append(client_address))
    serve(server)
    client = connect(server)
    for tick in range(2, 50):
        gone = {"players": {tick - 1: TO_DELETE}} if tick % 10 == 1 else {}
        player = {"players": {tick: {"x": tick}}} if tick % 10 == 0 else {}
        store.push_update(GameStateUpdate(tick, x=tick, **gone, **player))
    client.wait_until(lambda state: state.x == 49, timeout=5)
    client.dispatch_event("JUMP", 3)
    server.dispatch_event("BANG", loud=True)
    wait_for(lambda: heard)
    client.disconnect()
    server.shutdown()
    stats = server.stats()["server"]
    assert stats["records_dropped"] == 0
    assert stats["recorded"] > 48
    return tmp_path / "game.pgr", tuple(heard[0])


def test_every_state_of_a_server_is_there_in_order(recorded):
    path, client = recorded
    story = Story(path)
    states = [(it.tick, it.state.x, dict(it.state.players)) for it in story if it.changes is not None]
    ticks = {tick: (x, players) for tick, x, players in states}
    assert [tick for tick, *_ in states] == sorted(ticks)
    assert all(ticks[tick][0] == tick for tick in range(2, 50))
    assert ticks[30][1] == {30: {"x": 30}}
    assert ticks[31][1] == {}
    assert list(story.clients) == [client]
    assert (story.recording.source, story.missing) == ("server", 0)


def test_a_client_of_it_saw_the_same_and_the_events(recorded):
    path, client = recorded
    story = Story(path, client)
    happened = list(story)
    assert happened[-1].state.x == 49
    assert happened[-1].state.players == {}
    events = [(it.is_up, it.event.type, it.event.handler_args) for it in happened if it.event]
    assert (True, "JUMP", [3]) in events
    assert (False, "BANG", []) in events
    assert all(name in ("JUMP", "BANG") for _, name, _ in events)


def test_a_server_overwrites_no_recording(recorded):
    path, _ = recorded
    before = path.read_bytes()
    server = pygase.Server(pygase.GameStateStore(), record=path)
    with pytest.raises(FileExistsError, match=r"cannot record to .*game.pgr: it is there already"):
        server.run()
    assert path.read_bytes() == before
    assert server.port is None
    with pytest.raises(TypeError, match="option record of ServerOptions must be the path of a file, not 5"):
        pygase.Server(pygase.GameStateStore(), record=5)


def test_a_recording_that_was_cut_is_read_to_where_it_is_whole(recorded):
    path, _ = recorded
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    story, states = Story(path), 0
    with pytest.raises(ValueError, match=r"game.pgr: the recording ends in the middle of something"):
        for happening in story:
            states += happening.changes is not None
    assert states == story.states
    path.write_bytes(b"%PDF-1.7 and so on")
    with pytest.raises(ValueError, match=r"game.pgr: this is no recording of pygase"):
        Story(path)


def test_differences_are_updates_and_have_paths():
    before = {"x": 1, "players": {1: {"hp": 3}, 2: {}}, "flag": True}
    after = {"x": 1, "players": {1: {"hp": 4}}, "flag": 1, "list": [1]}
    update = changes(before, after)
    assert update == {"players": {1: {"hp": 4}, 2: TO_DELETE}, "flag": 1, "list": [1]}
    assert listed(update) == "players.1.hp=4 -players.2 flag=1 list=[1]"
    assert dict(flat({"a": {}, "b": {"c": None}})) == {"a": {}, "b.c": None}
    assert changes(after, after) == {}
