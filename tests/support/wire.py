"""A second, independent reading of the wire protocol: what a datagram says, and datagrams built by `struct`.

Nothing here imports pygase. It reads strictly: whatever PyGaSe 0.3.1 would not have sent is an error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PROTOCOL_ID = b"\xff\xd0\xfa\xb9"
TO_DELETE = b"\xd2\x81\xe5\xba"
MAX_SIZE = 2048


class Malformed(Exception):
    """The datagram is not what PyGaSe sends."""


def pack(value) -> bytes:
    """Msgpack, as much of it as the tests send: floats in 32 bit, everything else in its smallest form."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        if -32 <= value < 0:
            return struct.pack(">b", value)
        if value >= 0:
            sizes = (("B", 0xCC, 8), ("H", 0xCD, 16), ("I", 0xCE, 32), ("Q", 0xCF, 64))
            code, mark = next((code, mark) for code, mark, bits in sizes if value < 1 << bits)
        else:
            sizes = (("b", 0xD0, 7), ("h", 0xD1, 15), ("i", 0xD2, 31), ("q", 0xD3, 63))
            code, mark = next((code, mark) for code, mark, bits in sizes if value >= -(1 << bits))
        return struct.pack(">B" + code, mark, value)
    if isinstance(value, float):
        return struct.pack(">Bf", 0xCA, value)
    if isinstance(value, str):
        data = value.encode()
        return _length(len(data), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + data
    if isinstance(value, bytes):
        return _length(len(value), None, 0, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, (list, tuple)):
        return _length(len(value), 0x90, 16, (None, 0xDC, 0xDD)) + b"".join(map(pack, value))
    if isinstance(value, dict):
        items = b"".join(pack(key) + pack(element) for key, element in value.items())
        return _length(len(value), 0x80, 16, (None, 0xDE, 0xDF)) + items
    raise TypeError(type(value))


def _length(length, fix, fix_limit, marks) -> bytes:
    if length < fix_limit:
        return bytes([fix | length])
    for mark, code, bits in zip(marks, "BHI", (8, 16, 32), strict=True):
        if mark is not None and length < 1 << bits:
            return struct.pack(">B" + code, mark, length)
    raise OverflowError(length)


_FIXED = {
    0xCC: "B",
    0xCD: "H",
    0xCE: "I",
    0xCF: "Q",
    0xD0: "b",
    0xD1: "h",
    0xD2: "i",
    0xD3: "q",
    0xCA: "f",
    0xCB: "d",
}
_SIZED = {
    0xD9: "B",
    0xDA: "H",
    0xDB: "I",
    0xC4: "B",
    0xC5: "H",
    0xC6: "I",
    0xDC: "H",
    0xDD: "I",
    0xDE: "H",
    0xDF: "I",
}


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Malformed("truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(code)))[0]

    def value(self):
        mark = self.number("B")
        if mark < 0x80:
            return mark
        if mark >= 0xE0:
            return mark - 256
        if mark < 0x90:
            return self.map(mark & 15)
        if mark < 0xA0:
            return [self.value() for _ in range(mark & 15)]
        if mark < 0xC0:
            return self.take(mark & 31).decode()
        if mark in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[mark]
        if mark in _FIXED:
            return self.number(_FIXED[mark])
        if mark not in _SIZED:
            raise Malformed(f"code {mark:#x}")
        length = self.number(_SIZED[mark])
        if mark in (0xD9, 0xDA, 0xDB):
            return self.take(length).decode()
        if mark in (0xC4, 0xC5, 0xC6):
            return bytes(self.take(length))
        if mark in (0xDC, 0xDD):
            return [self.value() for _ in range(length)]
        return self.map(length)

    def map(self, length):
        result = {}
        for _ in range(length):
            key = self.value()
            result[tuple(key) if isinstance(key, list) else key] = self.value()
        if len(result) != length:
            raise Malformed("duplicate key")
        return result


def unpack(data):
    """Read one value that fills `data`."""
    reader = _Reader(bytes(data))
    value = reader.value()
    if reader.at != len(data):
        raise Malformed("bytes after the value")
    return value


@dataclass
class Datagram:
    """What one package says; `time_order` of clients, `update` of servers."""

    sequence: int
    ack: int
    bits: int
    events: list = field(default_factory=list)
    time_order: int | None = None
    update: dict | None = None
    size: int = 0


def event(kind, *args, **kwargs) -> dict:
    """The map an event is on the wire."""
    return {"type": kind, "handler_args": list(args), "handler_kwargs": kwargs}


def client_package(sequence, ack=0, bits=0, time_order=0, events=()) -> bytes:
    """Build what a client sends."""
    return PROTOCOL_ID + struct.pack(">HHIH", sequence, ack, bits, time_order) + _block(events)


def server_package(sequence, ack=0, bits=0, update=None, events=()) -> bytes:
    """Build what a server sends."""
    data = pack({"time_order": 0} if update is None else update)
    return PROTOCOL_ID + struct.pack(">HHIH", sequence, ack, bits, len(data)) + data + _block(events)


def _block(events) -> bytes:
    packed = [pack(one) for one in events]
    return b"".join(struct.pack(">H", len(one)) + one for one in packed)


def parse_client(data) -> Datagram:
    """Read what a client sent."""
    datagram, rest = _head(data)
    if len(rest) < 2:
        raise Malformed("no time order")
    datagram.time_order = int.from_bytes(rest[:2], "big")
    datagram.events = _events(rest[2:])
    return datagram


def parse_server(data) -> Datagram:
    """Read what a server sent."""
    datagram, rest = _head(data)
    length = int.from_bytes(rest[:2], "big")
    if len(rest) < 2 + length:
        raise Malformed("truncated update")
    datagram.update = unpack(rest[2 : 2 + length])
    if not isinstance(datagram.update, dict) or not all(isinstance(key, str) for key in datagram.update):
        raise Malformed(f"not an update: {datagram.update!r}")
    if not 0 <= datagram.update.get("time_order", -1) <= 65535:
        raise Malformed("no time order")
    datagram.events = _events(rest[2 + length :])
    return datagram


def _head(data):
    if data[:4] != PROTOCOL_ID:
        raise Malformed(f"foreign protocol {bytes(data[:4])!r}")
    if not 14 <= len(data) <= MAX_SIZE:
        raise Malformed(f"{len(data)} bytes")
    sequence, ack, bits = struct.unpack(">HHI", data[4:12])
    return Datagram(sequence, ack, bits, size=len(data)), bytes(data[12:])


def _events(rest):
    events = []
    while rest:
        length = int.from_bytes(rest[:2], "big")
        if len(rest) < 2 + length:
            raise Malformed("truncated event")
        found = unpack(rest[2 : 2 + length])
        if list(found) != ["type", "handler_args", "handler_kwargs"]:
            raise Malformed(f"not an event: {found!r}")
        events.append(found)
        rest = rest[2 + length :]
    return events


def following(sequence, steps=1) -> int:
    """The sequence number some steps later: 1 comes after 65535."""
    return (sequence + steps - 1) % 65535 + 1
