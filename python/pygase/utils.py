"""Building blocks shared by all of PyGaSe.

# Contents
- `Comparable`: mixin that compares objects by value
- `Sendable`: mixin for objects that travel as bytes
- `NamedEnum`: string names for integers
- `Sqn`: sequence numbers that wrap around
- `LockedResource`: an object behind a lock (`LockedRessource` is its older spelling)
- `get_available_ip_addresses`: the addresses a server can be reached at
- `logger`: the logger all of PyGaSe writes to, `logging.getLogger("PyGaSe")`
"""

from __future__ import annotations

import logging
import threading
import warnings
from types import TracebackType
from typing import Any, ClassVar, Generic, TypeVar, overload

from pygase import _core
from pygase._errors import DecodeError

__all__ = [
    "Comparable",
    "LockedResource",
    "LockedRessource",
    "NamedEnum",
    "Sendable",
    "Sqn",
    "get_available_ip_addresses",
    "logger",
]

logger: logging.Logger = logging.getLogger("PyGaSe")

T = TypeVar("T")
SendableT = TypeVar("SendableT", bound="Sendable")
_MISSING: Any = object()


class Comparable:
    """Mixin that compares objects of one class by their attributes."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and vars(self) == vars(other)

    def __ne__(self, other: object) -> bool:
        return not self == other


class Sendable(Comparable):
    """Mixin for objects whose attributes can be sent as msgpack bytes.

    Attributes hold None, bool, int, float, str, bytes, `datetime`, lists, tuples and dicts of those.
    Tuples arrive as lists and floats with single precision.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return what is sent: a new dict of the attributes."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls: type[SendableT], data: dict[str, Any]) -> SendableT:
        """Make an object from a dict such as `to_dict` returns.

        Args:
            data: The attributes by name.
        """
        sendable = cls.__new__(cls)
        vars(sendable).update(data)
        return sendable

    def to_bytes(self) -> bytes:
        """Return the msgpack bytes of this object.

        Raises:
            TypeError: An attribute cannot be sent; the message has the path to it.
            OverflowError: A float does not fit single precision.
        """
        return _core.packb(self.to_dict())

    @classmethod
    def from_bytes(cls: type[SendableT], bytepack: bytes) -> SendableT:
        """Make an object from bytes such as `to_bytes` returns.

        Args:
            bytepack: The msgpack bytes.

        Raises:
            TypeError: The bytes are no such object (the error is a `ValueError` as well).
        """
        try:
            data = _core.unpackb(bytepack)
            if not isinstance(data, dict):
                raise DecodeError(f"expected a map, found {type(data).__name__}")
            return cls.from_dict(data)  # pyright: ignore[reportUnknownArgumentType]
        except (TypeError, ValueError, KeyError) as error:
            raise DecodeError(f"Bytes could no be parsed into {cls.__name__}.") from error


class NamedEnum:
    """Base for sets of names that stand for the integers 0, 1, 2...

    Each subclass has names of its own.

    Example:
        ```python
        class Team(NamedEnum):
            pass

        Team.register("Red")
        Team.register("Blue")
        assert Team.get("Blue") == 1
        assert Team.get(1) == "Blue"
        ```
    """

    _values: ClassVar[list[str]] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._values = []

    @overload
    @classmethod
    def get(cls, name_or_value: str) -> int: ...

    @overload
    @classmethod
    def get(cls, name_or_value: int) -> str: ...

    @classmethod
    def get(cls, name_or_value: str | int) -> int | str:
        """Return the value of a name, or the name of a value.

        Args:
            name_or_value: A registered name or its value.

        Raises:
            ValueError: The name is not registered.
            IndexError: No name has that value.
        """
        if not isinstance(name_or_value, str):
            return cls._values[name_or_value]
        if name_or_value not in cls._values:
            raise ValueError(f"{name_or_value!r} is not one of {', '.join(cls._values) or 'no names'}")
        return cls._values.index(name_or_value)

    @classmethod
    def register(cls, name: str) -> None:
        """Give the next value to a name; a name that has one keeps it.

        Args:
            name: The new name.
        """
        if name not in cls._values:
            cls._values.append(name)


class Sqn(int):
    """Sequence number of a fixed size: after the largest one comes 1.

    0 stands for "nothing yet". Between two `Sqn`, `-` is the shorter way around and `<` and `>` go by it.
    Two bytes, with a largest number of 65535, unless a subclass says otherwise.

    Args:
        value: The number, 0 to `get_max_sequence()`; None counts as 0.

    Raises:
        ValueError: The number is negative or too large.

    Example:
        ```python
        assert Sqn(65535) + 1 == 1
        assert Sqn(65535) < Sqn(1)
        assert Sqn(1) - Sqn(65535) == 1
        ```
    """

    _bytesize: ClassVar[int] = 2
    _max_sequence: ClassVar[int] = 65535

    def __new__(cls, value: int | None) -> Sqn:
        """Check the number and take it over."""
        number = 0 if value is None else value
        if number > cls._max_sequence:
            raise ValueError("value exceeds maximum sequence number")
        if number < 0:
            raise ValueError("sequence numbers must not be negative")
        return super().__new__(cls, number)

    @classmethod
    def set_bytesize(cls, bytesize: int) -> None:
        """Set the size, and with it the largest number, for this class.

        Args:
            bytesize: Number of bytes, 1 or more.
        """
        cls._bytesize = bytesize
        cls._max_sequence = 256**bytesize - 1

    @classmethod
    def get_max_sequence(cls) -> Sqn:
        """Return the largest number."""
        return cls(cls._max_sequence)

    def __add__(self, other: int) -> Sqn:
        return type(self)(_core.sqn_add(int(self), other, self._max_sequence))

    def __sub__(self, other: int) -> int:
        return _core.sqn_sub(int(self), other, self._max_sequence)

    # Against a plain int the order is the ordinary one: only two sequence numbers can lie around the wrap.
    def __lt__(self, other: int) -> bool:
        if isinstance(other, Sqn):
            return _core.sqn_newer(int(other), int(self), self._max_sequence)
        return int(self) < other

    def __gt__(self, other: int) -> bool:
        if isinstance(other, Sqn):
            return _core.sqn_newer(int(self), int(other), self._max_sequence)
        return int(self) > other

    def to_sqn_bytes(self) -> bytes:
        """Return the number as big endian bytes of the fixed size."""
        return _core.sqn_to_bytes(int(self), self._bytesize)

    @classmethod
    def from_sqn_bytes(cls, bytestring: bytes | bytearray | memoryview) -> Sqn:
        """Make a sequence number from big endian bytes.

        Args:
            bytestring: Bytes such as `to_sqn_bytes` returns.
        """
        # A memory view first, because `bytes` makes zeros of a number.
        return cls(_core.sqn_from_bytes(bytes(memoryview(bytestring))))


class LockedResource(Generic[T]):
    """An object that is to be used only while its lock is held.

    Args:
        resource: The object to protect.
        ressource: The same, as PyGaSe 0.3.1 spells it; it warns with a `DeprecationWarning`.

    Attributes:
        lock: The lock.

    Example:
        ```python
        scores = LockedResource({"anna": 3})
        with scores as resource:
            resource["anna"] += 1
        ```
    """

    def __init__(self, resource: T = _MISSING, *, ressource: T = _MISSING) -> None:
        if ressource is not _MISSING:
            _warn_spelling("the argument 'ressource' is now spelled 'resource'")
            resource = ressource
        if resource is _MISSING:
            raise TypeError(f"{type(self).__name__} needs a resource")
        self.lock = threading.Lock()
        self._resource = resource

    @property
    def resource(self) -> T:
        """The object itself."""
        return self._resource

    @resource.setter
    def resource(self, resource: T) -> None:
        self._resource = resource

    @property
    def ressource(self) -> T:
        """The object itself, by the name of PyGaSe 0.3.1 (deprecated)."""
        _warn_spelling("the attribute 'ressource' is now spelled 'resource'")
        return self.resource

    @ressource.setter
    def ressource(self, resource: T) -> None:
        _warn_spelling("the attribute 'ressource' is now spelled 'resource'")
        self.resource = resource

    def __enter__(self) -> T:
        self.lock.acquire()
        return self._resource

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lock.release()


class LockedRessource(LockedResource[T]):
    """`LockedResource` by the name of PyGaSe 0.3.1 (deprecated).

    Args:
        ressource: The object to protect.
        resource: The same, by its other spelling.
    """

    def __init__(self, ressource: T = _MISSING, *, resource: T = _MISSING) -> None:
        _warn_spelling("LockedRessource is now spelled LockedResource")
        super().__init__(resource if ressource is _MISSING else ressource)


def get_available_ip_addresses() -> list[str]:
    """Return the IPv4 and IPv6 addresses under which a server on this machine can be reached."""
    return _core.network_addresses()


def _warn_spelling(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=3)
