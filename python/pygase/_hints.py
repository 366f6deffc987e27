"""The way out, for errors whose words are those of PyGaSe 0.3.1.

# Contents
- `hinted`: an error with a hint below it
- `needs_init`: says that a subclass forgot to call `super().__init__`
- `check_sending`: checks what goes with an event
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["check_sending", "hinted", "needs_init"]

ErrorT = TypeVar("ErrorT", bound=BaseException)


def hinted(error: ErrorT, hint: str) -> ErrorT:
    """Put a hint below an error, where Python has notes for that, from 3.11 on.

    Args:
        error: The error, whose message stays as it is.
        hint: What to do.
    """
    if sys.version_info >= (3, 11):
        error.add_note(hint)
    return error


def needs_init(first: str) -> Callable[[Any, str], Any]:
    """Return a `__getattr__` that knows why attributes are missing.

    Args:
        first: The attribute that the `__init__` of the class sets first.
    """

    def __getattr__(self: Any, name: str) -> Any:
        kind = type(self).__name__
        message = f"{kind!r} object has no attribute {name!r}"
        if first not in vars(self) and not name.startswith("__"):
            message += f": {kind}.__init__ has to call super().__init__() first"
        raise AttributeError(message, name=name, obj=self)

    return __getattr__


def check_sending(retries: int, ack_callback: Any) -> None:
    """Check what goes with an event before anything is done.

    Args:
        retries: How often to send it again.
        ack_callback: What to call when it has arrived.

    Raises:
        TypeError: One of them cannot be that.
    """
    if not isinstance(retries, int):
        raise TypeError(f"retries must be an int, not {retries!r}")
    if ack_callback is not None and not callable(ack_callback):
        raise TypeError(f"ack_callback must be callable, not {type(ack_callback).__name__}")
