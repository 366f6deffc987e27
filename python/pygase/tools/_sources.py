"""Where the figures of a game come from: its server, a client that joins, or a relay in between.

Each gives dicts like `Server.stats()`, with names for the clients and without what it cannot know.

# Contents
- `GoneError`: the other side does not answer any more
- `Source`: what they have in common
- `choose`: returns the one that fits a server
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from dataclasses import asdict
from typing import Any

from pygase import Client, _core, get_available_ip_addresses
from pygase._monitor import has_unix_sockets, name_of, socket_path
from pygase.conditions import Conditions
from pygase.connection import ConnectionStatus

__all__ = ["GoneError", "Source", "choose"]

#: Seconds that whoever is asked may take.
PATIENCE = 5.0


class GoneError(Exception):
    """The other side does not answer, or not any more."""


class Source:
    """Where figures come from."""

    #: Whose view it is, in some words.
    view: str

    async def open(self) -> None:
        """Begin.

        Raises:
            GoneError: Nobody answers.
            OSError: The address cannot be used.
        """

    async def read(self) -> dict[str, Any]:
        """Return the figures as they are.

        Raises:
            GoneError: Nobody answers any more.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """End."""


class ServerSource(Source):
    """A server with `monitor=True`, on this machine.

    Args:
        host: Its host, for messages.
        port: Its port.
    """

    view = "the server's own figures"

    def __init__(self, host: str, port: int) -> None:
        self._name, self._port = name_of((host, port)), port

    async def is_there(self) -> bool:
        """Return whether the server has a monitor."""
        try:
            await self._ask()
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            return False
        return True

    async def read(self) -> dict[str, Any]:
        """Return the figures as they are."""
        try:
            figures: dict[str, Any] = await self._ask()
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            raise GoneError(f"the server at {self._name} is gone") from error
        return figures

    async def _ask(self) -> Any:
        if has_unix_sockets:
            opening = asyncio.open_unix_connection(socket_path(self._port))
        else:
            opening = asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = await asyncio.wait_for(opening, PATIENCE)
        try:
            writer.write(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()
        return json.loads(answer.partition(b"\r\n\r\n")[2])


class ClientSource(Source):
    """A client that joins like any other: for servers without a monitor, those of PyGaSe 0.3.1 too.

    Args:
        host: Host of the server.
        port: Its port.
    """

    view = "the view of one client, which has joined as any other"

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._name = name_of((host, port))
        self._client = Client()
        self._task: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        """Join, and wait for the first package of the server."""
        logging.getLogger("PyGaSe").setLevel(logging.CRITICAL)  # it would write into the screen
        self._task = task = asyncio.ensure_future(self._client.connect(self._port, self._host))
        deadline = time.monotonic() + PATIENCE
        while self._client.connection is None or not self._is_connected():
            if task.done():
                await task
            if time.monotonic() > deadline:
                await self.close()
                raise GoneError(
                    f"no answer from {self._name} within {PATIENCE:g} s: does a server run there?"
                )
            await asyncio.sleep(0.02)

    async def read(self) -> dict[str, Any]:
        """Return the figures as they are."""
        if not self._is_connected():
            raise GoneError(f"the server at {self._name} is gone")
        stats = self._client.stats()
        return {**stats, "clients": {"this client": stats["connection"]}}

    async def close(self) -> None:
        """Leave."""
        if self._client.connection is not None:
            await self._client.disconnect()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=PATIENCE)

    def _is_connected(self) -> bool:
        connection = self._client.connection
        return connection is not None and connection.status == ConnectionStatus.CONNECTED


class RelaySource(Source):
    """A relay that clients connect to instead of the server.

    Args:
        listen: Where it listens.
        upstream: Where the server is.
    """

    view = "what passes the relay; each half of the line by itself"

    def __init__(self, listen: tuple[str, int], upstream: tuple[str, int]) -> None:
        self._listen, self._upstream = listen, upstream
        self._relay: _core.Relay | None = None

    async def open(self) -> None:
        """Listen."""
        self._relay = _core.Relay(self._listen, self._upstream, asdict(Conditions()))

    async def read(self) -> dict[str, Any]:
        """Return the figures as they are."""
        assert self._relay is not None, "it is open"
        if self._relay.over:
            raise GoneError("the relay ended by itself: the system took its socket away")
        lines = {name_of(line["client"]): line for line in self._relay.lines()}
        return {"relay": self._relay.report(), "clients": lines}

    async def close(self) -> None:
        """Stop relaying."""
        if self._relay is not None:
            self._relay.stop()


async def choose(host: str, port: int, via: tuple[str, int] | None, as_client: bool) -> Source:
    """Return where to read the figures of a server, open.

    Args:
        host: Host of the server.
        port: Its port.
        via: Where to relay from, or None.
        as_client: Join as a client even if the server has a monitor.

    Raises:
        GoneError: Nobody answers.
        OSError: The address cannot be used.
    """
    source: Source
    if via is not None:
        source = RelaySource(via, (host, port))
    elif not as_client and await _is_here(host, port) and await (own := ServerSource(host, port)).is_there():
        source = own
    else:
        source = ClientSource(host, port)
    await source.open()
    return source


async def _is_here(host: str, port: int) -> bool:
    """Return whether a host is this machine, where alone the socket of its server can be read."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except OSError:  # the core says it better
        return False
    own = set(get_available_ip_addresses())
    addresses = {str(address[0]).partition("%")[0] for *_, address in found}
    return all(ipaddress.ip_address(it).is_loopback or it in own for it in addresses)
