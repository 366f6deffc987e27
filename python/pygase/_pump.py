"""Runs user code in the thread that runs a client or a server, and wakes up for what the core has to say.

# Contents
- `UserErrors`: logs what goes wrong in user code
- `Lane`: keeps the calls for one connection in their order
- `runs_in_this_process`: says what ends in the child of a fork
- `Pump`: waits for notices of the core and hands them out
"""

from __future__ import annotations

import inspect
import logging
import math
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any

from pygase import _core
from pygase._dual import Call, share_loop
from pygase._foreign import settled, workers
from pygase._loops import Tasks, running
from pygase.event import Event, UniversalEventHandler
from pygase.utils import logger

__all__ = ["Lane", "Pump", "UserErrors", "WrongArgumentsError", "call_handler", "runs_in_this_process"]

#: Events of a connection that wait for their handlers unless the options say otherwise; more are dropped.
LANE_LIMIT = 1024
#: Seconds of handlers and callbacks between two looks at what came meanwhile.
SLICE = 0.005
#: Kinds of errors that are logged one by one; all others, such as of the thousandth event type that nobody
#: knows, count as one more kind.
MEMORY = 100
#: A level that no record has.
_SILENT = 255
_OTHERS = ("", "")
#: Exceptions that are no mistakes of user code: they end what runs it.
ENDS = (KeyboardInterrupt, SystemExit)
_STATUSES = ("Disconnected", "Connected", "Connecting")
#: Seconds that coroutines of the game may go on after the end of a server or client.
GRACE = 1.0
#: Notices that make a client known, under its address.
ARRIVALS = (_core.NOTICE_CONNECTED, _core.NOTICE_MOVED, _core.NOTICE_HOST)
#: Seconds that a thread waits for another one that looks at the notices at the same time.
PATIENCE = 0.1
#: Seconds between two reports of the same kind of error.
REPORT_INTERVAL = 10.0


class WrongArgumentsError(TypeError):
    """An event has other arguments than its handler takes."""


class UserErrors:
    """Logs what goes wrong in user code, each kind only once in a while."""

    def __init__(self) -> None:
        self._silent: dict[tuple[str, str], tuple[float, int]] = {}
        #: How often each kind of mistake was made.
        self.counts: Counter[str] = Counter(user_error=0, wrong_arguments=0, unknown_event=0)

    def report(self, what: str, error: BaseException) -> str:
        """Log an exception with its traceback, or count it if its kind was logged lately.

        Args:
            what: The user code that failed, such as "handler for MOVE events".
            error: What it raised.

        Returns:
            The name of the counter for this kind of error.
        """
        if isinstance(error, WrongArgumentsError):
            self.counts["wrong_arguments"] += 1
            self.warn(f"wrong arguments for the {what}", str(error))
            return "wrong_arguments"
        self.counts["user_error"] += 1
        more = self._more((what, type(error).__qualname__))
        if more is not None:
            _log(logging.ERROR, "exception in the %s%s", what, more, exc_info=error)
        return "user_error"

    def warn(self, message: str, detail: str = "", level: int = logging.WARNING) -> None:
        """Log a warning, or count it if it was logged lately.

        Args:
            message: The warning.
            detail: What may differ from one time to the next.
            level: Something worse than a warning.
        """
        more = self._more((message, ""))
        if more is not None:
            _log(level, "%s%s%s", message, detail and f": {detail}", more)

    def _more(self, kind: tuple[str, str]) -> str | None:
        """Return what to add to a record of this kind about those left out; None if it is left out itself."""
        now = time.monotonic()
        if kind not in self._silent and len(self._silent) >= MEMORY:
            self._silent = {known: value for known, value in self._silent.items() if now < value[0]}
            kind = kind if len(self._silent) < MEMORY else _OTHERS
        until, count = self._silent.get(kind, (now, 0))
        if now < until:
            self._silent[kind] = (until, count + 1)
            return None
        self._silent[kind] = (now + REPORT_INTERVAL, 0)
        return f" ({count} more since the last report)" if count else ""


def _log(level: int, *record: Any, exc_info: BaseException | None = None) -> None:
    with suppress(Exception):  # of a filter: what is wrong with the log is no reason to stop
        logger.log(level, *record, exc_info=exc_info)


def call_handler(handlers: Any, event: Event, **kwargs: Any) -> Any:
    """Call the handler for an event.

    Args:
        handlers: A `UniversalEventHandler`, or an object with the same methods.
        event: The event.
        **kwargs: Additional keyword arguments for the handler.

    Returns:
        What the handler returns, or an awaitable for it.

    Raises:
        WrongArgumentsError: The handler does not take the arguments of the event.
    """
    handle = getattr(type(handlers), "handle", None)  # pyright: ignore[reportUnknownArgumentType]
    if handle is not UniversalEventHandler.handle:
        return handlers.handle(event, **kwargs)
    handler = handlers._event_handlers[event.type]
    arguments = {**event.handler_kwargs, **kwargs}
    try:
        return handler(*event.handler_args, **arguments)
    except TypeError as error:
        # Raised by the call itself, before any code of the handler ran.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise WrongArgumentsError(str(error)) from None
        raise


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
        self._waiting: deque[tuple[str, Callable[[], Any]]] = deque()

    def add(self, what: str, function: Callable[[], Any], *, droppable: bool = False) -> None:
        """Have a function called after those that were added before.

        Args:
            what: What the function is, for the log.
            function: What to call; an awaitable it returns is awaited.
            droppable: Whether it is left out when too many wait.
        """
        if droppable and len(self._waiting) >= self._limit:
            self.counters["queue_full"] += 1
            self._errors.warn("too many calls wait; some are dropped", what)
            return
        self._waiting.append((what, function))
        self._look()

    @property
    def waiting(self) -> int:
        """How many calls wait for those before them."""
        return len(self._waiting)

    def step(self) -> None:
        """Call the next function; to be called when this lane has said that it is ready."""
        self._is_ready = False
        what, function = self._waiting.popleft()
        try:
            awaitable = self._begin(what, function)
            if awaitable is not None:
                self.is_busy = True
                self._start(self._finish(what, awaitable))
        finally:
            self._look()

    def _look(self) -> None:
        if self._waiting and not self.is_busy and not self._is_ready:
            self._is_ready = True
            self._ready(self)

    def _begin(self, what: str, function: Callable[[], Any]) -> Awaitable[Any] | None:
        import asyncio

        try:
            result = function()
            if (isinstance(result, Call) or asyncio.isfuture(result)) and result.done():
                result = result.result()
            return result if inspect.isawaitable(result) else None
        except ENDS:
            raise
        except BaseException as error:  # none is meant for the event loop: it has not begun to wait
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


class Pump:
    """Waits for the notices of a client or server and hands them out until it is told to finish."""

    #: What it is to the user.
    name = "The client"

    def __init__(self) -> None:
        self.inbox = _core.Inbox()
        self.done = threading.Event()
        self.errors = UserErrors()
        self.max_calls = LANE_LIMIT
        self._finished = False
        self._lanes: set[Lane] = set()
        self._ready: deque[Lane] = deque()
        self._ring: Callable[[], None] = self.inbox.wake
        self._tasks: Tasks | None = None
        self._due: float | None = None
        self._take_lock = threading.Lock()
        self._taker: int | None = None
        self._left: deque[tuple[int, int, Any]] = deque()
        self._look_at_log_level()
        runs_in_this_process(self)

    def take(self, kind: int, tag: int, payload: Any) -> None:
        """Act on one notice.

        Args:
            kind: One of the `NOTICE_` numbers of the core.
            tag: The connection it is about.
            payload: What it says.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End what the core does for this pump."""
        raise NotImplementedError

    def on_time(self) -> None:
        """Do what was to be done later, see `call_at`."""

    def call_at(self, moment: float) -> None:
        """Have `on_time` called; there is one such moment at a time, and the earlier one counts.

        Args:
            moment: When to call it, in the time of `time.monotonic`.
        """
        if moment < (math.inf if self._due is None else self._due):
            self._due = moment

    def _leave_behind(self) -> None:
        """Be over: this is the child of a fork, and what ran is the parent's."""
        self._finished = True
        self.inbox = _core.Inbox()  # what wakes the old one wakes the parent
        self._ring = self.inbox.wake
        self._ready.clear()
        self._left.clear()
        self._take_lock, self._taker = threading.Lock(), None
        self.done = threading.Event()  # somebody may have held the lock of the old one
        self.done.set()

    def abandon(self) -> None:
        """Stop everything, in the place of `run`."""
        self.stop()
        self.inbox.close()
        self.done.set()

    async def run(self) -> None:
        """Hand out notices until `finish` is called, then stop everything."""
        loop = running()
        assert loop is not None, "a coroutine runs in an event loop"
        share_loop()
        bell = loop.bell(self.inbox)
        tasks = self._tasks = loop.tasks()
        self._ring = bell.ring
        grace = 0.0
        with workers():
            try:
                while not self._finished:
                    bell.clear()
                    self._take_all()
                    if self._due is not None and self._due <= time.monotonic():
                        self._due = None
                        self.on_time()
                    self._step_lanes(SLICE)
                    await tasks.flush()
                    if self._ready:
                        await loop.sleep(0)
                    elif not self._finished:
                        await bell.wait(self._due)
                grace = GRACE
            except SystemExit:
                _log(logging.ERROR, "%s ends, because a handler or callback called sys.exit().", self.name)
                raise
            finally:
                await bell.close()
                self.stop()
                self._take_all()
                self._step_lanes(grace)
                self.inbox.close()
                self.done.set()
                with loop.shield():
                    await tasks.end(grace)

    def finish(self) -> None:
        """Make `run` end soon; may be called by any thread."""
        self._finished = True
        self.inbox.wake()

    def lane(self, connection: Any) -> Lane:
        """Return the lane of a connection.

        Args:
            connection: A connection of this pump.
        """
        attributes: dict[str, Any] = connection.__dict__
        lane: Lane | None = attributes.get("_lane")
        if lane is None or lane not in self._lanes:
            counters = None if lane is None else lane.counters
            attributes["_lane"] = lane = Lane(
                self.errors, self._lane_ready, self._start_task, counters, self.max_calls
            )
            self._lanes.add(lane)
        return lane

    def drop_lane(self, connection: Any) -> None:
        """Forget the lane of a connection that is gone; what it waits for goes on.

        Args:
            connection: A connection of this pump.
        """
        self._lanes.discard(connection.__dict__.get("_lane"))

    def take_common(self, connection: Any, kind: int, payload: Any) -> None:
        """Act on a notice that clients and servers have in common.

        Args:
            connection: The connection it is about.
            kind: One of the `NOTICE_` numbers of the core.
            payload: What it says.
        """
        if kind == _core.NOTICE_EVENT:
            logger.debug("event %s received from %s", payload[0], connection.remote_address)
            what = f"handler for {payload[0]} events"
            self.lane(connection).add(what, self._handling(connection, *payload), droppable=True)
        elif kind in (_core.NOTICE_ACK, _core.NOTICE_TIMEOUT):
            callback = connection._resolve(payload, kind == _core.NOTICE_ACK)
            if callback is not None:
                what = "ack" if kind == _core.NOTICE_ACK else "timeout"
                self.lane(connection).add(f"{what} callback of an event", callback)
        elif kind == _core.NOTICE_STATUS:
            status = _STATUSES[int(payload)]
            logger.info("Status of connection to %s set to '%s'.", connection.remote_address, status)
        elif kind == _core.NOTICE_QUALITY:
            if payload == "bad":
                self.errors.warn(f"Throttling down connection to {connection.remote_address}.")
            else:
                logger.info("Quality of connection to %s is good again.", connection.remote_address)
        elif kind == _core.NOTICE_FAILED:
            self.errors.warn("failure in the core", str(payload), logging.ERROR)
        elif kind == _core.NOTICE_UNREADABLE:
            self.lane(connection).counters["malformed"] += 1
            self.errors.warn("an event was dropped that Python cannot hold", str(payload))

    def _handling(
        self, connection: Any, event_type: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Callable[[], Any]:
        def handle() -> Any:
            event = Event(event_type)
            event.handler_args, event.handler_kwargs = args, kwargs
            handlers, wire = connection.event_handler, connection.event_wire
            handled = handlers is not None and handlers.has_event_type(event_type)
            if wire is not None and getattr(wire, "_knows", knows_all)(event_type):
                return _both(handlers, wire, event) if handled else wire._push_event(event)
            if handled:
                return call_handler(handlers, event)
            connection._lane.counters["unknown_event"] += 1
            self.errors.counts["unknown_event"] += 1
            self.errors.warn(f"no handler for events of type {event_type!r:.100}")
            return None

        return handle

    def take_arrivals(self) -> None:
        """Act on notices about new clients now; any thread may call it, and `run` takes the other notices."""
        if not self.inbox.pending or self._taker == threading.get_ident():
            return
        with self._taking(PATIENCE) as is_mine:
            if is_mine:
                for notice in self.inbox.take():
                    if notice[0] in ARRIVALS:
                        self._take(notice)
                    else:
                        self._left.append(notice)
                self.inbox.wake()

    def _take_all(self) -> None:
        self._look_at_log_level()
        with self._taking():
            notices = [*self._left, *self.inbox.take()]
            self._left.clear()
            # Up to the last arrival nobody else may look; from there on the log keeps nobody waiting.
            arrivals = [index for index, notice in enumerate(notices) if notice[0] in ARRIVALS]
            first = arrivals[-1] + 1 if arrivals else 0
            for notice in notices[:first]:
                self._take(notice)
        for notice in notices[first:]:
            self._take(notice)

    def _take(self, notice: tuple[int, int, Any]) -> None:
        kind, tag, payload = notice
        if kind == _core.NOTICE_LOG:
            _log(tag, "%s", payload)
            return
        try:
            self.take(kind, tag, payload)
        except Exception as error:  # of a subclass, or of an object the game has put in the place of ours
            self.errors.report("taking of a notice", error)

    def _look_at_log_level(self) -> None:
        """Tell the core what is wanted, so that it makes no records for nothing."""
        wanted = (level for level in (logging.DEBUG, logging.WARNING) if logger.isEnabledFor(level))
        self.inbox.set_level(next(wanted, _SILENT))

    @contextmanager
    def _taking(self, patience: float = -1) -> Generator[bool]:
        """Keep other threads from taking notices; says whether they could be kept."""
        is_mine = self._take_lock.acquire(timeout=patience)
        if not is_mine:
            yield False
            return
        self._taker = threading.get_ident()
        try:
            yield True
        finally:
            self._taker = None
            self._take_lock.release()

    def _lane_ready(self, lane: Lane) -> None:
        self._ready.append(lane)
        self._ring()

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "lanes are stepped by `run`"
        self._tasks.start(coroutine)

    def _step_lanes(self, seconds: float) -> None:
        """Let the lanes that are ready take turns, so that a busy connection holds up no other."""
        deadline = time.monotonic() + seconds
        while self._ready and time.monotonic() < deadline:
            self._ready.popleft().step()


_runners: weakref.WeakSet[Any] = weakref.WeakSet()


def runs_in_this_process(runner: Any) -> None:
    """Have the `_leave_behind` of an object called in the child of a fork, where its threads are missing.

    Args:
        runner: The object.
    """
    _runners.add(runner)


def _leave_all_behind() -> None:
    for runner in list(_runners):
        runner._leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core.fork_is_near,
        after_in_parent=_core.fork_is_over,
        after_in_child=_core.fork_is_over,
    )
    os.register_at_fork(after_in_child=_leave_all_behind)


async def _both(handlers: Any, wire: Any, event: Event) -> None:
    """Hand an event to its handler and, whatever comes of that, to the wire."""
    try:
        result = call_handler(handlers, event)
        if inspect.isawaitable(result):
            await settled(result)
    finally:
        pushed = wire._push_event(event)
        if inspect.isawaitable(pushed):
            await settled(pushed)


def knows_all(event_type: str) -> bool:
    return True
