"""What PyGaSe needs of the event loop it finds itself in: asyncio's, trio's or curio's.

# Contents
- `running`: the event loop that runs in this thread
- `Loop`: what an event loop can do, with one subclass for each library
- `Bell`: lets a task wait for an inbox of the core
- `Tasks`: tasks beside the one that waits for them

None of the three is imported here. Who runs one of them has imported it already.
"""

from __future__ import annotations

import contextvars
import functools
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from typing import Any

from pygase import _core

__all__ = ["Bell", "Loop", "Tasks", "in_thread", "running"]


def running() -> Loop | None:
    """Return the event loop that runs in this thread, or None."""
    # Asked of the module, if anybody has loaded it: that takes as long as all the rest of PyGaSe.
    get_running_loop = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    asynchronous = get_running_loop is not None and get_running_loop() is not None
    if (trio := sys.modules.get("trio")) is not None and _in_trio(trio):
        # An asyncio loop that runs on top of trio says so.
        sniffio = sys.modules.get("sniffio")
        if not asynchronous or sniffio is None or sniffio.current_async_library() == "trio":
            return _TRIO
    if (meta := sys.modules.get("curio.meta")) is not None and meta.curio_running():
        return _CURIO
    return _asyncio() if asynchronous else None


def in_thread(function: Callable[[], Any], name: str) -> Future[Any]:
    """Have a function called by a thread of its own, in a copy of this context.

    Args:
        function: The function.
        name: Name of the thread.
    """
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def call() -> None:
        try:
            future.set_result(context.run(function))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, name=name, daemon=True).start()
    return future


class Loop:
    """What an event loop can do."""

    name: str

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run, for some seconds at least."""
        raise NotImplementedError

    async def result(self, future: Future[Any]) -> Any:
        """Wait for the result of another thread."""
        raise NotImplementedError

    async def ready(self, descriptor: int, to_write: bool = False) -> None:
        """Wait until a file descriptor can be read from, or written to."""
        raise NotImplementedError

    def bell(self, inbox: _core.Inbox) -> Bell:
        """Return a bell for an inbox."""
        raise NotImplementedError

    def tasks(self) -> Tasks:
        """Return an empty set of tasks."""
        raise NotImplementedError

    def shield(self) -> Any:
        """Return a context manager in which one may wait although the task was cancelled."""
        return nullcontext()

    def is_users(self, error: BaseException) -> bool:
        """Return whether an exception in user code is a mistake there, and not the end of the task."""
        return is_mistake(error)


def is_mistake(error: BaseException) -> bool:
    """Return whether an exception is neither an interruption nor one by which an event loop ends a task.

    Args:
        error: What came out of a coroutine.
    """
    theirs = ("builtins", "exceptiongroup", "asyncio", "trio", "curio")
    module: str = type(error).__module__
    return (
        isinstance(error, Exception) or type(error) is BaseException or module.partition(".")[0] not in theirs
    )


class Bell:
    """Lets one task wait until there is something in an inbox, or until somebody rings.

    Args:
        inbox: The inbox. Who was woken has to take what is in it.
    """

    def __init__(self, inbox: _core.Inbox) -> None:
        self.inbox = inbox

    def ring(self) -> None:
        """End the wait; to be called in the event loop (`Inbox.wake` is for any thread)."""
        self.inbox.wake()

    def clear(self) -> None:
        """Forget that it rang; to be called before the inbox is emptied."""

    async def wait(self, deadline: float | None = None) -> None:
        """Wait until it rings.

        Args:
            deadline: When to stop waiting, in the time of `time.monotonic`.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Give back what it took to wait; does not wait itself."""


class Tasks:
    """Tasks beside the one that waits for them in the end."""

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Start a task soon and return something to cancel it with.

        Args:
            coroutine: What it does. Exceptions are its own affair.
        """
        raise NotImplementedError

    def cancel(self, task: Any) -> None:
        """Cancel a task, soon.

        Args:
            task: What `start` returned.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Do what was asked for by `start` and `cancel`, where that cannot be done at once."""

    async def end(self, grace: float) -> None:
        """Wait for the tasks, and cancel those that do not end in time.

        Args:
            grace: Seconds to wait before that.
        """
        raise NotImplementedError


class _TrioLoop(Loop):
    name = "trio"

    async def sleep(self, seconds: float) -> None:
        await _trio().sleep(seconds)

    async def result(self, future: Future[Any]) -> Any:
        trio = _trio()
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake(_: Any) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        future.add_done_callback(wake)
        try:
            await done.wait()
        except trio.Cancelled:
            future.cancel()
            raise
        return future.result()

    async def ready(self, descriptor: int, to_write: bool = False) -> None:
        lowlevel = _trio().lowlevel
        await (lowlevel.wait_writable if to_write else lowlevel.wait_readable)(descriptor)

    def bell(self, inbox: _core.Inbox) -> Bell:
        return _TrioBell(inbox)

    def tasks(self) -> Tasks:
        return _TrioTasks()

    def shield(self) -> Any:
        return _trio().CancelScope(shield=True)


class _TrioBell(Bell):
    async def wait(self, deadline: float | None = None) -> None:
        trio = _trio()
        with trio.CancelScope() as scope:
            if deadline is not None:
                scope.deadline = trio.current_time() + max(0.0, deadline - time.monotonic())
            descriptor = self.inbox.fileno()
            if descriptor is not None:
                await trio.lowlevel.wait_readable(descriptor)
            else:
                await _wait_in_thread(_TRIO, self.inbox, deadline)


class _TrioTasks(Tasks):
    def __init__(self) -> None:
        self._scopes: set[Any] = set()
        self._changed = _trio().Event()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        trio = _trio()
        scope = trio.CancelScope()
        self._scopes.add(scope)
        trio.lowlevel.spawn_system_task(
            self._run,
            coroutine,
            scope,
            name=getattr(coroutine, "__qualname__", None),
            context=contextvars.copy_context(),
        )
        return scope

    def cancel(self, task: Any) -> None:
        task.cancel()

    async def end(self, grace: float) -> None:
        trio = _trio()
        with trio.move_on_after(grace):
            await self._none_left()
        for scope in self._scopes:
            scope.cancel()
        await self._none_left()

    async def _run(self, coroutine: Coroutine[Any, Any, Any], scope: Any) -> None:
        try:
            with scope:
                await coroutine
        finally:
            self._scopes.discard(scope)
            self._changed.set()

    async def _none_left(self) -> None:
        while self._scopes:
            self._changed = _trio().Event()
            await self._changed.wait()


class _CurioLoop(Loop):
    name = "curio"

    async def sleep(self, seconds: float) -> None:
        await _curio().sleep(seconds)

    async def result(self, future: Future[Any]) -> Any:
        await _curio().traps._future_wait(future)
        return future.result()

    async def ready(self, descriptor: int, to_write: bool = False) -> None:
        traps = _curio().traps
        await (traps._write_wait if to_write else traps._read_wait)(descriptor)

    def bell(self, inbox: _core.Inbox) -> Bell:
        return _CurioBell(inbox)

    def tasks(self) -> Tasks:
        return _CurioTasks()

    def is_users(self, error: BaseException) -> bool:
        curio = _curio()
        if isinstance(error, curio.CancelledError):
            # A timeout nobody caught is a mistake.
            return isinstance(error, curio.TaskTimeout)
        return is_mistake(error)


class _CurioBell(Bell):
    async def wait(self, deadline: float | None = None) -> None:
        if deadline is None:
            await self._ring(None)
        elif (left := deadline - time.monotonic()) <= 0:
            await _curio().sleep(0)
        else:
            async with _curio().ignore_after(left):
                await self._ring(deadline)

    async def close(self) -> None:
        descriptor = self.inbox.fileno()
        # Before curio 1.0 the kernel forgets a descriptor as soon as its task does anything else.
        release = getattr(_curio().traps, "_io_release", None)
        if descriptor is not None and release is not None:
            await release(descriptor)

    async def _ring(self, deadline: float | None) -> None:
        descriptor = self.inbox.fileno()
        if descriptor is not None:
            await _curio().traps._read_wait(descriptor)
        else:
            await _wait_in_thread(_CURIO, self.inbox, deadline)


class _CurioTasks(Tasks):
    def __init__(self) -> None:
        self._tasks: dict[Coroutine[Any, Any, Any], Any] = {}
        self._to_do: list[tuple[bool, Coroutine[Any, Any, Any]]] = []

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        self._to_do.append((True, coroutine))
        return coroutine

    def cancel(self, task: Coroutine[Any, Any, Any]) -> None:
        self._to_do.append((False, task))

    async def flush(self) -> None:
        while self._to_do:
            is_new, coroutine = self._to_do.pop(0)
            if is_new:
                self._tasks[coroutine] = await _curio().spawn(self._run, coroutine, daemon=True)
            elif coroutine in self._tasks:
                await self._tasks[coroutine].cancel(blocking=False)

    async def end(self, grace: float) -> None:
        await self.flush()
        curio = _curio()
        if grace:
            async with curio.ignore_after(grace):
                for task in list(self._tasks.values()):
                    await task.wait()
        for task in list(self._tasks.values()):
            await task.cancel()

    async def _run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        finally:
            self._tasks.pop(coroutine, None)


async def _wait_in_thread(loop: Loop, inbox: _core.Inbox, deadline: float | None) -> None:
    """Wait for an inbox where no file descriptor says that there is something in it."""
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    future = in_thread(lambda: inbox.wait(left), "pygase-inbox")
    try:
        await loop.result(future)
    finally:
        if not future.done():
            inbox.wake()


def _in_trio(trio: Any) -> bool:
    try:
        trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):  # half imported, or not running
        return False
    return True


@functools.cache
def _asyncio() -> Loop:
    from pygase._asyncio_loop import AsyncioLoop

    return AsyncioLoop()


def _trio() -> Any:
    return sys.modules["trio"]


def _curio() -> Any:
    return sys.modules["curio"]


_TRIO = _TrioLoop()
_CURIO = _CurioLoop()
