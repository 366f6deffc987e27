"""UDP sockets that are awaited, in any event loop: the module `pygase.aio.socket`.

This is for games and tests that send packages of their own making, for instance with the steps of a
`pygase.connection.Connection`. PyGaSe's own traffic is the core's, and nothing else in the Python part opens
a socket: `scripts/check_shim.py` makes an exception for this file alone.

# Contents
- `socket`: the class

All other names are those of the standard library's `socket`: `AF_INET`, `SOCK_DGRAM`, `gaierror` ...
"""

from __future__ import annotations

import socket as _socket
from typing import Any

from pygase._loops import running

#: Seconds between two attempts where the event loop cannot watch a socket.
POLL_INTERVAL = 0.002

AF_INET = _socket.AF_INET
AF_INET6 = _socket.AF_INET6
SOCK_DGRAM = _socket.SOCK_DGRAM


class socket:
    """A socket whose `sendto`, `recvfrom`, `send`, `recv`, `connect` and `close` are awaited.

    What is not here is found at the socket of the standard library behind it, such as `setsockopt`.

    Args:
        family: `AF_INET` or `AF_INET6`.
        type: `SOCK_DGRAM`; others work, too.
        proto: Number of the protocol.

    Example:
        ```python
        async with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("localhost", 0))
            await sock.sendto(package.to_datagram(), ("localhost", 8080))
            answer, address = await sock.recvfrom(2048)
        ```
    """

    def __init__(self, family: int = AF_INET, type: int = SOCK_DGRAM, proto: int = 0) -> None:
        self._socket = _socket.socket(family, type, proto)
        self._socket.setblocking(False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def __aenter__(self) -> socket:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def bind(self, address: Any) -> None:
        """Take an address.

        Args:
            address: Hostname and port; port 0 for any that is free.
        """
        self._socket.bind(address)

    async def connect(self, address: Any) -> None:
        """Send to one address from here on, and receive only from there.

        Args:
            address: Hostname and port.
        """
        try:
            self._socket.connect(address)
        except BlockingIOError:  # of a stream
            await self._ready(to_write=True)
            error = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if error:
                raise OSError(error, f"cannot connect to {address}") from None

    async def sendto(self, data: Any, address: Any) -> int:
        """Send a datagram.

        Args:
            data: The bytes.
            address: Hostname and port.
        """
        while True:
            try:
                return self._socket.sendto(data, address)
            except BlockingIOError:
                await self._ready(to_write=True)

    async def send(self, data: Any) -> int:
        """Send to the address of `connect`.

        Args:
            data: The bytes.
        """
        while True:
            try:
                return self._socket.send(data)
            except BlockingIOError:
                await self._ready(to_write=True)

    async def recvfrom(self, size: int) -> tuple[bytes, Any]:
        """Wait for a datagram, and return it with the address it comes from.

        Args:
            size: The most bytes to take; the rest of a longer one is lost.
        """
        while True:
            try:
                return self._socket.recvfrom(size)
            except BlockingIOError:
                await self._ready()

    async def recv(self, size: int) -> bytes:
        """Wait for a datagram.

        Args:
            size: The most bytes to take; the rest of a longer one is lost.
        """
        return (await self.recvfrom(size))[0]

    async def close(self) -> None:
        """Close it."""
        self._socket.close()

    async def _ready(self, to_write: bool = False) -> None:
        loop = running()
        if loop is None:
            raise RuntimeError("no event loop of asyncio, trio or curio is running")
        try:
            await loop.ready(self._socket.fileno(), to_write)
        except NotImplementedError:
            await loop.sleep(POLL_INTERVAL)


def __getattr__(name: str) -> Any:
    return getattr(_socket, name)
