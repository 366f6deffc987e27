"""Asynchronous helpers, such as games and tests for PyGaSe use them: the same names in every event loop.

The coroutines here work in the event loop that runs, be it one of asyncio (uvloop, too), trio or curio.

# Contents
- `run`: runs a coroutine from plain code
- `spawn`: starts a task beside the one that calls it
- `sleep`: lets other tasks run for a while
- `awaitable`: pairs a plain function with a coroutine function
- `socket`: a module with UDP sockets that are awaited
- `UniversalQueue`: a queue between tasks and threads
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from pygase import _aio_socket as socket
from pygase._loops import Loop, running

__all__ = ["Task", "TaskError", "UniversalQueue", "awaitable", "run", "sleep", "socket", "spawn"]

T = TypeVar("T")


class TaskError(Exception):
    """A task did not end well: its exception, or its cancellation, is the `__cause__` of this one."""


def run(function: Callable[..., Any] | Coroutine[Any, Any, Any], *args: Any) -> Any:
    """Run a coroutine in an asyncio loop of its own, to the end; tasks that still run then are cancelled.

    Args:
        function: A coroutine function, or a coroutine.
        *args: Positional arguments for the function.

    Returns:
        What the coroutine returns.

    Raises:
        RuntimeError: An event loop is running already in this thread.
        TypeError: It is neither a coroutine function nor a coroutine.

    Example:
        ```python
        async def main(seconds):
            await sleep(seconds)
            return "done"

        run(main, 0.1)
        ```
    """

    async def main() -> Any:
        return await _coroutine(function, args)

    return asyncio.run(main())


async def sleep(seconds: float = 0) -> None:
    """Let other tasks run.

    Args:
        seconds: Seconds to sleep, at least.

    Raises:
        RuntimeError: No event loop of asyncio, trio or curio is running.
    """
    await _loop().sleep(seconds)


async def spawn(
    function: Callable[..., Any] | Coroutine[Any, Any, Any], *args: Any, daemon: bool = False
) -> Task:
    """Start a task in the event loop that runs.

    Args:
        function: A coroutine function, or a coroutine.
        *args: Positional arguments for the function.
        daemon: Whether nobody is going to ask for the result; nothing depends on it.

    Returns:
        The task. It goes on beside the one that spawned it, and ends with the event loop at the latest.

    Raises:
        RuntimeError: No event loop of asyncio, trio or curio is running.
        TypeError: It is neither a coroutine function nor a coroutine.

    Example:
        ```python
        async def main():
            server = Server(GameStateStore())
            task = await spawn(server.run, 8080)
            await sleep(10)
            await server.shutdown()
            await task.join()
        ```
    """
    task = Task(_coroutine(function, args), daemon)
    await task._start()
    return task


class Task:
    """A task that was started by `spawn`.

    Args:
        coroutine: What it does.
        daemon: Whether nobody is going to ask for the result.

    Attributes:
        daemon: What `spawn` was told.
        cancelled: Whether it was cancelled before it ended.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], daemon: bool = False) -> None:
        self.daemon = daemon
        self.cancelled = False
        self._coroutine = coroutine
        self._future: Future[Any] = Future()
        self._future.set_running_or_notify_cancel()

    @property
    def terminated(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    async def wait(self) -> None:
        """Wait until it has ended, however it does.

        Raises:
            RuntimeError: No event loop of asyncio, trio or curio is running.
        """
        if not self._future.done():
            await _loop().result(self._ended)

    async def join(self) -> Any:
        """Wait until it has ended.

        Returns:
            What it returned.

        Raises:
            TaskError: It ended with an exception, or was cancelled.
            RuntimeError: No event loop of asyncio, trio or curio is running.
        """
        await self.wait()
        error = self._future.exception()
        if error is not None:
            raise TaskError(f"the task ended with {error!r}") from error
        return self._future.result()

    async def cancel(self, *, blocking: bool = True) -> None:
        """Cancel it; harmless when it has ended.

        Args:
            blocking: Wait until it has ended.

        Raises:
            RuntimeError: No event loop of asyncio, trio or curio is running.
        """
        if not self._future.done():
            self._tasks.cancel(self._handle)
            await self._tasks.flush()
            if blocking:
                await self.wait()

    async def _start(self) -> None:
        loop = _loop()
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()
        self._tasks = loop.tasks()
        _running.add(self)
        self._handle = self._tasks.start(self._run(loop))
        await self._tasks.flush()
        await loop.sleep(0)  # what is cancelled before it begins would never say that it has ended

    async def _run(self, loop: Loop) -> None:
        try:
            self._future.set_result(await self._coroutine)
        except BaseException as error:
            self.cancelled = not loop.is_users(error)
            self._future.set_exception(error)
            if self.cancelled:
                raise
        finally:
            _running.discard(self)
            self._ended.set_result(None)


def awaitable(plain: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Pair a plain function with a coroutine function: the latter is called where an event loop runs.

    Args:
        plain: The function to call in plain code.

    Example:
        ```python
        def fetch(name):
            return read_file(name)

        @awaitable(fetch)
        async def fetch(name):
            return await read_file_in_thread(name)
        ```
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return (plain if running() is None else function)(*args, **kwargs)

        return call

    return decorate


class UniversalQueue(Generic[T]):
    """A queue between tasks of any event loops and threads.

    `put`, `get` and `join` block in plain code and are awaited where an event loop runs.

    Args:
        maxsize: How many items it holds before `put` has to wait; 0 for any number.

    Example:
        ```python
        queue = UniversalQueue()
        threading.Thread(target=lambda: queue.put("hello")).start()

        async def main():
            print(await queue.get())
        ```
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        self._lock = threading.Lock()
        self._items: deque[T] = deque()
        self._unfinished = 0
        self._getters: deque[Future[T]] = deque()
        self._putters: deque[tuple[T, Future[None]]] = deque()
        self._joiners: list[Future[None]] = []

    def qsize(self) -> int:
        """Return how many items are in it."""
        return len(self._items)

    def empty(self) -> bool:
        """Return whether nothing is in it."""
        return not self._items

    def full(self) -> bool:
        """Return whether `put` would have to wait."""
        return 0 < self._maxsize <= len(self._items)

    def put(self, item: T) -> Any:
        """Put an item in, when there is room. Blocks, or is awaited.

        Args:
            item: The item.
        """
        future: Future[None] = Future()

        def begin() -> None:
            with self._lock:
                self._unfinished += 1
                self._putters.append((item, future))
                self._settle()

        def undo() -> None:
            with self._lock:
                if not future.done() or future.cancelled():
                    future.cancel()
                    self._unfinished -= 1

        return _wait(future, begin, undo)

    def get(self) -> Any:
        """Take the oldest item out, when there is one. Blocks, or is awaited.

        Returns:
            The item.
        """
        future: Future[T] = Future()

        def begin() -> None:
            with self._lock:
                self._getters.append(future)
                self._settle()

        def undo() -> None:
            with self._lock:
                if future.done() and not future.cancelled():
                    self._items.appendleft(future.result())  # it came, but too late
                    self._settle()
                else:
                    future.cancel()

        return _wait(future, begin, undo)

    def task_done(self) -> Any:
        """Say that what was taken out is dealt with. Done at once; may be awaited.

        Raises:
            ValueError: It was said more often than something was put in.
        """
        with self._lock:
            if not self._unfinished:
                raise ValueError("task_done() called more often than put()")
            self._unfinished -= 1
            self._settle()
        return None if running() is None else _nothing()

    def join(self) -> Any:
        """Wait until all that was put in is dealt with. Blocks, or is awaited."""
        future: Future[None] = Future()

        def begin() -> None:
            with self._lock:
                self._joiners.append(future)
                self._settle()

        return _wait(future, begin, future.cancel)

    def _settle(self) -> None:
        """Let those who wait have what there is; to be called with the lock."""
        moved = True
        while moved:
            moved = False
            while self._putters and not self.full():
                item, put = self._putters.popleft()
                if put.set_running_or_notify_cancel():
                    self._items.append(item)
                    put.set_result(None)
                    moved = True
            while self._getters and self._items:
                get = self._getters.popleft()
                if get.set_running_or_notify_cancel():
                    get.set_result(self._items.popleft())
                    moved = True
        if not self._unfinished:
            joiners, self._joiners = self._joiners, []
            for join in joiners:
                if join.set_running_or_notify_cancel():
                    join.set_result(None)


_running: set[Task] = set()


def _wait(future: Future[Any], begin: Callable[[], Any], undo: Callable[[], Any]) -> Any:
    loop = running()
    if loop is not None:
        return _wait_in(loop, future, begin, undo)
    begin()
    try:
        return future.result()
    except BaseException:
        undo()
        raise


async def _wait_in(loop: Loop, future: Future[Any], begin: Callable[[], Any], undo: Callable[[], Any]) -> Any:
    begin()
    if future.done():
        return future.result()
    try:
        return await loop.result(future)
    except BaseException:
        undo()
        raise


async def _nothing() -> None:
    pass


def _loop() -> Loop:
    loop = running()
    if loop is None:
        raise RuntimeError("no event loop of asyncio, trio or curio is running")
    return loop


def _coroutine(function: Any, args: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    coroutine: Any = function(*args) if callable(function) else function
    if not isinstance(coroutine, Coroutine):
        if not inspect.isawaitable(coroutine):
            raise TypeError(f"{function!r} is no coroutine function and no coroutine")
        return _await(coroutine)
    return coroutine  # pyright: ignore[reportUnknownVariableType]


async def _await(awaitable: Any) -> Any:
    return await awaitable
