"""What a connection takes of the server's memory, and what joins leave behind.

    python benches/compare/memory.py [--few 1000] [--many 3000] [--joins SECONDS]

Linux. The resident set of the server with many clients, less that with few, by the difference: while all of
them have joined and play steadily. What a crowd leaves behind that has just stopped, of which nothing is
acknowledged any more, is another figure; so is that of a server, or of a load generator, which does not keep
up. Such a measurement is made again.

With --joins also 50 joins a second, by clients that vanish after a second. The server forgets them after a
minute; what its allocators keep besides takes some more. The growth is counted from five minutes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness import DISTURBED_TRIES, LOAD_PROCESSOR, OURS, Served, serving, spread, table, write_section

from pygase import _core

JOINS = 50
#: Seconds of joins before the growth is counted.
SETTLED = 300
#: Clients that join in a second: slowly enough for all to be served meanwhile.
RAMP = 250
#: Seconds to play before the first look and after the last, and how often to look, once a second.
STEADY, LOOKS = 3.0, 4
#: The least share of clients that must be held all the time.
HELD = 0.99


def resident(served: Served) -> float:
    """Return the resident set of a server, in KiB."""
    status = Path(f"/proc/{served.pid}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0])


def with_clients(clients: int) -> tuple[float, float]:
    """Return the resident set of a server that clients play with, in KiB, and which share of them it held."""
    for _ in range(DISTURBED_TRIES):
        with serving(OURS) as served:
            command = ["taskset", "-c", LOAD_PROCESSOR, sys.executable, "-m", "pygase", "load"]
            command += [f"127.0.0.1:{served.port}", "--json", "--ramp", str(RAMP), "--clients", str(clients)]
            command += ["--seconds", str(2 * STEADY + LOOKS)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as generator:
                time.sleep(clients / RAMP + STEADY)
                looks = []
                for _ in range(LOOKS):
                    time.sleep(1)
                    looks.append(resident(served))
                assert generator.poll() is None, "clients play while it is looked"
                result = json.loads(generator.communicate()[0])
        assert result["joined"] == clients, f"{result['joined']} of {clients} clients joined"
        if result["held"] >= HELD:
            break
    return statistics.median(looks), result["held"]


def growth(seconds: float) -> tuple[float, float]:
    """Return the resident set of a server once joins have settled and so many seconds later, in KiB."""
    with serving(OURS) as served:
        begin, settled = time.monotonic(), 0.0
        while time.monotonic() < begin + SETTLED + seconds:
            load = _core.Load("127.0.0.1", served.port, JOINS, 0.1, JOINS / 0.9)
            while not load.over:
                time.sleep(0.02)
            load.stop()
            if not settled and time.monotonic() > begin + SETTLED:
                settled = resident(served)
        return settled, resident(served)


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--joins", type=float, default=0.0, help="seconds of joins to count the growth in")
    options = parser.parse_args()
    each, held = [], 1.0
    for _ in range(options.rounds):
        (few, few_held), (many, many_held) = with_clients(options.few), with_clients(options.many)
        each.append((many - few) / (options.many - options.few))
        held = min(held, few_held, many_held)
    rows = [[f"a connection, KiB (from {options.few} to {options.many})", spread(each)]]
    if options.joins:
        settled, end = growth(options.joins)
        rows.append([f"growth in {options.joins:.0f} s of {JOINS} joins/s", f"{end / settled - 1:.2%}"])
    text = f"""`python benches/compare/memory.py`: the resident set of the server while all clients play
steadily, {held:.1%} of them held at least; {options.rounds} rounds, medians with the least and the largest.

{table(["memory", ""], rows)}"""
    write_section("Memory", text)
    print(text)


if __name__ == "__main__":
    main()
