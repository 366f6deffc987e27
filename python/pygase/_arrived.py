"""Events that came, and how they find their handlers.

# Contents
- `Arrived`: events of one connection that wait for their handlers
- `knows_all`: says that a wire has handlers for all events
"""

from __future__ import annotations

import inspect
from typing import Any

from pygase import _core
from pygase._foreign import settled
from pygase._user_errors import UserErrors, WrongArgumentsError, call_handler, is_table, was_refused
from pygase.event import Event

__all__ = ["Arrived", "knows_all"]


class Arrived:
    """Events of one connection that came together and wait for their handlers.

    Args:
        errors: Where mistakes are told.
        connection: The connection.
        events: The events.
        address: What handlers get as `client_address`, if they do.
    """

    def __init__(self, errors: UserErrors, connection: Any, events: _core.EventBatch, address: Any) -> None:
        self._errors = errors
        self._connection = connection
        self._events = events
        self._address = address

    def __len__(self) -> int:
        return len(self._events)

    @property
    def what(self) -> str:
        """What `run` ended with, for the log."""
        return f"handler for {self._events.newest} events"

    def keep(self, room: int) -> int:
        """Drop all but the first events.

        Args:
            room: How many to keep.

        Returns:
            How many were dropped.
        """
        return self._events.keep(room)

    def run(self, seconds: float) -> Any:
        """Call handlers, at least one, until something may have to be awaited, which is returned.

        Args:
            seconds: How long to go on with what waits.

        Raises:
            WrongArgumentsError: A handler does not take the arguments of its event.
        """
        handlers, wire = self._connection.event_handler, self._connection.event_wire
        direct = apart = None
        if is_table(handlers) and (wire is None or hasattr(wire, "_handled")):
            direct = handlers._event_handlers
            apart = None if wire is None else wire._handled()
        try:
            return self._events.run(seconds, direct, apart, self._address, self._handle, self._unreadable)
        except TypeError as error:
            if was_refused(error):
                raise WrongArgumentsError(str(error)) from None
            raise

    def _handle(self, event_type: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Handle an event that takes more than to call its handler."""
        event = Event(event_type)
        event.handler_args, event.handler_kwargs = args, kwargs
        connection = self._connection
        handlers, wire = connection.event_handler, connection.event_wire
        handled = handlers is not None and handlers.has_event_type(event_type)
        if wire is not None and getattr(wire, "_knows", knows_all)(event_type):
            return _both(handlers, wire, event) if handled else wire._push_event(event)
        if handled:
            return call_handler(handlers, event)
        connection._lane.counters["unknown_event"] += 1
        self._errors.counts["unknown_event"] += 1
        # Handlers of a game loop are found through the wire of the server, which is easily forgotten.
        forgotten = wire is None and self._address is not None
        hint = "; without event_wire the server asks none but its own" if forgotten else ""
        self._errors.warn(f"no handler for events of type {event_type!r:.100}{hint}")
        return None

    def _unreadable(self, why: str) -> None:
        self._connection._lane.counters["malformed"] += 1
        self._errors.warn("an event was dropped that Python cannot hold", why)


async def _both(handlers: Any, wire: Any, event: Event) -> None:
    """Hand an event to its handler and, whatever comes of that, to the wire."""
    try:
        result = call_handler(handlers, event)
        if inspect.isawaitable(result):
            await settled(result)
    finally:
        pushed = wire._push_event(event)
        if inspect.isawaitable(pushed):
            await settled(pushed)


def knows_all(event_type: str) -> bool:
    """Return that there is a handler, for wires that do not say so."""
    return True
