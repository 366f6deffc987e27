"""Keeps the calls of user code for one connection in their order."""

from __future__ import annotations

import inspect
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pygase._arrived import Arrived
from pygase._dual import Call
from pygase._foreign import settled
from pygase._loops import running
from pygase._user_errors import UserErrors, is_end

__all__ = ["LANE_LIMIT", "Lane"]

#: Calls of handlers that wait for those before them unless the options say otherwise; more are dropped.
LANE_LIMIT = 1024


class Lane:
    """The calls for one connection, each begun when the one before it has ended."""

    def __init__(
        self,
        errors: UserErrors,
        ready: Callable[[Lane], None],
        start: Callable[[Coroutine[Any, Any, None]], Any],
        counters: Counter[str] | None = None,
        limit: int = LANE_LIMIT,
    ) -> None:
        self._limit = limit
        self.counters: Counter[str] = Counter() if counters is None else counters
        self.is_busy = False
        self._start = start
        self._errors = errors
        self._ready = ready
        self._is_ready = False
        self._waiting: deque[tuple[str, Callable[[], Any]] | Arrived] = deque()
        #: How many calls wait, those included that were made of `_running`, which had so many to begin with.
        self._count = 0
        self._running: tuple[Arrived, int] | None = None

    def add(self, what: str, function: Callable[[], Any], *, droppable: bool = False) -> None:
        """Have a function called after those that were added before.

        Args:
            what: What the function is, for the log.
            function: What to call; an awaitable it returns is awaited.
            droppable: Whether it is left out when too many wait.
        """
        if droppable and self.waiting >= self._limit:
            self._drop(1, what)
            return
        self._waiting.append((what, function))
        self._count += 1
        self._look()

    def take_back(self, what: str, count: int) -> bool:
        """Leave out the last calls of a function if too many calls wait; says whether they are left out.

        As many calls that would undo them are to be left out, too, and are counted here.

        Args:
            what: What the function is.
            count: How many calls.
        """
        if self.waiting < self._limit:
            return False
        named = [
            place for place, call in enumerate(self._waiting) if isinstance(call, tuple) and call[0] == what
        ]
        places = named[-count:]
        if count == 0 or len(places) < count:
            return False
        for place in reversed(places):
            del self._waiting[place]
        self._count -= count
        self.counters["queue_full"] += 2 * count
        return True

    def add_events(self, events: Arrived) -> None:
        """Have the handlers of events called after what was added before, as far as there is room.

        Args:
            events: The events.
        """
        dropped = events.keep(max(self._limit - self.waiting, 0))
        if dropped:
            self._drop(dropped, "handlers of events")
        if events:
            self._waiting.append(events)
            self._count += len(events)
            self._look()

    @property
    def waiting(self) -> int:
        """How many calls wait for those before them."""
        if self._running is None:
            return self._count
        events, before = self._running
        return self._count - (before - len(events))

    def step(self, seconds: float = 0.0) -> None:
        """Call the next function; to be called when this lane has said that it is ready.

        Args:
            seconds: How long to go on with the handlers of events that came together.
        """
        self._is_ready = False
        if not self._waiting:
            return
        first = self._waiting[0]
        try:
            if isinstance(first, Arrived):
                awaitable = self._begin_events(first, seconds)
                what = first.what if awaitable is not None else ""
            else:
                self._waiting.popleft()
                self._count -= 1
                what, function = first
                awaitable = self._begin(what, function)
            if awaitable is not None:
                self.is_busy = True
                self._start(self._finish(what, awaitable))
        finally:
            self._look()

    def _drop(self, count: int, what: str) -> None:
        self.counters["queue_full"] += count
        self._errors.warn("too many calls wait; some are dropped", what)

    def _look(self) -> None:
        if self._waiting and not self.is_busy and not self._is_ready:
            self._is_ready = True
            self._ready(self)

    def _begin_events(self, events: Arrived, seconds: float) -> Awaitable[Any] | None:
        before = len(events)
        self._running = (events, before)
        try:
            return _awaitable(events.run(seconds))
        except BaseException as error:  # none is meant for the event loop: it has not begun to wait
            if is_end(error):
                raise
            self._failed(events.what, error)
            return None
        finally:
            self._running = None
            self._count -= before - len(events)
            if not events:
                self._waiting.popleft()

    def _begin(self, what: str, function: Callable[[], Any]) -> Awaitable[Any] | None:
        try:
            return _awaitable(function())
        except BaseException as error:  # none is meant for the event loop: it has not begun to wait
            if is_end(error):
                raise
            self._failed(what, error)
            return None

    async def _finish(self, what: str, awaitable: Awaitable[Any]) -> None:
        try:
            await settled(awaitable)
        except BaseException as error:
            loop = running()
            if loop is None or not loop.is_users(error):
                raise
            self._failed(what, error)
        finally:
            self.is_busy = False
            self._look()

    def _failed(self, what: str, error: BaseException) -> None:
        self.counters[self._errors.report(what, error)] += 1


def _awaitable(result: Any) -> Awaitable[Any] | None:
    """Return what is to be awaited of what user code returned, if anything is."""
    if result is None:
        return None
    import asyncio

    if (isinstance(result, Call) or asyncio.isfuture(result)) and result.done():
        result = result.result()
    return result if inspect.isawaitable(result) else None
