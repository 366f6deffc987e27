"""The game state of a client for those who draw it: whole states, and what lies between them.

# Contents
- `Snapshots`: the newest state and the ones before
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from pygase._hints import hinted
from pygase.gamestate import TO_DELETE, GameState
from pygase.utils import Sqn

__all__ = ["Path", "Snapshots", "check_delay", "keys_of"]

#: Names and keys from the game state down to a value; a str stands for its parts between dots.
Path = str | Sequence[Hashable]

#: The longest delay, in seconds.
MAX_DELAY = 5.0
#: What a path with numbers between its dots cannot find.
NUMBERS_IN_A_STR = 'parts of a str are str; for a key or index that is a number give a tuple: ("players", 1)'
#: States to keep at most, whatever the delay.
MAX_STATES = 1024

_MISSING: Any = object()


class Snapshots:
    """The newest game state of a connection and, for as long as somebody needs them, the ones before.

    States share what did not change, so that keeping many costs little.

    Args:
        connection: A `ClientConnection`.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._states: deque[tuple[float, GameState]] = deque([(0.0, GameState())])
        self._kept = 0.0

    def newest(self) -> GameState:
        """Return the newest state, without waiting for anybody."""
        # Whoever has the lock is about to bring a newer one.
        if self._lock.acquire(blocking=False):
            try:
                self._pull()
            finally:
                self._lock.release()
        return self._states[-1][1]

    def interpolated(self, keys: Sequence[Hashable], delay: float) -> Any:
        """Return a value as it was some time ago.

        Args:
            keys: Where it is.
            delay: How many seconds ago.

        Raises:
            KeyError: The newest state has no such value.
        """
        self._kept = max(self._kept, delay)
        newest = _value(self.newest(), keys)
        if newest is _MISSING:
            error = KeyError(".".join(map(str, keys)))
            # Of a path that was a str only: a tuple has what its author put into it.
            numbers = isinstance(keys, list) and any(str(key).isdigit() for key in keys)
            raise hinted(error, NUMBERS_IN_A_STR) if numbers else error
        states = list(self._states)
        moment = time.monotonic() - delay
        index = bisect_right(states, moment, key=lambda state: state[0])
        if index == len(states):
            return newest
        if index == 0:
            return _or(_value(states[0][1], keys), newest)
        (begin, before), (end, after) = states[index - 1], states[index]
        old, new = _value(before, keys), _or(_value(after, keys), newest)
        if end <= begin or delay == 0:
            return new
        # Nothing came for longer than the delay: the value rested, and moves in the last part of the gap.
        begin = max(begin, end - delay)
        return _between(old, new, max(0.0, (moment - begin) / (end - begin)))

    def _pull(self) -> None:
        pulled = self._connection._pull_snapshot()
        if pulled is None:
            return
        fresh, time_order, changes, age = pulled
        state = GameState() if fresh else self._states[-1][1]
        attributes = _merged({} if fresh else vars(state), changes)
        new = GameState(Sqn(time_order), attributes.pop("game_status", state.game_status))
        vars(new).update(attributes)
        now = time.monotonic()
        # Another world has nothing to do with the one before.
        states: deque[tuple[float, GameState]] = deque() if fresh else self._states.copy()
        states.append((now - age, new))
        # One that is older than the delay is needed to begin with.
        while len(states) > 1 and (states[1][0] <= now - self._kept or len(states) > MAX_STATES):
            states.popleft()
        self._states = states


def keys_of(path: Path) -> Sequence[Hashable]:
    """Return the names and keys of a path.

    Args:
        path: Names and keys, or a str of names with dots between them.

    Raises:
        TypeError: It is neither.
        ValueError: It is empty.
    """
    if not isinstance(path, (str, list, tuple)):
        raise TypeError(f"path must be a str or a tuple of keys, not {path!r}")
    keys = path.split(".") if isinstance(path, str) else path
    if not keys or keys == [""]:
        raise ValueError("path must not be empty")
    return keys


def check_delay(delay: float) -> None:
    """Check a delay.

    Args:
        delay: The delay in seconds.

    Raises:
        TypeError: It is no number.
        ValueError: It is out of range.
    """
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        raise TypeError(f"delay must be a number of seconds, not {delay!r}")
    if not 0 <= delay <= MAX_DELAY:
        raise ValueError(f"delay must be from 0 to {MAX_DELAY} seconds, not {delay!r}")


def _merged(old: dict[Any, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """Return an old dict with changes merged deeply; the old one and all in it stay as they are."""
    new = dict(old)
    for key, value in changes.items():
        if isinstance(value, dict):
            known = new.get(key)
            new[key] = _merged(known if isinstance(known, dict) else {}, value)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, bytes) and value == TO_DELETE:
            new.pop(key, None)
        else:
            new[key] = value
    return new


def _value(state: GameState, keys: Sequence[Hashable]) -> Any:
    value: Any = vars(state)
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return value


def _or(value: Any, other: Any) -> Any:
    return other if value is _MISSING else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_vector(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_number, value))  # pyright: ignore[reportUnknownArgumentType]


def _between(old: Any, new: Any, share: float) -> Any:
    if _is_number(old) and _is_number(new):
        return old + (new - old) * share
    if _is_vector(old) and _is_vector(new) and len(old) == len(new):
        return [a + (b - a) * share for a, b in zip(old, new, strict=True)]
    return _or(old, new)
