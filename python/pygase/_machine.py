"""The game loop, which moves the state of a game on in time.

# Contents
- `GameStateMachine`: runs the game loop
"""

from __future__ import annotations

import functools
import inspect
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pygase import _core
from pygase._dual import dual, has_own_loop, run_in_thread, share_loop
from pygase._foreign import settled, workers
from pygase._forks import runs_in_this_process
from pygase._hints import needs_init
from pygase._loops import Loop, running
from pygase._store import GameStateStore, state_of, together, update_after
from pygase._ticks import LoopTimer
from pygase._user_errors import UserErrors, call_handler, is_end
from pygase.event import Event, EventHandler, UniversalEventHandler
from pygase.gamestate import GameState, GameStatus, _merge
from pygase.utils import logger

__all__ = ["GameStateMachine"]

#: Events that wait for the game loop unless the options say otherwise; what comes on top is dropped.
EVENT_LIMIT = 16_384
#: The part of the interval after which the game loop leaves waiting events to the next time step.
EVENT_SHARE = 0.95
#: How many mistakes are told that are told only once.
TOLD_LIMIT = 16
#: Share of a new time step in the smoothed time of one.
TICK_GAIN = 0.1


def _is_stepping(machine: GameStateMachine) -> bool:
    """Return whether this is called by the user code of a time step."""
    return machine._stepping == threading.get_ident()


class GameStateMachine:
    """Runs the game loop, which moves the game state on in time.

    Override or assign `time_step`.

    Args:
        game_state_store: A `GameStateStore`, or an object with the same methods.

    Attributes:
        game_time: Seconds that the game has been running.
        events_dropped: Events that found no room because too many waited for the game loop.
    """

    def __init__(self, game_state_store: Any) -> None:
        self.game_time = 0.0
        self.events_dropped = 0
        self._max_events = EVENT_LIMIT
        self._game_state_store = game_state_store
        self._universal_event_handler = UniversalEventHandler()
        self._overruns = 0
        self._event_queue: deque[Event] = deque()
        self._errors = UserErrors()
        self._lock = threading.Lock()
        self._stopping = False
        self._stopped = threading.Event()
        self._stopped.set()
        self._stepping: int | None = None
        self._timer: _core.TickTimer | LoopTimer | None = None
        self._ticks = 0
        self._tick_seconds = self._tick_time = self._longest_tick = 0.0
        self._told: set[str] = set()
        runs_in_this_process(self)

    if not TYPE_CHECKING:
        __getattr__ = needs_init("game_time")

    def _leave_behind(self) -> None:
        """Be over: this is the child of a fork, and what ran is the parent's."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stopped.set()
        self._timer = self._stepping = None
        if isinstance(self._game_state_store, GameStateStore):
            self._game_state_store._leave_behind()  # the game loop may have been in it

    @property
    def _game_loop_is_running(self) -> bool:
        return not self._stopped.is_set()

    @property
    def overruns(self) -> int:
        """How many ticks the game loop has left out because `time_step` and handlers took too long.

        After such a delay comes at most one tick at once; the others are gone. Counts on from run to run.
        """
        timer = self._timer
        return self._overruns + (0 if timer is None else timer.overruns)

    def stats(self) -> dict[str, Any]:
        """Return the counters and gauges of the game loop, as README lists them; any thread may call it."""
        return {
            "game_time": self.game_time,
            "ticks": self._ticks,
            "tick_seconds": self._tick_seconds,
            "tick_time": self._tick_time,
            "longest_tick": self._longest_tick,
            "overruns": self.overruns,
            "events_dropped": self.events_dropped,
            "events_waiting": len(self._event_queue),
            "errors": dict(self._errors.counts),
        }

    @functools.partial(dual, at_once=True)
    def _push_event(self, event: Event) -> None:
        """Have an event handled in the next time step. Blocks, or is awaited.

        Args:
            event: The event.
        """
        if len(self._event_queue) < self._max_events:
            self._event_queue.append(event)
        else:
            self.events_dropped += 1
            self._errors.warn("too many events wait for the game loop; some are dropped")

    def register_event_handler(self, event_type: str, event_handler_function: EventHandler) -> None:
        """Have events of a type handled in the game loop by a function.

        Only the events of a server that has this machine as its `event_wire` get here.

        Args:
            event_type: The type of the events.
            event_handler_function: A function or coroutine function. Besides the arguments of the event it
                gets the keyword arguments `game_state`, `dt` and `client_address`, and returns a dict of
                changes, like `time_step`, or None.

        Raises:
            TypeError: The handler is not callable.
        """
        logger.info("Registering event handler for events of type %s.", event_type)
        self._universal_event_handler.register_event_handler(event_type, event_handler_function)

    @dual
    async def run_game_loop(self, interval: float = 0.02) -> None:
        """Make the game active and run its loop until it is paused. Blocks, or is awaited.

        Each time step calls `time_step`, then the handlers of the events that came, and merges what they
        return into the game state. `stop` pauses the game, and so does an update with a `game_status` of
        `GameStatus.PAUSED`. The loop can be run again and goes on where it was.

        Args:
            interval: Seconds between the starts of two time steps.

        Raises:
            NotImplementedError: There is no `time_step`.
            TypeError: The interval is no number.
            ValueError: The interval is not positive.
            RuntimeError: The game loop runs already.
        """
        await self._play(self._start(interval), interval)

    def run_game_loop_in_thread(self, interval: float = 0.02) -> threading.Thread:
        """Make the game active and run its loop in a thread of its own.

        Args:
            interval: Seconds between the starts of two time steps.

        Returns:
            The thread, no daemon; the process ends only after `stop`.

        Raises:
            NotImplementedError: There is no `time_step`.
            TypeError: The interval is no number.
            ValueError: The interval is not positive.
            RuntimeError: The game loop runs already.
        """
        timer = self._start(interval)
        give_up = functools.partial(self._ended, timer)
        return run_in_thread(self._play(timer, interval), "pygase-game-loop", daemon=False, give_up=give_up)

    @functools.partial(dual, at_once=_is_stepping)
    def stop(self, timeout: float = 1.0) -> bool:
        """Pause the game and wait until its loop has ended. Blocks, or is awaited.

        From inside the game loop it returns at once, and the time step at hand is the last one.

        Args:
            timeout: Seconds to wait.

        Returns:
            Whether the game loop has ended; also True if there was none.
        """
        logger.info("Trying to stop game loop ...")
        with self._lock:
            if self._stopped.is_set():
                return True
            self._stopping = True
            if self._timer is not None:
                self._timer.stop()
        return _is_stepping(self) or self._stopped.wait(timeout)

    def time_step(self, game_state: GameState, dt: float) -> dict[str, Any]:
        """Return what changes in the game state in a time step: override or assign this.

        Args:
            game_state: The game state before the time step; it is not to be changed here.
            dt: Seconds since the time step before.

        Returns:
            The attributes that change. Dicts are merged deeply, `TO_DELETE` removes a key.

        Raises:
            NotImplementedError: It was neither overridden nor assigned.
        """
        raise NotImplementedError("override or assign GameStateMachine.time_step")

    def _knows(self, event_type: str) -> bool:
        return self._universal_event_handler.has_event_type(event_type)

    def _handled(self) -> dict[str, EventHandler]:
        """Return the handlers of this game loop by the type of their events."""
        return self._universal_event_handler._event_handlers

    def _start(self, interval: float) -> _core.TickTimer:
        if not isinstance(interval, (int, float)):
            raise TypeError(f"interval must be a number of seconds, not {type(interval).__name__}")
        if not 0 < interval < math.inf:
            raise ValueError(f"interval {interval} is not a positive number of seconds")
        if getattr(self.time_step, "__func__", None) is GameStateMachine.time_step:
            raise NotImplementedError("override or assign GameStateMachine.time_step")
        with self._lock:
            if not self._stopped.is_set():
                raise RuntimeError("The game loop is already running; call stop() first.")
            self._timer = _core.TickTimer(interval)
            self._push({"game_status": GameStatus.ACTIVE})
            self._stopping = False
            self._stopped.clear()
        logger.info("State machine starting game loop with interval of %s seconds.", interval)
        return self._timer

    async def _play(self, timer: _core.TickTimer, interval: float) -> None:
        loop = running()
        assert loop is not None, "a coroutine runs in an event loop"
        shared = None if has_own_loop() else LoopTimer(interval, loop)
        share_loop()
        if shared is not None:
            self._timer = shared
        dt = interval
        try:
            if shared is None:
                timer.wait()  # the first tick comes at once
            with workers():
                while not self._stopping:
                    began = time.monotonic()
                    with together(self._game_state_store):
                        goes_on = await self._step(loop, dt, began + EVENT_SHARE * interval)
                    if not goes_on:
                        break
                    self._count_tick(time.monotonic() - began)
                    if shared is not None:
                        elapsed = await shared.wait()
                    else:
                        await loop.sleep(0)  # lets tasks of the handlers go on
                        elapsed = timer.wait()
                    if elapsed is None:
                        break
                    dt = elapsed
        except SystemExit:
            logger.error("The game loop ends, because time_step or a handler called sys.exit().")
            raise
        finally:
            if shared is not None:
                await shared.close()
            self._ended(timer)

    def _ended(self, timer: _core.TickTimer) -> None:
        timer.stop()
        with self._lock:
            self._overruns, self._timer = self.overruns, None
        try:
            if not state_of(self._game_state_store).is_paused():
                self._push({"game_status": GameStatus.PAUSED})
        except BaseException as error:
            if is_end(error):
                raise
            self._errors.report("game state store", error)
        finally:
            self._stopped.set()
            logger.info("Game loop stopped.")

    async def _step(self, loop: Loop, dt: float, event_deadline: float) -> bool:
        """Do a time step, unless the game is paused; whatever user code does, say whether it is not."""
        results: list[tuple[str, dict[str, Any]]] = []
        try:
            game_state = state_of(self._game_state_store)
            if game_state.is_paused():
                return False
        except BaseException as error:
            if is_end(error):
                raise
            self._errors.report("game state store", error)
            return True
        before, number = vars(game_state).copy(), game_state.time_order
        await self._add(loop, results, "time_step", lambda: self.time_step(game_state, dt))
        while self._event_queue:
            event = self._event_queue.popleft()
            what = f"handler for {event.type} events"
            if self._knows(event.type):
                await self._add(loop, results, what, self._handling(event, game_state, dt))
            else:
                self._errors.warn(f"no handler in the game loop for events of type {event.type!r}")
            if time.monotonic() >= event_deadline:
                break
        if game_state.time_order == number:
            self._look_for_lost_changes(game_state, before, results)
        self._push_results(results, game_state)
        self.game_time += dt
        return True

    def _look_for_lost_changes(
        self, game_state: GameState, before: dict[str, Any], results: list[tuple[str, dict[str, Any]]]
    ) -> None:
        """Say that an attribute was assigned in a time step and not returned: clients do not see that."""
        for name, value in vars(game_state).items():
            if before.get(name, results) is not value and not any(name in result for _, result in results):
                self._tell(
                    f"{name} was assigned to the game state, which no client sees: return what changes"
                )

    def _tell(self, what: str) -> None:
        """Warn of a mistake once."""
        if what not in self._told and len(self._told) < TOLD_LIMIT:
            self._told.add(what)
            self._errors.warn(what)

    def _count_tick(self, seconds: float) -> None:
        self._tick_time += TICK_GAIN * (seconds - self._tick_time) if self._ticks else seconds
        self._longest_tick = max(self._longest_tick, seconds)
        self._tick_seconds += seconds
        self._ticks += 1

    def _push_results(self, results: list[tuple[str, dict[str, Any]]], game_state: GameState) -> None:
        """Push what a time step changes at once, or without what cannot be shared."""
        changes: dict[str, Any] = {}
        for _, result in results:
            _merge(changes, result, keep_deletions=True)
        try:
            self._push(changes, game_state)
        except (TypeError, OverflowError) as error:
            # One value that cannot be sent is no reason to lose the others.
            sound = [(what, self._sound(what, result)) for what, result in results]
            if all(len(kept) == len(result) for (_, kept), (_, result) in zip(sound, results, strict=True)):
                self._errors.report("update of the game state", error)
            else:
                self._push_results(sound, game_state)
        except BaseException as error:
            if is_end(error):
                raise
            self._errors.report("update of the game state", error)

    def _sound(self, what: str, result: dict[str, Any]) -> dict[str, Any]:
        """Return what can be sent of a result."""
        sound: dict[str, Any] = {}
        for name, value in result.items():
            try:
                _core.packb({name: value})
                sound[name] = value
            except Exception as error:
                self._errors.report(f"update returned by the {what}", error)
        return sound

    def _handling(self, event: Event, game_state: GameState, dt: float) -> Callable[[], Any]:
        return lambda: call_handler(self._universal_event_handler, event, game_state=game_state, dt=dt)

    async def _add(
        self, loop: Loop, results: list[tuple[str, dict[str, Any]]], what: str, function: Callable[[], Any]
    ) -> None:
        """Call user code and keep what it returns, to be shared at the end of the time step."""
        try:
            try:
                self._stepping = threading.get_ident()
                try:
                    result = function()
                finally:
                    self._stepping = None
            except BaseException as error:  # none is meant for the event loop: it has not begun to wait
                if is_end(error):
                    raise
                self._errors.report(what, error)
                return
            if inspect.isawaitable(result):
                result = await settled(result, self._watch_step)
            if result is not None:
                results.append((what, _checked(result, what)))
            elif what == "time_step":
                self._tell("the time_step returned None: return a dict of what changes, {} for nothing")
        except BaseException as error:
            if not loop.is_users(error):
                raise
            self._errors.report(what, error)

    def _watch_step(self, is_running: bool) -> None:
        self._stepping = threading.get_ident() if is_running else None

    def _push(self, changes: dict[str, Any], game_state: GameState | None = None) -> None:
        store = self._game_state_store
        if isinstance(store, GameStateStore):
            store._push_changes(changes)
        else:
            # Asked once in a time step, for that may cost something.
            store.push_update(update_after(game_state or state_of(store), changes))


GameStateMachine.__module__ = "pygase.backend"


def _checked(result: Any, what: str) -> dict[str, Any]:
    """Return what user code returned if it can be an update, in a copy that is safe from the game."""
    if not isinstance(result, dict):
        raise TypeError(f"the {what} returned {type(result).__name__}, not a dict")
    for name in result:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str):
            raise TypeError(f"the {what} returned a dict with the key {name!r}, which is no str")
    changes: dict[str, Any] = {}
    _merge(changes, result, keep_deletions=True)  # pyright: ignore[reportUnknownArgumentType]
    return changes
