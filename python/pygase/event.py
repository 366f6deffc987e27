"""Events, and the handlers they find at the other side.

# Contents
- `Event`: a named occurrence with arguments for its handlers
- `UniversalEventHandler`: a table of handlers by event type
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from pygase._core import pack_event, read_event
from pygase._errors import DecodeError
from pygase._hints import hinted
from pygase.utils import Sendable

__all__ = ["Event", "UniversalEventHandler"]

#: A function or coroutine function.
EventHandler: TypeAlias = Callable[..., Any]


class Event(Sendable):
    """Something that happened, and the arguments its handlers are called with.

    Args:
        event_type: The name handlers are registered for.
        *args: Positional arguments for the handlers.
        **kwargs: Keyword arguments for the handlers.

    Attributes:
        type: The name handlers are registered for.
        handler_args: List of the positional arguments.
        handler_kwargs: Dict of the keyword arguments.

    Raises:
        TypeError: The event type is no string.

    Example:
        ```python
        Event("ATTACK", 3, weapon="axe")
        ```
    """

    def __init__(self, event_type: str, *args: Any, **kwargs: Any) -> None:
        if not isinstance(event_type, str):
            raise TypeError(f"the event type must be a str, not {type(event_type).__name__}")
        self.type = event_type
        self.handler_args = list(args)
        self.handler_kwargs = kwargs

    def __repr__(self) -> str:
        arguments = [repr(self.type), *map(repr, self.handler_args)]
        arguments += [f"{name}={value!r}" for name, value in self.handler_kwargs.items()]
        return f"Event({', '.join(arguments)})"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Event:
        """Make an event from a dict such as `to_dict` returns; unknown keys are ignored.

        Args:
            data: The keys `type`, `handler_args` and `handler_kwargs`.

        Raises:
            TypeError: A key is missing or its value of the wrong type (the error is a `ValueError` as well).
        """
        try:
            event_type, args, kwargs = data["type"], data["handler_args"], data["handler_kwargs"]
        except KeyError as missing:
            raise DecodeError(f"an event without {missing}") from None
        well_formed = isinstance(event_type, str) and isinstance(args, list) and isinstance(kwargs, dict)
        if not well_formed or not all(isinstance(name, str) for name in kwargs):  # pyright: ignore[reportUnknownVariableType]
            raise DecodeError("an event needs a str, a list and a dict with str keys")
        event = cls.__new__(cls)
        event.type, event.handler_args, event.handler_kwargs = event_type, args, kwargs  # pyright: ignore[reportUnknownMemberType]
        return event

    def to_bytes(self) -> bytes:
        """Return the msgpack bytes of this event.

        Raises:
            TypeError: An argument cannot be sent; the message has the path to it.
            OverflowError: A float does not fit single precision.
        """
        return pack_event(self) or super().to_bytes()

    @classmethod
    def from_bytes(cls, bytepack: bytes) -> Event:
        """Make an event from bytes such as `to_bytes` returns.

        Args:
            bytepack: The msgpack bytes.

        Raises:
            TypeError: The bytes are no event (the error is a `ValueError` as well).
        """
        return read_event(cls, bytepack) or super().from_bytes(bytepack)


class UniversalEventHandler:
    """A table of functions or coroutine functions, one for each type of event."""

    def __init__(self) -> None:
        self._event_handlers: dict[str, EventHandler] = {}

    def register_event_handler(self, event_type: str, event_handler_function: EventHandler) -> None:
        """Have events of a type handled by a function; it takes the place of an earlier one.

        Args:
            event_type: The type of the events.
            event_handler_function: A function or coroutine function.

        Raises:
            TypeError: The handler is not callable.
        """
        if not callable(event_handler_function):
            error = TypeError(f"'{type(event_handler_function).__name__}' object is not callable.")
            raise hinted(error, f"the handler for events of type {event_type!r:.80} must be a function")
        self._event_handlers[event_type] = event_handler_function

    async def handle(self, event: Event, **kwargs: Any) -> Any:
        """Call the handler for an event and await what it returns, if that can be awaited.

        Args:
            event: The event; its arguments become those of the handler.
            **kwargs: Additional keyword arguments, which have precedence over the event's.

        Returns:
            What the handler returns.

        Raises:
            KeyError: There is no handler for events of this type.
        """
        handler = self._event_handlers[event.type]
        result = handler(*event.handler_args, **{**event.handler_kwargs, **kwargs})
        return await result if inspect.isawaitable(result) else result

    def has_event_type(self, event_type: str) -> bool:
        """Return whether there is a handler for events of this type.

        Args:
            event_type: The type of the events.
        """
        return event_type in self._event_handlers
