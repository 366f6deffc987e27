"""The ticks of a game loop that runs in an event loop of somebody else.

# Contents
- `LoopTimer`: waits for them without blocking the event loop
"""

from __future__ import annotations

import time

from pygase import _core
from pygase._loops import Loop

__all__ = ["LoopTimer"]


class LoopTimer:
    """Ticks at absolute deadlines, like `_core.TickTimer`, for an event loop that has other things to do.

    Args:
        interval: Seconds between two ticks.
        loop: The event loop that runs.

    Attributes:
        overruns: Ticks that were left out because those before them took too long.
    """

    #: Event loops wake up by the millisecond; a tick may be that early.
    SLACK = 0.001

    def __init__(self, interval: float, loop: Loop) -> None:
        self._interval = interval
        self._inbox = _core.Inbox()
        self._bell = loop.bell(self._inbox)
        self._last = time.monotonic()
        self._next = self._last + interval
        self._stopped = False
        self.overruns = 0

    async def wait(self) -> float | None:
        """Wait for the next tick, and return the seconds since the one before; None when stopped.

        Ticks that were missed altogether are made up for by one that comes at once.
        """
        waited = False
        while not self._stopped and (not waited or time.monotonic() < self._next - self.SLACK):
            waited = True
            self._bell.clear()
            self._inbox.take()
            await self._bell.wait(self._next)
        if self._stopped:
            return None
        now = time.monotonic()
        elapsed, self._last = now - self._last, now
        self._next += self._interval
        if self._next < now:
            missed = int((now - self._next) // self._interval)
            self._next += missed * self._interval
            self.overruns += missed
        return elapsed

    def stop(self) -> None:
        """End the wait, and every later one; may be called by any thread."""
        self._stopped = True
        self._inbox.wake()

    async def close(self) -> None:
        """Give back what it took to wait."""
        await self._bell.close()
