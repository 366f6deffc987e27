"""Settings of clients and servers, which are fixed when they are made.

Each is a keyword argument of `Client`, `Server` or `Backend`, and stands in one of the two classes here.

# Contents
- `ClientOptions`: settings of a `Client`
- `ServerOptions`: settings of a `Server` or `Backend`
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from pygase.conditions import Conditions

if sys.version_info >= (3, 11):
    from typing import Unpack
elif TYPE_CHECKING:
    from typing_extensions import Unpack
else:

    class Unpack:
        """Stands in for `typing.Unpack`, for those who evaluate annotations."""

        def __class_getitem__(cls, item: Any) -> Any:
            return item


__all__ = ["ClientOptions", "ClientSettings", "ServerOptions", "ServerSettings", "Unpack"]

#: Bytes of the name of a server in the local network.
_LONGEST_NAME = 64

#: What is no option, and where it belongs.
_OF_CALLS = {
    "hostname": "what connects or runs: start, connect, run",
    "port": "what connects or runs: start, connect, run",
    "interval": "what runs the game loop: run, run_game_loop",
}

OptionsT = TypeVar("OptionsT", bound="ConnectionOptions")


def _seconds(default: float, lowest: float, highest: float) -> float:
    value: float = field(default=default, metadata={"range": (lowest, highest), "unit": " seconds"})
    return value


def _count(default: int, lowest: int, highest: int, unit: str = "") -> int:
    value: int = field(default=default, metadata={"range": (lowest, highest), "unit": unit})
    return value


def _patience(lowest: float, highest: float) -> float | None:
    value: float | None = field(default=None, metadata={"range": (lowest, highest), "unit": " seconds"})
    return value


def _share(lowest: int, highest: int) -> int | None:
    value: int | None = field(default=None, metadata={"range": (lowest, highest), "unit": " or None"})
    return value


def _switch() -> bool | None:
    value: bool | None = field(default=None, metadata={"switch": True})
    return value


def _port() -> bool | int:
    value: bool | int = field(default=False, metadata={"port": True})
    return value


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """What clients and servers have in common."""

    connection_timeout: float = _seconds(5.0, 0.1, 3600.0)
    package_timeout: float = _seconds(1.0, 0.01, 60.0)
    interval_good: float = _seconds(0.025, 0.001, 10.0)
    interval_bad: float = _seconds(0.05, 0.001, 10.0)
    latency_threshold: float = _seconds(0.25, 0.001, 60.0)
    min_throttle_time: float = _seconds(1.0, 0.01, 3600.0)
    max_throttle_time: float = _seconds(60.0, 0.01, 3600.0)
    max_waiting_events: int = _count(1024, 1, 1_000_000)
    max_waiting_bytes: int = _count(262_144, 2048, 1 << 30, " bytes")
    max_event_depth: int = _count(100, 3, 100)
    max_event_values: int = _count(2048, 16, 2048)
    package_size: int = _count(1200, 256, 2048, " bytes")
    ordered_events: bool = False
    prompt_events: bool | None = _switch()
    conditions: Conditions | Mapping[str, Any] | str | None = None

    def __post_init__(self) -> None:
        if self.conditions is not None:
            object.__setattr__(self, "conditions", Conditions.of(self.conditions))
        for option in fields(self):
            if option.name != "conditions":
                _check(type(self).__name__, option, getattr(self, option.name))
        for low, high in (("interval_good", "interval_bad"), ("min_throttle_time", "max_throttle_time")):
            if getattr(self, low) > getattr(self, high):
                limits = f"{low} is {getattr(self, low)} and {high} is {getattr(self, high)}"
                raise ValueError(f"option {low} must not be larger than {high}: {limits}")

    def _changed(self) -> dict[str, Any]:
        """Return what is not at its default, for the core."""
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        changed = {name: value for name, value in values.items() if value != _default(self, name)}
        if isinstance(self.conditions, Conditions):
            changed["conditions"] = asdict(self.conditions)
        return changed


@dataclass(frozen=True, kw_only=True)
class ClientOptions(ConnectionOptions):
    """Settings of a `Client`. All times are in seconds.

    An option that is at its default leaves the class attributes of `Connection` in force, such as
    `Connection._timeout`, which games for PyGaSe 0.3.1 may have changed; any other has precedence.

    Args:
        connection_timeout: After this long without a package the server counts as gone; 0.1 to 3600.
        package_timeout: A package not acknowledged for this long counts as lost; 0.01 to 60.
        interval_good: Time between packages while the quality is good; 0.001 to 10.
        interval_bad: Time between packages while it is bad, at least `interval_good`; 0.001 to 10.
        latency_threshold: Round trip time above which the quality is bad; 0.001 to 60.
        min_throttle_time: Shortest time to send slowly before going fast again; 0.01 to 3600.
        max_throttle_time: Longest such time; 0.01 to 3600.
        max_waiting_events: How many events may wait, each way, and how many calls of handlers; 1 to 1000000.
        max_waiting_bytes: How many bytes of events may wait, each way; 2048 to 1073741824.
        max_event_depth: How deeply events that come in may be nested, the event itself and its arguments
            included; 3 to 100. What is deeper is dropped as malformed.
        max_event_values: How many values an event that comes in may consist of, keys included; 16 to 2048.
        package_size: The size a whole package aims at, in bytes, 256 to 2048. 1200 get through everywhere;
            only an event or a value that cannot be split goes beyond.
        ordered_events: Whether the other side, if it is pygase-rs, handles events from here in the order in
            which they were dispatched. It waits up to 0.1 seconds for one that is late, then goes on without.
        prompt_events: Whether an event sets out at once instead of with the next package of the grid, at most
            one package ahead of it; the ones after come later in turn, so that the rate stays. None means to
            pygase-rs only; True means to PyGaSe 0.3.1 as well, False to nobody.
        conditions: A bad line for the client to play over, each way, to see how that is:
            the name of a preset (dsl, 4g, satellite, wifi-cafe), a dict such as
            `{"latency": "80ms", "loss": "5%", "seed": 7}`, or `Conditions`. None
            is what the network does by itself.
        reconnect_for: A server that does not answer for this long is given up and the connection ends; 0.1 to
            86400. None means never: only `disconnect` ends it.

    Raises:
        TypeError: There is no such option, or the value has the wrong type.
        ValueError: The value is out of range.

    Example:
        ```python
        client = Client(connection_timeout=2.0)
        assert client.options.connection_timeout == 2.0
        assert Client(options=ClientOptions(connection_timeout=2.0)).options == client.options
        ```
    """

    reconnect_for: float | None = _patience(0.1, 86_400.0)


@dataclass(frozen=True, kw_only=True)
class ServerOptions(ConnectionOptions):
    """Settings of a `Server` or `Backend`. All times are in seconds.

    An option that is at its default leaves the class attributes of `Connection` in force, such as
    `Connection._timeout`, which games for PyGaSe 0.3.1 may have changed; any other has precedence.

    Args:
        connection_timeout: After this long without a package a client counts as gone; 0.1 to 3600.
        package_timeout: A package not acknowledged for this long counts as lost; 0.01 to 60.
        interval_good: Time between packages while the quality is good; 0.001 to 10.
        interval_bad: Time between packages while it is bad, at least `interval_good`; 0.001 to 10.
        latency_threshold: Round trip time above which the quality is bad; 0.001 to 60.
        min_throttle_time: Shortest time to send slowly before going fast again; 0.01 to 3600.
        max_throttle_time: Longest such time; 0.01 to 3600.
        max_waiting_events: How many events may wait for each client, each way, and how many calls of
            handlers; 1 to 1000000.
        max_waiting_bytes: How many bytes of events may wait for each client, each way; 2048 to 1073741824.
        max_event_depth: How deeply events that come in may be nested, the event itself and its arguments
            included; 3 to 100. What is deeper is dropped as malformed.
        max_event_values: How many values an event that comes in may consist of, keys included; 16 to 2048.
        package_size: The size a whole package aims at, in bytes, 256 to 2048. 1200 get through everywhere;
            only an event or a value that cannot be split goes beyond.
        ordered_events: Whether the other side, if it is pygase-rs, handles events from here in the order in
            which they were dispatched. It waits up to 0.1 seconds for one that is late, then goes on without.
        prompt_events: Whether an event sets out at once instead of with the next package of the grid, at most
            one package ahead of it; the ones after come later in turn, so that the rate stays. None means to
            pygase-rs only; True means to PyGaSe 0.3.1 as well, False to nobody.
        conditions: A bad line for the server to play over, each way, to see how that is:
            the name of a preset (dsl, 4g, satellite, wifi-cafe), a dict such as
            `{"latency": "80ms", "loss": "5%", "seed": 7}`, or `Conditions`. All clients share it. None
            is what the network does by itself.
        max_connections: How many clients there may be at once; 1 to 1000000.
        idle_removal: A client from which nothing has come for this long is forgotten; 1 to 86400.
        max_unproven: How many addresses may be known before they have proven that they receive what they are
            sent; 16 to 1000000. The ones silent longest make room; each takes about 250 bytes. Where as many
            join at the same moment they keep making room for each other, and some join seconds later.
        max_connections_per_source: How many clients one source may have: an IPv4 address, or an IPv6 network
            of 64 bits. None means 256, and any number from this machine and private networks; 1 to 1000000
            holds for all.
        max_new_per_source: How many clients of one source may join in a second, up to as many at once. None
            means 64, and any number from this machine and private networks; 1 to 1000000 holds for all.
        max_package_rate: How many packages a client may send in a second, up to as many at once; 10 to
            1000000. More are dropped and count as lost.
        max_event_rate: How many bytes of events a client may send in a second, up to as many at once; 2048 to
            1073741824. Packages with more are dropped and count as lost.
        max_loop_events: How many events may wait for the game loop of a `Backend`; 1 to 10000000. More are
            dropped.
        max_bans: How many hosts may be banned, and how many addresses, those that were kicked included; 1 to
            10000000.
        host_shutdown: Whether the first client may shut the server down.
        shards: How many threads receive and send, each for a share of the clients; 1 to 64. One holds
            thousands, and is all there is off Linux and with `conditions`. Handlers run in one thread anyway.
        monitor: Whether `pygase monitor` may read the figures of the server: from a unix socket that is for
            the same user only, on Windows from the TCP port of the same number, for this machine only. A
            number is a TCP port of this machine to serve them on as well, at `/metrics` for Prometheus.
        record: A file to record all packages and states to, for `pygase replay`; it must not exist when the
            server starts to run. None records nothing.
        announce: The name under which `pygase find` finds the server in the local networks it listens in, at
            most 64 bytes. None answers nobody.

    Raises:
        TypeError: There is no such option, or the value has the wrong type.
        ValueError: The value is out of range.

    Example:
        ```python
        server = Server(GameStateStore(), max_connections=32)
        assert server.options.max_connections == 32
        ```
    """

    max_connections: int = _count(16_384, 1, 1_000_000)
    idle_removal: float = _seconds(60.0, 1.0, 86_400.0)
    max_unproven: int = _count(8192, 16, 1_000_000)
    max_connections_per_source: int | None = _share(1, 1_000_000)
    max_new_per_source: int | None = _share(1, 1_000_000)
    max_package_rate: int = _count(500, 10, 1_000_000)
    max_event_rate: int = _count(262_144, 2048, 1 << 30, " bytes")
    max_loop_events: int = _count(16_384, 1, 10_000_000)
    max_bans: int = _count(65_536, 1, 10_000_000)
    host_shutdown: bool = True
    shards: int = _count(1, 1, 64)
    monitor: bool | int = _port()
    record: str | os.PathLike[str] | None = None
    announce: str | None = None


class ConnectionSettings(TypedDict, total=False):
    """What `ClientSettings` and `ServerSettings` have in common."""

    connection_timeout: float
    package_timeout: float
    interval_good: float
    interval_bad: float
    latency_threshold: float
    min_throttle_time: float
    max_throttle_time: float
    max_waiting_events: int
    max_waiting_bytes: int
    max_event_depth: int
    max_event_values: int
    package_size: int
    ordered_events: bool
    prompt_events: bool | None
    conditions: Conditions | Mapping[str, Any] | str | None


class ClientSettings(ConnectionSettings, total=False):
    """The keyword arguments of `Client`, see `ClientOptions`."""

    reconnect_for: float | None


class ServerSettings(ConnectionSettings, total=False):
    """The keyword arguments of `Server` and `Backend`, see `ServerOptions`."""

    max_connections: int
    idle_removal: float
    max_unproven: int
    max_connections_per_source: int | None
    max_new_per_source: int | None
    max_package_rate: int
    max_event_rate: int
    max_loop_events: int
    max_bans: int
    host_shutdown: bool
    shards: int
    monitor: bool | int
    record: str | os.PathLike[str] | None
    announce: str | None


def make_options(
    kind: type[OptionsT], owner: str, options: OptionsT | None, settings: Mapping[str, Any]
) -> OptionsT:
    """Return options with single settings on top.

    Args:
        kind: `ClientOptions` or `ServerOptions`.
        owner: Whose options they are, for messages.
        options: The options to begin with; the defaults if None.
        settings: Values by name.

    Raises:
        TypeError: There is no such option, or something has the wrong type.
        ValueError: A value is out of range.
    """
    if options is None:
        options = kind()
    elif not isinstance(options, kind):
        raise TypeError(f"options must be {kind.__name__}, not {type(options).__name__}")
    known = [option.name for option in fields(kind)]
    for name in settings:
        if name not in known:
            raise TypeError(f"{owner} has no option {name!r}{_way_out(name, known)}")
    return replace(options, **settings)


def _way_out(name: str, known: list[str]) -> str:
    """Say what was meant by an option that there is not.

    Args:
        name: Its name.
        known: The options there are.
    """
    if name in _OF_CALLS:
        return f": {name} is given to {_OF_CALLS[name]}"
    if any(name == option.name for kind in (ClientOptions, ServerOptions) for option in fields(kind)):
        return f": {name} is one of {'clients' if 'max_connections' in known else 'servers'}"
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f": they are {', '.join(known)}"


def _default(options: ConnectionOptions, name: str) -> Any:
    return next(option.default for option in fields(options) if option.name == name)


def _check(owner: str, option: Field[Any], value: Any) -> None:
    if "port" in option.metadata:
        if not isinstance(value, int):
            raise TypeError(f"option {option.name} of {owner} must be True, False or a port, not {value!r}")
        if not isinstance(value, bool) and not 1 <= value <= 65535:
            raise ValueError(f"option {option.name} of {owner} must be a port from 1 to 65535, not {value}")
        return
    if "switch" in option.metadata:
        if value is not None and not isinstance(value, bool):
            raise TypeError(f"option {option.name} of {owner} must be True, False or None, not {value!r}")
        return
    if isinstance(option.default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"option {option.name} of {owner} must be True or False, not {value!r}")
        return
    if option.default is None and value is None:
        return
    if option.name == "announce":
        if not isinstance(value, str):
            raise TypeError(f"option announce of {owner} must be a name, not {value!r}")
        if not 1 <= len(value.encode()) <= _LONGEST_NAME or not value.isprintable():
            limit = f"1 to {_LONGEST_NAME} bytes of printable text"
            raise ValueError(f"option announce of {owner} must have {limit}, not {value!r}")
        return
    if option.name == "record":
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"option record of {owner} must be the path of a file, not {value!r}")
        return
    whole = option.metadata["unit"] != " seconds"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        wanted = "an int" if whole else "a number of seconds"
        raise TypeError(f"option {option.name} of {owner} must be {wanted}, not {value!r}")
    lowest, highest = option.metadata["range"]
    if not lowest <= value <= highest:
        unit = option.metadata["unit"]
        raise ValueError(
            f"option {option.name} of {owner} must be from {lowest} to {highest}{unit}, not {value!r}"
        )
