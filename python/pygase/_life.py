"""The life of a connection: who is told that it began or ended, and why.

# Contents
- `Bans`: hosts and addresses that a server takes nothing from
- `Reason`: why a connection ended
- `check_reason`: whether a reason can be told
- `Hooks`: functions that are told
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable
from enum import Enum
from typing import Any

__all__ = ["Bans", "Hooks", "Reason", "check_reason"]

#: How users call what is told of ends and of beginnings.
_NAMES = ("on_disconnect", "on_connect")


class Reason(str, Enum):
    """Why a connection ended; each is equal to its name as a str, such as 'timeout'."""

    #: Nothing came from the other side for the connection timeout; it may come back.
    TIMEOUT = "timeout"
    #: This client disconnected.
    LEFT = "left"
    #: This server was shut down.
    SHUTDOWN = "shutdown"
    #: This server has removed the client; it may come back after a while.
    KICKED = "kicked"
    #: This server takes nothing from that address or host any more.
    BANNED = "banned"
    #: Another client, or this one started anew, speaks from its address.
    REPLACED = "replaced"
    #: The server has as many clients as it takes.
    FULL = "server full"

    __str__ = str.__str__


def check_reason(reason: Any) -> None:
    """Check what a client is to be told.

    Args:
        reason: Why its connection ends.

    Raises:
        TypeError: It is no str.
        ValueError: It has lone surrogates, which cannot be sent.
    """
    if not isinstance(reason, str):
        raise TypeError(f"reason must be a str, not {type(reason).__name__}")
    reason.encode()


class Bans(set[tuple[str, "int | None"]]):
    """Hosts (with the port None) and addresses that a server takes nothing from."""

    @staticmethod
    def parse(address: Any) -> tuple[str, int | None]:
        """Return the host in its usual form and the port, or None for a host alone.

        Args:
            address: An IP address as str, or a pair of that and a port.

        Raises:
            TypeError: It is neither.
            ValueError: It is no IP address, or the port out of range.
        """
        if isinstance(address, str):
            host, port = address, None
        else:
            host, port = _pair(address)
        if port is not None and not 0 < port < 65_536:
            raise ValueError(f"port must be from 1 to 65535, not {port}")
        ip = ipaddress.ip_address(host)
        return str(getattr(ip, "ipv4_mapped", None) or ip), port

    def cover(self, address: Any) -> bool:
        """Return whether an address or its host is banned.

        Args:
            address: Host and port of a client.
        """
        host, port = self.parse(address)
        return bool(self) and ((host, None) in self or (host, port) in self)


def _pair(address: Any) -> tuple[str, int]:
    """Return the first two parts of an address, which has more if it is one of IPv6."""
    match address:
        case [str(host), int(port), *_] if not isinstance(port, bool):
            return host, port
        case _:
            raise TypeError(f"an address is a host or a pair of host and port, not {address!r}")


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
        if not callable(function):
            raise TypeError(f"{_NAMES[not ended]} takes a function, not {type(function).__name__}")
        (self._ended if ended else self._began).append(function)

    def tell(self, lane_of: Callable[[Any], Any], connection: Any, reason: str | None, *args: Any) -> None:
        """Have the functions called, if this is news: a beginning after an end, or an end after a beginning.

        Args:
            lane_of: Returns the lane of the connection, which calls them in order.
            connection: The connection.
            reason: Why it ended; None if it began.
            *args: What the functions get besides the reason.
        """
        is_here = reason is None
        attributes = connection.__dict__
        if attributes.get("_is_here", False) == is_here:
            return
        attributes["_is_here"] = is_here
        if not self._began and not self._ended:
            return  # A connection takes much less memory without a lane.
        lane = lane_of(connection)
        what, other = f"{_NAMES[is_here]} function", f"{_NAMES[not is_here]} function"
        if lane.take_back(other, len(self._ended if is_here else self._began)):
            return  # of what came and went while nobody listened
        arguments = args if reason is None else (*args, reason)
        for function in tuple(self._began if is_here else self._ended):
            lane.add(what, functools.partial(function, *arguments))
