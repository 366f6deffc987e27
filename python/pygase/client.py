"""The client of a game.

# Contents
- `Client`: connects to a server, follows its game state and exchanges events with it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pygase._dual import check_port, dual, run_in_thread
from pygase.connection import ClientConnection, ClientSession
from pygase.event import Event, EventHandler, UniversalEventHandler
from pygase.gamestate import GameState
from pygase.utils import LockedResource, logger  # noqa: F401, games may take it from here, too

__all__ = ["Client"]

T = TypeVar("T")

#: Seconds between two looks at the game state.
POLL_INTERVAL = 0.005


class Client:
    """Connects to a server, follows its game state and exchanges events with it.

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

    def __init__(self) -> None:
        self.connection: ClientConnection | None = None
        self._universal_event_handler = UniversalEventHandler()

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
            The thread, no daemon: the process ends only after `disconnect`.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range.
            OSError: The hostname cannot be resolved.
            RuntimeError: This client is connected already.
        """
        return run_in_thread(self._start(port, hostname).run(), "pygase-client", daemon=False)

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

        def attempt(game_state: GameState) -> Any:
            try:
                return function(game_state)
            except (KeyError, AttributeError):
                return None

        found: T = self._poll(attempt, lambda result: result is not None, timeout)
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
            retries: How often to send it again when it gets lost; it may arrive twice then.
            ack_callback: Function or coroutine function without arguments, called when the event has arrived.
            **kwargs: Keyword arguments for the handlers.

        Raises:
            RuntimeError: The client is not connected.
            TypeError: An argument cannot be sent; the message has the path to it.
            OverflowError: The event is too large for a package.
        """
        connection = self._connected()
        if getattr(connection, "_is_closed", False):
            raise RuntimeError("Client is not connected.")
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

    def _start(self, port: int, hostname: str) -> ClientSession:
        check_port(port, lowest=1)
        if not isinstance(hostname, str):
            raise TypeError(f"hostname must be a str, not {type(hostname).__name__}")
        if self.connection is not None and getattr(self.connection, "_is_open", False):
            address = self.connection.remote_address
            raise RuntimeError(f"Client is already connected to {address}; call disconnect() first.")
        connection = ClientConnection((hostname, port), self._universal_event_handler)
        session = connection._start()
        self.connection = connection
        return session

    def _connected(self) -> ClientConnection:
        if self.connection is None:
            raise RuntimeError("Client is not connected.")
        return self.connection

    def _poll(self, attempt: Callable[[GameState], Any], good: Callable[[Any], bool], timeout: float) -> Any:
        context = self._connected().game_state_context
        deadline = time.monotonic() + timeout
        while True:
            with context as game_state:
                result = attempt(game_state)
            if good(result):
                return result
            if time.monotonic() >= deadline:
                raise TimeoutError(f"Condition not satisfied after timeout of {timeout} seconds.")
            time.sleep(POLL_INTERVAL)


def send(connection: Any, event: Event, retries: int, ack_callback: Callable[[], Any] | None) -> None:
    """Send an event over a connection, and again when it gets lost.

    Args:
        connection: Object with `dispatch_event`.
        event: The event.
        retries: How often to send it again.
        ack_callback: Called when the event has arrived.
    """
    retry = (lambda: send(connection, event, retries - 1, ack_callback)) if retries > 0 else None
    connection.dispatch_event(event, ack_callback, retry)
