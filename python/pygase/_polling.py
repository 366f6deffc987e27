"""A connection whose handlers run when the game says so.

# Contents
- `PolledSession`: a connection without a thread or event loop of its own
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from pygase._client_session import ClientSession
from pygase._loops import running
from pygase.connection import ClientConnection

if TYPE_CHECKING:
    import asyncio

__all__ = ["PolledSession"]


class PolledSession(ClientSession):
    """One connection of a client, whose handlers and callbacks run in `poll` only."""

    def __init__(self, connection: ClientConnection, options: dict[str, Any] | None = None) -> None:
        super().__init__(connection, options)
        self._ring = lambda: None  # nobody waits
        self._turn = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: set[asyncio.Task[None]] = set()

    def poll(self, max_events: int | None, max_ms: float | None) -> int:
        """Run handlers and callbacks that are due and return how many; what is left waits for the next call.

        Args:
            max_events: How many to run at most.
            max_ms: After how many milliseconds to begin no further one.
        """
        if running() is not None:
            raise RuntimeError(
                "poll() is for main loops that are not asynchronous; await Client.connect() here, "
                "or call connect_in_thread()."
            )
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("poll() is running already; handlers and other threads may not call it.")
        try:
            return self._poll(
                math.inf if max_events is None else max_events,
                math.inf if max_ms is None else time.monotonic() + max_ms / 1000,
            )
        finally:
            self._turn.release()

    def shutdown(self, shutdown_server: bool) -> None:
        """End the connection; what it has to say in the end is left to `poll`.

        Args:
            shutdown_server: Ask the server to stop.
        """
        if not self.done.is_set():
            self._leave(shutdown_server)
            self._end()

    def _leave_behind(self) -> None:
        """Be over: this is the child of a fork, and what ran is the parent's."""
        super()._leave_behind()
        self._turn = threading.Lock()
        self._pending.clear()
        self._loop = None

    def _poll(self, max_events: float, deadline: float) -> int:
        count = 0
        if not self._ready:
            # What waits in the core is bounded there; here it would only grow.
            self._take_all()
        if self._due is not None and self._due <= time.monotonic():
            self._due = None
            self.on_time()
        while self._ready and count < max_events and time.monotonic() < deadline:
            self._ready.popleft().step()
            count += 1
            if self._pending:
                self._go_on()
        if not count and self._pending:
            self._go_on()
        if self._finished and not self.done.is_set():
            self._end()
        return count

    def _end(self) -> None:
        self._finished = True
        self.stop()
        self.inbox.close()
        self.done.set()

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            weakref.finalize(self, self._loop.close)
        task = self._loop.create_task(coroutine)
        # Whoever stops calling `poll` has given up on it.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _go_on(self) -> None:
        """Let coroutines of the game go on until all of them wait."""
        assert self._loop is not None, "there are tasks"
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()
