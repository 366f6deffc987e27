"""The game state that a server shares with its clients.

# Contents
- `GameStatus`: whether the game loop runs or is paused
- `GameState`: everything that all clients know about the game
- `GameStateUpdate`: a change of the game state
- `TO_DELETE`: the value in an update that removes a key
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

from pygase._errors import DecodeError
from pygase._hints import hinted
from pygase.utils import NamedEnum, Sendable, Sqn

__all__ = ["TO_DELETE", "GameState", "GameStateUpdate", "GameStatus"]

#: Put this in the place of a value in an update to remove its key from the game state.
TO_DELETE: bytes = b"\xd2\x81\xe5\xba"

SharedT = TypeVar("SharedT", bound="_Shared")


class GameStatus(NamedEnum, IntEnum):
    """Whether the game loop runs; also by the names 'Paused' and 'Active'."""

    PAUSED = 0
    ACTIVE = 1


GameStatus.register("Paused")
GameStatus.register("Active")


class _CustomAttributes:
    """The attribute `data`, which gives way to a custom attribute of that name."""

    def __get__(self, instance: _Shared | None, owner: type[_Shared]) -> Any:
        return self if instance is None else vars(instance)


class _Shared(Sendable):
    """Custom attributes with a place in time.

    The attributes that PyGaSe itself needs are in slots, so that `__dict__` holds the custom ones only.
    """

    __slots__ = ("time_order",)
    time_order: Sqn
    #: The dict in which the custom attributes live.
    data = _CustomAttributes()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_dict() == other.to_dict()

    def __lt__(self, other: _Shared) -> bool:
        if not isinstance(other, _Shared):
            return NotImplemented
        return Sqn(self.time_order) < Sqn(other.time_order)

    def __gt__(self, other: _Shared) -> bool:
        if not isinstance(other, _Shared):
            return NotImplemented
        return Sqn(self.time_order) > Sqn(other.time_order)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.to_dict().items())})"

    def to_dict(self) -> dict[str, Any]:
        """Return a new dict of the custom attributes, followed by those of PyGaSe."""
        return {**vars(self), "time_order": self.time_order}

    @classmethod
    def from_dict(cls: type[SharedT], data: dict[str, Any]) -> SharedT:
        """Make an object from a dict such as `to_dict` returns.

        Args:
            data: The custom attributes and those of PyGaSe.

        Raises:
            TypeError: A name is no string or the time order no sequence number (the error is a `ValueError`
                as well).
        """
        custom = dict(data)
        time_order = custom.pop("time_order", 0)
        if not all(isinstance(name, str) for name in custom):
            raise DecodeError("the names of attributes must be strings")
        if not isinstance(time_order, int) or not 0 <= time_order <= Sqn.get_max_sequence():
            raise DecodeError(f"{time_order!r} is no time order")
        shared = cls.__new__(cls)
        shared.time_order = Sqn(time_order)
        vars(shared).update(custom)
        return shared


class GameState(_Shared):
    """Everything that all clients know about the game.

    Args:
        time_order: The number of the last update that is in this state, 0 to 65535.
        game_status: Whether the game loop runs.
        **attributes: The custom attributes, which become attributes of this object. Their values are None,
            bool, int, float, str, bytes, `datetime`, lists, tuples and dicts of those.

    Attributes:
        time_order: The number of the last update that is in this state.
        game_status: Whether the game loop runs.
        data: The dict in which the custom attributes live (unless one of them has that name).

    Raises:
        TypeError: The time order is no int.
        ValueError: The time order is out of range.

    Example:
        ```python
        state = GameState(players={}, round=1)
        state += GameStateUpdate(1, players={0: {"name": "Anna"}})
        assert state.players == {0: {"name": "Anna"}}
        ```
    """

    __slots__ = ("game_status",)
    game_status: int

    def __init__(self, time_order: int = 0, game_status: int = GameStatus.PAUSED, **attributes: Any) -> None:
        vars(self).update(attributes)
        self.game_status = game_status
        try:
            self.time_order = Sqn(time_order)
        except TypeError:
            kind = type(time_order).__name__
            raise TypeError(
                f"time_order must be an int, not {kind}; attributes have names, as in GameState(players={{}})"
            ) from None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind, known = type(self).__name__, sorted(map(str, vars(self)))
            error = AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=self)
            if name.startswith("__"):
                raise error
            if known:
                raise hinted(error, f"this game state has {', '.join(known):.200}")
            raise hinted(error, "this game state is empty, as at a client before its first update")

    def is_paused(self) -> bool:
        """Return whether the game loop is paused."""
        return self.game_status == GameStatus.PAUSED

    def to_dict(self) -> dict[str, Any]:
        """Return a new dict of the custom attributes, followed by `game_status` and `time_order`."""
        return {**vars(self), "game_status": self.game_status, "time_order": self.time_order}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GameState:
        """Make a game state from a dict such as `to_dict` returns.

        Args:
            data: The custom attributes, `game_status` and `time_order`.

        Raises:
            TypeError: A name is no string or the time order no sequence number (the error is a `ValueError`
                as well).
        """
        state = super().from_dict(data)
        state.game_status = vars(state).pop("game_status", GameStatus.PAUSED)
        return state

    def __iadd__(self, update: GameStateUpdate) -> GameState:
        if not isinstance(update, GameStateUpdate):
            return NotImplemented
        if update > self:
            self._apply(update.time_order, vars(update))
        return self

    def __add__(self, update: GameStateUpdate) -> GameState:
        if not isinstance(update, GameStateUpdate):
            return NotImplemented
        state = type(self).from_dict(_copy_maps(self.to_dict()))
        state += update
        return state

    __radd__ = __add__

    def _apply(self, time_order: int, changes: dict[str, Any], *, afresh: bool = False) -> None:
        """Merge changes whatever their time order is, and take over that number.

        Args:
            time_order: The number of the changes.
            changes: Maps to merge deeply; `TO_DELETE` removes a key.
            afresh: Forget what was there before.
        """
        attributes = vars(self)
        if afresh:
            attributes.clear()
        _merge(attributes, changes, keep_deletions=False)
        self.game_status = attributes.pop("game_status", self.game_status)
        self.time_order = Sqn(time_order)


class GameStateUpdate(_Shared):
    """A change of the game state.

    Dicts are merged deeply, any other value takes the place of the old one, and `TO_DELETE` removes a key.
    Adding updates gives the update that has the effect of all of them, the newest last.

    Args:
        time_order: The number of this update; a state takes it only if its own number is lower.
        **attributes: The custom attributes that change; also `game_status`.

    Attributes:
        time_order: The number of this update.
        data: The dict in which the changes live (unless one of them has that name).

    Raises:
        ValueError: The time order is out of range.

    Example:
        ```python
        update = GameStateUpdate(7, players={0: {"hp": 3}}) + GameStateUpdate(8, players={1: TO_DELETE})
        assert update == GameStateUpdate(8, players={0: {"hp": 3}, 1: TO_DELETE})
        ```
    """

    __slots__ = ()

    def __init__(self, time_order: int, **attributes: Any) -> None:
        vars(self).update(attributes)
        self.time_order = Sqn(time_order)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GameStateUpdate:
        """Make an update from a dict such as `to_dict` returns.

        Args:
            data: The changes and `time_order`.

        Raises:
            TypeError: There is no time order, or it is no sequence number, or a name is no string (the error
                is a `ValueError` as well).
        """
        if "time_order" not in data:
            raise DecodeError("an update without time_order")
        return super().from_dict(data)

    def __add__(self, other: GameStateUpdate) -> GameStateUpdate:
        if not isinstance(other, GameStateUpdate):
            return NotImplemented
        older, newer = (self, other) if other > self else (other, self)
        total = type(self)(newer.time_order)
        for update in (older, newer):
            _merge(vars(total), vars(update), keep_deletions=True)
        return total

    def __radd__(self, other: int) -> GameStateUpdate:
        # `sum` starts with 0.
        return self if other == 0 else NotImplemented


def _merge(target: dict[Any, Any], changes: dict[Any, Any], *, keep_deletions: bool) -> None:
    """Merge changes into a dict, in place; maps are copied in, so that the two share none.

    Args:
        target: The dict to change.
        changes: What to merge; it stays as it is.
        keep_deletions: Write the mark `TO_DELETE` instead of removing the key.
    """
    # A game may well change a map of its state and return that very map: then the two are one.
    for key, value in list(changes.items()) if changes is target else changes.items():
        if isinstance(value, dict):
            known = target.get(key)
            if not isinstance(known, dict):
                known = target[key] = {}
            _merge(known, value, keep_deletions=keep_deletions)  # pyright: ignore[reportUnknownArgumentType]
        elif not keep_deletions and isinstance(value, bytes) and value == TO_DELETE:
            target.pop(key, None)
        else:
            target[key] = value


def _copy_maps(value: Any) -> Any:
    """Return a dict in which no map at any depth is shared with the given one."""
    if isinstance(value, dict):
        return {key: _copy_maps(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
