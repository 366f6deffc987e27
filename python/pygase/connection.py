"""Connections between clients and servers, and the packages they exchange.

# Contents
- `PROTOCOL_ID`: the bytes every package begins with
- `ProtocolIDMismatchError`, `DuplicateSequenceError`: what is wrong with a package
- `Header`, `Package`, `ClientPackage`, `ServerPackage`: the datagrams
- `ConnectionStatus`: whether the other side is there
"""

from __future__ import annotations

from enum import IntEnum

from pygase._core import ClientPackage, Header, Package, ServerPackage
from pygase._errors import DuplicateSequenceError, ProtocolIDMismatchError
from pygase.utils import NamedEnum

__all__ = [
    "PROTOCOL_ID",
    "ClientPackage",
    "ConnectionStatus",
    "DuplicateSequenceError",
    "Header",
    "Package",
    "ProtocolIDMismatchError",
    "ServerPackage",
]

#: The bytes every package begins with.
PROTOCOL_ID: bytes = b"\xff\xd0\xfa\xb9"


class ConnectionStatus(NamedEnum, IntEnum):
    """Whether the other side is there; also by the names 'Disconnected', 'Connected' and 'Connecting'."""

    DISCONNECTED = 0
    CONNECTED = 1
    CONNECTING = 2


for _member in ConnectionStatus:
    ConnectionStatus.register(_member.name.capitalize())
del _member
