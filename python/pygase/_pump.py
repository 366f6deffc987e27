"""Runs user code in the thread that runs a client or a server, and wakes up for what the core has to say.

# Contents
- `UserErrors`: logs what goes wrong in user code
- `Lane`: keeps the calls for one connection in their order
- `Pump`: waits for notices of the core and hands them out
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pygase import _core
from pygase._dual import share_loop
from pygase.event import Event, UniversalEventHandler
from pygase.utils import logger

__all__ = ["Lane", "Pump", "UserErrors", "WrongArgumentsError", "call_handler"]

#: Calls that wait for a slow coroutine of the same connection; what comes on top is dropped.
LANE_LIMIT = 1024
#: Kinds of errors to remember.
MEMORY = 1024
#: Seconds that coroutines of the game may go on after the end of a server or client.
GRACE = 1.0
#: Seconds between two reports of the same kind of error.
REPORT_INTERVAL = 10.0


class WrongArgumentsError(TypeError):
    """An event has other arguments than its handler takes."""


class UserErrors:
    """Logs what goes wrong in user code, each kind only once in a while."""

    def __init__(self) -> None:
        self._silent: dict[tuple[str, str], tuple[float, int]] = {}
        self._said: set[str] = set()

    def report(self, what: str, error: BaseException) -> str:
        """Log an exception with its traceback, or count it if its kind was logged lately.

        Args:
            what: The user code that failed, such as "handler for MOVE events".
            error: What it raised.

        Returns:
            The name of the counter for this kind of error.
        """
        if isinstance(error, WrongArgumentsError):
            self.once(f"wrong arguments for the {what}", str(error))
            return "wrong_arguments"
        kind = (what, type(error).__qualname__)
        now = time.monotonic()
        until, count = self._silent.get(kind, (now, 0))
        if now < until:
            self._silent[kind] = (until, count + 1)
            return "user_error"
        more = f" ({count} more since the last report)" if count else ""
        logger.error("exception in the %s%s", what, more, exc_info=error)
        if len(self._silent) >= MEMORY:
            self._silent.clear()
        self._silent[kind] = (now + REPORT_INTERVAL, 0)
        return "user_error"

    def once(self, message: str, detail: str = "") -> None:
        """Log a warning unless it was logged before.

        Args:
            message: The warning.
            detail: What may differ from one time to the next.
        """
        if message not in self._said and len(self._said) < MEMORY:
            self._said.add(message)
            logger.warning("%s%s; not reported again", message, detail and f": {detail}")


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
    if getattr(type(handlers), "handle", None) is not UniversalEventHandler.handle:
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

    def __init__(self, errors: UserErrors, counters: Counter[str] | None = None) -> None:
        self.counters: Counter[str] = Counter() if counters is None else counters
        self.task: asyncio.Task[None] | None = None
        self._errors = errors
        self._waiting: deque[tuple[str, Callable[[], Any]]] = deque()

    def call(self, what: str, function: Callable[[], Any]) -> None:
        """Call a function now, or when the coroutine that this connection is busy with has ended.

        Args:
            what: What the function is, for the log.
            function: What to call; an awaitable it returns is awaited.
        """
        if self.task is None:
            awaitable = self._begin(what, function)
            if awaitable is not None:
                self.task = asyncio.get_running_loop().create_task(self._go_on(what, awaitable))
        elif len(self._waiting) < LANE_LIMIT:
            self._waiting.append((what, function))
        else:
            self.counters["queue_full"] += 1
            if self.counters["queue_full"] == 1:
                logger.warning("too many calls wait for the %s; some are dropped", what)

    async def _go_on(self, what: str, awaitable: Awaitable[Any]) -> None:
        try:
            await self._finish(what, awaitable)
            while self._waiting:
                what, function = self._waiting.popleft()
                following = self._begin(what, function)
                if following is not None:
                    await self._finish(what, following)
        finally:
            self.task = None

    def _begin(self, what: str, function: Callable[[], Any]) -> Awaitable[Any] | None:
        try:
            result = function()
            if asyncio.isfuture(result) and result.done():
                result = result.result()
            return result if inspect.isawaitable(result) else None
        except Exception as error:
            self._failed(what, error)
            return None

    async def _finish(self, what: str, awaitable: Awaitable[Any]) -> None:
        try:
            await awaitable
        except Exception as error:
            self._failed(what, error)

    def _failed(self, what: str, error: Exception) -> None:
        self.counters[self._errors.report(what, error)] += 1


class Pump:
    """Waits for the notices of a client or server and hands them out until it is told to finish."""

    def __init__(self) -> None:
        self.inbox = _core.Inbox()
        self.done = threading.Event()
        self.errors = UserErrors()
        self._finished = False
        self._lanes: set[Lane] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: Callable[[], None] = lambda: None

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

    def abandon(self) -> None:
        """Stop everything, in the place of `run`."""
        self.stop()
        self.inbox.close()
        self.done.set()

    async def run(self) -> None:
        """Hand out notices until `finish` is called, then stop everything."""
        self._loop = asyncio.get_running_loop()
        share_loop()
        wake = asyncio.Event()
        self._wake = wake.set
        grace = 0.0
        try:
            with _woken(self.inbox, self._loop, wake.set):
                while not self._finished:
                    wake.clear()
                    for notice in self.inbox.take():
                        self.take(*notice)
                    if not self._finished:
                        await wake.wait()
            grace = GRACE
        finally:
            self.stop()
            for notice in self.inbox.take():
                self.take(*notice)
            self.inbox.close()
            self.done.set()
            await self._end_lanes(grace)

    def finish(self) -> None:
        """Make `run` end soon; may be called by any thread."""
        self._finished = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the event loop may be closed already
                self._loop.call_soon_threadsafe(self._wake)

    def lane(self, connection: Any) -> Lane:
        """Return the lane of a connection.

        Args:
            connection: A connection of this pump.
        """
        lane: Lane | None = vars(connection).get("_lane")
        if lane is None or lane not in self._lanes:
            lane = vars(connection)["_lane"] = Lane(self.errors, None if lane is None else lane.counters)
            self._lanes.add(lane)
        return lane

    def drop_lane(self, connection: Any) -> None:
        """Forget the lane of a connection that is gone; what it waits for goes on.

        Args:
            connection: A connection of this pump.
        """
        self._lanes.discard(vars(connection).get("_lane"))

    def take_common(self, connection: Any, kind: int, payload: Any) -> None:
        """Act on a notice that clients and servers have in common.

        Args:
            connection: The connection it is about.
            kind: One of the `NOTICE_` numbers of the core.
            payload: What it says.
        """
        if kind == _core.NOTICE_EVENT:
            self.lane(connection).call(
                f"handler for {payload[0]} events", self._handling(connection, *payload)
            )
        elif kind in (_core.NOTICE_ACK, _core.NOTICE_TIMEOUT):
            callback = connection._resolve(payload, kind == _core.NOTICE_ACK)
            if callback is not None:
                what = "ack" if kind == _core.NOTICE_ACK else "timeout"
                self.lane(connection).call(f"{what} callback of an event", callback)
        elif kind == _core.NOTICE_STATUS:
            status = ("Disconnected", "Connected", "Connecting")[payload]
            logger.info("Status of connection to %s set to '%s'.", connection.remote_address, status)
        elif kind == _core.NOTICE_QUALITY:
            logger.debug("quality of connection to %s is %s", connection.remote_address, payload)
        elif kind == _core.NOTICE_FAILED:
            logger.error("failure in the core: %s", payload)

    def _handling(
        self, connection: Any, event_type: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Callable[[], Any]:
        def handle() -> Any:
            event = Event(event_type)
            event.handler_args, event.handler_kwargs = args, kwargs
            handlers, wire = connection.event_handler, connection.event_wire
            handled = handlers is not None and handlers.has_event_type(event_type)
            wired = wire is not None and getattr(wire, "_knows", _knows_all)(event_type)
            if wired:
                return _both(handlers, wire, event) if handled else wire._push_event(event)
            if handled:
                return call_handler(handlers, event)
            connection._lane.counters["unknown_event"] += 1
            self.errors.once(f"no handler for events of type {event_type!r}")
            return None

        return handle

    async def _end_lanes(self, grace: float) -> None:
        current = asyncio.current_task()
        tasks = [lane.task for lane in self._lanes if lane.task is not None and lane.task is not current]
        if tasks and grace:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)


async def _both(handlers: Any, wire: Any, event: Event) -> None:
    """Hand an event to its handler and, whatever comes of that, to the wire."""
    try:
        result = call_handler(handlers, event)
        if inspect.isawaitable(result):
            await result
    finally:
        pushed = wire._push_event(event)
        if inspect.isawaitable(pushed):
            await pushed


def _knows_all(event_type: str) -> bool:
    return True


@contextmanager
def _woken(inbox: _core.Inbox, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> Iterator[None]:
    """Have `wake` called in the event loop when there is something in the inbox."""
    descriptor = inbox.fileno()
    if descriptor is not None:
        try:
            loop.add_reader(descriptor, wake)
        except NotImplementedError:
            pass
        else:
            try:
                yield
            finally:
                loop.remove_reader(descriptor)
            return
    closing = False
    taken = threading.Event()

    def take_note() -> None:
        wake()
        taken.set()

    def watch() -> None:
        while not closing:
            if inbox.wait(None) and not closing:
                taken.clear()
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(take_note)
                    taken.wait()

    watcher = threading.Thread(target=watch, name="pygase-inbox", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        closing = True
        taken.set()
        inbox.close()
        watcher.join(GRACE)
