"""Where a game state is kept, and what the server and the game loop need of that.

# Contents
- `GameStateStore`: keeps the game state and its mirror in the core
- `StoreWatch`: shares what is in a store, whatever kind of store that is
- `together`, `state_of`, `attributes_of`, `update_after`: helpers for any object that is used as a store
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pygase import _core
from pygase._hints import needs_init
from pygase.gamestate import GameState, GameStateUpdate
from pygase.utils import Sqn

__all__ = ["GameStateStore", "StoreWatch", "attributes_of", "state_of", "together", "update_after"]


class GameStateStore:
    """Keeps the game state, for a server to share and a game loop to change.

    Args:
        initial_game_state: The state to begin with; an empty one by default.

    Raises:
        TypeError: The initial state is no `GameState`, or a value in it cannot be sent; the message has the
            path to it.
    """

    if not TYPE_CHECKING:
        __getattr__ = needs_init("_game_state")

    _update_cache_size: int = 100
    # So often a walk over the whole state gives way to updates that are pushed meanwhile.
    _MIRROR_ATTEMPTS = 3

    def __init__(self, initial_game_state: GameState | None = None) -> None:
        if initial_game_state is None:
            initial_game_state = GameState()
        elif not isinstance(initial_game_state, GameState):
            raise TypeError(
                "'initial_game_state' should be of type 'GameState', "
                f"not '{type(initial_game_state).__name__}'."
            )
        self._game_state = initial_game_state
        self._game_state_update_cache: list[GameStateUpdate] = [GameStateUpdate(0)]
        self._lock = threading.RLock()
        self._mirror = _core.Store(initial_game_state.time_order, attributes_of(initial_game_state))

    def _leave_behind(self) -> None:
        """Take another lock and mirror: in a forked child a thread of the parent may hold these for ever."""
        self._lock = threading.RLock()
        # Filled when the first client joins, as with everything that changed without an update.
        self._mirror = _core.Store(self._game_state.time_order, {})

    def get_game_state(self) -> GameState:
        """Return the game state; it is the same object all the time."""
        with self._lock:
            # An idle server goes on numbering, so that clients that joined late still get everything.
            shared = Sqn(self._mirror.time_order)
            if shared > Sqn(self._game_state.time_order):
                self._game_state.time_order = shared
            return self._game_state

    def get_update_cache(self) -> list[GameStateUpdate]:
        """Return the newest updates, the oldest of them first."""
        with self._lock:
            return list(self._game_state_update_cache)

    def push_update(self, update: GameStateUpdate) -> None:
        """Merge an update into the game state and share it; an update that is not newer has no effect.

        Args:
            update: The update; it has a higher time order than the game state.

        Raises:
            TypeError: It is no update, or a value cannot be sent; the message has the path to it, and nothing
                changes.
            OverflowError: A value is too large for a package; the message has the path to it. All others are
                shared.
        """
        if not isinstance(update, GameStateUpdate):
            raise TypeError(f"'update' should be of type 'GameStateUpdate', not '{type(update).__name__}'.")
        with self._lock:
            if not update > self._game_state:
                self._remember(update)
                return
            try:
                self._mirror.push(update.time_order, vars(update))
            except OverflowError:
                # A value too large for a package keeps back no other, a float too large to be sent does.
                if not update.time_order > Sqn(self._mirror.time_order):
                    self._take_over(update)
                raise
            self._take_over(update)

    def _take_over(self, update: GameStateUpdate) -> None:
        # The mirror has the last word: an idle server may have gone on numbering meanwhile.
        self._game_state._apply(self._mirror.time_order, vars(update))
        self._remember(update)

    def _push_changes(self, changes: dict[str, Any]) -> None:
        with self._lock:
            self.push_update(update_after(self.get_game_state(), changes))

    def _remember(self, update: GameStateUpdate) -> None:
        self._game_state_update_cache.append(update)
        del self._game_state_update_cache[: -self._update_cache_size]

    def _mirror_all(self) -> None:
        """Share what was changed in the game state itself, without an update."""
        for _ in range(self._MIRROR_ATTEMPTS):
            with self._lock:
                # No update is under way now, so that the state has all that the mirror has.
                state, revision = self.get_game_state(), self._mirror.revision
                time_order = state.time_order
            # Nobody has to wait for the walk. What is pushed meanwhile may be missing in it: then once more.
            if self._mirror.replace(time_order, attributes_of(state), revision):
                return
        with self._lock:
            state = self.get_game_state()
            self._mirror.replace(state.time_order, attributes_of(state))


# Where it is imported from.
GameStateStore.__module__ = "pygase.backend"


class StoreWatch:
    """Shares what is in a store through a mirror in the core.

    A `GameStateStore` brings its mirror along and keeps it. Any other object is asked for its game state from
    time to time, never more often than once in a `TICK`, and shared when the time order of that has changed.

    Args:
        store: A `GameStateStore`, or an object with the same methods.
    """

    #: Seconds between two looks; there is no more than one package to a client in that time.
    TICK = 0.025

    def __init__(self, store: Any) -> None:
        self._store = store
        self._polls = not isinstance(getattr(store, "_mirror", None), _core.Store)
        self._last_look = -math.inf
        self._seen = -1
        self._must_share = False
        if self._polls:
            state = self._ask()
            self.mirror = _core.Store(state.time_order, attributes_of(state))
        else:
            self.mirror = store._mirror
        #: When to look again, in the time of `time.monotonic`; may be infinity.
        self.next_look = self._last_look + self.TICK if self._polls else math.inf

    def look_soon(self) -> float:
        """Say that what is in the store is to be shared anew, and return when that will be due."""
        self._must_share = True
        self.next_look = min(self.next_look, self._last_look + self.TICK)
        return self.next_look

    def look(self) -> None:
        """Share what is in the store."""
        must_share, self._must_share = self._must_share, False
        self.next_look = time.monotonic() + self.TICK if self._polls else math.inf
        if self._polls:
            before = self._seen
            state = self._ask()
            if must_share or state.time_order != before:
                self.mirror.replace(state.time_order, attributes_of(state))
        elif must_share:
            self._last_look = time.monotonic()
            self._store._mirror_all()

    def _ask(self) -> GameState:
        self._last_look = time.monotonic()
        state = state_of(self._store)
        self._seen = state.time_order
        return state


@contextmanager
def together(store: Any) -> Generator[None, None, None]:
    """Have what is dispatched in a time step sent with what the step pushes, not before.

    Args:
        store: The store that the step pushes to. With one that is no `GameStateStore` nothing waits.
    """
    mirror = getattr(store, "_mirror", None)
    if not isinstance(mirror, _core.Store):
        yield
        return
    mirror.begin_step()
    try:
        yield
    finally:
        mirror.end_step()


def state_of(store: Any) -> GameState:
    """Return the game state of a store.

    Args:
        store: Object with `get_game_state` or `get_gamestate`.

    Raises:
        TypeError: It has neither.
    """
    get = getattr(store, "get_game_state", None) or getattr(store, "get_gamestate", None)
    if get is None:
        raise TypeError(f"a GameStateStore is needed, or an object like it, not {type(store).__name__}")
    state: GameState = get()
    return state


def attributes_of(state: GameState) -> dict[str, Any]:
    """Return what clients get to see of a game state, its time order aside.

    Args:
        state: The game state.
    """
    attributes = state.to_dict()
    del attributes["time_order"]
    return attributes


def update_after(game_state: GameState, changes: dict[str, Any]) -> GameStateUpdate:
    """Return the update that follows on a game state.

    Args:
        game_state: The game state.
        changes: What the update changes.
    """
    update = GameStateUpdate(Sqn(game_state.time_order) + 1)
    vars(update).update(changes)
    vars(update).pop("time_order", None)
    return update
