"""What the version after 0.3.1 added, beside the old names."""

import inspect
import warnings

import pytest

import pygase
from pygase import utils
from pygase.connection import ConnectionStatus
from pygase.event import Event
from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate, GameStatus
from pygase.utils import NamedEnum, Sendable, Sqn

pytestmark = pytest.mark.ours


class TestStates:
    def test_data_is_live(self):
        state = GameState(5, a=1)
        assert state.data == {"a": 1}
        state.data["b"] = 2
        assert (state.b, vars(state)) == (2, {"a": 1, "b": 2})
        state.c = 3
        del state.a
        assert state.data == {"b": 2, "c": 3}
        update = GameStateUpdate(6, b=TO_DELETE)
        assert update.data == {"b": TO_DELETE}
        state += update
        assert state.data == {"c": 3}

    @pytest.mark.parametrize("kind", [GameState, GameStateUpdate])
    def test_an_attribute_that_is_called_data(self, kind):
        shared = kind(5, data=[1], a=2)
        assert shared.data == [1]
        again = kind.from_bytes(shared.to_bytes())
        assert (again.data, again.a, again) == ([1], 2, shared)

    def test_to_dict(self):
        state = GameState(5, GameStatus.ACTIVE, a=1)
        assert state.to_dict() == {"a": 1, "game_status": 1, "time_order": 5}
        assert GameStateUpdate(5, a=1).to_dict() == {"a": 1, "time_order": 5}
        state.to_dict()["a"] = 2
        assert state.a == 1

    def test_from_dict(self):
        state = GameState.from_dict({"time_order": 5, "game_status": 1, "a": 1})
        assert (type(state), state) == (GameState, GameState(5, 1, a=1))
        assert type(state.time_order) is Sqn
        assert GameState.from_dict({}) == GameState()
        update = GameStateUpdate.from_dict({"time_order": 5, "a": 1})
        assert (type(update), update) == (GameStateUpdate, GameStateUpdate(5, a=1))

    @pytest.mark.parametrize("error", [TypeError, ValueError])
    @pytest.mark.parametrize(
        "data", [{}, {"time_order": 70000}, {"time_order": None}, {"time_order": 1, 2: 3}]
    )
    def test_from_a_dict_that_is_none(self, data, error):
        with pytest.raises(error):
            GameStateUpdate.from_dict(data)

    def test_a_subclass_comes_back_as_itself(self):
        class Arena(GameState):
            pass

        arena = Arena.from_dict(Arena(5, a=1).to_dict())
        assert (type(arena), arena) == (Arena, Arena(5, a=1))


class TestSendable:
    def test_to_and_from_dict(self):
        class Note(Sendable):
            def __init__(self, text):
                self.text = text

        note = Note("a")
        assert note.to_dict() == {"text": "a"}
        again = Note.from_dict({"text": "a"})
        assert (type(again), again) == (Note, note)
        event = Event("a", 1, b=2)
        assert event.to_dict() == {"type": "a", "handler_args": [1], "handler_kwargs": {"b": 2}}
        assert Event.from_dict(event.to_dict()) == event

    @pytest.mark.parametrize("kind", [Event, GameState, GameStateUpdate])
    def test_bytes_that_are_none_raise_the_errors_of_both_versions(self, kind):
        for error in (TypeError, ValueError):
            with pytest.raises(error, match=kind.__name__):
                kind.from_bytes(b"\x01")


class TestEnums:
    @pytest.mark.parametrize("kind", [ConnectionStatus, GameStatus])
    def test_both_ways(self, kind):
        assert issubclass(kind, NamedEnum)
        assert issubclass(kind, int)
        for member in kind:
            name = member.name.capitalize()
            assert kind.get(name) == member
            assert kind.get(member) == kind.get(int(member)) == name

    def test_a_status_is_an_enum(self):
        assert pygase.GameState().game_status is GameStatus.PAUSED
        assert type(pygase.connection.Connection(None, None).status) is ConnectionStatus


class TestSpelling:
    def test_setting(self):
        with pytest.warns(DeprecationWarning):
            locked = utils.LockedRessource(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            locked.resource = 2
            assert locked.resource == 2
        with pytest.warns(DeprecationWarning):
            locked.ressource = 3
        with locked as resource:
            assert resource == 3

    def test_a_client_knows_both(self, live, wait_for):
        context = live.client.connection.game_state_context
        assert isinstance(context, utils.LockedResource)
        ticks = context.resource.ticks
        wait_for(lambda: context.resource.ticks > ticks)
        with pytest.warns(DeprecationWarning):
            ticks = context.ressource.ticks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wait_for(lambda: context.ressource.ticks > ticks)


def test_the_backend_takes_an_interval():
    parameters = inspect.signature(pygase.Backend.run).parameters
    assert list(parameters) == ["self", "hostname", "port", "interval"]
    assert parameters["interval"].default == 0.02
