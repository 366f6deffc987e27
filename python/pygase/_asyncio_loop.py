"""asyncio, as an event loop that PyGaSe finds itself in; loaded when that is so.

# Contents
- `AsyncioLoop`: what it can do
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from pygase import _core
from pygase._loops import Bell, Loop, Tasks

__all__ = ["AsyncioLoop"]

#: Seconds that a thread that waits for an inbox is given to notice that it is closed.
WATCHER_TIMEOUT = 1.0


class AsyncioLoop(Loop):
    """What asyncio's event loop can do."""

    name = "asyncio"

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def result(self, future: Future[Any]) -> Any:
        return await asyncio.wrap_future(future)

    async def ready(self, descriptor: int, to_write: bool = False) -> None:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        (loop.add_writer if to_write else loop.add_reader)(descriptor, event.set)
        try:
            await event.wait()
        finally:
            (loop.remove_writer if to_write else loop.remove_reader)(descriptor)

    def bell(self, inbox: _core.Inbox) -> Bell:
        return _AsyncioBell(inbox)

    def tasks(self) -> Tasks:
        return _AsyncioTasks()

    def is_users(self, error: BaseException) -> bool:
        if isinstance(error, asyncio.CancelledError):
            # What the user code waited for was cancelled, and not the task that runs it.
            task: Any = asyncio.current_task()
            return hasattr(task, "cancelling") and not task.cancelling()
        # Everything else is a user's: asyncio itself has no exception by which it ends a task.
        return not isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))


class _AsyncioBell(Bell):
    def __init__(self, inbox: _core.Inbox) -> None:
        super().__init__(inbox)
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._watcher: threading.Thread | None = None
        self._taken = threading.Event()
        self._closing = False
        descriptor = inbox.fileno()
        if descriptor is not None:
            try:
                self._loop.add_reader(descriptor, self._event.set)
            except NotImplementedError:
                descriptor = None
        self._descriptor = descriptor
        if descriptor is None:
            self._watcher = threading.Thread(target=self._watch, name="pygase-inbox", daemon=True)
            self._watcher.start()

    def ring(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, deadline: float | None = None) -> None:
        if deadline is None:
            await self._event.wait()
        elif (left := deadline - time.monotonic()) <= 0:
            await asyncio.sleep(0)
        else:
            timer = self._loop.call_later(left, self._event.set)
            try:
                await self._event.wait()
            finally:
                timer.cancel()

    async def close(self) -> None:
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
        if self._watcher is not None:
            self._closing = True
            self._taken.set()
            self.inbox.wake()
            self._watcher.join(WATCHER_TIMEOUT)

    def _watch(self) -> None:
        while not self._closing:
            if self.inbox.wait(None):
                self._taken.clear()
                if self._closing:
                    break  # looked at after clearing, for closing sets it
                with suppress(RuntimeError):  # the event loop may be closed already
                    self._loop.call_soon_threadsafe(self._note)
                    self._taken.wait()

    def _note(self) -> None:
        self._event.set()
        self._taken.set()


class _AsyncioTasks(Tasks):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self, task: asyncio.Task[Any]) -> None:
        task.cancel()

    async def end(self, grace: float) -> None:
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        if tasks and grace:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
