"""What a recording tells: the states it goes through, and the events between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from pygase import _core
from pygase._errors import DecodeError
from pygase._store import attributes_of
from pygase.connection import ClientPackage, ServerPackage
from pygase.event import Event
from pygase.gamestate import TO_DELETE, GameState
from pygase.utils import Sqn

__all__ = ["Address", "Happening", "Story", "changes", "flat", "listed"]

Address = tuple[str, int]


class Happening(NamedTuple):
    """A new state, or an event."""

    at: float
    """Seconds since the recording began."""
    tick: int
    """Number of the state; it goes on beyond the 65535 at which time orders start anew."""
    state: GameState
    """The state, which the story goes on to change."""
    changes: dict[str, Any] | None
    """What changed since the last state, with `TO_DELETE` for what is gone; None for an event."""
    event: Event | None = None
    """The event."""
    is_up: bool = False
    """Whether it went to the server."""


class Story:
    """Goes through a recording: as the server made it, or as one client saw it.

    Args:
        path: The file.
        client: Whose view to follow. By default the states are those the server made, if it was recorded
            there, and else those of the client that is heard of first; its events are the ones shown.

    Attributes:
        recording: The file.
        client: The client, once it is known.
        clients: How many packages there were up and down by client.
        states: How many states there were.
        events: How many events there were.
        missing: How many entries were dropped when it was recorded.
        seconds: How long it is, as far as it was read.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is no recording.
    """

    def __init__(self, path: str | Path, client: Address | None = None) -> None:
        self.recording = _core.Recording(path)
        self.client = client
        self.clients: dict[Address, list[int]] = {}
        self.states = self.events = self.missing = 0
        self.seconds = 0.0
        self._of_server = self.recording.source == "server" and client is None
        self._state = GameState()
        self._tick = 0
        self._sequence = Sqn(0)

    def __iter__(self) -> Iterator[Happening]:
        """Yield what happened; ValueError where the recording cannot be read any further."""
        for at, kind, *rest in self.recording:
            self.seconds = at
            if kind == "gap":
                self.missing += rest[0]
            elif kind in ("up", "down"):
                yield from self._package(at, kind == "up", *rest)
            elif self._of_server:
                time_order, data = rest
                yield from self._advance(at, time_order, _core.unpackb(data), kind == "state")

    def _package(self, at: float, is_up: bool, client: Address, data: bytes) -> Iterator[Happening]:
        self.clients.setdefault(client, [0, 0])[not is_up] += 1
        if self.client is None:
            self.client = client
        if client != self.client:
            return
        try:
            package = (ClientPackage if is_up else ServerPackage).from_datagram(data)
        except (DecodeError, ValueError):
            return  # a stranger's, or no package at all
        if isinstance(package, ServerPackage):
            sequence = Sqn(package.header.sequence)
            # A late one brings nothing that a newer one does not, but its number may look newer.
            if not self._of_server and (sequence > self._sequence or not self._sequence):
                self._sequence = sequence
                update = package.game_state_update
                if update > self._state:
                    yield from self._advance(at, update.time_order, vars(update), False)
        elif not self._of_server and package.time_order == 0 and self._state.time_order:
            # It begins afresh: after an outage, or with another server.
            self._state.time_order = Sqn(0)
        for event in package.events:
            if event.type.startswith("~"):
                continue  # what peers of pygase-rs tell each other
            self.events += 1
            yield Happening(at, self._tick, self._state, None, event, is_up)

    def _advance(self, at: float, time_order: int, data: dict[str, Any], whole: bool) -> Iterator[Happening]:
        before, state = Sqn(self._state.time_order), self._state
        new = changes(attributes_of(state), data) if whole else data
        state._apply(time_order, new)
        self._tick = self._tick + (Sqn(time_order) - before) if self.states and before else time_order
        self.states += 1
        yield Happening(at, self._tick, state, new)


def changes(before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, Any]:
    """Return the update that makes one dict another.

    Args:
        before: The one.
        after: The other.
    """
    update: dict[Any, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if _is_map(value) and _is_map(old):
            if inner := changes(old, value):
                update[key] = inner
        elif key not in before or old != value or type(old) is not type(value):
            update[key] = value
    update.update((key, TO_DELETE) for key in before if key not in after)
    return update


def flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dicts by their paths, such as `players.3.x`.

    Args:
        tree: The dicts.
        path: Path to them.
    """
    if _is_map(tree) and (tree or not path):
        for key, value in tree.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def listed(tree: dict[str, Any]) -> str:
    """Return the leaves of an update in one line.

    Args:
        tree: The update.
    """
    parts = (f"-{path}" if value == TO_DELETE else f"{path}={value!r}" for path, value in flat(tree))
    return " ".join(parts)


def _is_map(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)
