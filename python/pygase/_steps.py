"""Connections moved by hand: one package or one event at a time, in any event loop.

# Contents
- `Steps`: the underscored methods of a connection
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Protocol

from pygase import _core
from pygase._arrived import knows_all
from pygase._core import Header, Package
from pygase._loops import running
from pygase.event import Event
from pygase.utils import Sqn

__all__ = ["Steps"]


class _Socket(Protocol):
    async def sendto(self, data: bytes, address: Any, /) -> Any: ...


class Steps(_core.Connection):
    """What one can do with a connection that neither a client nor a server drives.

    Each step takes the time from Python's clock; one that goes back counts as no time passed. The steps of a
    connection that a client or server drives raise `RuntimeError`.

    Attributes:
        _timeout: Seconds of silence after which a connection counts as lost.
        _package_intervals: Seconds between packages, by quality.
        _latency_threshold: Seconds of latency above which the quality is bad.
        _min_throttle_time: Least seconds of good quality before packages are sent fast again.
        _max_throttle_time: Most seconds of that.
    """

    # Read when a connection is made.
    _timeout: float = 5.0
    _package_intervals: Mapping[str, float] = {"good": 1 / 40, "bad": 1 / 20}
    _latency_threshold: float = 0.25
    _min_throttle_time: float = 1.0
    _max_throttle_time: float = 60.0

    async def _recv(self, package: Package) -> None:
        """Take in a package, and call the callbacks of events whose fate is known by it.

        Args:
            package: The package, of the kind that the other side sends.

        Raises:
            DuplicateSequenceError: A package with its number came before; nothing changes.
            AttributeError: It is a package of another kind; nothing changes.
        """
        now = time.time()
        undone = {name: value for name, value in self._moved_by_hooks() if self._is_overridden(name)}
        sent = self._in_flight() if "_update_latency" in undone else {}
        outcomes = self._step_receive(package, now)
        if undone:
            self._call_hooks(package.header, undone, [now - at for at in _acknowledged(package.header, sent)])
        for inbox in tuple(vars(self).get("_waiting_tasks", ())):
            inbox.wake()
        await self._tell(outcomes)

    async def _send_next_package(self, sock: _Socket) -> None:
        """Send a package with the next events that wait, and call the callbacks of events that got lost.

        Args:
            sock: Object with a coroutine function `sendto(data, address)`.
        """
        self._step_sequence()
        datagram, outcomes = self._step_send(self._create_next_package(), time.time())
        try:
            await sock.sendto(datagram, self.remote_address)
        finally:
            await self._tell(outcomes)

    async def _handle_next_event(self) -> None:
        """Wait for an event and hand it to its handler and to the event wire."""
        event = self._step_event() or await self._next_event()
        handlers, wire = self.event_handler, self.event_wire
        if handlers is not None and handlers.has_event_type(event.type):
            await _result(handlers.handle(event))
        if wire is not None and getattr(wire, "_knows", knows_all)(event.type):
            await _result(wire._push_event(event))

    def _create_next_package(self) -> Package:
        """Return a package without events that says what has been received."""
        return Package(self._header())

    def _set_status(self, status: int | str) -> None:
        """Set the status.

        Args:
            status: A `ConnectionStatus` or its name, such as 'Connected'.
        """
        from pygase.connection import ConnectionStatus

        self.status = ConnectionStatus(ConnectionStatus.get(status) if isinstance(status, str) else status)

    @property
    def _pending_acks(self) -> MutableMapping[int, float]:
        """Packages that are neither acknowledged nor lost: time of sending by sequence number."""
        return _PendingAcks(self)

    @property
    def _incoming_event_queue(self) -> _Queue:
        """Events that came in and wait for `_handle_next_event`."""
        return _Queue(self, 0)

    @property
    def _outgoing_event_queue(self) -> _Queue:
        """Events that wait for a package."""
        return _Queue(self, 1)

    def _moved_by_hooks(self) -> list[tuple[str, Any]]:
        """Return the methods that a package calls, each with what it sets, as that is now."""
        return [
            ("_set_status", self.status),
            ("_update_remote_info", (self.remote_sequence, self.ack_bitfield)),
            ("_update_latency", self.latency),
        ]

    def _is_overridden(self, name: str) -> bool:
        return name in vars(self) or getattr(type(self), name) is not getattr(Steps, name)

    def _call_hooks(self, header: Header, undone: dict[str, Any], round_trips: list[float]) -> None:
        """Leave to methods of a subclass what the core has done in their place.

        Args:
            header: The header of the package that came in.
            undone: What each overridden method sets, as it was before.
            round_trips: The round trip times that the package tells of, in seconds.
        """
        if "_set_status" in undone and undone["_set_status"] != self.status:
            self.status = undone["_set_status"]
            self._set_status("Connected")
        if "_update_remote_info" in undone:
            self.remote_sequence, self.ack_bitfield = undone["_update_remote_info"]
            self._update_remote_info(header.sequence)
        if "_update_latency" in undone:
            self.latency = undone["_update_latency"]
            for round_trip in round_trips:
                self._update_latency(round_trip)

    def _header(self) -> Header:
        return Header(self.local_sequence, self.remote_sequence, self.ack_bitfield)

    async def _next_event(self) -> Event:
        loop = running()
        if loop is None:
            raise RuntimeError("Waiting for an event takes a running asyncio, trio or curio event loop.")
        inbox = _core.Inbox()
        waiting: set[_core.Inbox] = vars(self).setdefault("_waiting_tasks", set())
        bell = loop.bell(inbox)
        waiting.add(inbox)
        try:
            while True:
                bell.clear()
                inbox.take()
                event = self._step_event()
                if event is not None:
                    return event
                await bell.wait()
        finally:
            waiting.discard(inbox)
            await bell.close()
            inbox.close()

    async def _tell(self, outcomes: list[tuple[int, bool]]) -> None:
        """Call the callbacks of events; all of them, whatever one raises."""
        error: Exception | None = None
        for callback_id, arrived in outcomes:
            callback = self._resolve(callback_id, arrived)
            try:
                if callback is not None:
                    await _result(callback())
            except Exception as raised:
                error = error or raised
        if error is not None:
            raise error


class _Queue:
    """Says whether events wait."""

    def __init__(self, connection: _core.Connection, which: int) -> None:
        self._connection = connection
        self._which = which

    def empty(self) -> bool:
        """Return whether no event waits."""
        return not self._connection._waiting()[self._which]


class _PendingAcks(MutableMapping[int, float]):
    """The packages in flight of a connection, looked up whenever someone asks."""

    def __init__(self, connection: _core.Connection) -> None:
        self._connection = connection

    def __getitem__(self, sequence: int) -> float:
        return self._connection._in_flight()[Sqn(sequence)]

    def __setitem__(self, sequence: int, sent: float) -> None:
        self._connection._set_in_flight(sequence, sent)

    def __delitem__(self, sequence: int) -> None:
        self._connection._set_in_flight(sequence)

    def __iter__(self) -> Iterator[int]:
        return iter(self._connection._in_flight())

    def __len__(self) -> int:
        return len(self._connection._in_flight())

    def __repr__(self) -> str:
        return repr(self._connection._in_flight())


def _acknowledged(header: Header, sent: Mapping[int, float]) -> list[float]:
    """Return when the packages were sent that a header acknowledges."""
    return [at for sequence, at in sent.items() if _acknowledges(header, header.ack - sequence)]


def _acknowledges(header: Header, distance: int) -> bool:
    return distance == 0 or (0 < distance <= 32 and header.ack_bitfield[distance - 1] == "1")


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
