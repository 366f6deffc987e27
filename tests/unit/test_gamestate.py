"""Game states, updates and how they merge."""

import copy
import pickle
import threading

import pytest

from pygase.backend import GameStateStore
from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate, GameStatus


def test_status_by_name_and_value():
    assert GameStatus.get("Paused") == GameStatus.PAUSED == 0
    assert GameStatus.get("Active") == GameStatus.ACTIVE == 1
    assert GameStatus.get(GameStatus.ACTIVE) == GameStatus.get(1) == "Active"


def test_custom_attributes_are_attributes():
    state = GameState(5, GameStatus.ACTIVE, a=1)
    state.b = 2
    assert state.__dict__ == {"a": 1, "b": 2}
    assert (state.a, state.b, state.time_order, state.game_status) == (1, 2, 5, 1)
    assert not state.is_paused()
    assert GameState().is_paused()
    with pytest.raises(AttributeError, match="c"):
        _ = state.c
    del state.a
    assert "a" not in state.to_dict()


def test_data_is_live_and_gives_way():
    state = GameState(a=1)
    state.data["b"] = 2
    assert state.b == 2
    assert state.data is state.data
    state = GameState(data=5)
    assert state.data == 5
    assert GameState.from_bytes(state.to_bytes()).data == 5
    assert GameStateUpdate(1, a=2).data == {"a": 2}


def test_dict_there_and_back():
    state = GameState(3, 1, a={"b": 1})
    assert state.to_dict() == {"a": {"b": 1}, "game_status": 1, "time_order": 3}
    assert list(state.to_dict()) == ["a", "game_status", "time_order"]
    assert GameState.from_dict(state.to_dict()) == state
    update = GameStateUpdate(3, a=1)
    assert GameStateUpdate.from_dict(update.to_dict()) == update
    assert state != update


def test_bytes_there_and_back():
    state = GameState(3, 1, a={"b": [1, 2], 5: None})
    assert GameState.from_bytes(state.to_bytes()) == state
    assert GameState(1, 1, a={"b": (1, 2)}).to_bytes() == (
        b"\x83\xa1a\x81\xa1b\x92\x01\x02\xabgame_status\x01\xaatime_order\x01"
    )
    update = GameStateUpdate(3, a={"b": TO_DELETE})
    assert GameStateUpdate.from_bytes(update.to_bytes()) == update


@pytest.mark.parametrize(
    "garbage", [b"\x81\xa1a\x01", b"\x81\xaatime_order\xa1x", b"\x82\x01\x01\xaatime_order\x01", b"\x90", b""]
)
def test_bytes_that_are_no_update(garbage):
    with pytest.raises(TypeError, match=r"^Bytes could no be parsed into GameStateUpdate\.$"):
        GameStateUpdate.from_bytes(garbage)


def test_order_wraps():
    assert GameState(1) < GameStateUpdate(2)
    assert GameStateUpdate(1) > GameState(65535)
    assert not GameState(1) < GameState(1)
    with pytest.raises(TypeError):
        _ = GameState(1) < 2


def test_copies_are_equal():
    state = GameState(3, 1, a={"b": 1})
    for twin in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert twin == state
        assert twin is not state


def test_update_changes_the_state_in_place():
    state = same = GameState(1, a={"x": 1, "y": 2}, b=1)
    inner = state.a
    state += GameStateUpdate(2, a={"x": 3, "z": 4}, b=TO_DELETE, c={"d": {"e": 1}}, game_status=1)
    assert state is same
    assert state.a is inner
    assert state == GameState(2, 1, a={"x": 3, "y": 2, "z": 4}, c={"d": {"e": 1}})


@pytest.mark.parametrize("time_order", [3, 2, 65535])
def test_state_ignores_what_is_not_newer(time_order):
    state = GameState(3, a=1)
    state += GameStateUpdate(time_order, a=2)
    assert state == GameState(3, a=1)


def test_deletion_of_a_missing_key_does_nothing():
    state = GameState(1, a={"x": 1})
    state += GameStateUpdate(2, b=TO_DELETE, a={"y": TO_DELETE}, c={"d": TO_DELETE, "e": {"f": TO_DELETE}})
    assert state == GameState(2, a={"x": 1}, c={"e": {}})


def test_maps_take_the_place_of_values_and_back():
    state = GameState(1, a=1, b={"x": 1})
    state += GameStateUpdate(2, a={"x": 1}, b=1)
    assert state == GameState(2, a={"x": 1}, b=1)


def test_lists_are_replaced():
    state = GameState(1, a=[1, 2, 3])
    state += GameStateUpdate(2, a=[4])
    assert state.a == [4]


def test_nested_maps_are_copied_in():
    update = GameStateUpdate(2, a={"b": {"c": 1}})
    state = GameState(1)
    state += update
    state.a["b"]["c"] = 2
    assert update == GameStateUpdate(2, a={"b": {"c": 1}})


def test_a_map_of_the_state_may_come_back_in_an_update():
    state = GameState(1, a={"x": 1, "y": {"z": 1}})
    state.a["x"] = TO_DELETE
    state.a["y"]["z"] = 2
    state += GameStateUpdate(2, a=state.a)
    assert state == GameState(2, a={"y": {"z": 2}})


def test_state_plus_update_leaves_both_alone():
    state, update = GameState(1, a={"x": 1}), GameStateUpdate(2, a={"y": 2})
    assert state + update == GameState(2, a={"x": 1, "y": 2})
    assert update + state == GameState(2, a={"x": 1, "y": 2})
    assert (state, update) == (GameState(1, a={"x": 1}), GameStateUpdate(2, a={"y": 2}))


def test_updates_add_up_newest_last():
    old, new = GameStateUpdate(1, a={"x": 1, "y": 1}, b=1), GameStateUpdate(2, a={"x": 2}, b=TO_DELETE, c=3)
    total = GameStateUpdate(2, a={"x": 2, "y": 1}, b=TO_DELETE, c=3)
    assert old + new == new + old == sum([old, new]) == total
    (old + new).a["x"] = 9
    assert old == GameStateUpdate(1, a={"x": 1, "y": 1}, b=1)
    assert new == GameStateUpdate(2, a={"x": 2}, b=TO_DELETE, c=3)


def test_first_of_two_updates_with_one_number_wins():
    assert GameStateUpdate(2, a=1) + GameStateUpdate(2, a=2, b=2) == GameStateUpdate(2, a=1, b=2)


def test_adding_anything_else_is_refused():
    state = GameState(1)
    with pytest.raises(TypeError):
        state += 5
    with pytest.raises(TypeError):
        state += GameState(2)
    with pytest.raises(TypeError):
        _ = GameStateUpdate(1) + 5


@pytest.mark.parametrize("make", [GameState, GameStateUpdate])
def test_time_order_is_checked(make):
    with pytest.raises(ValueError, match="value exceeds maximum sequence number"):
        make(65536)
    with pytest.raises(ValueError, match="sequence numbers must not be negative"):
        make(-1)
    assert make(None).time_order == 0


@pytest.mark.parametrize("busy_for", [0, 1, 2, 1000])
def test_sharing_changes_behind_the_back_waits_for_no_push_and_undoes_none(busy_for):
    class Walked(GameState):
        def to_dict(self):
            attributes = super().to_dict()
            walks.append(attributes)
            if store is not None and len(walks) <= busy_for and not store._lock._is_owned():
                # Another thread pushes while the state is walked; it gets the lock at once.
                thread = threading.Thread(target=push, args=(len(walks),))
                thread.start()
                thread.join(10)
                assert not thread.is_alive(), "the walk holds the lock"
            return attributes

    def push(value):
        store.push_update(GameStateUpdate(store.get_game_state().time_order + 1, pushed=value))

    store, walks = None, []
    state = Walked(5, pushed=0)
    store = GameStateStore(state)
    walks.clear()
    state.behind_the_back = 1
    store._mirror_all()
    pushes = min(busy_for, 3)
    assert len(walks) == pushes + 1
    revision = store._mirror.revision
    # The mirror has both: making it equal to that writes nothing.
    whole = {"pushed": pushes, "behind_the_back": 1, "game_status": GameStatus.get("Paused")}
    store._mirror.replace(store.get_game_state().time_order, whole)
    assert store._mirror.revision == revision
