"""Calls that block, or are awaited where an event loop runs.

# Contents
- `dual`: makes such a call
- `Call`: what it returns where an event loop runs, if the work is done elsewhere
- `run_in_thread`: starts a thread for a coroutine
- `has_own_loop`, `share_loop`: whose event loop it is
- `check_port`: checks a port number
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, ParamSpec

from pygase._loops import in_thread, running

__all__ = ["Call", "check_port", "dual", "has_own_loop", "run_in_thread", "share_loop"]

P = ParamSpec("P")

_own_loop: ContextVar[bool] = ContextVar("pygase_own_loop", default=False)


class Call(Coroutine[Any, Any, Any]):
    """A call that is under way, or done: await it, or make a task of it, for its result.

    Unlike other coroutines it has begun, and nobody minds if it is never awaited.

    Args:
        future: Gets the result.
    """

    def __init__(self, future: Future[Any]) -> None:
        self._future = future
        self._waiting: Coroutine[Any, Any, Any] | None = None

    def done(self) -> bool:
        """Return whether there is a result."""
        return self._future.done()

    def result(self) -> Any:
        """Return the result; to be called when there is one."""
        return self._future.result()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._wait().__await__()

    def send(self, value: Any) -> Any:
        """Resume waiting."""
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception where it waits."""
        return self._begun().throw(*error)

    def close(self) -> None:
        """Stop waiting."""
        if self._waiting is not None:
            self._waiting.close()

    def __getattr__(self, name: str) -> Any:
        # Event loops look at these of their tasks' coroutines.
        if name.startswith("cr_") or name in ("__name__", "__qualname__"):
            return getattr(self._begun(), name)
        raise AttributeError(name)

    def __del__(self) -> None:
        self.close()

    def _begun(self) -> Coroutine[Any, Any, Any]:
        if self._waiting is None:
            self._waiting = self._wait()
        return self._waiting

    async def _wait(self) -> Any:
        if self._future.done():
            return self._future.result()
        loop = running()
        if loop is None:
            raise RuntimeError("no event loop of asyncio, trio or curio is running")
        return await loop.result(self._future)


def dual(function: Callable[P, Any], *, at_once: bool | Callable[[Any], bool] = False) -> Callable[P, Any]:
    """Make a call that blocks, and returns an awaitable while an event loop runs in the thread.

    The event loop may be one of asyncio (uvloop, too), trio or curio. A plain function is called as it is, or
    by a thread of its own where an event loop runs; there it is under way before it is awaited. A coroutine
    function gets an event loop of its own, or is awaited in the running one.

    Args:
        function: The function or coroutine function behind the call.
        at_once: The function does not block and is done before it is awaited; or a function of the first
            argument that says whether that is so.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        loop = running()
        if loop is None and _is_curios(sys._getframe().f_back):
            return _later(call, *args, **kwargs)
        if loop is None:
            result = function(*args, **kwargs)
            if not inspect.iscoroutine(result):
                return result
            try:
                return _run(result)
            except KeyboardInterrupt:
                # Where the event loop was when Ctrl-C came is of no interest to anybody.
                raise KeyboardInterrupt from None
        if inspect.iscoroutinefunction(function):
            return function(*args, **kwargs)
        if not (at_once(args[0]) if callable(at_once) else at_once):
            work = in_thread(functools.partial(function, *args, **kwargs), f"pygase-{function.__name__}")
            # Before 1.0, curio spawned nothing but what Python itself calls a coroutine.
            return loop.result(work) if loop.name == "curio" else Call(work)
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return Call(future)

    return call


def _is_curios(frame: types.FrameType | None) -> bool:
    """Return whether curio makes the coroutine that it is about to run, as in `curio.run(server.run)`."""
    meta = sys.modules.get("curio.meta")
    # What the interpreter calls itself, at its exit, has no frame above it.
    return meta is not None and frame is not None and frame.f_globals is vars(meta)


async def _later(call: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
    return await call(*args, **kwargs)


def has_own_loop() -> bool:
    """Return whether the running event loop was made by a blocking call of PyGaSe, so that it may block."""
    return _own_loop.get()


def share_loop() -> None:
    """Say that from here on the event loop belongs to user code, too, and may not be blocked."""
    _own_loop.set(False)


def run_in_thread(
    coroutine: Coroutine[Any, Any, Any], name: str, daemon: bool, give_up: Callable[[], Any]
) -> threading.Thread:
    """Start a thread that runs a coroutine to its end.

    Args:
        coroutine: What to run.
        name: Name of the thread.
        daemon: Whether the process may end while the thread runs.
        give_up: Called if it cannot begin, in the place of what it would have done at its end.

    Raises:
        OSError: There is no event loop to be had, as when too many files are open.
        RuntimeError: There is no thread to be had.
    """
    begun: Future[None] = Future()

    def main() -> None:
        try:
            _run(_then(begun, coroutine))
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = threading.Thread(target=main, name=name, daemon=daemon)
    try:
        thread.start()
    except BaseException:
        coroutine.close()
        give_up()
        raise
    error = begun.exception()
    if error is not None:
        coroutine.close()
        give_up()
        raise error
    return thread


async def _then(begun: Future[None], coroutine: Coroutine[Any, Any, Any]) -> Any:
    begun.set_result(None)
    return await coroutine


def check_port(port: int, lowest: int = 0) -> None:
    """Check a port number.

    Args:
        port: The number.
        lowest: The lowest one allowed.

    Raises:
        TypeError: It is no int.
        ValueError: It is out of range.
    """
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"port must be an int, not {type(port).__name__}: {port!r:.80}")
    if not lowest <= port <= 65535:
        raise ValueError(f"port {port} is not in the range {lowest}..65535")


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    alone = _alone(coroutine)
    try:
        import asyncio

        return asyncio.run(alone)
    finally:
        # Nobody minds that they were not awaited where there was no event loop, or Ctrl-C came before it.
        alone.close()
        coroutine.close()


async def _alone(coroutine: Coroutine[Any, Any, Any]) -> Any:
    _own_loop.set(True)
    return await coroutine
