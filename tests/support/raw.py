"""Peers without pygase: a client and a server made of a socket and the wire protocol."""

from __future__ import annotations

import select
import socket
import time

from . import wire

INTERVAL = 1 / 40


class _Raw:
    """What both have: a socket, a sequence and what was received."""

    parse = None

    def __init__(self, host="127.0.0.1", family=socket.AF_INET):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.sequence = 0
        self.newest = 0
        self.seen: set[int] = set()
        self.received: list[wire.Datagram] = []
        self.times: list[float] = []
        self.foreign: list[bytes] = []
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def bits(self):
        """The acknowledgement bits for what was received."""
        found = 0
        for back in range(1, 33):
            number = (self.newest - 1 - back) % 65535 + 1
            if number in self.seen:
                found |= 1 << (32 - back)
        return found

    def drain(self):
        """Take in all that has arrived, and return it."""
        came = []
        while True:
            try:
                data, address = self.socket.recvfrom(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return came
            self.bytes_in += len(data)
            if data[:4] != wire.PROTOCOL_ID:
                self.foreign.append(data)
                continue
            datagram = type(self).parse(data)
            self.came_from(address)
            self.times.append(time.monotonic())
            self.received.append(datagram)
            self.seen.add(datagram.sequence)
            if self.newest == 0 or 0 < (datagram.sequence - self.newest) % 65535 < 32768:
                self.newest = datagram.sequence
            came.append(datagram)

    def came_from(self, address):
        """Take note of the other side."""

    def wait(self, seconds):
        """Wait for a datagram at most so long."""
        select.select([self.socket], [], [], max(seconds, 0))

    def talk(self, until=None, seconds=10.0, events=(), quiet=False):
        """Send 40 packages a second and listen, until a condition holds; says whether it came to hold.

        Without a condition it lasts the whole time; `quiet` listens only.
        """
        end = time.monotonic() + seconds
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due and not quiet:
                self.send(events=events)
                events = ()
                due = now + INTERVAL
            self.wait(min(due if not quiet else end, end) - time.monotonic())
            self.drain()
            if until is not None and until():
                return True
            if time.monotonic() >= end:
                return until is None

    def send(self, events=()):
        raise NotImplementedError


class RawClient(_Raw):
    """A client of a server under test."""

    parse = staticmethod(wire.parse_server)

    def __init__(self, port, host="127.0.0.1", family=socket.AF_INET, source=None):
        super().__init__(source or host, family)
        self.server = (host, port)
        self.time_order = 0

    def send(self, events=(), ack=None, bits=None, time_order=None, sequence=None):
        """Send one package; what is not said is as an honest client would have it."""
        if sequence is None:
            sequence = self.sequence = wire.following(self.sequence)
        self.send_bytes(
            wire.client_package(
                sequence,
                self.newest if ack is None else ack,
                self.bits() if bits is None else bits,
                self.time_order if time_order is None else time_order,
                events,
            )
        )
        return sequence

    def send_bytes(self, data):
        self.socket.sendto(data, self.server)
        self.bytes_out += len(data)

    def drain(self):
        came = super().drain()
        for datagram in came:
            order = datagram.update["time_order"]
            newer = 0 < (order - self.time_order) % 65535 < 32768
            if newer if self.time_order else len(datagram.update) > 1:
                self.time_order = order
        return came

    def start_anew(self):
        """Be another program from here on, one that has the same port and knows nothing of the first."""
        self.drain()
        self.sequence = self.newest = self.time_order = 0
        self.seen, self.received = set(), []

    def has_state(self):
        """Whether any package brought more than an empty update."""
        return any(len(datagram.update) > 1 for datagram in self.received)

    def join(self, seconds=10.0):
        """Play an honest client until the state comes."""
        assert self.talk(self.has_state, seconds), "no state came"
        return self


class RawServer(_Raw):
    """A server of one client under test; it answers whoever spoke last."""

    parse = staticmethod(wire.parse_client)

    def __init__(self, host="127.0.0.1", family=socket.AF_INET):
        super().__init__(host, family)
        self.client = None
        self.update = {"time_order": 0}

    def came_from(self, address):
        self.client = address

    def send(self, events=(), update=None, ack=None, bits=None, sequence=None):
        if self.client is None:
            return None
        if sequence is None:
            sequence = self.sequence = wire.following(self.sequence)
        data = wire.server_package(
            sequence,
            self.newest if ack is None else ack,
            self.bits() if bits is None else bits,
            self.update if update is None else update,
            events,
        )
        self.send_bytes(data)
        return sequence

    def send_bytes(self, data):
        self.socket.sendto(data, self.client)
        self.bytes_out += len(data)
