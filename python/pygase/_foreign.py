"""Coroutines of trio and curio where asyncio runs, as it does behind every blocking call.

# Contents
- `settled`: awaits what user code returned, in an event loop of the right kind
- `workers`: keeps the threads with the other event loops while they may be needed

A blocking call has an asyncio loop of its own and awaits the coroutines of handlers there. A coroutine that
wants another library gets it: a thread that runs trio or curio, which is started for the first such coroutine
and ends with the last server, client or game loop. Which library a coroutine wants is seen in two ways:

- before it starts, by what its code refers to: names that stand for asyncio, trio or curio, or for something
  that comes from there, in itself or in the coroutine functions it calls by name. This counts if it is one
  library, and its module as a whole if there is none;
- by the first thing it waits for. That recognises curio whatever the code looks like: it asks its kernel with
  tuples, which asyncio never does. trio cannot be told that way, for it looks for its loop itself.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any

from pygase import _core
from pygase._loops import Tasks, running
from pygase._user_errors import EscapedError, is_end

__all__ = ["settled", "workers"]

LIBRARIES = ("trio", "curio")
#: How far to follow the coroutine functions that a coroutine function calls.
DEPTH = 3
#: Seconds that a thread with another event loop is given to end.
TIMEOUT = 5.0

#: Is told whether a coroutine runs in this thread just now.
Watch = Callable[[bool], None]

_lock = threading.Lock()
_workers: dict[str, _Worker] = {}
_users = 0


async def settled(awaitable: Awaitable[Any], watch: Watch | None = None) -> Any:
    """Await what user code returned.

    Args:
        awaitable: A coroutine of the event loop that runs here, any other awaitable for it, or, where that is
            asyncio, a coroutine of trio or curio.
        watch: Is told each time the coroutine begins to run, and to wait.

    Raises:
        EscapedError: It raised what would end the event loop, or the coroutines that wait for it.
    """
    coroutine = awaitable if inspect.iscoroutine(awaitable) else _await(awaitable)
    library = None
    loaded = any(map(sys.modules.get, LIBRARIES))
    here = running() if loaded else None
    if here is not None and here.name == "asyncio" and inspect.iscoroutine(awaitable):
        library = _wanted(awaitable)
    guarded = _contained(coroutine, watch)
    if here is None or here.name != "asyncio":
        return await guarded
    if library in LIBRARIES:
        return await _elsewhere(library, guarded)
    iterator = guarded.__await__()
    try:
        first = next(iterator)
    except StopIteration as end:
        return end.value
    if isinstance(first, tuple) and "curio" in sys.modules:
        return await _elsewhere("curio", _go_on(iterator, first))
    return await _go_on(iterator, first)


@contextmanager
def workers() -> Generator[None]:
    """Say that coroutines of other libraries may come: their threads end with the last one to say so."""
    global _users
    with _lock:
        _users += 1
    try:
        yield
    finally:
        ended = []
        with _lock:
            _users -= 1
            if not _users:
                ended = list(_workers.values())
                _workers.clear()
        for worker in ended:
            worker.end()


async def _contained(coroutine: Coroutine[Any, Any, Any], watch: Watch | None) -> Any:
    return await _contain(coroutine, watch)


@types.coroutine
def _contain(coroutine: Coroutine[Any, Any, Any], watch: Watch | None) -> Generator[Any, Any, Any]:
    """Await a coroutine; one that is closed is told from one that raises `GeneratorExit` itself."""
    resume: Callable[[], Any] = functools.partial(coroutine.send, None)
    while True:
        if watch is not None:
            watch(True)
        try:
            item = resume()
        except StopIteration as end:
            return end.value
        except (GeneratorExit, KeyboardInterrupt, SystemExit) as error:
            if is_end(error):
                raise
            raise EscapedError(error) from None
        finally:
            if watch is not None:
                watch(False)
        try:
            resume = functools.partial(coroutine.send, (yield item))
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            resume = functools.partial(coroutine.throw, error)


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@types.coroutine
def _go_on(iterator: Any, item: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that has said already what it waits for: `await`, begun in the middle."""
    while True:
        try:
            try:
                sent = yield item
            except GeneratorExit:
                iterator.close()
                raise
            except BaseException as error:
                item = iterator.throw(error)
            else:
                item = iterator.send(sent)
        except StopIteration as end:
            return end.value


async def _elsewhere(library: str, awaitable: Awaitable[Any]) -> Any:
    import asyncio

    with _lock:
        worker = _workers.get(library)
        if worker is None or not worker.is_alive:
            worker = _workers[library] = _Worker(library)
    future = worker.submit(awaitable)
    here = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(here)
    except asyncio.CancelledError:
        if not here.done():
            worker.cancel(future)
            await asyncio.wait([here], timeout=TIMEOUT)
        if not here.cancelled():
            here.exception()  # it is known now
        raise


class _Worker:
    """A thread that runs an event loop of another library, and in it what it is given."""

    def __init__(self, library: str) -> None:
        self._library = sys.modules[library]
        self._inbox = _core.Inbox()
        self._jobs: deque[tuple[Awaitable[Any], Future[Any]]] = deque()
        self._cancelled: deque[Future[Any]] = deque()
        self._tasks: dict[Future[Any], Any] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._main, name=f"pygase-{library}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, awaitable: Awaitable[Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._jobs.append((awaitable, future))
        self._inbox.wake()
        return future

    def cancel(self, future: Future[Any]) -> None:
        self._cancelled.append(future)
        self._inbox.wake()

    def end(self) -> None:
        self._ending = True
        self._inbox.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(TIMEOUT)

    def _main(self) -> None:
        try:
            self._library.run(self._serve)
        finally:
            for future in [*self._tasks, *(future for _, future in self._jobs)]:
                future.cancel()

    async def _serve(self) -> None:
        loop = running()
        assert loop is not None
        bell, tasks = loop.bell(self._inbox), loop.tasks()
        while not self._ending:
            self._inbox.take()
            self._look(tasks)
            await tasks.flush()
            await bell.wait()
        await bell.close()
        await tasks.end(0.0)

    def _look(self, tasks: Tasks) -> None:
        while self._jobs:
            awaitable, future = self._jobs.popleft()
            if future in self._cancelled:
                future.cancel()  # a task that never begins could not say that it has ended
            else:
                self._tasks[future] = tasks.start(self._run(awaitable, future))
        while self._cancelled:
            task = self._tasks.pop(self._cancelled.popleft(), None)
            if task is not None:
                tasks.cancel(task)

    async def _run(self, awaitable: Awaitable[Any], future: Future[Any]) -> None:
        try:
            result = await awaitable
        except BaseException as error:
            loop = running()
            if loop is None or not loop.is_users(error):
                future.cancel()
                raise
            with suppress(InvalidStateError):
                future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            with suppress(InvalidStateError):
                future.set_result(result)
        finally:
            self._tasks.pop(future, None)


def _wanted(coroutine: Any) -> str | None:
    """Return the library that a coroutine that has not begun was written for, if its code says so."""
    frame = coroutine.cr_frame
    if frame is None or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return None
    found: set[str] = set()
    _search(coroutine.cr_code, frame.f_globals, frame.f_locals.values(), found, DEPTH)
    if not found:
        modules = filter(inspect.ismodule, list(frame.f_globals.values()))
        found = set(filter(None, map(_library_of, modules)))
    return found.pop() if len(found) == 1 else None


def _search(
    code: types.CodeType, names: dict[str, Any], values: Iterable[Any], found: set[str], depth: int
) -> None:
    for value in [*values, *(names[name] for name in code.co_names if name in names)]:
        library = _library_of(value)
        if library is not None:
            found.add(library)
        elif depth and inspect.iscoroutinefunction(value) and hasattr(value, "__code__"):
            _search(value.__code__, value.__globals__, _enclosed(value), found, depth - 1)


def _enclosed(function: Any) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # nothing in it yet
            yield cell.cell_contents


def _library_of(value: Any) -> str | None:
    module: Any = value.__name__ if inspect.ismodule(value) else type(value).__module__
    if inspect.isroutine(value) or inspect.isclass(value):
        module = getattr(value, "__module__", None)
    name = module.partition(".")[0] if isinstance(module, str) else None
    return name if name in ("asyncio", *LIBRARIES) else None
