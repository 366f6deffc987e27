"""`pygase.GameStateStore`: the state that clients get, and what it takes in."""

import pytest

import pygase
from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate


class TestStore:
    def test_default_state(self):
        store = pygase.GameStateStore()
        state = store.get_game_state()
        assert isinstance(state, GameState)
        assert (state.time_order, state.game_status) == (0, 0)
        assert isinstance(store.get_update_cache(), list)

    def test_holds_the_very_state(self):
        state = GameState(a=1)
        assert pygase.GameStateStore(state).get_game_state() is state
        assert pygase.GameStateStore(initial_game_state=state)._game_state is state

    @pytest.mark.parametrize("value", [5, "text", {}, GameStateUpdate(1)])
    def test_wrong_initial_state(self, value):
        with pytest.raises(TypeError) as error:
            pygase.GameStateStore(value)
        assert (
            str(error.value)
            == f"'initial_game_state' should be of type 'GameState', not '{type(value).__name__}'."
        )

    def test_push_update(self):
        state = GameState(1, a={"x": 1})
        store = pygase.GameStateStore(state)
        store.push_update(GameStateUpdate(2, a={"y": 2}, b=3))
        assert store.get_game_state() is state
        assert (state.a, state.b, state.time_order) == ({"x": 1, "y": 2}, 3, 2)
        assert any(update.time_order == 2 for update in store.get_update_cache())

    def test_old_updates_are_ignored(self):
        store = pygase.GameStateStore(GameState(5, a=1))
        store.push_update(GameStateUpdate(4, a=2))
        assert store.get_game_state().a == 1

    def test_delete(self):
        store = pygase.GameStateStore(GameState(1, a={"x": 1, "y": 2}, b=1))
        store.push_update(GameStateUpdate(2, a={"x": TO_DELETE}, b=TO_DELETE))
        state = store.get_game_state()
        assert state.a == {"y": 2}
        assert not hasattr(state, "b")

    def test_cache_is_bounded(self):
        store = pygase.GameStateStore(GameState())
        for number in range(1, 251):
            store.push_update(GameStateUpdate(number, a=number))
        cache = store.get_update_cache()
        assert len(cache) <= store._update_cache_size
        assert cache[-1].time_order == 250
        assert store.get_game_state().a == 250

    @pytest.mark.ours
    def test_unserialisable_is_refused_at_the_call(self):
        store = pygase.GameStateStore(GameState(1, players={}))
        with pytest.raises(TypeError, match=r"players\[7\]\.bag"):
            store.push_update(GameStateUpdate(2, players={7: {"bag": {1, 2}}}))
        assert store.get_game_state().players == {}
        assert store.get_game_state().time_order == 1

    @pytest.mark.ours
    def test_too_large_a_leaf_is_named(self):
        store = pygase.GameStateStore(GameState(1))
        with pytest.raises(OverflowError, match=r"world\.map") as error:
            store.push_update(GameStateUpdate(2, world={"map": "x" * 5000, "name": "arena"}))
        assert "2048" in str(error.value)
