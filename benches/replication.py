"""What replication costs over real sockets, beside the released PyGaSe: `make bench`.

    python benches/replication.py [--seconds 6]

Servers and clients are processes of their own; a relay in between delays datagrams and loses some. Prints the
time a 64 kB state takes to arrive, the age of a state in which twenty keys a second come and twenty go, and
how many bytes reach the client for each byte that changed.
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import select
import socket
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.remote import Remote  # noqa: E402

ORIGINAL = os.environ.get("PYGASE_ORIGINAL_PYTHON") or str(ROOT / ".venv-original" / "bin" / "python")

SERVER = """
import time, pygase
from pygase.gamestate import TO_DELETE
number = changed = 0
due = time.monotonic()

def step(game_state, dt):
    global number, changed, due
    due += 0.02
    if SLEEPS:  # the released game loop does not
        time.sleep(max(0.0, due - time.monotonic()))
    update = {"stamp": time.time_ns() // 1000}
    number += 1
    if CHURN and number % 5 < 2:
        update["items"] = {f"i{number}": number, f"i{number - 5}": TO_DELETE}
    changed += len(pygase.gamestate.GameStateUpdate(1, **update).to_bytes())
    return update

units = {n: {"x": n, "name": "unit" * 4} for n in range(SIZE // 24)}
store = pygase.GameStateStore(pygase.GameState(1, stamp=0, items={}, units=units))
server, machine = pygase.Server(store), pygase.GameStateMachine(store)
machine.time_step = step
server.run_in_thread()
while not server.port:
    time.sleep(0.01)
machine.run_game_loop_in_thread()
"""

CLIENT = """
import time, pygase

def join(seconds, count):
    global client
    client = pygase.Client()
    start = time.monotonic()
    client.connect_in_thread(PORT, "127.0.0.1")
    while time.monotonic() - start < seconds:
        with client.access_game_state() as state:
            units = getattr(state, "units", {})
            if len(units) == count and all(len(unit) == 2 for unit in units.values()):
                return time.monotonic() - start
        time.sleep(0.01)

def ages(seconds):
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        with client.access_game_state() as state:
            stamp = getattr(state, "stamp", 0)
        if stamp:
            found.append((time.time_ns() // 1000 - stamp) / 1000)
        time.sleep(0.003)
    found.sort()
    return found[len(found) // 2], found[len(found) * 99 // 100]
"""


class Relay(threading.Thread):
    """Between one server and one client: delays, loses, and counts what goes to the client."""

    def __init__(self, port: int, one_way: float, loss: float) -> None:
        super().__init__(daemon=True)
        self.front, self.back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.front.bind(("127.0.0.1", 0))
        self.back.connect(("127.0.0.1", port))
        self.port = self.front.getsockname()[1]
        self.one_way, self.loss = one_way, loss
        self.bytes_down = 0
        self.start()

    def run(self) -> None:
        """Relay until the process ends."""
        client, waiting, count, chance = None, [], 0, random.Random(1)
        while True:
            pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.05
            ready, _, _ = select.select([self.front, self.back], [], [], pause)
            for sock in ready:
                try:
                    data, sender = sock.recvfrom(4096)
                except OSError:
                    continue
                if sock is self.front:
                    client = sender
                if chance.random() >= self.loss:
                    count += 1
                    heapq.heappush(
                        waiting, (time.monotonic() + self.one_way, count, sock is self.front, data)
                    )
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, up, data = heapq.heappop(waiting)
                if up:
                    self.back.send(data)
                elif client:
                    self.bytes_down += len(data)
                    self.front.sendto(data, client)


def session(server_side: str, client_side: str, size: int, churn: bool, round_trip: float, loss: float = 0.0):
    """Start both; return them with the relay between them."""
    sides = {"ours": (sys.executable, False), "theirs": (ORIGINAL, True)}
    server, client = (Remote(sides[side][0], isolated=sides[side][1]) for side in (server_side, client_side))
    server.run(f"SIZE = {size}; CHURN = {churn}; SLEEPS = {server_side == 'theirs'}")
    server.run(SERVER)
    relay = Relay(server.value("server.port"), round_trip / 2, loss)
    client.run(f"PORT = {relay.port}")
    client.run(CLIENT)
    return server, client, relay


def joins() -> None:
    """Time the arrival of 64 kB."""
    print("join of 64 kB in s                   ours   0.3.1 client")
    for round_trip, loss in [(0.0, 0.0), (0.05, 0.0), (0.15, 0.0), (0.0, 0.1), (0.15, 0.1)]:
        took = []
        for side in ("ours", "theirs"):
            server, client, _ = session("ours", side, 64_000, False, round_trip, loss)
            took.append(client.value(f"join(20, {64_000 // 24})") or float("nan"))
            client.close()
            server.close()
        label = f"{round_trip * 1000:.0f} ms round trip, {loss:.0%} loss"
        print(f"  {label:<30} {took[0]:8.2f} {took[1]:8.2f}   ratio {took[0] / took[1]:.2f}", flush=True)


def churn(seconds: float) -> None:
    """Age of the state while keys come and go."""
    print("age of the state in ms, p50/p99      ours to ours     ours to 0.3.1    0.3.1 to 0.3.1")
    print("kB/s to the client (times what changed, packages of 40/s included)")
    for round_trip in (0.0, 0.05, 0.15):
        cells, rates = [], []
        for sides in (("ours", "ours"), ("ours", "theirs"), ("theirs", "theirs")):
            server, client, relay = session(*sides, 0, True, round_trip)
            client.value("join(3, 0)")
            time.sleep(1)
            before, began = (relay.bytes_down, server.value("changed")), time.monotonic()
            median, worst = client.value(f"ages({seconds})")
            sent, changed = relay.bytes_down - before[0], server.value("changed") - before[1]
            rate = sent / (time.monotonic() - began) / 1000
            rates.append(f"{rate:7.1f} ({sent / changed:.1f})")
            cells.append(f"{median:7.1f}/{worst:7.1f}")
            client.close()
            server.close()
        print(f"  {round_trip * 1000:3.0f} ms round trip        {'  '.join(cells)}")
        print(f"      kB/s (ratio)          {'  '.join(f'{rate:>15}' for rate in rates)}", flush=True)


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each age is looked at")
    arguments = parser.parse_args()
    joins()
    churn(arguments.seconds)


if __name__ == "__main__":
    main()
