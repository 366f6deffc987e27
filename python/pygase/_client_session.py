"""What runs a client between its start and its end."""

from __future__ import annotations

import time
from typing import Any

from pygase import _core
from pygase._life import Reason
from pygase._pump import SHUTDOWN_TIMEOUT, Pump
from pygase.connection import ClientConnection, ConnectionStatus
from pygase.utils import logger

__all__ = ["ClientSession"]


class ClientSession(Pump):
    """One connection of a client, from its start to its end."""

    def __init__(self, connection: ClientConnection, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._connection = connection
        self._is_leaving = False
        self._farewell: str = Reason.TIMEOUT
        self._last_stats: dict[str, int] = {}
        options = dict(options or {})
        self.max_calls = options.get("max_waiting_events", self.max_calls)
        self._reconnect_for: float | None = options.pop("reconnect_for", None)
        self._missing_since: float | None = time.monotonic()
        self._give_up_later()
        hostname, port = connection.remote_address
        logger.info("Trying to connect to server ...")
        self._udp = _core.UdpClient(connection, hostname, port, self.inbox, options)

    def take(self, kind: int, tag: int, payload: Any) -> None:
        """Act on one notice."""
        if kind == _core.NOTICE_UNANSWERED:
            address = self._connection.remote_address
            logger.warning("no answer from %s yet, still trying; does a server run there?", address)
        elif kind == _core.NOTICE_CLOSED:
            self.finish()
        elif kind == _core.NOTICE_FAREWELL:
            self._farewell = payload
            logger.warning("The server at %s says: %s.", self._connection.remote_address, payload)
        else:
            self.take_common(self._connection, kind, payload)
            if kind == _core.NOTICE_STATUS:
                self._status_changed(int(payload))

    def on_time(self) -> None:
        """Give up if the server has been missing for too long."""
        if self._missing_since is None or self._reconnect_for is None:
            return
        if time.monotonic() < self._missing_since + self._reconnect_for:
            self._give_up_later()
        elif not self._finished:
            address, seconds = self._connection.remote_address, self._reconnect_for
            logger.warning("Giving up the connection to %s: no answer for %s seconds.", address, seconds)
            self.finish()

    def _status_changed(self, status: int) -> None:
        if status == ConnectionStatus.CONNECTED:
            self._missing_since = None
            self._farewell = Reason.TIMEOUT
        elif status == ConnectionStatus.DISCONNECTED and not self._is_leaving:
            self._missing_since = time.monotonic()
            self._give_up_later()
            logger.warning("Lost the server at %s, still trying.", self._connection.remote_address)
        hooks = self._connection._hooks
        if hooks is None or status == ConnectionStatus.CONNECTING:
            return
        reason: str = Reason.LEFT if self._is_leaving else self._farewell
        hooks.tell(self.lane, self._connection, None if status == ConnectionStatus.CONNECTED else reason)

    def _give_up_later(self) -> None:
        if self._missing_since is not None and self._reconnect_for is not None:
            self.call_at(self._missing_since + self._reconnect_for)

    def shutdown(self, shutdown_server: bool) -> None:
        """End the connection and wait until it has ended; may be called by any thread.

        Args:
            shutdown_server: Ask the server to stop.
        """
        if not self.done.is_set():
            self._leave(shutdown_server)
            self.finish()
            self.done.wait(SHUTDOWN_TIMEOUT)

    def stop(self) -> None:
        """Close the socket."""
        self._is_leaving = True
        self.stats()
        self._udp.stop()

    def stats(self) -> dict[str, int]:
        """Return what the socket counts, as it was last if the connection has ended."""
        if not self.done.is_set():
            stats = self._udp.stats()
            if stats:
                self._last_stats = {**stats, "notices_waiting": len(self.inbox)}
        return dict(self._last_stats)

    def _leave(self, shutdown_server: bool) -> None:
        self._is_leaving = True
        logger.info("Shutting down connection to %s.", self._connection.remote_address)
        self._udp.disconnect(shutdown_server)
