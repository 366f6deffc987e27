"""Wakes up for what the core has to say about a client or server, and has user code called for it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from pygase import _core
from pygase._arrived import Arrived
from pygase._dual import share_loop
from pygase._foreign import workers
from pygase._forks import runs_in_this_process
from pygase._lane import LANE_LIMIT, Lane
from pygase._loops import Tasks, running
from pygase._user_errors import UserErrors, is_end, log
from pygase.utils import logger

__all__ = ["Pump"]

#: Seconds of handlers and callbacks between two looks at what came meanwhile.
SLICE = 0.005
#: Seconds of handlers for one connection before the others have their turn.
TURN = 0.0005
#: A level that no record has.
_SILENT = 255
_STATUSES = ("Disconnected", "Connected", "Connecting")
#: Seconds that coroutines of the game may go on after the end of a server or client.
GRACE = 1.0
#: Seconds to wait for the thread that runs a client or server when it is shut down.
SHUTDOWN_TIMEOUT = 5.0
#: Notices that make a client known, under its address.
ARRIVALS = (_core.NOTICE_CONNECTED, _core.NOTICE_MOVED, _core.NOTICE_HOST)
#: Seconds that a thread waits for another one that looks at the notices at the same time.
PATIENCE = 0.1


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
                log(logging.ERROR, "%s ends, because a handler or callback called sys.exit().", self.name)
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
        if kind == _core.NOTICE_EVENTS:
            if logger.isEnabledFor(logging.DEBUG):
                for event_type in payload.types():
                    logger.debug("event %s received from %s", event_type, connection.remote_address)
            events = Arrived(self.errors, connection, payload, self._address_of(connection))
            self.lane(connection).add_events(events)
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

    def _address_of(self, connection: Any) -> Any:
        """Return what handlers get as `client_address`, if they do."""
        return None

    def take_arrivals(self) -> None:
        """Act on notices about new clients now; any thread may call it, and `run` takes the other notices."""
        if not self.inbox.has_arrivals or self._taker == threading.get_ident():
            return
        with self._taking(PATIENCE) as is_mine:
            if is_mine:
                for notice in self.inbox.take_arrivals():
                    self._take(notice)

    def _take_all(self) -> None:
        self._look_at_log_level()
        with self._taking():
            notices = self.inbox.take()
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
            log(tag, "%s", payload)
            return
        try:
            self.take(kind, tag, payload)
        except BaseException as error:  # of a subclass, or of an object the game has put in the place of ours
            if is_end(error):
                raise
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
            self._ready.popleft().step(TURN)
