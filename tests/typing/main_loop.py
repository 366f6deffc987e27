"""A game that owns its main loop, as a type checker sees it. It is never run."""

from __future__ import annotations

from pygase import Backend, Client, ClientOptions, GameState, Server, ServerOptions
from pygase.gamestate import GameStatus


def draw(x: float, y: float) -> None:
    """Draw a player."""


def play(port: int) -> int:
    """Play until the game is paused; return how many handlers ran."""
    client = Client(connection_timeout=2.0, max_waiting_events=64)
    options: ClientOptions = client.options
    client.register_event_handler("NEWS", print)
    client.start(port, hostname="localhost")
    handled: int = 0
    while True:
        handled += client.poll(max_events=16, max_ms=2.0)
        state: GameState = client.snapshot()
        if state.game_status == GameStatus.PAUSED:
            break
        for key in state.players:
            x, y = client.interpolated(("players", key, "position"), delay=2 * options.interval_bad)
            draw(x, y)
        client.dispatch_event("MOVE", 1, 0, retries=1)
    client.disconnect()
    return handled


def time_step(game_state: GameState, dt: float) -> dict[str, object]:
    """Return what changes."""
    return {"time": game_state.time + dt}


def serve(strict: bool) -> Server:
    """Return a server with settings of its own."""
    options = ServerOptions(max_connections=8, idle_removal=10.0)
    backend = Backend(
        GameState(time=0.0), time_step, options=options, connection_timeout=1.0 if strict else 5.0
    )
    return backend.server


def mistakes(port: int) -> None:
    """What a type checker finds; an ignore that is not needed would be an error."""
    Client(conection_timeout=1.0)  # type: ignore[call-arg]
    Client(connection_timeout="1")  # type: ignore[arg-type]
    Client(ServerOptions())  # type: ignore[call-arg, arg-type]
    Server(None, max_connections=1.5)  # type: ignore[arg-type]
    Client().poll(max_events="all")  # type: ignore[arg-type]
    Client().start(str(port))  # type: ignore[arg-type]
    client = Client()
    client.options.connection_timeout = 1.0  # type: ignore[misc]
