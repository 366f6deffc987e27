"""The client of a game.

# Contents
- `Client`: connects to a server, follows its game state and exchanges events with it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pygase import _core
from pygase._client_session import ClientSession
from pygase._dual import check_port, dual, run_in_thread
from pygase._hints import check_sending, hinted, needs_init
from pygase._life import Hooks
from pygase._polling import PolledSession
from pygase._snapshots import Path, Snapshots, check_delay, keys_of
from pygase.connection import ClientConnection, Connection, gauges_of
from pygase.event import Event, EventHandler, UniversalEventHandler
from pygase.gamestate import GameState
from pygase.options import ClientOptions, ClientSettings, Unpack, make_options
from pygase.utils import LockedResource, logger

__all__ = ["Client"]

T = TypeVar("T")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

#: What to ask oneself when nothing comes.
WHETHER_THERE = "does a server run there, and its game loop?"
#: Seconds between two looks at the game state.
POLL_INTERVAL = 0.005


class Client:
    """Connects to a server, follows its game state and exchanges events with it.

    Args:
        options: Settings to begin with.
        **settings: Single settings, see `ClientOptions`.

    Attributes:
        connection: The connection to the server; None before the first one.

    Example:
        ```python
        client = Client()
        client.connect_in_thread(port=8080)
        with client.access_game_state() as game_state:
            print(game_state.to_dict())
        client.dispatch_event("JUMP", height=2)
        client.disconnect()
        ```
    """

    def __init__(self, *, options: ClientOptions | None = None, **settings: Unpack[ClientSettings]) -> None:
        self._options = make_options(ClientOptions, type(self).__name__, options, settings)
        self.connection: ClientConnection | None = None
        self._universal_event_handler = UniversalEventHandler()
        self._hooks = Hooks()

    if not TYPE_CHECKING:
        __getattr__ = needs_init("_options")

    @property
    def options(self) -> ClientOptions:
        """The settings of this client."""
        return self._options

    @dual
    async def connect(self, port: int, hostname: str = "localhost") -> None:
        """Connect to a server and stay connected until `disconnect`. Blocks, or is awaited.

        Where nothing listens, it keeps trying. Handlers and callbacks run in this thread.

        Args:
            port: Port of the server.
            hostname: Hostname or IP address of the server.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range.
            OSError: The hostname cannot be resolved.
            RuntimeError: This client is connected already.
        """
        await self._start(port, hostname).run()

    def connect_in_thread(self, port: int, hostname: str = "localhost") -> threading.Thread:
        """Connect to a server in a thread of its own, where handlers and callbacks run then.

        Args:
            port: Port of the server.
            hostname: Hostname or IP address of the server.

        Returns:
            The thread, no daemon; the process ends only after `disconnect`.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range.
            OSError: The hostname cannot be resolved.
            RuntimeError: This client is connected already.
        """
        session = self._start(port, hostname)
        return run_in_thread(session.run(), "pygase-client", daemon=False, give_up=session.abandon)

    def start(self, port: int, hostname: str = "localhost") -> None:
        """Connect to a server in the background; handlers and callbacks run only in `poll`.

        For games that own their main loop. There is no thread to manage: the network goes on by itself, and
        the process may end at any time.

        Args:
            port: Port of the server.
            hostname: Hostname or IP address of the server.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range.
            OSError: The hostname cannot be resolved.
            RuntimeError: This client is connected already.

        Example:
            ```python
            client.start(port=8080)
            while playing:
                client.poll(max_ms=2)
                draw(client.snapshot())
            client.disconnect()
            ```
        """
        self._start(port, hostname, PolledSession)

    def poll(self, max_events: int | None = None, max_ms: float | None = None) -> int:
        """Run handlers and callbacks that are due, in this thread; what is left waits for the next call.

        Coroutines of handlers go on from one call to the next. After `disconnect` there may be callbacks
        left for events that did not arrive.

        Args:
            max_events: How many to run at most; None for as many as there are.
            max_ms: After how many milliseconds to begin no further one; None for no limit.

        Returns:
            How many were run.

        Raises:
            TypeError: An argument is no number.
            ValueError: An argument is negative.
            RuntimeError: The client was not connected with `start`, an event loop runs in this thread, or
                another call is under way.
        """
        for name, value in (("max_events", max_events), ("max_ms", max_ms)):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(
                value, int if name == "max_events" else (int, float)
            ):
                raise TypeError(f"{name} must be a number or None, not {value!r}")
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, but is {value!r}")
        session = self._connected()._session
        if not isinstance(session, PolledSession):
            raise RuntimeError(
                "poll() needs a connection made by start(); connect() runs handlers by itself."
            )
        return session.poll(max_events, max_ms)

    def snapshot(self) -> GameState:
        """Return the newest whole game state, without waiting for anything or anybody.

        Each state stays as it is when newer ones come, and shares with them what did not change: do not
        change it. Before the first update it is an empty one with time order 0.

        Raises:
            RuntimeError: The client was never connected.
        """
        return self._snapshots().newest()

    def interpolated(self, path: Path, delay: float = 0.1) -> Any:
        """Return a number or vector of the game state as it was `delay` seconds ago, for smooth movement.

        Between two updates it is on the straight line from one to the other, by the time at which they came.
        At gaps:

        - Nothing newer than `delay` has come: the newest value, never one beyond it.
        - Nothing came for longer than `delay` before an update: the old value rests, and moves in the last
          `delay` seconds of the gap.
        - The value is new: the newest one. It is gone: KeyError at once.
        - After an outage, or from another server: the new value at once.
        - It is neither a number nor a list of numbers of the same length: the older of the two values.

        The states to look back at are kept from the first call on.

        Args:
            path: Names and keys from the game state to the value, such as `("players", 3, "position")`; a str
                is split at its dots.
            delay: How long ago, in seconds, 0 to 5. It should be longer than two updates take.

        Raises:
            KeyError: The newest game state has no such value.
            TypeError: The path is no str or tuple, or the delay no number.
            ValueError: The path is empty or the delay out of range.
            RuntimeError: The client was never connected.

        Example:
            ```python
            x, y = client.interpolated(("players", 3, "position"))
            ```
        """
        check_delay(delay)
        return self._snapshots().interpolated(keys_of(path), delay)

    @dual
    def disconnect(self, shutdown_server: bool = False) -> None:
        """Close the connection; harmless when it is closed already. Blocks, or is awaited.

        Args:
            shutdown_server: Shut down the server as well, if this client is its host.

        Raises:
            RuntimeError: `connect` was never called.
        """
        self._connected().shutdown(shutdown_server)

    def access_game_state(self) -> LockedResource[GameState]:
        """Return a context manager that gives the newest game state and keeps it still.

        Raises:
            RuntimeError: `connect` was never called.

        Example:
            ```python
            with client.access_game_state() as game_state:
                draw(game_state.players)
            ```
        """
        return self._connected().game_state_context

    def wait_until(self, game_state_condition: Callable[[GameState], Any], timeout: float = 1.0) -> None:
        """Block until the game state satisfies a condition.

        Args:
            game_state_condition: Function of the game state.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: The condition was not satisfied in time.
            RuntimeError: `connect` was never called.
        """
        self._poll(game_state_condition, bool, timeout)

    def try_to(self, function: Callable[[GameState], T], timeout: float = 1.0) -> T:
        """Call a function of the game state until it finds what it needs.

        Raising `KeyError` or `AttributeError` and returning None mean that it does not.

        Args:
            function: Function of the game state.
            timeout: Seconds to keep trying.

        Returns:
            What the function returns.

        Raises:
            TimeoutError: The function did not succeed in time.
            RuntimeError: `connect` was never called.

        Example:
            ```python
            position = client.try_to(lambda game_state: game_state.players[0]["position"])
            ```
        """
        missing: list[Exception] = []

        def attempt(game_state: GameState) -> Any:
            missing.clear()
            try:
                return function(game_state)
            except (KeyError, AttributeError) as error:
                missing.append(error.with_traceback(None))
                return None

        try:
            found: T = self._poll(attempt, lambda result: result is not None, timeout)
        except TimeoutError as error:
            if missing:
                hinted(error, f"the last try ended with {missing[0]!r}")
            raise
        return found

    def dispatch_event(
        self,
        event_type: str,
        *args: Any,
        retries: int = 0,
        ack_callback: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to the server.

        Args:
            event_type: The type its handlers are registered for.
            *args: Positional arguments for the handlers.
            retries: How often to send it again when it gets lost. A server that is pygase-rs handles it once
                all the same; one of PyGaSe 0.3.1 may handle it twice.
            ack_callback: Function or coroutine function without arguments, called when the event has arrived.
            **kwargs: Keyword arguments for the handlers.

        Raises:
            RuntimeError: The client is not connected.
            TypeError: An argument cannot be sent, and the message has the path to it; or `retries` is no int,
                or `ack_callback` not callable.
            ValueError: It is an event by which two peers of pygase-rs speak.
            OverflowError: The event is too large for a package.
        """
        connection = self._connected()
        if getattr(connection, "_is_closed", False):
            raise hinted(RuntimeError("Client is not connected."), "its connection has ended: connect again")
        check_sending(retries, ack_callback)
        send(connection, Event(event_type, *args, **kwargs), retries, ack_callback)

    def register_event_handler(self, event_type: str, event_handler_function: EventHandler) -> None:
        """Have events of a type from the server handled by a function.

        Args:
            event_type: The type of the events.
            event_handler_function: A function or coroutine function.

        Raises:
            TypeError: The handler is not callable.
        """
        self._universal_event_handler.register_event_handler(event_type, event_handler_function)

    def on_connect(self, function: FunctionT) -> FunctionT:
        """Have a function called, where handlers run, each time the server is there.

        Args:
            function: A function or coroutine function without arguments. Can be decorated with this.

        Returns:
            The function.

        Raises:
            TypeError: It is not callable.
        """
        self._hooks.add(function, ended=False)
        return function

    def on_disconnect(self, function: FunctionT) -> FunctionT:
        """Have a function called, where handlers run, each time the connection has ended.

        Except after 'left' the client goes on trying, see the option `reconnect_for`.

        Args:
            function: A function or coroutine function of the reason, a str: 'timeout', 'left', or what a
                server that is pygase-rs says: 'shutdown', 'server full', 'banned', 'kicked' or another reason
                that `Server.kick` was given. Can be decorated with this.

        Returns:
            The function.

        Raises:
            TypeError: It is not callable.

        Example:
            ```python
            @client.on_disconnect
            def lost(reason):
                print("no server:", reason)
            ```
        """
        self._hooks.add(function, ended=True)
        return function

    def stats(self) -> dict[str, Any]:
        """Return the counters and gauges of this client, as README lists them; any thread may call it.

        Before the first connection it is empty.
        """
        connection = self.connection
        if not isinstance(connection, ClientConnection):
            return {}
        session = connection._session
        return {
            "connection": gauges_of(connection),
            "state": connection._state_stats(),
            "socket": {} if session is None else session.stats(),
            "errors": {} if session is None else dict(session.errors.counts),
        }

    def _snapshots(self) -> Snapshots:
        connection = self._connected()
        attributes: dict[str, Any] = vars(connection)
        known: Snapshots | None = attributes.get("_snapshots")
        return attributes.setdefault("_snapshots", Snapshots(connection)) if known is None else known

    def _start(self, port: int, hostname: str, kind: type[ClientSession] = ClientSession) -> ClientSession:
        check_port(port, lowest=1)
        if not isinstance(hostname, str):
            raise TypeError(f"hostname must be a str, not {type(hostname).__name__}")
        if self.connection is not None and getattr(self.connection, "_is_open", False):
            address = self.connection.remote_address
            raise RuntimeError(f"Client is already connected to {address}; call disconnect() first.")
        connection = ClientConnection((hostname, port), self._universal_event_handler)
        connection._hooks = self._hooks
        session = connection._start(self._options._changed(), kind)
        self.connection = connection
        return session

    def _connected(self) -> ClientConnection:
        if self.connection is None:
            raise hinted(
                RuntimeError("Client is not connected."),
                "call start(), connect() or connect_in_thread() first",
            )
        return self.connection

    def _poll(self, attempt: Callable[[GameState], Any], good: Callable[[Any], bool], timeout: float) -> Any:
        context = self._connected().game_state_context
        deadline = time.monotonic() + timeout
        while True:
            with context as game_state:
                result, is_there = attempt(game_state), game_state.time_order > 0
            if good(result):
                return result
            if time.monotonic() >= deadline:
                error = TimeoutError(f"Condition not satisfied after timeout of {timeout} seconds.")
                address = self._connected().remote_address
                raise error if is_there else hinted(error, f"no state from {address} yet: {WHETHER_THERE}")
            time.sleep(POLL_INTERVAL)


def send(
    connection: Any,
    event: Event,
    retries: int,
    ack_callback: Callable[[], Any] | None,
    encoded: _core.EncodedEvent | None = None,
) -> None:
    """Send an event over a connection, and again when it gets lost.

    Args:
        connection: A connection, or an object with `dispatch_event`.
        event: The event.
        retries: How often to send it again.
        ack_callback: Called when the event has arrived.
        encoded: The same event, where it is encoded already.
    """
    dispatch = connection.dispatch_event
    if isinstance(connection, Connection) and dispatch == Connection.dispatch_event.__get__(connection):
        # The core sends it again, whatever Python is busy with, and lets a peer of ours handle it once.
        connection._dispatch_retried(event if encoded is None else encoded, ack_callback, retries)
    else:
        retry = (lambda: send(connection, event, retries - 1, ack_callback)) if retries > 0 else None
        dispatch(event, ack_callback, retry)
    logger.debug("event %s goes to %s", event.type, getattr(connection, "remote_address", connection))
