"""What runs a server between its start and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygase import _core
from pygase._life import Bans, Hooks, Reason
from pygase._pump import SHUTDOWN_TIMEOUT, Pump
from pygase._store import GameStateStore, StoreWatch
from pygase._user_errors import is_end
from pygase.connection import ConnectionStatus, ServerConnection
from pygase.utils import logger

if TYPE_CHECKING:
    from pygase._monitor import Endpoint

__all__ = ["ServerSession"]

#: Seconds for which nothing is taken from a client that was kicked: one of PyGaSe 0.3.1 gives up after five.
KICK_TIME = 10.0


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
        except BaseException as error:
            if is_end(error):
                raise
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
        tags = [tag for tag, known in self._connections.copy().items() if known is connection]
        # Before the core removes it, which another thread may be told at once.
        self._kicked.update(dict.fromkeys(tags, reason))
        try:
            self._udp.ban(*Bans.parse(address), KICK_TIME, reason)
        except BaseException:
            for tag in tags:
                self._kicked.pop(tag, None)  # it stays, and may end for another reason
            raise

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
        vars(connection)["_tag"] = handle.tag
        self._connections[handle.tag] = connection
        if self._server.host_client is None:
            # It becomes the host, as the next notice says; whoever sees it connected is to see that, too.
            self._server.host_client = address
        self._server.connections[address] = connection
        logger.info("New client connection from %s.", address)
        # It is to see what was changed behind the store's back; clients that join meanwhile share the walk.
        self.call_at(self._watch.look_soon())

    def _address_of(self, connection: ServerConnection) -> Any:
        return connection.remote_address

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
            hooks.tell(self.lane, connection, None if is_here else reason, connection)

    def _removed(self, tag: int, connection: ServerConnection) -> None:
        del self._connections[tag]
        if vars(connection).get("_tag") != tag:
            # This was the session before, and its client is back already.
            self._kicked.pop(tag, None)
            self._farewells.pop(tag, None)
            return
        self._tell(tag, connection, False)
        self._kicked.pop(tag, None)
        self.drop_lane(connection)
        address = connection.remote_address
        if self._server.connections.get(address) is connection:
            del self._server.connections[address]
        logger.info("Client connection from %s removed.", address)
