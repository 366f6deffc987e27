"""Processor time of a server beside that of the limit server, interleaved in one run. Linux, two processors.

    python benches/compare/server_cpu.py [--clients 1000 2000] [--rounds 2] [--seconds 8]

The server has processor 0, the load generator processor 1. Ours is a `Backend` with twenty players as
nested dicts, of which three move in each of fifty ticks a second; the limit server has no game at all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from harness import ROOT, share_stolen, spread, stolen, table, write_section

LIMIT = ROOT / "target" / "dev-fast" / "examples" / "limit_server"
PORT = 18_500
OURS = """
import sys, pygase
players = {n: {"name": f"player {n}", "x": 0, "y": 0} for n in range(20)}
tick = 0

def step(game_state, dt):
    global tick
    tick += 1
    return {"players": {n % 20: {"x": tick, "y": 7 * tick} for n in range(3 * tick, 3 * tick + 3)}}

backend = pygase.Backend(pygase.GameState(players=players), step, {})
print("listening", flush=True)
backend.run(hostname="127.0.0.1", port=int(sys.argv[1]))
"""
TICKS = os.sysconf("SC_CLK_TCK")


def processor_time(pid: int) -> tuple[float, float]:
    """Return the user and the system time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def measure(command: list[str], port: int, clients: int, seconds: float) -> dict:
    """Return what the load generator saw, with the server's processor time in seconds a second."""
    # The server has the processor to itself.
    with subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            time.sleep(0.5)
            load = [sys.executable, "-m", "pygase", "load", f"127.0.0.1:{port}", "--json", "--ramp", "1000"]
            before, start = processor_time(server.pid), time.monotonic()
            output = subprocess.run(
                ["taskset", "-c", "1", *load, "--clients", str(clients), "--seconds", str(seconds)],
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            after, took = processor_time(server.pid), time.monotonic() - start
        finally:
            server.kill()
    user, system = ((now - then) / took for then, now in zip(before, after, strict=True))
    return {**json.loads(output), "user": user, "system": system}


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    before, rows, port = stolen(), [], PORT
    for clients in options.clients:
        results: dict[str, list[dict]] = {"limit server": [], "pygase": []}
        for _ in range(options.rounds):
            for name, runs in results.items():
                port += 1
                ours = [sys.executable, "-c", OURS, str(port)]
                limit = [str(LIMIT), str(port), str(60 + int(options.seconds))]
                runs.append(measure(ours if name == "pygase" else limit, port, clients, options.seconds))
        totals = {name: [run["user"] + run["system"] for run in runs] for name, runs in results.items()}
        ratios = [ours / limit for limit, ours in zip(*totals.values(), strict=True)]
        for name, runs in results.items():
            rows.append(
                [
                    name,
                    str(clients),
                    f"{min(run['held'] for run in runs):.1%}",
                    spread([1000 * (run["rtt_p99"] or 0) for run in runs], 1),
                    spread([run["user"] for run in runs]),
                    spread([run["system"] for run in runs]),
                    spread(ratios) if name == "pygase" else "1",
                    "yes" if any(run["own_bottleneck"] for run in runs) else "no",
                ]
            )
    head = ["server", "clients", "held (least)", "p99 round trip, ms", "user, s/s", "system, s/s"]
    head += ["processor time, ratio", "generator at its limit"]
    text = f"""`python benches/compare/server_cpu.py`: {options.rounds} rounds of {options.seconds:g} s,
interleaved; medians with the least and the largest. Held: clients that got at least 38 packages/s.
{share_stolen(before):.1%} of the machine's processor time was stolen meanwhile.

{table(head, rows)}"""
    write_section("Processor time beside the limit server", text)
    print(text)


if __name__ == "__main__":
    main()
