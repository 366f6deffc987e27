"""What the codec classes cost: `Event` and the packages to and from bytes, three ways in one run.

Beside this project's classes, the released PyGaSe (in an environment of its own) and the same work done by
hand with msgspec and struct: typed structs, one encoder and one decoder. msgspec writes 64 bit floats only,
which spares it the conversion. Every round runs each of the three once, so that a change of the clock speed
meets them all; the table has the medians.

    make bench-codec
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import struct
import subprocess
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

ARGUMENTS = (17, "axe", 1.5, [1, 2, 3])
KEYWORDS = {"target": "player_12", "hits": 3, "at": {"x": 0.25, "y": -4.0}}
PLAYERS = {
    f"player_{number}": {"x": number * 0.5, "y": 1.25, "hp": 100, "name": f"bot {number}"}
    for number in range(5)
}
BITFIELD = "1" * 30 + "01"
EVENTS = 5


def with_pygase() -> dict[str, Callable[[], Any]]:
    """Return the cases as a game writes them; runs with either PyGaSe."""
    from pygase.connection import ClientPackage, Header, Package, ServerPackage
    from pygase.event import Event
    from pygase.gamestate import GameStateUpdate

    def read(package: Any) -> Any:
        return [(event.type, event.handler_args, event.handler_kwargs) for event in package.events]

    def header() -> Header:
        return Header(1234, 1200, BITFIELD)

    events = [Event("ATTACK", *ARGUMENTS, **KEYWORDS) for _ in range(EVENTS)]
    update = GameStateUpdate(77, players=PLAYERS)
    event = events[0].to_bytes()
    head = bytes(header().to_bytearray())
    plain = Package(header(), list(events)).to_datagram()
    client = ClientPackage(header(), 76, list(events)).to_datagram()
    server = ServerPackage(header(), update, list(events)).to_datagram()
    return {
        "Header to bytes": lambda: header().to_bytearray(),
        "Header from bytes": lambda: Header.deconstruct_datagram(head)[0].destructure(),
        "Event to bytes": lambda: events[0].to_bytes(),
        "Event from bytes": lambda: Event.from_bytes(event).handler_args,
        "Package to bytes": lambda: Package(header(), list(events)).to_datagram(),
        "Package from bytes": lambda: read(Package.from_datagram(plain)),
        "ClientPackage to bytes": lambda: ClientPackage(header(), 76, list(events)).to_datagram(),
        "ClientPackage from bytes": lambda: read(ClientPackage.from_datagram(client)),
        "ServerPackage to bytes": lambda: ServerPackage(header(), update, list(events)).to_datagram(),
        "ServerPackage from bytes": lambda: read(ServerPackage.from_datagram(server)),
    }


def by_hand() -> dict[str, Callable[[], Any]]:
    """Return the same work done with msgspec and struct."""
    import msgspec

    class Event(msgspec.Struct):
        type: str
        handler_args: list[Any]
        handler_kwargs: dict[str, Any]

    layout, length = struct.Struct(">4sHHI"), struct.Struct(">H")
    encode = msgspec.msgpack.Encoder().encode
    decode_event = msgspec.msgpack.Decoder(Event).decode
    decode_update = msgspec.msgpack.Decoder(dict[str, Any]).decode

    def pack_header(sequence: int, ack: int, bitfield: str) -> bytes:
        return layout.pack(b"\xff\xd0\xfa\xb9", sequence, ack, int(bitfield, 2))

    def read_header(datagram: bytes) -> tuple[int, int, str]:
        magic, sequence, ack, bitfield = layout.unpack_from(datagram)
        if magic != b"\xff\xd0\xfa\xb9":
            raise ValueError(magic)
        return sequence, ack, f"{bitfield:032b}"

    def pack(middle: bytes, events: list[Event]) -> bytes:
        parts = [pack_header(1234, 1200, BITFIELD), middle]
        for event in events:
            data = encode(event)
            parts += length.pack(len(data)), data
        datagram = b"".join(parts)
        if len(datagram) > 2048:
            raise OverflowError(len(datagram))
        return datagram

    def pack_update(update: dict[str, Any]) -> bytes:
        data = encode(update)
        return length.pack(len(data)) + data

    def read(datagram: bytes, offset: int) -> Any:
        events = []
        while offset < len(datagram):
            (size,) = length.unpack_from(datagram, offset)
            offset += 2
            event = decode_event(datagram[offset : offset + size])
            events.append((event.type, event.handler_args, event.handler_kwargs))
            offset += size
        return events

    def read_plain(datagram: bytes) -> Any:
        return read_header(datagram), read(datagram, 12)

    def read_client(datagram: bytes) -> Any:
        return read_header(datagram), length.unpack_from(datagram, 12), read(datagram, 14)

    def read_server(datagram: bytes) -> Any:
        (size,) = length.unpack_from(datagram, 12)
        update = decode_update(datagram[14 : 14 + size])
        return read_header(datagram), update, read(datagram, 14 + size)

    events = [Event("ATTACK", list(ARGUMENTS), dict(KEYWORDS)) for _ in range(EVENTS)]
    update = {"players": PLAYERS, "time_order": 77}
    head = pack_header(1234, 1200, BITFIELD)
    # The bytes to read are the same for all: those with 32 bit floats.
    from pygase import connection, gamestate
    from pygase.event import Event as Ours

    ours = [Ours("ATTACK", *ARGUMENTS, **KEYWORDS) for _ in range(EVENTS)]
    header = connection.Header(1234, 1200, BITFIELD)
    event = ours[0].to_bytes()
    plain = connection.Package(header, list(ours)).to_datagram()
    client = connection.ClientPackage(header, 76, list(ours)).to_datagram()
    players = gamestate.GameStateUpdate(77, players=PLAYERS)
    server = connection.ServerPackage(header, players, list(ours)).to_datagram()
    return {
        "Header to bytes": lambda: bytearray(pack_header(1234, 1200, BITFIELD)),
        "Header from bytes": lambda: (read_header(head), head[12:]),
        "Event to bytes": lambda: encode(events[0]),
        "Event from bytes": lambda: decode_event(event).handler_args,
        "Package to bytes": lambda: pack(b"", events),
        "Package from bytes": lambda: read_plain(plain),
        "ClientPackage to bytes": lambda: pack(length.pack(76), events),
        "ClientPackage from bytes": lambda: read_client(client),
        "ServerPackage to bytes": lambda: pack(pack_update(update), events),
        "ServerPackage from bytes": lambda: read_server(server),
    }


def microseconds(cases: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Return what each case takes: the best of so many runs of a millisecond, too short to be interrupted."""
    result = {}
    for name, case in cases.items():
        timer = timeit.Timer(case)
        number = max(1, int(1e-3 / max(min(timer.repeat(5, 20)) / 20, 1e-8)))
        result[name] = min(timer.repeat(runs, number)) / number * 1e6
    return result


def processor() -> str:
    """Return what the processor calls itself, as far as Linux knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="how many times each of the three is run (9)")
    parser.add_argument("--runs", type=int, default=30, help="short runs of a case in each round (30)")
    parser.add_argument("--only", choices=["ours", "original", "msgspec"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        cases = by_hand() if options.only == "msgspec" else with_pygase()
        print(json.dumps(microseconds(cases, options.runs)))
        return
    # Only here, where it is the interpreter of this project.
    from compare.harness import ORIGINAL, share_stolen, spread, stolen, table, write_section

    kinds = {"ours": sys.executable, "msgspec": sys.executable, "original": ORIGINAL}
    seen: dict[str, dict[str, list[float]]] = {kind: {} for kind in kinds}
    before = stolen()
    for _ in range(options.rounds):
        for kind, python in kinds.items():
            command = [python, __file__, "--only", kind, "--runs", str(options.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for name, time in json.loads(done.stdout).items():
                seen[kind].setdefault(name, []).append(time)
    rows = []
    for name in seen["ours"]:
        ours, hand, original = (seen[kind][name] for kind in kinds)
        slower = [one / other for one, other in zip(ours, hand, strict=True)]
        faster = [other / one for one, other in zip(ours, original, strict=True)]
        rows.append([name, spread(ours), spread(slower), spread(faster, 1)])
    text = f"""`make bench-codec`, which builds with the profile of the wheels: {options.rounds} rounds,
interleaved, each the best of {options.runs} runs of a millisecond; medians with the least and the
largest. By hand is the same work with msgspec's typed structs and struct; msgspec writes 64 bit floats
only. Read events have their attributes read. {processor()}; CPython {platform.python_version()};
load of the machine {os.getloadavg()[0]:.1f} at the end; {share_stolen(before):.1%} of its processor
time was stolen meanwhile.

{table(["what", "us", "time by hand, ratio", "times faster than PyGaSe 0.3.1"], rows)}"""
    write_section("Packages and events as bytes", text)
    print(text)


if __name__ == "__main__":
    main()
