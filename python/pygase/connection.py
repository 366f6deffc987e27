"""Connections between clients and servers, and the packages they exchange.

# Contents
- `PROTOCOL_ID`: the bytes every package begins with
- `ProtocolIDMismatchError`, `DuplicateSequenceError`: what is wrong with a package
- `Header`, `Package`, `ClientPackage`, `ServerPackage`: the datagrams
- `ConnectionStatus`: whether the other side is there
- `Connection`: what both sides have in common
- `ClientConnection`, `ServerConnection`: the two sides
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pygase import _core
from pygase._core import ClientPackage, Header, Package, ServerPackage
from pygase._dual import dual
from pygase._errors import DuplicateSequenceError, ProtocolIDMismatchError
from pygase._lane import Lane
from pygase._life import Hooks
from pygase._steps import Steps
from pygase._store import StoreWatch
from pygase.event import Event as Event  # games may take it from here, too
from pygase.gamestate import GameState, GameStateUpdate
from pygase.utils import Comparable as Comparable
from pygase.utils import LockedResource, NamedEnum
from pygase.utils import LockedRessource as LockedRessource
from pygase.utils import Sqn as Sqn

if TYPE_CHECKING:
    from pygase._client_session import ClientSession

__all__ = [
    "PROTOCOL_ID",
    "ClientConnection",
    "ClientPackage",
    "Connection",
    "ConnectionStatus",
    "DuplicateSequenceError",
    "Header",
    "Package",
    "ProtocolIDMismatchError",
    "ServerConnection",
    "ServerPackage",
]

#: The bytes every package begins with.
PROTOCOL_ID: bytes = b"\xff\xd0\xfa\xb9"


class ConnectionStatus(NamedEnum, IntEnum):
    """Whether the other side is there; also by the names 'Disconnected', 'Connected' and 'Connecting'."""

    DISCONNECTED = 0
    CONNECTED = 1
    CONNECTING = 2


ConnectionStatus.register("Disconnected")
ConnectionStatus.register("Connected")
ConnectionStatus.register("Connecting")


class Connection(Steps, _core.Connection):
    """A connection to another side: events with callbacks, acknowledgements, round trip time.

    Args:
        remote_address: Hostname and port of the other side.
        event_handler: Object with `has_event_type` and `handle`, usually a `UniversalEventHandler`.
        event_wire: Object with `_push_event` that gets the events as well.
    """


class _Replica(LockedResource[GameState]):
    """The game state of a client, brought up to date whenever someone looks."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(GameState())
        self._connection = connection

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            message = f"{name!r} is no attribute of the lock around the game state"
            way_out = "enter it: with client.access_game_state() as state: ..."
            raise AttributeError(f"{message}; {way_out}", name=name, obj=self)

    @property
    def resource(self) -> GameState:
        """The game state; while it is locked it stays as it was when it was locked."""
        if self.lock.acquire(blocking=False):
            try:
                self._pull()
            finally:
                self.lock.release()
        return self._resource

    @resource.setter
    def resource(self, resource: GameState) -> None:
        self._resource = resource

    def __enter__(self) -> GameState:
        self.lock.acquire()
        try:
            self._pull()
        except BaseException:
            self.lock.release()
            raise
        return self._resource

    def _pull(self) -> None:
        pulled = self._connection._pull_state()
        if pulled is not None:
            fresh, time_order, changes = pulled
            # By its class, because a custom attribute may have any name.
            GameState._apply(self._resource, time_order, changes, afresh=fresh)


class ClientConnection(_core.ClientConnection, Connection):
    """The client's side of a connection to a server.

    Args:
        remote_address: Hostname and port of the server.
        event_handler: Object with `has_event_type` and `handle`, usually a `UniversalEventHandler`.
    """

    _session: ClientSession | None = None
    _hooks: Hooks | None = None

    @property
    def game_state_context(self) -> LockedResource[GameState]:
        """The game state behind its lock."""
        replica: LockedResource[GameState] = vars(self).setdefault("_replica", _Replica(self))
        return replica

    @dual
    async def loop(self) -> None:
        """Connect and keep the connection until it is shut down. Blocks, or is awaited.

        Raises:
            RuntimeError: It is connected already.
            OSError: The hostname cannot be resolved or no socket can be opened.
        """
        await self._start().run()

    @dual
    def shutdown(self, shutdown_server: bool = False) -> None:
        """End the connection; harmless if there is none. Blocks, or is awaited.

        Args:
            shutdown_server: Ask the server to stop, which it does only for its host client.
        """
        if self._session is not None:
            self._session.shutdown(shutdown_server)

    def stats(self) -> dict[str, Any]:
        """Return the counters and gauges of this connection by name."""
        return _with_user_counters(self, super().stats())

    def _create_next_package(self) -> ClientPackage:
        """Return a package without events that says what has been received, game state included."""
        return ClientPackage(self._header(), self._time_order())

    @property
    def _is_open(self) -> bool:
        return self._session is not None and not self._session.done.is_set()

    @property
    def _is_closed(self) -> bool:
        return self._session is not None and self._session.done.is_set()

    def _start(
        self, options: dict[str, Any] | None = None, kind: type[ClientSession] | None = None
    ) -> ClientSession:
        from pygase._client_session import ClientSession

        if self._is_open:
            raise RuntimeError(f"Already connected to {self.remote_address}; disconnect first.")
        self._session = (kind or ClientSession)(self, options)
        return self._session


class ServerConnection(_core.ServerConnection, Connection):
    """The server's side of a connection to a client.

    Args:
        remote_address: Address and port of the client.
        event_handler: Object with `has_event_type` and `handle`, usually a `UniversalEventHandler`.
        game_state_store: The store whose game state the client gets.
        last_client_time_order: Number of the newest update the client has.
        event_wire: Object with `_push_event` that gets the events as well, usually a `GameStateMachine`.
    """

    _watch: StoreWatch | None = None

    @classmethod
    async def loop(cls, hostname: str, port: int, server: Any, event_wire: Any) -> None:
        """Accept clients and keep the connections to them until this is cancelled or the host shuts it down.

        Args:
            hostname: Hostname or address to listen on.
            port: Port to listen on; 0 for any that is free.
            server: Object with `connections`, `host_client`, `game_state_store` and
                `_universal_event_handler`; it gets `_hostname` and `_port`.
            event_wire: Object with `_push_event` that gets the events as well, or None.

        Raises:
            OSError: The address cannot be used.
        """
        from pygase._server_session import ServerSession

        await ServerSession(hostname, port, server, event_wire, cls).run()

    def stats(self) -> dict[str, Any]:
        """Return the counters and gauges of this connection by name."""
        return _with_user_counters(self, super().stats())

    def _create_next_package(self) -> ServerPackage:
        """Return a package without events that says what has been received and what the client lacks."""
        watch = self._watch = self._watch or StoreWatch(self.game_state_store)
        watch.look_soon()
        watch.look()
        return ServerPackage(self._header(), GameStateUpdate.from_bytes(self._next_update(watch.mirror)))


def gauges_of(connection: ClientConnection | ServerConnection) -> dict[str, Any]:
    """Return the counters and gauges of a connection, as README lists them.

    Args:
        connection: The connection.
    """
    return {
        "status": ConnectionStatus(connection.status).name.lower(),
        "quality": connection.quality,
        "round_trip_time": connection.latency,
        "time_order": int(
            connection._time_order()
            if isinstance(connection, ClientConnection)
            else connection.last_client_time_order
        ),
        **connection.stats(),
    }


def _with_user_counters(connection: Connection, stats: dict[str, Any]) -> dict[str, Any]:
    lane: Lane | None = vars(connection).get("_lane")
    if lane is not None:
        for name, count in lane.counters.items():
            stats[name] = stats.get(name, 0) + count
        stats["events_to_handle"] += lane.waiting
    return stats
