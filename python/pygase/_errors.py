"""Exceptions of PyGaSe; the extension raises them by their names here.

All of them are, or derive from, the builtin exceptions that games already catch.
"""

from __future__ import annotations

__all__ = ["DecodeError", "DuplicateSequenceError", "ProtocolIDMismatchError"]


class DecodeError(TypeError, ValueError):
    """Bytes that cannot be read back into an object.

    PyGaSe 0.3.1 raises `TypeError` for them and its successor `ValueError`: code that catches either works.
    """


class ProtocolIDMismatchError(ValueError):
    """A datagram that does not begin with the PyGaSe protocol id."""


class DuplicateSequenceError(ConnectionError):
    """A package with a sequence number that was received before."""


for _public in (ProtocolIDMismatchError, DuplicateSequenceError):
    _public.__module__ = "pygase.connection"
del _public
