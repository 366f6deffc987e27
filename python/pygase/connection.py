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

import time
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pygase import _core
from pygase._core import ClientPackage, Header, Package, ServerPackage
from pygase._dual import dual
from pygase._errors import DuplicateSequenceError, ProtocolIDMismatchError
from pygase._life import Bans, Hooks, Reason
from pygase._pump import Lane, Pump
from pygase._steps import Steps
from pygase._store import GameStateStore, StoreWatch
from pygase.event import Event as Event  # games may take it from here, too
from pygase.gamestate import GameState, GameStateUpdate
from pygase.utils import Comparable as Comparable
from pygase.utils import LockedResource, NamedEnum, logger
from pygase.utils import LockedRessource as LockedRessource
from pygase.utils import Sqn as Sqn

if TYPE_CHECKING:
    from pygase._monitor import Endpoint

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
#: Seconds to wait for the thread that runs a client or server when it is shut down.
SHUTDOWN_TIMEOUT = 5.0
#: Seconds for which nothing is taken from a client that was kicked: one of PyGaSe 0.3.1 gives up after five.
KICK_TIME = 10.0


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
            logger.warning("no answer from %s yet, still trying", self._connection.remote_address)
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
        lane = self.lane(self._connection)
        hooks.tell(lane, self._connection, None if status == ConnectionStatus.CONNECTED else reason)

    def _give_up_later(self) -> None:
        if self._missing_since is not None and self._reconnect_for is not None:
            self.call_at(self._missing_since + self._reconnect_for)

    def shutdown(self, shutdown_server: bool) -> None:
        """End the connection and wait until it has ended; may be called by any thread.

        Args:
            shutdown_server: Ask the server to stop.
        """
        if not self.done.is_set():
            self._say_goodbye()
            self._udp.disconnect(shutdown_server)
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

    def _say_goodbye(self) -> None:
        self._is_leaving = True
        logger.info("Shutting down connection to %s.", self._connection.remote_address)


class ServerSession(Pump):
    """One run of a server, from its start to its end."""

    name = "The server"

    def __init__(
        self,
        hostname: str,
        port: int,
        server: Any,
        event_wire: Any,
        connection_class: type[ServerConnection] = ServerConnection,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._server = server
        self.event_wire = event_wire
        self._connection_class = connection_class
        self._connections: dict[int, ServerConnection] = {}
        self._is_ending = False
        self._kicked: dict[int, str] = {}
        self._farewells: dict[int, str] = {}
        self._last_stats: dict[str, int] = {}
        #: Serves the figures of the server, while it runs.
        self.endpoint: Endpoint | None = None
        self._store = server.game_state_store
        self._watch = StoreWatch(self._store)
        logger.info("Trying to run server on %s ...", (hostname, port))
        resume = [known for known in server.connections.values() if isinstance(known, _core.ServerConnection)]
        options = dict(options or {})
        record, announce = options.pop("record", None), options.pop("announce", None)
        options.pop("max_loop_events", None)  # the business of the game loop
        self.max_calls = options.get("max_waiting_events", self.max_calls)
        self._udp = _core.UdpServer(hostname, port, self._watch.mirror, self.inbox, resume, options)
        self._recorder: _core.Recorder | None = None
        self._announcer: _core.Announcer | None = None
        if record is not None:
            self._record(record)
        if announce is not None:
            self._announce(announce)
        bans: Bans = getattr(server, "_bans", Bans())
        for host, banned_port in tuple(bans):
            self._udp.ban(host, banned_port, None, Reason.BANNED)
        self._server._hostname, self._server._port = self._udp.local_address[:2]
        self._server.host_client = None
        self._address = self._udp.local_address
        logger.info(
            "Server successfully started and listening to packages from clients on %s.", self._address
        )

    def _record(self, file: Any) -> None:
        try:
            self._recorder = _core.Recorder(file, "server", inbox=self.inbox)
            self.inbox.record(self._recorder)
            self._watch.mirror.record(self._recorder)
            self._watch.look_soon()
            self._watch.look()  # a recording begins with the whole state
        except BaseException:
            self._udp.stop()
            raise

    def _announce(self, name: str) -> None:
        try:
            self._announcer = _core.Announcer(name, *self._udp.local_address)
        except OSError as error:
            # Whoever knows the address can play all the same.
            logger.warning("The server cannot be found in the local network: %s", error)

    async def run(self) -> None:
        """Serve until the server is shut down."""
        self.call_at(self._watch.next_look)
        await super().run()

    def on_time(self) -> None:
        """Look whether the store has something new."""
        if self._finished:
            return
        try:
            self._watch.look()
        except Exception as error:
            self.errors.report("game state store", error)
        self.call_at(self._watch.next_look)

    def take(self, kind: int, tag: int, payload: Any) -> None:
        """Act on one notice."""
        if kind == _core.NOTICE_CONNECTED:
            self._connected(payload)
        elif kind == _core.NOTICE_HOST:
            host = self._connections.get(tag)
            address = None if host is None else host.remote_address
            if address is not None:
                logger.info("Setting %s as client with host permissions.", address)
            self._server.host_client = address
        elif kind == _core.NOTICE_SHUTDOWN:
            logger.info("The host client shuts down the server on %s.", self._address)
            self.finish()
        elif kind == _core.NOTICE_CLOSED:
            self.finish()
        elif kind == _core.NOTICE_FAILED:
            self.take_common(None, kind, payload)
        elif tag in self._connections:
            connection = self._connections[tag]
            if kind == _core.NOTICE_REMOVED:
                self._removed(tag, connection)
                return
            if kind == _core.NOTICE_MOVED:
                self._moved(connection, payload)
                return
            if kind == _core.NOTICE_FAREWELL:
                self._farewells[tag] = payload
                return
            if kind == _core.NOTICE_EVENT:
                payload[2]["client_address"] = connection.remote_address
            self.take_common(connection, kind, payload)
            if kind == _core.NOTICE_STATUS:
                self._tell(tag, connection, int(payload) == ConnectionStatus.CONNECTED)

    def ban(self, host: str, port: int | None) -> None:
        """Take nothing in from a host or address, and forget the connections from there.

        Args:
            host: An IP address.
            port: The port, or None for all of them.
        """
        self._udp.ban(host, port, None, Reason.BANNED)

    def unban(self, host: str, port: int | None) -> None:
        """Lift such a ban.

        Args:
            host: An IP address.
            port: The port, or None.
        """
        self._udp.unban(host, port)

    def kick(self, address: tuple[str, int], reason: str) -> None:
        """Forget a connection, and take nothing in from its address for a while.

        Args:
            address: Host and port of the client.
            reason: What `on_disconnect` is told.
        """
        connection = self._server.connections[address]
        for tag, known in self._connections.copy().items():
            if known is connection:
                self._kicked[tag] = reason
        self._udp.ban(*Bans.parse(address), KICK_TIME, str(reason))

    def stats(self) -> dict[str, int]:
        """Return what the server, its socket and strangers count, as it was last if the server has ended."""
        if not self.done.is_set():
            stats = self._udp.stats()
            if stats:
                self._last_stats = {**stats, "notices_waiting": len(self.inbox)}
                if self._recorder is not None:
                    recorder = self._recorder.stats()
                    del recorder["failure"]  # which is in the log
                    self._last_stats.update(recorder)
                if self._announcer is not None:
                    self._last_stats.update(self._announcer.stats())
        return dict(self._last_stats)

    def state_stats(self) -> dict[str, Any]:
        """Return how the game state stands that clients get."""
        return self._watch.mirror.stats()

    def _leave_behind(self) -> None:
        """Be over: this is the child of a fork, and what ran is the parent's."""
        super()._leave_behind()
        self._server._hostname = self._server._port = None
        if isinstance(self._store, GameStateStore):
            self._store._leave_behind()

    def shutdown(self) -> None:
        """End the server and wait until it has ended; may be called by any thread."""
        if not self.done.is_set():
            self.stop()
            self.finish()
            self.done.wait(SHUTDOWN_TIMEOUT)

    def stop(self) -> None:
        """Close the socket."""
        self._is_ending = True
        if self._server._port is not None:
            logger.info("Shutting down server on %s.", self._address)
            self.stats()
        self._udp.stop()
        if self._announcer is not None:
            self._announcer.stop()
        if self._recorder is not None:
            self._recorder.stop()
        self._server._hostname = self._server._port = None
        if self.endpoint is not None:
            self.endpoint.close()

    def _connected(self, handle: _core.PeerHandle) -> None:
        address = handle.address
        connection = self._server.connections.get(address)
        if isinstance(connection, ServerConnection):
            connection.event_handler = self._server._universal_event_handler
            connection.event_wire = self.event_wire
            connection.game_state_store = self._store
        else:
            connection = self._connection_class(
                address, self._server._universal_event_handler, self._store, 0, self.event_wire
            )
        connection._attach(handle)
        self._connections[handle.tag] = connection
        if self._server.host_client is None:
            # It becomes the host, as the next notice says; whoever sees it connected is to see that, too.
            self._server.host_client = address
        self._server.connections[address] = connection
        logger.info("New client connection from %s.", address)
        # It is to see what was changed behind the store's back; clients that join meanwhile share the walk.
        self.call_at(self._watch.look_soon())

    def _moved(self, connection: ServerConnection, address: tuple[str, int]) -> None:
        before, connections = connection.remote_address, self._server.connections
        connection.remote_address = address
        if connections.get(before) is connection:
            del connections[before]
        connections[address] = connection
        if self._server.host_client == before:
            self._server.host_client = address
        logger.info("Client connection from %s goes on from %s.", before, address)

    def _tell(self, tag: int, connection: ServerConnection, is_here: bool) -> None:
        hooks: Hooks | None = getattr(self._server, "_hooks", None)
        farewell = self._farewells.pop(tag, None)
        if hooks is not None:
            reason: str = self._kicked.get(tag, Reason.TIMEOUT)
            if farewell is not None:
                reason = farewell
            elif self._is_ending:
                reason = Reason.SHUTDOWN
            elif self._server._bans.cover(connection.remote_address):
                reason = Reason.BANNED
            hooks.tell(self.lane(connection), connection, None if is_here else reason, connection)

    def _removed(self, tag: int, connection: ServerConnection) -> None:
        del self._connections[tag]
        self._tell(tag, connection, False)
        self._kicked.pop(tag, None)
        self.drop_lane(connection)
        address = connection.remote_address
        if self._server.connections.get(address) is connection:
            del self._server.connections[address]
        logger.info("Client connection from %s removed.", address)


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
