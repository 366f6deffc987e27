"""The server of a game: who plays, what they are sent, who may stay.

# Contents
- `Server`: shares the game state with clients and exchanges events with them
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pygase import _core
from pygase._dual import check_port, dual, run_in_thread
from pygase._hints import check_sending, hinted, needs_init
from pygase._life import Bans, Hooks, Reason, check_reason
from pygase._machine import GameStateMachine
from pygase._server_session import ServerSession
from pygase.client import send
from pygase.connection import ServerConnection, gauges_of
from pygase.event import Event, EventHandler, UniversalEventHandler
from pygase.options import ServerOptions, ServerSettings, Unpack, make_options

__all__ = ["Server"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Server:
    """Shares a game state with clients and exchanges events with them.

    Args:
        game_state_store: A `GameStateStore`, or an object with the same methods.
        options: Settings to begin with.
        **settings: Single settings, see `ServerOptions`.

    Attributes:
        game_state_store: The store.

    Example:
        ```python
        server = Server(GameStateStore(GameState(score=0)))
        server.run_in_thread(port=8080)
        server.dispatch_event("WELCOME")
        server.shutdown()
        ```
    """

    def __init__(
        self,
        game_state_store: Any,
        *,
        options: ServerOptions | None = None,
        **settings: Unpack[ServerSettings],
    ) -> None:
        self._options = make_options(ServerOptions, type(self).__name__, options, settings)
        self._connections: dict[Any, Any] = {}
        self._host_client: Any = None
        self.game_state_store = game_state_store
        self._universal_event_handler = UniversalEventHandler()
        self._hostname: str | None = None
        self._port: int | None = None
        self._session: ServerSession | None = None
        self._hooks = Hooks()
        self._bans = Bans()

    if not TYPE_CHECKING:
        __getattr__ = needs_init("_options")

    @property
    def options(self) -> ServerOptions:
        """The settings of this server."""
        return self._options

    @property
    def connections(self) -> dict[Any, Any]:
        """The `ServerConnection` of each client by its address; a client that has a game state is in it."""
        if self._session is not None:
            self._session.take_arrivals()
        return self._connections

    @connections.setter
    def connections(self, connections: dict[Any, Any]) -> None:
        self._connections = connections

    @property
    def host_client(self) -> Any:
        """The address of the client that may shut the server down, or None."""
        if self._session is not None:
            self._session.take_arrivals()
        return self._host_client

    @host_client.setter
    def host_client(self, address: Any) -> None:
        self._host_client = address

    @property
    def hostname(self) -> str | None:
        """The address the server listens on, 'localhost' for 127.0.0.1; None when it does not run."""
        return "localhost" if self._hostname == "127.0.0.1" else self._hostname

    @property
    def port(self) -> int | None:
        """The port the server listens on; None when it does not run."""
        return self._port

    @dual
    async def run(self, port: int = 0, hostname: str = "localhost", event_wire: Any = None) -> None:
        """Run the server until `shutdown`. Blocks, or is awaited.

        Handlers and callbacks run in this thread. A server that runs again keeps its `connections`.

        Args:
            port: Port to listen on; 0 for any that is free.
            hostname: Hostname or IP address to listen on; `0.0.0.0` or `::` for all of this machine.
            event_wire: Object with `_push_event` that gets the events as well, usually a `GameStateMachine`.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range.
            OSError: The address cannot be used; `PermissionError` if that takes more rights.
            RuntimeError: This server runs already.
        """
        await self._start(port, hostname, event_wire).run()

    def run_in_thread(
        self, port: int = 0, hostname: str = "localhost", event_wire: Any = None, daemon: bool = True
    ) -> threading.Thread:
        """Run the server in a thread of its own, where handlers and callbacks run then.

        Args:
            port: Port to listen on; 0 for any that is free.
            hostname: Hostname or IP address to listen on; `0.0.0.0` or `::` for all of this machine.
            event_wire: Object with `_push_event` that gets the events as well, usually a `GameStateMachine`.
            daemon: Whether the process may end while the server runs.

        Returns:
            The thread. The server listens already, on `hostname` and `port`.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range.
            OSError: The address cannot be used; `PermissionError` if that takes more rights.
            RuntimeError: This server runs already.
        """
        session = self._start(port, hostname, event_wire)
        return run_in_thread(session.run(), "pygase-server", daemon, session.abandon)

    @dual
    def shutdown(self) -> None:
        """Shut the server down; harmless when it does not run. Blocks, or is awaited.

        It can be run again, and remembers the connections.
        """
        if self._session is not None:
            self._session.shutdown()

    def dispatch_event(
        self,
        event_type: str,
        *args: Any,
        target_client: Any = "all",
        retries: int = 0,
        ack_callback: Callable[[ServerConnection], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to one client or to all of them.

        Args:
            event_type: The type its handlers are registered for.
            *args: Positional arguments for the handlers.
            target_client: The address of a client, or 'all'.
            retries: How often to send it again to a client that did not get it. A client that is pygase-rs
                handles it once all the same; one of PyGaSe 0.3.1 may handle it twice.
            ack_callback: Function or coroutine function that gets the `ServerConnection` when the event has
                arrived.
            **kwargs: Keyword arguments for the handlers.

        Raises:
            KeyError: There is no client with that address.
            TypeError: An argument cannot be sent, and the message has the path to it; or `retries` is no int,
                or `ack_callback` not callable.
            ValueError: It is an event by which two peers of pygase-rs speak.
            OverflowError: The event is too large for a package.
        """
        check_sending(retries, ack_callback)
        event = Event(event_type, *args, **kwargs)
        everybody = target_client == "all"
        targets = list(self.connections.values()) if everybody else [self._target(target_client)]
        if not targets:
            event.to_bytes()  # what cannot be sent is a mistake with no client around, too
        many = sum(isinstance(connection, ServerConnection) for connection in targets) > 1
        encoded = _core.EncodedEvent(event) if many else None
        for connection in targets:
            self._send(connection, event, retries, ack_callback, encoded)

    def register_event_handler(self, event_type: str, event_handler_function: EventHandler) -> None:
        """Have events of a type from clients handled by a function.

        Args:
            event_type: The type of the events.
            event_handler_function: A function or coroutine function; it gets the address of the client as the
                keyword argument `client_address`.

        Raises:
            TypeError: The handler is not callable.
        """
        self._universal_event_handler.register_event_handler(event_type, event_handler_function)

    def on_connect(self, function: FunctionT) -> FunctionT:
        """Have a function called, where handlers run, each time a client is there: joined or back.

        Args:
            function: A function or coroutine function of the `ServerConnection`. Can be decorated with this.

        Returns:
            The function.

        Raises:
            TypeError: It is not callable.

        Example:
            ```python
            @server.on_connect
            def welcome(connection):
                server.dispatch_event("WELCOME", target_client=connection.remote_address)
            ```
        """
        self._hooks.add(function, ended=False)
        return function

    def on_disconnect(self, function: FunctionT) -> FunctionT:
        """Have a function called, where handlers run, each time a client is gone.

        Args:
            function: A function or coroutine function of the `ServerConnection` and the reason, a str:
                'timeout', after which the client may come back, 'replaced' by one at the same address,
                'shutdown', 'banned', 'kicked' or what `kick` was given. Can be decorated with this.

        Returns:
            The function.

        Raises:
            TypeError: It is not callable.
        """
        self._hooks.add(function, ended=True)
        return function

    def kick(self, address: tuple[str, int], reason: str = Reason.KICKED) -> None:
        """Forget a client, and take nothing in from its address for 10 seconds.

        To a client of PyGaSe 0.3.1 the server falls silent, so that it is disconnected for good after 5
        seconds; one of pygase-rs is told the reason and comes back after that time, as a new client. Events
        on their way to it time out.

        Args:
            address: The address of the client.
            reason: What `on_disconnect` is told, here and at the client.

        Raises:
            KeyError: There is no client with that address.
            TypeError: The reason is no str.
            ValueError: The reason is no text that can be sent.
            RuntimeError: The server does not run.
            OverflowError: `max_bans` addresses are banned.
        """
        check_reason(reason)
        if self._session is None or self._session.done.is_set():
            raise RuntimeError("Server is not running.")
        self._session.kick(address, reason)

    def ban(self, address: str | tuple[str, int]) -> None:
        """Take nothing in from a host or an address until `unban`, and forget the clients from there.

        It holds over all runs. What comes from there is counted and dropped before it is looked at.

        Args:
            address: An IP address, for all of its ports, or a pair of IP address and port.

        Raises:
            TypeError: It is neither.
            ValueError: It is no IP address, or the port is out of range.
            OverflowError: `max_bans` hosts or addresses are banned.
        """
        ban = Bans.parse(address)
        is_new = ban not in self._bans
        alike = sum((port is None) == (ban[1] is None) for _, port in self._bans)
        is_running = self._session is not None and not self._session.done.is_set()
        # A server that runs counts and logs those that it refuses.
        if is_new and not is_running and alike >= self._options.max_bans:
            raise OverflowError(f"too many bans: {alike}; unban some or raise max_bans")
        self._bans.add(ban)  # before its clients are gone, so that the reason is known
        try:
            if self._session is not None:
                self._session.ban(*ban)
        except OverflowError:
            if is_new:
                self._bans.discard(ban)
            raise

    def unban(self, address: str | tuple[str, int]) -> None:
        """Lift a ban; harmless if there is none.

        Args:
            address: What was given to `ban`.

        Raises:
            TypeError: It is no address.
            ValueError: It is no IP address, or the port is out of range.
        """
        ban = Bans.parse(address)
        self._bans.discard(ban)
        if self._session is not None:
            self._session.unban(*ban)

    def stats(self) -> dict[str, Any]:
        """Return the counters and gauges of this server, as README lists them; any thread may call it.

        Those of the game loop are among them while it gets the events.
        They are those of the last run if it does not run; before the first it is empty.
        """
        session = self._session
        if session is None:
            return {}
        clients = {
            address: gauges_of(connection)
            for address, connection in self.connections.copy().items()
            if isinstance(connection, ServerConnection)
        }
        stats = {
            "server": session.stats(),
            "state": session.state_stats(),
            "clients": clients,
            "errors": dict(session.errors.counts),
        }
        machine = session.event_wire
        if isinstance(machine, GameStateMachine):
            stats["game_loop"] = machine.stats()
        return stats

    def _start(self, port: int, hostname: str, event_wire: Any) -> ServerSession:
        check_port(port)
        if not isinstance(hostname, str):
            raise TypeError(f"hostname must be a str, not {type(hostname).__name__}")
        if event_wire is not None and not hasattr(event_wire, "_push_event"):
            kind = type(event_wire).__name__
            raise TypeError(f"event_wire must be a GameStateMachine, or have its _push_event, not {kind}")
        if self._session is not None and not self._session.done.is_set():
            address = (self.hostname, self.port)
            raise RuntimeError(f"Server is already running on {address}; call shutdown() first.")
        self._session = None
        options = self._options._changed()
        monitor = options.pop("monitor", False)
        session = ServerSession(hostname, port, self, event_wire, options=options)
        self._session = session
        if monitor:
            self._serve_figures(session, None if monitor is True else monitor)
        return session

    def _target(self, address: Any) -> Any:
        try:
            return self.connections[address]
        except KeyError as error:
            if isinstance(address, ServerConnection):
                hinted(error, "target_client is an address, such as remote_address of a connection")
            else:
                hinted(error, "no client has this address: server.connections has those there are")
            raise
        except TypeError as error:
            hinted(error, "target_client is the address of one client, or 'all'")
            raise

    def _serve_figures(self, session: ServerSession, tcp_port: int | None) -> None:
        from pygase._monitor import Endpoint

        assert self._port is not None, "the session listens"
        try:
            session.endpoint = Endpoint(self._port, tcp_port, self.stats)
        except BaseException:
            session.abandon()
            raise

    def _send(
        self,
        connection: Any,
        event: Event,
        retries: int,
        ack_callback: Callable[[ServerConnection], Any] | None,
        encoded: _core.EncodedEvent | None,
    ) -> None:
        callback = None if ack_callback is None else lambda: ack_callback(connection)
        send(connection, event, retries, callback, encoded)


# Where it is imported from.
Server.__module__ = "pygase.backend"
