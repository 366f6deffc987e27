"""The life of a connection: who is told that it began or ended, and why.

# Contents
- `Reason`: why a connection ended
- `Hooks`: functions that are told
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from typing import Any

__all__ = ["Hooks", "Reason"]


class Reason(str, Enum):
    """Why a connection ended; each is equal to its name as a str, such as 'timeout'."""

    #: Nothing came from the other side for the connection timeout; it may come back.
    TIMEOUT = "timeout"
    #: This client disconnected.
    LEFT = "left"
    #: This server was shut down.
    SHUTDOWN = "shutdown"

    __str__ = str.__str__


class Hooks:
    """Functions that are told of the beginnings and ends of connections."""

    def __init__(self) -> None:
        self._began: list[Callable[..., Any]] = []
        self._ended: list[Callable[..., Any]] = []

    def add(self, function: Any, *, ended: bool) -> None:
        """Have a function told.

        Args:
            function: A function or coroutine function.
            ended: Of ends, not of beginnings.

        Raises:
            TypeError: It is not callable.
        """
        name = "on_disconnect" if ended else "on_connect"
        if not callable(function):
            raise TypeError(f"{name} takes a function, not {type(function).__name__}")
        (self._ended if ended else self._began).append(function)

    def tell(self, lane: Any, connection: Any, reason: Reason | None, *args: Any) -> None:
        """Have the functions called, if this is news: a beginning after an end, or an end after a beginning.

        Args:
            lane: The lane of the connection, which calls them in order.
            connection: The connection.
            reason: Why it ended; None if it began.
            *args: What the functions get besides the reason.
        """
        is_here = reason is None
        attributes = connection.__dict__
        if attributes.get("_is_here", False) == is_here:
            return
        attributes["_is_here"] = is_here
        what = "on_connect" if is_here else "on_disconnect"
        arguments = args if reason is None else (*args, reason)
        for function in tuple(self._began if is_here else self._ended):
            lane.add(f"{what} function", functools.partial(function, *arguments))
