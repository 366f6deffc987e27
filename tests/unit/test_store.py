"""The game state store, without a network."""

import sys
import tracemalloc

import pytest

from pygase import GameState, GameStateStore
from pygase.gamestate import TO_DELETE, GameStateUpdate


def test_store_begins_with_a_state():
    state = GameState(3, a=1)
    assert GameStateStore(state).get_game_state() is state
    assert GameStateStore().get_game_state() == GameState()
    with pytest.raises(TypeError, match=r"^'initial_game_state' should be of type 'GameState', not 'int'\.$"):
        GameStateStore(5)
    with pytest.raises(TypeError, match="players"):
        GameStateStore(GameState(players={1: {1, 2}}))


def test_store_merges_updates():
    store = GameStateStore(GameState(a=1, b={"x": 1}))
    state = store.get_game_state()
    store.push_update(GameStateUpdate(5, a=TO_DELETE, b={"y": 2}))
    assert store.get_game_state() is state
    assert state == GameState(5, b={"x": 1, "y": 2})
    store.push_update(GameStateUpdate(5, a=1))
    store.push_update(GameStateUpdate(4, a=1))
    assert state == GameState(5, b={"x": 1, "y": 2})
    assert [update.time_order for update in store.get_update_cache()] == [0, 5, 5, 4]


def test_store_cache_is_bounded():
    store = GameStateStore()
    store._update_cache_size = 3
    for number in range(1, 10):
        store.push_update(GameStateUpdate(number))
    assert [update.time_order for update in store.get_update_cache()] == [7, 8, 9]
    store.get_update_cache().clear()
    assert len(store.get_update_cache()) == 3


def test_store_refuses_what_cannot_be_sent():
    store = GameStateStore(GameState(a=1))
    with pytest.raises(TypeError, match="not 'int'"):
        store.push_update(5)
    with pytest.raises(TypeError, match=r"players\[3\]\.name"):
        store.push_update(GameStateUpdate(1, a=2, players={3: {"name": {1}}}))
    with pytest.raises(OverflowError, match="speed"):
        store.push_update(GameStateUpdate(1, a=2, speed=1e300))
    assert store.get_game_state() == GameState(a=1)
    assert len(store.get_update_cache()) == 1


def test_store_merges_the_rest_when_a_value_is_too_large():
    store = GameStateStore(GameState(a=1))
    with pytest.raises(OverflowError, match=r"map.*\d+ bytes.*at most \d+"):
        store.push_update(GameStateUpdate(1, a=2, map="x" * 3000))
    assert store.get_game_state().a == 2
    assert store.get_game_state().time_order == 1


def test_store_follows_the_number_that_the_server_goes_on_to():
    store = GameStateStore(GameState(3))
    store._mirror.push(6, {})
    store.push_update(GameStateUpdate(4, a=1))
    assert store.get_game_state() == GameState(7, a=1)
    store._mirror.push(9, {})
    assert store.get_game_state().time_order == 9


@pytest.mark.parametrize("leaves", [100, 200_000])
def test_reading_and_pushing_cost_what_changed(leaves):
    store = GameStateStore(GameState(1, units=dict.fromkeys(range(leaves), "somewhere")))
    update = GameStateUpdate(2, units=dict.fromkeys([3, 20, 33, 64, 99], "elsewhere"))
    visited, calls = store._mirror.visited, []
    tracemalloc.start()
    sys.setprofile(lambda frame, kind, argument: calls.append(kind))
    try:
        state = store.get_game_state()
        store.push_update(update)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert state.units[99] == "elsewhere"
    assert store._mirror.visited - visited == 5
    assert len(calls) < 200
    assert peak < 50_000, "something was copied"
