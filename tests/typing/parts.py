"""The parts below a game, typed: packages, numbers, events, resources. Checked by mypy, never run.

A `type: ignore` marks a mistake that the checker has to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygase.connection import (
    PROTOCOL_ID,
    ClientPackage,
    Connection,
    ConnectionStatus,
    Header,
    Package,
    ServerPackage,
)
from pygase.event import Event, UniversalEventHandler
from pygase.gamestate import GameState, GameStateUpdate, GameStatus
from pygase.utils import LockedResource, NamedEnum, Sendable, Sqn

if TYPE_CHECKING:
    from typing_extensions import assert_type


class Team(NamedEnum):
    """Names of one's own."""


class Note(Sendable):
    """Something that can be sent."""

    def __init__(self, text: str) -> None:
        self.text = text


class Wide(Sqn):
    """Four bytes."""


def numbers() -> None:
    assert_type(Sqn(5) + 1, Sqn)
    assert_type(Sqn(5) - Sqn(3), int)
    assert_type(Sqn(5) < Sqn(3), bool)
    assert_type(Sqn(5).to_sqn_bytes(), bytes)
    assert_type(Sqn.from_sqn_bytes(bytearray(2)), Sqn)
    Wide.set_bytesize(4)
    Sqn("5")  # type: ignore[arg-type]


def names() -> None:
    Team.register("Red")
    assert_type(Team.get("Red"), int)
    assert_type(Team.get(0), str)
    assert_type(ConnectionStatus.get("Connected"), int)
    assert_type(GameStatus.get(GameStatus.ACTIVE), str)
    Team.get(None)  # type: ignore[call-overload]


def things_that_travel() -> None:
    assert_type(Note("a").to_bytes(), bytes)
    assert_type(Note.from_bytes(b""), Note)
    assert_type(Note("a").to_dict(), dict[str, Any])
    event = Event("ATTACK", 3, weapon="axe")
    assert_type(event.type, str)
    assert_type(event.handler_args, list[Any])
    assert_type(event.handler_kwargs, dict[str, Any])
    assert_type(Event.from_bytes(event.to_bytes()), Event)
    Event(5)  # type: ignore[arg-type]


def states() -> None:
    state = GameState(a=1)
    state += GameStateUpdate(1, a=2)
    assert_type(state, GameState)
    assert_type(state + GameStateUpdate(2, a=3), GameState)
    assert_type(GameStateUpdate(1) + GameStateUpdate(2), GameStateUpdate)
    assert_type(state.time_order, Sqn)
    assert_type(state < GameStateUpdate(3), bool)
    GameStateUpdate(a=1)  # type: ignore[call-arg]


def packages() -> None:
    header = Header(1, 2, "1" * 32)
    assert_type(header.sequence, Sqn)
    assert_type(header.to_bytearray(), bytearray)
    assert_type(PROTOCOL_ID, bytes)
    package = ClientPackage(header, 5, [Event("a")])
    package.add_event(Event("b"))
    assert_type(package.time_order, Sqn)
    assert_type(package.get_bytesize(), int)
    assert_type(Package(header).header, Header)
    assert_type(ServerPackage(header, GameStateUpdate(1)).to_datagram(), bytes)
    assert_type(ClientPackage.from_datagram(package.to_datagram()), ClientPackage)
    Header(1, 2)  # type: ignore[call-arg]
    ClientPackage(header, 1, [5])  # type: ignore[list-item]


def connections() -> None:
    handler = UniversalEventHandler()
    handler.register_event_handler("A", print)
    assert_type(handler.has_event_type("A"), bool)
    connection = Connection(("localhost", 8080), handler)
    connection.dispatch_event(Event("A"), ack_callback=print, timeout_callback=lambda: None)
    assert_type(connection.latency, float)
    assert_type(connection.quality, str)


def resources() -> None:
    locked = LockedResource({"anna": 3})
    with locked as scores:
        assert_type(scores, dict[str, int])
    assert_type(locked.resource, dict[str, int])
    LockedResource(1, 2)  # type: ignore[call-arg]
