"""The backend of a game: its state, its rules and its server.

# Contents
- `GameStateStore`: keeps the game state
- `Server`: shares the game state with clients and exchanges events with them
- `GameStateMachine`: runs the game loop
- `Backend`: all three, assembled
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pygase._dual import dual
from pygase._hints import needs_init
from pygase._loops import running
from pygase._machine import GameStateMachine
from pygase._server import Server
from pygase._store import GameStateStore
from pygase.connection import ServerConnection as ServerConnection  # games may take these from here, too
from pygase.event import Event as Event
from pygase.event import EventHandler
from pygase.event import UniversalEventHandler as UniversalEventHandler
from pygase.gamestate import GameState
from pygase.gamestate import GameStateUpdate as GameStateUpdate
from pygase.gamestate import GameStatus as GameStatus
from pygase.options import ServerOptions, ServerSettings, Unpack, make_options
from pygase.utils import logger as logger

__all__ = ["Backend", "GameStateMachine", "GameStateStore", "Server"]


class Backend:
    """Everything a game needs at the server: a store, a game loop and a server, assembled.

    Args:
        initial_game_state: The game state to begin with.
        time_step_function: Function of the game state and of the seconds since the last time step that
            returns a dict of what changes, see `GameStateMachine.time_step`.
        event_handlers: Functions for the game loop by event type, see
            `GameStateMachine.register_event_handler`.
        options: Settings of the server to begin with.
        **settings: Single settings, see `ServerOptions`.

    Attributes:
        game_state_store: The `GameStateStore`.
        game_state_machine: The `GameStateMachine`.
        server: The `Server`.

    Example:
        ```python
        Backend(
            GameState(position=0.0, speed=1.0),
            lambda game_state, dt: {"position": game_state.position + game_state.speed * dt},
            {"SET_SPEED": lambda speed, **kwargs: {"speed": speed}},
        ).run("localhost", 8080)
        ```
    """

    def __init__(
        self,
        initial_game_state: GameState,
        time_step_function: Callable[[GameState, float], Any],
        event_handlers: dict[str, EventHandler] | None = None,
        *,
        options: ServerOptions | None = None,
        **settings: Unpack[ServerSettings],
    ) -> None:
        if not callable(time_step_function):
            raise TypeError(f"time_step_function must be callable, not {type(time_step_function).__name__}")
        if event_handlers is not None and not isinstance(event_handlers, Mapping):
            kind = type(event_handlers).__name__
            raise TypeError(f"event_handlers must be a dict of functions by event type, not {kind}")
        options = make_options(ServerOptions, type(self).__name__, options, settings)
        self.game_state_store = GameStateStore(initial_game_state)
        self.game_state_machine = GameStateMachine(self.game_state_store)
        self.game_state_machine._max_events = options.max_loop_events
        self.game_state_machine.time_step = time_step_function  # type: ignore[assignment, method-assign]
        for event_type, handler in (event_handlers or {}).items():
            self.game_state_machine.register_event_handler(event_type, handler)
        self.server = Server(self.game_state_store, options=options)

    if not TYPE_CHECKING:
        __getattr__ = needs_init("game_state_store")

    @dual
    async def run(self, hostname: str, port: int, interval: float = 0.02) -> None:
        """Run the game loop and the server until `shutdown`. Blocks, or is awaited.

        Args:
            hostname: Hostname or IP address to listen on.
            port: Port to listen on; 0 for any that is free.
            interval: Seconds between the starts of two time steps.

        Raises:
            TypeError: The port is no int or the hostname no str.
            ValueError: The port is out of range or the interval not positive.
            OSError: The address cannot be used; `PermissionError` if that takes more rights.
            RuntimeError: This backend runs already.
        """
        session = self.server._start(port, hostname, self.game_state_machine)
        try:
            game_loop = self.game_state_machine.run_game_loop_in_thread(interval)
        except BaseException:
            session.abandon()
            raise
        try:
            await session.run()
        finally:
            loop = running()
            with loop.shield() if loop is not None else nullcontext():
                if await self.game_state_machine.stop():
                    game_loop.join(1.0)  # it has nothing left to do but to end

    def stats(self) -> dict[str, Any]:
        """Return `Server.stats` and `GameStateMachine.stats`, see README; any thread may call it."""
        return {**self.server.stats(), "game_loop": self.game_state_machine.stats()}

    @dual
    def shutdown(self) -> None:
        """Stop the game loop and the server; harmless when they do not run. Blocks, or is awaited."""
        self.game_state_machine.stop()
        self.server.shutdown()
