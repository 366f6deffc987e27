"""The Rust core. Private: its public names are re-exported by the modules of `pygase`."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar, final

from pygase.connection import ConnectionStatus
from pygase.event import Event
from pygase.gamestate import GameStateUpdate
from pygase.utils import Sqn

__all__ = [
    "NOTICE_ACK",
    "NOTICE_CLOSED",
    "NOTICE_CONNECTED",
    "NOTICE_EVENT",
    "NOTICE_FAILED",
    "NOTICE_HOST",
    "NOTICE_LOG",
    "NOTICE_MOVED",
    "NOTICE_QUALITY",
    "NOTICE_REMOVED",
    "NOTICE_SHUTDOWN",
    "NOTICE_STATUS",
    "NOTICE_TIMEOUT",
    "NOTICE_UNANSWERED",
    "ClientConnection",
    "ClientPackage",
    "Connection",
    "EncodedEvent",
    "Header",
    "Inbox",
    "Load",
    "Package",
    "PeerHandle",
    "Relay",
    "ServerConnection",
    "ServerPackage",
    "Store",
    "TickTimer",
    "UdpClient",
    "UdpServer",
    "__version__",
    "fork_is_near",
    "fork_is_over",
    "network_addresses",
    "packb",
    "read_event",
    "sqn_add",
    "sqn_from_bytes",
    "sqn_newer",
    "sqn_sub",
    "sqn_to_bytes",
    "unpackb",
]

__version__: str

NOTICE_EVENT: int
NOTICE_ACK: int
NOTICE_TIMEOUT: int
NOTICE_STATUS: int
NOTICE_QUALITY: int
NOTICE_CONNECTED: int
NOTICE_REMOVED: int
NOTICE_HOST: int
NOTICE_SHUTDOWN: int
NOTICE_UNANSWERED: int
NOTICE_CLOSED: int
NOTICE_FAILED: int
NOTICE_LOG: int
NOTICE_MOVED: int

_P = TypeVar("_P", bound="Package")

class _Sendable(Protocol):
    def to_bytes(self) -> bytes: ...

@final
class EncodedEvent:
    def __new__(cls, event: _Sendable) -> EncodedEvent: ...

def packb(value: Any) -> bytes: ...
def unpackb(data: bytes | bytearray | memoryview) -> Any: ...
def read_event(data: object) -> Event | None: ...
def sqn_add(a: int, b: int, max: int) -> int: ...
def sqn_sub(a: int, b: int, max: int) -> int: ...
def sqn_newer(a: int, b: int, max: int) -> bool: ...
def sqn_to_bytes(value: int, size: int) -> bytes: ...
def sqn_from_bytes(data: bytes) -> int: ...
def network_addresses() -> list[str]: ...
def fork_is_near() -> None: ...
def fork_is_over() -> None: ...

class Header:
    sequence: Sqn
    ack: Sqn
    ack_bitfield: str
    def __init__(self, sequence: int, ack: int, ack_bitfield: str) -> None: ...
    def to_bytearray(self) -> bytearray: ...
    def destructure(self) -> tuple[Sqn, Sqn, str]: ...
    @classmethod
    def deconstruct_datagram(cls, datagram: bytes) -> tuple[Header, bytes]: ...

class Package:
    _timeout: ClassVar[float]
    _max_size: ClassVar[int]
    header: Header
    def __init__(self, header: Header, events: list[Event] | None = None) -> None: ...
    @property
    def events(self) -> list[Event]: ...
    def add_event(self, event: Event) -> None: ...
    def get_bytesize(self) -> int: ...
    def to_datagram(self) -> bytes: ...
    @classmethod
    def from_datagram(cls: type[_P], datagram: bytes) -> _P: ...

class ClientPackage(Package):
    time_order: Sqn
    def __init__(self, header: Header, time_order: int, events: list[Event] | None = None) -> None: ...

class ServerPackage(Package):
    game_state_update: GameStateUpdate
    def __init__(
        self, header: Header, game_state_update: GameStateUpdate, events: list[Event] | None = None
    ) -> None: ...

@final
class Inbox:
    def __new__(cls) -> Inbox: ...
    def fileno(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    @property
    def pending(self) -> bool: ...
    def take(self) -> list[tuple[int, int, Any]]: ...
    def wake(self) -> None: ...
    def set_level(self, level: int) -> None: ...
    def close(self) -> None: ...

@final
class PeerHandle:
    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def tag(self) -> int: ...

@final
class Store:
    def __new__(cls, time_order: int, state: dict[str, Any]) -> Store: ...
    @property
    def time_order(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def visited(self) -> int: ...
    def push(self, time_order: int, update: dict[str, Any]) -> None: ...
    def replace(self, time_order: int, state: dict[str, Any], revision: int | None = None) -> bool: ...

class Connection:
    remote_address: Any
    event_handler: Any
    event_wire: Any
    local_sequence: Sqn
    remote_sequence: Sqn
    ack_bitfield: str
    latency: float
    status: ConnectionStatus
    quality: str
    def __init__(self, remote_address: Any, event_handler: Any, event_wire: Any = None) -> None: ...
    def dispatch_event(
        self,
        event: _Sendable,
        ack_callback: Callable[[], Any] | None = None,
        timeout_callback: Callable[[], Any] | None = None,
    ) -> None: ...
    def _dispatch_retried(
        self, event: _Sendable | EncodedEvent, ack_callback: Callable[[], Any] | None, retries: int
    ) -> None: ...
    _package_interval: float
    def _resolve(self, callback_id: int, acked: bool) -> Callable[[], Any] | None: ...
    def _update_remote_info(self, received_sequence: int) -> None: ...
    def _update_latency(self, rtt: float) -> None: ...
    def _throttling_state_machine(self, t: float, state: dict[str, float]) -> None: ...
    def _step_receive(self, package: Package, time: float) -> list[tuple[int, bool]]: ...
    def _step_sequence(self) -> None: ...
    def _step_send(self, package: Package, time: float) -> tuple[bytes, list[tuple[int, bool]]]: ...
    def _step_event(self) -> Event | None: ...
    def _waiting(self) -> tuple[bool, bool]: ...
    def _in_flight(self) -> dict[int, float]: ...
    def _set_in_flight(self, sequence: int, time: float | None = None) -> None: ...
    def stats(self) -> dict[str, Any]: ...

class ClientConnection(Connection):
    def __init__(self, remote_address: Any, event_handler: Any) -> None: ...
    def _time_order(self) -> Sqn: ...
    def _pull_state(self) -> tuple[bool, int, dict[str, Any]] | None: ...
    def _pull_snapshot(self) -> tuple[bool, int, dict[str, Any], float] | None: ...

class ServerConnection(Connection):
    game_state_store: Any
    last_client_time_order: Sqn
    def __init__(
        self,
        remote_address: Any,
        event_handler: Any,
        game_state_store: Any,
        last_client_time_order: int,
        event_wire: Any = None,
    ) -> None: ...
    def _attach(self, handle: PeerHandle) -> None: ...
    def _next_update(self, store: Store) -> bytes: ...

@final
class UdpServer:
    def __new__(
        cls,
        hostname: str,
        port: int,
        store: Store,
        inbox: Inbox,
        resume: list[ServerConnection] = ...,
        options: dict[str, Any] | None = None,
    ) -> UdpServer: ...
    @property
    def local_address(self) -> tuple[str, int]: ...
    def ban(self, host: str, port: int | None = None, seconds: float | None = None) -> None: ...
    def unban(self, host: str, port: int | None = None) -> None: ...
    def stop(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...

@final
class UdpClient:
    def __new__(
        cls,
        connection: ClientConnection,
        hostname: str,
        port: int,
        inbox: Inbox,
        options: dict[str, Any] | None = None,
    ) -> UdpClient: ...
    @property
    def remote_address(self) -> tuple[str, int]: ...
    def disconnect(self, shutdown_server: bool) -> None: ...
    def stop(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...

@final
class TickTimer:
    def __new__(cls, interval: float) -> TickTimer: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def overruns(self) -> int: ...
    def wait(self) -> float | None: ...
    def stop(self) -> None: ...

@final
class Load:
    def __new__(
        cls,
        hostname: str,
        port: int,
        clients: int,
        seconds: float,
        ramp: float,
        event: bytes | None = None,
        event_rate: float = 0.0,
        anywhere: bool = False,
    ) -> Load: ...
    @property
    def over(self) -> bool: ...
    def stop(self) -> None: ...
    def report(self) -> dict[str, Any]: ...

@final
class Relay:
    def __new__(
        cls,
        listen: tuple[str, int],
        upstream: tuple[str, int],
        *,
        latency: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        rate: int = 0,
        seed: int = 0,
    ) -> Relay: ...
    @property
    def port(self) -> int | None: ...
    @property
    def over(self) -> bool: ...
    def stop(self) -> None: ...
    def report(self) -> dict[str, int]: ...
