"""How many events one Python handler takes in a second, beside a bare loop that calls it, in one run.

    python benches/compare/events.py [--rounds 5] [--clients 64] [--seconds 5]

Linux. The handler waits until many events have come, and then has nothing else to do. What is counted is the
processor time of its thread, so that others on the machine do not count. The bare loop calls the same handler
with arguments that are there already.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from harness import spread, table, write_section

import pygase

#: Events a second and client: nearly all that fit into 40 packages.
RATE = 195
#: Calls of the bare loop.
CALLS = 100_000
EVENT = ("MOVE", "anna", 12.5, -7.25)
ADDRESS = ("127.0.0.1", 50000)


class World:
    """Two handlers for what players do."""

    def __init__(self) -> None:
        self.players: dict[str, dict[str, Any]] = {}

    def nothing(self, name: str, x: float, y: float, client_address: tuple[str, int]) -> None:
        """Do nothing."""

    def move(self, name: str, x: float, y: float, client_address: tuple[str, int]) -> None:
        """Move a player within the world."""
        player = self.players.setdefault(name, {"x": 0.0, "y": 0.0, "address": client_address})
        if player["address"] != client_address:
            player["address"] = client_address
        player["x"] = min(max(x, -100.0), 100.0)
        player["y"] = min(max(y, -100.0), 100.0)


def bare(handler: Callable[..., None]) -> float:
    """Return how many calls a second a loop makes that does nothing else."""
    args, kwargs = EVENT[1:], {"client_address": ADDRESS}
    begin = time.thread_time()
    for _ in range(CALLS):
        handler(*args, **kwargs)
    return CALLS / (time.thread_time() - begin)


def handled(handler: Callable[..., None], clients: int, seconds: float) -> tuple[float, int]:
    """Return how many calls a second a server makes that has nothing else to do, and of how many that is."""
    gate = threading.Event()
    server = pygase.Server(
        pygase.GameStateStore(pygase.GameState(x=1)), max_connections_per_source=clients + 1
    )

    def wait(**_: object) -> None:
        gate.wait()

    server.register_event_handler(EVENT[0], handler)
    server.register_event_handler("WAIT", wait)
    thread = server.run_in_thread()
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    first = pygase.Client()
    first.connect_in_thread(server.port)
    first.dispatch_event("WAIT")
    time.sleep(1)
    options = ["--clients", str(clients), "--seconds", str(seconds), "--event-rate", str(RATE)]
    command = [sys.executable, "-m", "pygase", "load", f"127.0.0.1:{server.port}", *options]
    subprocess.run([*command, "--event", *map(str, EVENT)], check=False, capture_output=True)
    begin, last = time.clock_gettime(clock), -1.0
    gate.set()
    while (now := time.clock_gettime(clock)) != last:
        last = now
        time.sleep(0.2)
    counts = server.stats()["clients"].values()
    count = sum(each["events_received"] - each.get("queue_full", 0) for each in counts)
    left = sum(each["events_to_handle"] for each in counts)
    first.disconnect()
    server.shutdown()
    thread.join()
    if left or count < clients * RATE * seconds / 2:
        raise RuntimeError(f"{count} events came, {left} are left: the machine is too slow for this")
    return count / (last - begin), count


def measure(name: str, clients: int, seconds: float) -> dict[str, float]:
    """Return the calls a second of a server and of a bare loop, before and after it."""
    handler = getattr(World(), name)
    before = bare(handler)
    rate, count = handled(handler, clients, seconds)
    return {"bare": (before + bare(handler)) / 2, "handled": rate, "count": count}


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--one", choices=["nothing", "move"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.clients, options.seconds)))
        return
    command = [sys.executable, __file__, "--clients", str(options.clients), "--seconds", str(options.seconds)]
    results: dict[str, list[dict[str, float]]] = {"nothing": [], "move": []}
    for _ in range(options.rounds):
        for name, runs in results.items():
            done = subprocess.run([*command, "--one", name], check=True, stdout=subprocess.PIPE)
            runs.append(json.loads(done.stdout))
    rows = []
    for name, runs in results.items():
        row = [name, spread([run["bare"] / 1000 for run in runs], 0)]
        row.append(spread([run["handled"] / 1000 for run in runs], 0))
        rows.append([*row, spread([run["handled"] / run["bare"] for run in runs])])
    count = min(run["count"] for runs in results.values() for run in runs)
    text = f"""`python benches/compare/events.py`: {options.rounds} rounds, interleaved; medians with the
least and the largest. A server whose handler has nothing else to do, with at least {count:.0f} events
of {options.clients} clients that wait for it; and a bare loop that calls it with arguments that are
there already. Thousands of calls in a second of the thread's processor time. `nothing` does nothing,
`move` moves a player within a dict of players.

{table(["handler", "bare loop", "server", "ratio"], rows)}"""
    write_section("Events into one handler", text)
    print(text)


if __name__ == "__main__":
    main()
