"""Attack the released PyGaSe 0.3.1 and this implementation in the same ways; print a table of who plays on.

    python scripts/attacks.py [PART OF A NAME...]

Every attack gets a victim of its own, in a process of its own, and an honest player beside it who speaks the
wire protocol and nothing else. Everything stays on loopback. A server plays on if the player got at least 20
of some 40 packages in the second after the attack, with news of the game in them; a client, if it follows.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from support import wire  # noqa: E402
from support.raw import RawClient, RawServer  # noqa: E402
from support.remote import Remote, RemoteError  # noqa: E402

ORIGINAL = os.environ.get("PYGASE_ORIGINAL_PYTHON") or str(REPOSITORY / ".venv-original" / "bin" / "python")

SERVER = """
import time
import pygase

store = pygase.GameStateStore(pygase.GameState(ticks=0, world="x" * 1500))
server = pygase.Server(store)
machine = pygase.GameStateMachine(store)

def step(game_state, dt):
    if PACE:
        time.sleep(PACE)
    return {"ticks": game_state.ticks + 1}

machine.time_step = step
machine.register_event_handler("MOVE", lambda x, **_: {})
thread = server.run_in_thread(port=0, event_wire=machine)
while not server.port:
    time.sleep(0.01)
game = machine.run_game_loop_in_thread()
"""

CLIENT = """
import pygase

client = pygase.Client()
thread = client.connect_in_thread(PORT, "127.0.0.1")
"""


def raw_event(data):
    """A client package with these bytes where an event should be."""
    return wire.client_package(1) + len(data).to_bytes(2, "big") + data


def text(value):
    """A short str as msgpack."""
    return bytes([0xA0 | len(value)]) + value.encode()


MOVE = text("MOVE")


def fields(kind=MOVE, args=b"\x90", kwargs=b"\x80"):
    """An event as msgpack, with its fields already packed."""
    pairs = zip(("type", "handler_args", "handler_kwargs"), (kind, args, kwargs), strict=True)
    return b"\x83" + b"".join(text(name) + value for name, value in pairs)


WHOLE = wire.client_package(1, events=[wire.event("MOVE", 1)])

# What is no package, by what is wrong with it.
BAD = {
    "truncated at every length": [WHOLE[:length] for length in range(1, len(WHOLE))],
    "0 bytes": [b""],
    "65,507 bytes": [WHOLE + bytes(65_507 - len(WHOLE))],
    "text": [b"hello, is this the game?", "größe".encode(), b"GET / HTTP/1.1\r\n\r\n"],
    "wrong protocol id": [b"\xff\xd0\xfa\xb8" + WHOLE[4:]],
    "lying length fields": [wire.client_package(1) + b"\xff\xff\x01", WHOLE + b"\x00\x05"],
    "huge msgpack lengths": [
        raw_event(mark + b"\xff" * 4) for mark in (b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9")
    ],
    "nested 2000 deep": [raw_event(b"\x91" * 2000), raw_event(b"\x81\x01" * 990)],
    "text that is not UTF-8": [raw_event(fields(kind=b"\xa2\xff\xfe"))],
    "duplicate key": [raw_event(fields(kwargs=b"\x82\xa1x\x01\xa1x\x02"))],
    "unhashable key": [raw_event(fields(args=b"\x91\x81\x80\x01"))],
    "NaN as a key": [raw_event(fields(args=b"\x91\x81\xca\x7f\xc0\x00\x00\x01"))],
    "event field missing": [raw_event(b"\x81\xa4type\xa4MOVE"), raw_event(b"\x80"), raw_event(b"\xc0")],
    "event field of a wrong type": [
        raw_event(fields(kind=b"\x05")),
        raw_event(fields(args=b"\x80")),
        raw_event(fields(kwargs=b"\x90")),
        raw_event(fields(kwargs=b"\x81\x05\x01")),
    ],
    "package of a server": [wire.server_package(1, update={"time_order": 1})],
}


class Victim(Remote):
    """A process with one side's pygase."""

    def __init__(self, side):
        self.side = side
        ours = side == "ours"
        super().__init__(sys.executable if ours else ORIGINAL, isolated=not ours)
        self.run(f"PACE = {0 if ours else 0.02}")

    def memory(self):
        """Resident memory in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def count(self, expression):
        """A value over there; None if the process is gone."""
        try:
            return self.value(expression)
        except RemoteError:
            return None


def rate(player, seconds=1.0):
    """Packages a second that a player receives."""
    before = len(player.received)
    player.talk(seconds=seconds)
    return (len(player.received) - before) / seconds


def verdict(player):
    """Whether a player still gets packages, and news of the game in them."""
    got = rate(player)
    if got < 20:
        return "**dead**" if got < 2 else f"**{got:.0f} packages/s**"
    lives = any("ticks" in datagram.update for datagram in player.received[-10:])
    return "plays on" if lives else "**the game stands still**"


# --- on servers: each takes the victim, its port and an honest player who has joined


def bad(datagrams, times=3):
    def attack(victim, port, player):
        with RawClient(port) as stranger:
            for data in datagrams * times:
                stranger.send_bytes(data)
                player.send_bytes(data)
        return verdict(player)

    return attack


def duplicated(victim, port, player):
    player.send()
    player.send(sequence=player.sequence)
    return verdict(player)


def late(victim, port, player):
    player.talk(seconds=1.5)
    player.send(sequence=max(1, player.sequence - 40))
    return verdict(player)


def leap(victim, port, player):
    """A forged package with a plausible everything, except that its number is far ahead."""
    player.send(sequence=(player.sequence + 30_000) % 65_535 + 1)
    return verdict(player)


def unknown_event(victim, port, player):
    player.send(events=[wire.event("NO_SUCH_EVENT")])
    return verdict(player)


def wrong_arguments(victim, port, player):
    player.send(events=[wire.event("MOVE", 1, 2, 3)])
    return verdict(player)


def shut_me_down(victim, port, player):
    with RawClient(port) as stranger:
        stranger.send_bytes(b"shut_me_down")
        player.talk(seconds=0.3)
        stranger.send_bytes(b"shut_me_down")
    return verdict(player)


def shutdown_forged(victim, port, player):
    player.send_bytes(b"shutdown")
    return verdict(player)


def amplification(victim, port, player):
    with RawClient(port) as stranger:
        stranger.send(ack=0, bits=0)
        stranger.talk(seconds=3.0, quiet=True)
        factor = stranger.bytes_in / stranger.bytes_out
    return f"{factor:.1f} bytes out for one in" if factor <= 3 else f"**{factor:.0f} bytes out for one in**"


def share_during(player, script, *arguments):
    """What part of its rate a player keeps while a script attacks, which takes some ten seconds."""
    honest = rate(player)
    attacker = subprocess.Popen([sys.executable, "-c", "import socket, sys, time\n" + script, *arguments])
    begin, before = time.monotonic(), len(player.received)
    while attacker.poll() is None and time.monotonic() < begin + 60:
        player.talk(seconds=0.5)
    share = (len(player.received) - before) / (time.monotonic() - begin) / max(honest, 1)
    attacker.wait(10)
    return share


def flood(count):
    def attack(victim, port, player):
        memory = victim.memory()
        script = (
            "port, count, packet = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])\n"
            "start = time.monotonic()\n"
            "for n in range(count):\n"
            "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
            "        s.bind((f'127.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}', 0))\n"
            "        s.sendto(packet, ('127.0.0.1', port))\n"
            "    if n % 100 == 0:\n"
            f"        time.sleep(max(0.0, start + n * 10 / {max(count, 10_000)} - time.monotonic()))\n"
        )
        share = share_during(player, script, str(port), str(count), wire.client_package(1).hex())
        grown = (victim.memory() - memory) / 1024
        connections = victim.count("len(server.connections)")
        fine = share >= 0.9 and grown <= 8 and connections == 1
        said = f"{share:.0%} of its rate, {grown:.1f} MiB more, {connections} connections"
        return f"plays on ({said})" if fine else f"**{said}**"

    return attack


def shower(victim, port, player):
    """Malformed datagrams, one after the other, 5,000 a second."""
    script = (
        "bad, address = [bytes.fromhex(text) for text in sys.argv[2:]], ('127.0.0.1', int(sys.argv[1]))\n"
        "start = time.monotonic()\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
        "    for n in range(50_000):\n"
        "        s.sendto(bad[n % len(bad)], address)\n"
        "        if n % 50 == 0:\n"
        "            time.sleep(max(0.0, start + n / 5_000 - time.monotonic()))\n"
    )
    bad = [data.hex() for group in BAD.values() for data in group if len(data) < 2048]
    share = share_during(player, script, str(port), *bad)
    said = f"{share:.0%} of its rate"
    return f"plays on ({said})" if share >= 0.9 else f"**{said}**"


# --- on clients: each takes the victim and an honest server who has one client


def ticks(victim):
    """What the client takes the game for."""
    victim.run("with client.access_game_state() as state: TICKS = getattr(state, 'ticks', None)")
    return victim.value("TICKS")


def follows(victim, server, seconds=1.0):
    """Whether the client still follows the game."""
    server.update = {"time_order": server.update["time_order"] + 1, "ticks": server.update["ticks"] + 1}
    server.talk(seconds=seconds)
    return ticks(victim) == server.update["ticks"]


def client_verdict(victim, server):
    return "plays on" if follows(victim, server) else "**dead**"


def bad_to_client(datagrams, foreign):
    def attack(victim, server):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in datagrams * 3:
                if foreign:
                    stranger.sendto(data, server.client)
                else:
                    server.send_bytes(data)
        return client_verdict(victim, server)

    return attack


def duplicated_to_client(victim, server):
    server.send()
    server.send(sequence=server.sequence)
    return client_verdict(victim, server)


def late_to_client(victim, server):
    server.talk(seconds=1.5)
    server.send(sequence=max(1, server.sequence - 40))
    return client_verdict(victim, server)


def foreign_state(victim, server):
    """A stranger makes up what the game is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        lie = {"time_order": 20_000, "ticks": 666}
        for step in range(5):
            stranger.sendto(
                wire.server_package(server.sequence + 5 + step, server.newest, 0, lie), server.client
            )
    server.talk(seconds=0.5)
    return "**believes the stranger**" if ticks(victim) == 666 else client_verdict(victim, server)


def silence(victim, server):
    """Nothing comes for six seconds, then all is well again."""
    time.sleep(6.0)
    for _ in range(16):
        server.drain()
        before = len(server.received)
        if follows(victim, server, 0.5) and len(server.received) > before + 5:
            return "plays on"
    return "**never comes back**"


SERVER_ATTACKS = {
    **{f"{name}, from a player and a stranger": bad(data) for name, data in BAD.items()},
    "a datagram twice": duplicated,
    "a datagram 40 late": late,
    "a forged number far ahead": leap,
    "an event without a handler": unknown_event,
    "an event with wrong arguments": wrong_arguments,
    "`shut_me_down` from a stranger": shut_me_down,
    "`shutdown` in the name of the host, who plays on": shutdown_forged,
    "one forged hello (amplification)": amplification,
    "5,000 malformed datagrams a second": shower,
    "3,000 forged addresses": flood(3_000),
    "100,000 forged addresses in 10 s": flood(100_000),
}
NO_EVENT = wire.server_package(30_000, 0, 0, {"time_order": 1})
CLIENT_ATTACKS = {
    "garbage from its server's address": bad_to_client(
        [b"", b"\xff", b"hello", NO_EVENT[:-3], NO_EVENT + b"\x00"], False
    ),
    "garbage from a stranger": bad_to_client(
        [b"", b"\xff", b"hello", NO_EVENT[:-3], NO_EVENT + b"\x00"], True
    ),
    "an update nested 2000 deep": bad_to_client([NO_EVENT[:12] + b"\x07\xd0" + b"\x91" * 2000], False),
    "a game state from a stranger": foreign_state,
    "a datagram twice": duplicated_to_client,
    "a datagram 40 late": late_to_client,
    "6 s of silence": silence,
}


def on_server(side, attack):
    victim = Victim(side)
    try:
        victim.run(SERVER)
        port = victim.value("server.port")
        with RawClient(port) as player:
            if not player.talk(player.has_state, 10.0):
                return "no player could join"
            player.talk(seconds=0.3)
            return attack(victim, port, player)
    except RemoteError as error:
        return f"**process gone** ({str(error).splitlines()[0]})"
    finally:
        victim.close()


def on_client(side, attack):
    victim = Victim(side)
    try:
        with RawServer() as server:
            server.update = {"time_order": 5, "ticks": 1}
            victim.run(f"PORT = {server.port}")
            victim.run(CLIENT)
            if not server.talk(lambda: len(server.received) > 20, 10.0):
                return "no client came"
            return attack(victim, server)
    except RemoteError as error:
        return f"**process gone** ({str(error).splitlines()[0]})"
    finally:
        victim.close()


def main():
    chosen = sys.argv[1:]
    broken = 0
    print("| victim | attack | PyGaSe 0.3.1 | pygase-rs |")
    print("|---|---|---|---|", flush=True)
    for kind, run, attacks in (("server", on_server, SERVER_ATTACKS), ("client", on_client, CLIENT_ATTACKS)):
        for name, attack in attacks.items():
            if chosen and not any(part in f"{kind} {name}" for part in chosen):
                continue
            theirs, ours = run("theirs", attack), run("ours", attack)
            broken += "**" in ours
            print(f"| {kind} | {name} | {theirs} | {ours} |", flush=True)
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
