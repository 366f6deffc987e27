"""Calls that block, or are awaited where an event loop runs.

# Contents
- `dual`: makes such a call
- `run_in_thread`: starts a thread for a coroutine
- `has_own_loop`, `share_loop`: whose event loop it is
- `check_port`: checks a port number
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, ParamSpec

__all__ = ["check_port", "dual", "has_own_loop", "run_in_thread", "share_loop"]

P = ParamSpec("P")

_own_loop: ContextVar[bool] = ContextVar("pygase_own_loop", default=False)


def dual(function: Callable[P, Any], *, at_once: bool = False) -> Callable[P, Any]:
    """Make a call that blocks, and returns an awaitable while an event loop runs in the thread.

    A plain function is called as it is, or by a thread of the event loop, where it is under way before it is
    awaited. A coroutine function gets an event loop of its own, or is awaited in the running one.

    Args:
        function: The function or coroutine function behind the call.
        at_once: The function never blocks; it is done before it is awaited.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            result = function(*args, **kwargs)
            return asyncio.run(_alone(result)) if inspect.iscoroutine(result) else result
        if inspect.iscoroutinefunction(function):
            return function(*args, **kwargs)
        if not at_once:
            return loop.run_in_executor(None, functools.partial(function, *args, **kwargs))
        done = loop.create_future()
        done.set_result(function(*args, **kwargs))
        return done

    return call


def has_own_loop() -> bool:
    """Return whether the running event loop was made by a blocking call of PyGaSe, so that it may block."""
    return _own_loop.get()


def share_loop() -> None:
    """Say that from here on the event loop belongs to user code, too, and may not be blocked."""
    _own_loop.set(False)


def run_in_thread(coroutine: Coroutine[Any, Any, Any], name: str, daemon: bool) -> threading.Thread:
    """Start a thread that runs a coroutine to its end.

    Args:
        coroutine: What to run.
        name: Name of the thread.
        daemon: Whether the process may end while the thread runs.
    """
    thread = threading.Thread(target=asyncio.run, args=(_alone(coroutine),), name=name, daemon=daemon)
    thread.start()
    return thread


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
        raise TypeError(f"port must be an int, not {type(port).__name__}")
    if not lowest <= port <= 65535:
        raise ValueError(f"port {port} is not in the range {lowest}..65535")


async def _alone(coroutine: Coroutine[Any, Any, Any]) -> Any:
    _own_loop.set(True)
    return await coroutine
