"""`pygase.gamestate`: states, updates and how they merge."""

import copy

import pytest

from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate, GameStatus


def custom(state):
    """Its custom attributes, in their order. 0.3.1 has the other two in the same place."""
    return {key: value for key, value in vars(state).items() if key not in ("game_status", "time_order")}


def test_the_marker_of_deletions_has_its_bytes():
    assert TO_DELETE == b"\xd2\x81\xe5\xba"


class TestGameStatus:
    def test_get(self):
        assert GameStatus.get("Paused") == 0
        assert GameStatus.get("Active") == 1
        assert GameStatus.get(0) == "Paused"
        assert GameStatus.get(1) == "Active"

    def test_unknown(self):
        with pytest.raises(ValueError):
            GameStatus.get("Sleeping")

    @pytest.mark.ours
    def test_members(self):
        assert (GameStatus.PAUSED, GameStatus.ACTIVE) == (0, 1)
        assert isinstance(GameStatus.ACTIVE, int)


class TestGameState:
    def test_defaults(self):
        state = GameState()
        assert custom(state) == {}
        assert (state.game_status, state.time_order) == (0, 0)
        assert state.is_paused()

    def test_attributes(self):
        state = GameState(3, GameStatus.get("Active"), players={1: "ada"}, level=2)
        assert (state.time_order, state.game_status, state.level) == (3, 1, 2)
        assert state.players == {1: "ada"}
        assert not state.is_paused()
        assert list(custom(state)) == ["players", "level"]

    def test_attributes_are_live(self):
        state = GameState(a=1)
        state.a = 2
        state.b = 3
        del state.a
        assert custom(state) == {"b": 3}
        assert not hasattr(state, "a")
        assert b"\xa1b\x03" in state.to_bytes()

    def test_time_order_wraps(self):
        assert GameState(3) < GameState(4)
        assert GameState(1) > GameState(65535)
        assert GameState(3) > GameStateUpdate(2)
        assert not GameState(3) < GameState(3)

    def test_compares_by_value(self):
        assert GameState(1, a=1) == GameState(1, a=1)
        assert GameState(1, a=1) != GameState(2, a=1)
        assert GameState(1, a=1) != GameState(1, a=2)
        with pytest.raises(TypeError):
            hash(GameState())

    def test_bytes(self):
        state = GameState(1, 1, a=1)
        assert state.to_bytes() == b"\x83\xa1a\x01\xabgame_status\x01\xaatime_order\x01"
        again = GameState.from_bytes(state.to_bytes())
        assert type(again) is GameState
        assert again == state

    def test_any_order_of_keys(self):
        state = GameState.from_bytes(b"\x83\xaatime_order\x07\xa1a\x01\xabgame_status\x01")
        assert (state.time_order, state.game_status, state.a) == (7, 1, 1)

    @pytest.mark.parametrize("data", [b"", b"\x01", b"\x83\xa1"])
    def test_bad_bytes(self, data, is_original):
        with pytest.raises(TypeError, match="GameState") as error:
            GameState.from_bytes(data)
        assert is_original or isinstance(error.value, ValueError)

    def test_subclass(self):
        class Arena(GameState):
            def __init__(self):
                super().__init__(game_status=1, walls=[])

        arena = Arena()
        arena += GameStateUpdate(1, walls=[1])
        assert type(arena) is Arena
        assert arena.walls == [1]

    @pytest.mark.ours
    def test_unserialisable_names_the_path(self):
        with pytest.raises(TypeError, match=r"players\[3\]\.name"):
            GameState(players={3: {"name": object()}}).to_bytes()


class TestGameStateUpdate:
    def test_attributes(self):
        update = GameStateUpdate(3, a=1)
        assert custom(update) == {"a": 1}
        assert update.time_order == 3
        assert update.to_bytes() == b"\x82\xa1a\x01\xaatime_order\x03"
        assert GameStateUpdate.from_bytes(update.to_bytes()) == update

    def test_needs_a_time_order(self):
        with pytest.raises(TypeError):
            GameStateUpdate()

    def test_order(self):
        assert GameStateUpdate(1) < GameStateUpdate(2)
        assert GameStateUpdate(1) > GameStateUpdate(65535)
        assert GameStateUpdate(3) > GameState(2)

    @pytest.mark.parametrize("data", [b"", b"\x01", b"\x83\xa1"])
    def test_bad_bytes(self, data, is_original):
        with pytest.raises(TypeError, match="GameStateUpdate") as error:
            GameStateUpdate.from_bytes(data)
        assert is_original or isinstance(error.value, ValueError)


class TestMerging:
    def test_updates(self):
        merged = GameStateUpdate(1, a={"x": 1}, b=1) + GameStateUpdate(2, a={"y": 2}, c=3)
        assert type(merged) is GameStateUpdate
        assert custom(merged) == {"a": {"x": 1, "y": 2}, "b": 1, "c": 3}
        assert merged.time_order == 2

    def test_the_newer_one_wins_on_either_side(self):
        for merged in (
            GameStateUpdate(1, a=1) + GameStateUpdate(2, a=2),
            GameStateUpdate(2, a=2) + GameStateUpdate(1, a=1),
        ):
            assert (merged.a, merged.time_order) == (2, 2)

    def test_markers_stay_in_updates(self):
        merged = GameStateUpdate(1, a={"x": 1}) + GameStateUpdate(2, a={"x": TO_DELETE})
        assert merged.a == {"x": TO_DELETE}

    def test_sum(self):
        updates = [GameStateUpdate(1, a={"x": 1}), GameStateUpdate(2, a={"y": 2}), GameStateUpdate(3, b=1)]
        total = sum(updates)
        assert total == GameStateUpdate(3, a={"x": 1, "y": 2}, b=1)

    def test_sum_onto_a_state(self):
        total = sum([GameStateUpdate(1, a=1), GameStateUpdate(2, b=2)], GameState(0))
        assert type(total) is GameState
        assert (total.time_order, total.a, total.b) == (2, 1, 2)

    def test_state_in_place(self):
        state = same = GameState(3, 1, a={"x": 1, "y": 2}, lst=[1, 2, 3])
        state += GameStateUpdate(5, a={"x": TO_DELETE, "z": {"deep": 1}}, lst=[4], new=None)
        assert state is same
        assert type(state) is GameState
        assert state.a == {"y": 2, "z": {"deep": 1}}
        assert (state.lst, state.new, state.time_order, state.game_status) == ([4], None, 5, 1)

    def test_delete_an_attribute(self):
        state = GameState(1, a=1, b=2)
        state += GameStateUpdate(2, a=TO_DELETE)
        assert not hasattr(state, "a")
        assert state.b == 2

    def test_delete_what_is_not_there(self, is_original):
        state = GameState(1)
        state += GameStateUpdate(2, a=TO_DELETE)
        if is_original:
            assert state.a == TO_DELETE
        else:
            assert not hasattr(state, "a")
        assert state.time_order == 2

    @pytest.mark.parametrize("time_order", [7, 6, 1, 65000])
    def test_an_update_that_is_not_newer_changes_nothing(self, time_order):
        state = GameState(7, a=1)
        state += GameStateUpdate(time_order, a=2, b=3)
        assert custom(state) == {"a": 1}
        assert state.time_order == 7

    def test_wrap_around(self):
        state = GameState(65535, a=1)
        state += GameStateUpdate(1, a=2)
        assert (state.a, state.time_order) == (2, 1)

    def test_map_replaces_value_and_value_replaces_map(self):
        state = GameState(1, a=1, b={"x": 1})
        state += GameStateUpdate(2, a={"x": 1}, b=5)
        assert (state.a, state.b) == ({"x": 1}, 5)

    def test_game_status(self):
        state = GameState(1)
        state += GameStateUpdate(2, game_status=1)
        assert not state.is_paused()

    def test_keys_of_any_kind(self):
        state = GameState(1, a={1: "one", "1": "text", (1, 2): "pair"})
        state += GameStateUpdate(2, a={1: "uno", (1, 2): TO_DELETE})
        assert state.a == {1: "uno", "1": "text"}

    @pytest.mark.ours
    def test_updates_are_never_changed(self):
        first = GameStateUpdate(1, a={"x": {"y": 1}})
        second = GameStateUpdate(2, a={"x": {"z": 2}})
        before = copy.deepcopy((vars(first), vars(second)))
        merged = first + second
        merged.a["x"]["w"] = 3
        state = GameState(0)
        state += first
        state += second
        state.a["x"]["y"] = "changed"
        assert (vars(first), vars(second)) == before

    def test_nonsense(self):
        with pytest.raises((AttributeError, TypeError)):
            GameStateUpdate(1) + 5
        with pytest.raises(TypeError):
            GameState(1) + GameState(2)
