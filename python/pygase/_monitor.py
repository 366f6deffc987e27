"""A server's figures for whoever sits at the same machine: `pygase monitor`, Prometheus, curl.

# Contents
- `socket_path`: where the socket of a server is
- `Endpoint`: serves the figures while the server runs

It speaks HTTP/1.1: `GET /stats` is JSON, `GET /metrics` is for Prometheus. The socket is a unix socket in a
folder that only the same user may enter. A TCP port of the loopback interface is opened where it is asked
for, or where there are no unix sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from pygase._prometheus import exposition

__all__ = ["Endpoint", "has_unix_sockets", "name_of", "socket_path"]

#: Bytes that a request may have.
REQUEST_LIMIT = 8192
#: Seconds that whoever asks may take.
PATIENCE = 5.0
#: How many may ask at the same time.
MAX_READERS = 32
#: Names that a browser may have used for this machine: a page from elsewhere comes with a name of its own.
OWN_NAMES = {"", "localhost", "127.0.0.1", "[::1]"}

has_unix_sockets = hasattr(asyncio, "start_unix_server")


def socket_path(port: int) -> str:
    """Return the path of the unix socket with the figures of the server at a port of this machine.

    Args:
        port: The port that clients connect to.
    """
    folder = os.path.join(tempfile.gettempdir(), f"pygase-{os.getuid()}")
    return os.path.join(folder, f"{port}.sock")


def name_of(address: Any) -> str:
    """Return `HOST:PORT` of an address, as a name for a client.

    Args:
        address: Host and port, or anything else that a client is known by.
    """
    if not isinstance(address, tuple):
        return str(address)
    host, port = address[:2]  # pyright: ignore[reportUnknownVariableType]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"  # pyright: ignore[reportUnknownArgumentType]


class Endpoint:
    """Serves figures until it is closed, in a thread of its own.

    Args:
        port: The port of the server that they are about.
        tcp_port: A port of the loopback interface to serve them on as well, or None.
        figures: Returns them, as `Server.stats` does.

    Raises:
        OSError: A socket cannot be opened.
    """

    def __init__(self, port: int, tcp_port: int | None, figures: Callable[[], dict[str, Any]]) -> None:
        self._path = socket_path(port) if has_unix_sockets else None
        self._tcp_port = tcp_port if has_unix_sockets or tcp_port else port
        self._figures = figures
        self._readers = 0
        opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        serve = self._serve(opened)
        self._thread = threading.Thread(target=asyncio.run, args=(serve,), name="pygase-monitor", daemon=True)
        self._thread.start()
        self._loop, self._closing = opened.result()

    def close(self) -> None:
        """Close the sockets; harmless if that is done."""
        with contextlib.suppress(RuntimeError):  # its event loop has ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(PATIENCE)

    async def _serve(self, opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            unix = None
            try:
                if self._path is not None:
                    await _make_room(self._path)
                    unix = await asyncio.start_unix_server(self._answer, self._path, limit=REQUEST_LIMIT)
                    stack.callback(_remove, self._path)
                    stack.callback(unix.close)
                if self._tcp_port is not None:
                    tcp = await asyncio.start_server(
                        self._answer, "127.0.0.1", self._tcp_port, limit=REQUEST_LIMIT
                    )
                    stack.callback(tcp.close)
            except OSError as error:
                place = self._path if unix is None else f"127.0.0.1:{self._tcp_port}"
                text = f"cannot serve the figures of the server at {place}: {error.strerror or error}"
                opened.set_exception(OSError(error.errno, f"{text}; choose another place, or monitor=False"))
                return
            closing = asyncio.Event()
            opened.set_result((asyncio.get_running_loop(), closing))
            await closing.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._readers += 1
        try:
            if self._readers <= MAX_READERS:
                request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                writer.write(self._response(request.decode("latin-1").split("\r\n")))
                await asyncio.wait_for(writer.drain(), PATIENCE)
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or asks for something else
        finally:
            self._readers -= 1
            writer.close()

    def _response(self, request: list[str]) -> bytes:
        method, _, rest = request[0].partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        headers = dict(line.lower().split(":", 1) for line in request[1:] if ":" in line)
        host = headers.get("host", "").strip()
        kind = "text/plain; charset=utf-8"
        if host.removesuffix(f":{self._tcp_port}") not in OWN_NAMES:
            status, body = "403 Forbidden", f"this is for localhost, not for {host}\n"
        elif method != "GET":
            status, body = "405 Method Not Allowed", "only GET\n"
        elif path == "/stats":
            status, body, kind = "200 OK", json.dumps(_plain(self._figures())) + "\n", "application/json"
        elif path == "/metrics":
            status, body = "200 OK", exposition(_plain(self._figures()))
            kind = "text/plain; version=0.0.4; charset=utf-8"
        else:
            status, body = "404 Not Found", "there are /stats and /metrics\n"
        content = body.encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        return head.encode() + b"Connection: close\r\n\r\n" + content


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures whose clients have names instead of addresses."""
    clients = figures.get("clients", {})
    return {**figures, "clients": {name_of(address): gauges for address, gauges in clients.items()}}


async def _make_room(path: str) -> None:
    """Make the folder of a socket, for this user only, and remove a socket there that nobody serves."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"the folder {folder} is not for this user only: remove it, or set TMPDIR")
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        _remove(path)
        return
    writer.close()
    raise OSError("another server does so already")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
