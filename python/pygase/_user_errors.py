"""Calls handlers, and logs what goes wrong in user code.

# Contents
- `call_handler`: tells an event with wrong arguments from a mistake in its handler
- `UserErrors`: logs each kind of mistake once in a while
- `is_end`, `EscapedError`: what is no mistake of user code, and what only looks like that
- `log`: makes a record, whatever is wrong with the log
- `is_table`, `was_refused`: what the callers of handlers have to know
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from pygase.event import Event, UniversalEventHandler
from pygase.utils import logger

__all__ = [
    "EscapedError",
    "UserErrors",
    "WrongArgumentsError",
    "call_handler",
    "is_end",
    "is_table",
    "log",
    "was_refused",
]

#: Kinds of errors that are logged one by one; all others, such as of the thousandth event type that nobody
#: knows, count as one more kind.
MEMORY = 100
_OTHERS = ("", "")
#: Exceptions that end what runs the user code that raises them, if that is the main thread.
_ENDS = (KeyboardInterrupt, SystemExit)
#: What handlers at a server get besides the arguments of the event.
PASSED = ("client_address", "dt", "game_state")
#: Seconds between two reports of the same kind of error.
REPORT_INTERVAL = 10.0


class WrongArgumentsError(TypeError):
    """An event has other arguments than its handler takes."""


class EscapedError(Exception):
    """Carries what came out of a coroutine of user code and would end more than that on its way.

    Args:
        error: What the coroutine raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def is_end(error: BaseException) -> bool:
    """Return whether an exception in user code is no mistake but the end of what runs it.

    Ctrl-C and signals come to the main thread alone. In any other, only user code can raise these.

    Args:
        error: What user code raised in this thread.
    """
    return isinstance(error, _ENDS) and threading.current_thread() is threading.main_thread()


class UserErrors:
    """Logs what goes wrong in user code, each kind only once in a while."""

    def __init__(self) -> None:
        self._silent: dict[tuple[str, str], tuple[float, int]] = {}
        #: How often each kind of mistake was made.
        self.counts: Counter[str] = Counter(user_error=0, wrong_arguments=0, unknown_event=0)

    def report(self, what: str, error: BaseException) -> str:
        """Log an exception with its traceback, or count it if its kind was logged lately.

        Args:
            what: The user code that failed, such as "handler for MOVE events".
            error: What it raised.

        Returns:
            The name of the counter for this kind of error.
        """
        if isinstance(error, EscapedError):
            error = error.error
        if isinstance(error, WrongArgumentsError):
            self.counts["wrong_arguments"] += 1
            self.warn(f"wrong arguments for the {what}", _with_hint(str(error)))
            return "wrong_arguments"
        self.counts["user_error"] += 1
        more = self._more((what, type(error).__qualname__))
        if more is not None:
            log(logging.ERROR, "exception in the %s%s", what, more, exc_info=error)
        return "user_error"

    def warn(self, message: str, detail: str = "", level: int = logging.WARNING) -> None:
        """Log a warning, or count it if it was logged lately.

        Args:
            message: The warning.
            detail: What may differ from one time to the next.
            level: Something worse than a warning.
        """
        more = self._more((message, ""))
        if more is not None:
            log(level, "%s%s%s", message, detail and f": {detail}", more)

    def _more(self, kind: tuple[str, str]) -> str | None:
        """Return what to add to a record of this kind about those left out; None if it is left out itself."""
        now = time.monotonic()
        if kind not in self._silent and len(self._silent) >= MEMORY:
            self._silent = {known: value for known, value in self._silent.items() if now < value[0]}
            kind = kind if len(self._silent) < MEMORY else _OTHERS
        until, count = self._silent.get(kind, (now, 0))
        if now < until:
            self._silent[kind] = (until, count + 1)
            return None
        self._silent[kind] = (now + REPORT_INTERVAL, 0)
        return f" ({count} more since the last report)" if count else ""


def _with_hint(message: str) -> str:
    """Add what to do to a message about arguments, if those are the ones that PyGaSe itself passes.

    Args:
        message: What Python says.
    """
    if any(f"unexpected keyword argument '{name}'" in message for name in PASSED):
        return f"{message}; end its parameters with **_ to leave out what it does not need"
    return message


def log(level: int, *record: Any, exc_info: BaseException | None = None) -> None:
    """Make a record in the log of pygase.

    Args:
        level: Its level.
        *record: Its text and what to fill in.
        exc_info: The exception whose traceback goes with it.
    """
    with suppress(Exception):  # of a filter: what is wrong with the log is no reason to stop
        logger.log(level, *record, exc_info=exc_info)


def call_handler(handlers: Any, event: Event, **kwargs: Any) -> Any:
    """Call the handler for an event.

    Args:
        handlers: A `UniversalEventHandler`, or an object with the same methods.
        event: The event.
        **kwargs: Additional keyword arguments for the handler.

    Returns:
        What the handler returns, or an awaitable for it.

    Raises:
        WrongArgumentsError: The handler does not take the arguments of the event.
    """
    if not is_table(handlers):
        return handlers.handle(event, **kwargs)
    handler = handlers._event_handlers[event.type]
    arguments = {**event.handler_kwargs, **kwargs}
    try:
        return handler(*event.handler_args, **arguments)
    except TypeError as error:
        if was_refused(error):
            raise WrongArgumentsError(str(error)) from None
        raise


def is_table(handlers: Any) -> bool:
    """Return whether the handlers of an object are just looked up and called.

    Args:
        handlers: A `UniversalEventHandler`, or an object with the same methods.
    """
    kind: Any = type(handlers)  # pyright: ignore[reportUnknownVariableType]
    return (
        getattr(kind, "handle", None) is UniversalEventHandler.handle
        and kind.has_event_type is UniversalEventHandler.has_event_type
    )


def was_refused(error: TypeError) -> bool:
    """Return whether the call itself raised an error, before any code of the handler ran.

    Args:
        error: Caught in the very function that calls the handler, or has the core call it.
    """
    return error.__traceback__ is not None and error.__traceback__.tb_next is None
