"""A typed game: what a user with a strict type checker writes. Checked by mypy, never run.

A `type: ignore` marks a mistake that the checker has to see: in strict mode one too many is an error.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pygase
from pygase.connection import ClientConnection, ConnectionStatus, ServerConnection
from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate, GameStatus

if TYPE_CHECKING:
    from typing_extensions import assert_type

Address = tuple[str, int]


class Arena(GameState):
    """A state with declared attributes."""

    players: dict[int, dict[str, Any]]
    walls: list[tuple[float, float]]

    def __init__(self) -> None:
        super().__init__(game_status=GameStatus.ACTIVE, players={}, walls=[])


class Loop(pygase.GameStateMachine):
    """A game loop made by overriding."""

    def time_step(self, game_state: GameState, dt: float) -> dict[str, Any]:
        """Move on."""
        return {"seconds": game_state.seconds + dt}


def on_chat(text: str, client_address: Address) -> None:
    """Take what a client says."""
    print(text, client_address)


class Player(pygase.Client):
    """A client with a life of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.register_event_handler("NEWS", self.on_news)
        self.register_event_handler("LATER", self.on_later)

    def on_news(self, text: str) -> None:
        """Handle an event."""
        print(self.name, text)

    async def on_later(self, text: str) -> None:
        """Handle an event some time."""
        print(self.name, text)


def time_step(game_state: GameState, dt: float) -> dict[str, Any]:
    return {"ticks": game_state.ticks + 1, "gone": TO_DELETE}


def on_join(name: str, *, game_state: GameState, dt: float, client_address: Address) -> dict[str, Any] | None:
    return {"players": {name: {"from": client_address}}} if dt else None


def serve() -> None:
    arena = Arena()
    assert_type(arena.players, dict[int, dict[str, Any]])
    assert_type(arena.is_paused(), bool)
    store = pygase.GameStateStore(arena)
    store.push_update(GameStateUpdate(1, walls=[(0.0, 1.0)]))
    assert_type(store.get_game_state(), GameState)
    assert_type(store.get_update_cache(), list[GameStateUpdate])

    loop = Loop(store)
    loop.register_event_handler("JOIN", on_join)
    assert_type(loop.run_game_loop_in_thread(interval=0.05), threading.Thread)

    server = pygase.Server(store)
    server.register_event_handler("CHAT", on_chat)
    assert_type(server.run_in_thread(port=8080, event_wire=loop), threading.Thread)
    assert_type(server.port, "int | None")
    assert_type(server.hostname, "str | None")

    def on_ack(connection: ServerConnection) -> None:
        print(connection.remote_address)

    server.dispatch_event("NEWS", "war", target_client="all", retries=2, ack_callback=on_ack, loud=True)
    server.shutdown()
    loop.stop(timeout=2)


def assembled() -> None:
    backend = pygase.Backend(GameState(ticks=0), time_step, {"JOIN": on_join})
    assert_type(backend.server, pygase.Server)
    assert_type(backend.game_state_machine, pygase.GameStateMachine)
    assert_type(backend.game_state_store, pygase.GameStateStore)
    backend.run("localhost", 8080)
    backend.shutdown()


def play() -> None:
    player = Player("anna")
    assert_type(player.connect_in_thread(8080, hostname="localhost"), threading.Thread)
    connection: ClientConnection | None = player.connection
    with player.access_game_state() as game_state:
        assert_type(game_state, GameState)
        print(game_state.players)
    player.wait_until(lambda state: bool(state.players), timeout=2.0)
    names = player.try_to(lambda state: [str(name) for name in state.players])
    assert_type(names, list[str])
    player.dispatch_event("JOIN", "anna", retries=3, ack_callback=lambda: None)
    if connection is not None:
        assert_type(connection.latency, float)
        assert_type(connection.status == ConnectionStatus.CONNECTED, bool)
    player.disconnect(shutdown_server=True)
    assert_type(pygase.get_available_ip_addresses(), list[str])


async def play_in_an_event_loop() -> None:
    client, server = pygase.Client(), pygase.Server(pygase.GameStateStore())
    await server.run(port=8080)
    await client.connect(8080)
    await client.disconnect()
    await server.shutdown()


def mistakes() -> None:
    client, server = pygase.Client(), pygase.Server(pygase.GameStateStore())
    client.connect_in_thread("8080")  # type: ignore[arg-type]
    client.connect_in_thread()  # type: ignore[call-arg]
    client.dispatch_event(5)  # type: ignore[arg-type]
    client.dispatch_event("A", retries="many")  # type: ignore[arg-type]
    client.register_event_handler("A", 5)  # type: ignore[arg-type]
    client.wait_until(5)  # type: ignore[arg-type]
    server.run_in_thread(demon=True)  # type: ignore[call-arg]
    server.dispatch_event("A", ack_callback=5)  # type: ignore[arg-type]
    pygase.GameStateStore({"a": 1})  # type: ignore[arg-type]
    pygase.GameStateStore().push_update({"a": 1})  # type: ignore[arg-type]
    pygase.Backend(GameState(), time_step, [on_join])  # type: ignore[arg-type]
