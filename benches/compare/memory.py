"""What a connection takes of the server's memory, and what joins leave behind.

    python benches/compare/memory.py [--few 1000] [--many 3000] [--joins SECONDS]

Linux. The resident set of the server with many clients, less that with few, by the difference. With --joins
also 50 joins a second for so long, by clients that vanish after a second; the server forgets them after a
minute, so the growth is counted from two minutes on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from harness import OURS, Served, measure, serving, spread, table, write_section

from pygase import _core

JOINS = 50
#: Seconds until as many clients are forgotten as join.
SETTLED = 120


def resident(served: Served) -> float:
    """Return the resident set of a server, in KiB."""
    status = Path(f"/proc/{served.pid}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0])


def with_clients(clients: int) -> float:
    """Return the resident set of a server with so many clients that have joined a while ago, in KiB."""
    with serving(OURS) as served:
        result = measure(served, clients, 3.0)
        assert result["joined"] == clients, f"{result['joined']} of {clients} clients joined"
        return resident(served)


def growth(seconds: float) -> tuple[float, float]:
    """Return the resident set of a server after two minutes of joins and at the end, in KiB."""
    with serving(OURS) as served:
        begin, settled = time.monotonic(), 0.0
        while time.monotonic() < begin + seconds:
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
    parser.add_argument("--joins", type=float, default=0.0, help="seconds of joins, more than 120")
    options = parser.parse_args()
    each = []
    for _ in range(options.rounds):
        few, many = with_clients(options.few), with_clients(options.many)
        each.append((many - few) / (options.many - options.few))
    rows = [[f"a connection, KiB (from {options.few} to {options.many})", spread(each)]]
    if options.joins:
        settled, end = growth(options.joins)
        rows.append(
            [f"growth in {options.joins - SETTLED:.0f} s of {JOINS} joins/s", f"{end / settled - 1:.2%}"]
        )
    text = f"""`python benches/compare/memory.py`: the resident set of the server; {options.rounds} rounds,
medians with the least and the largest.

{table(["memory", ""], rows)}"""
    write_section("Memory", text)
    print(text)


if __name__ == "__main__":
    main()
