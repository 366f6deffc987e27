"""Processor time of a server beside that of the limit server, interleaved in one run. Linux, two processors.

    python benches/compare/server_cpu.py [--clients 1000 2000] [--rounds 3] [--seconds 8]

The server has processor 0, the load generator processor 1. Ours is the game of `game.py`; the limit
server has no game at all. What is counted begins when all clients play.
"""

from __future__ import annotations

import argparse

from harness import (
    LIMITED,
    OURS,
    busiest,
    held,
    noise,
    play,
    rtt,
    spread,
    stolen,
    table,
    write_section,
)


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    before, rows, over, everything = stolen(), [], [], []
    for clients in options.clients:
        results: dict[str, list[dict]] = {"limit server": [], "pygase": []}
        for _ in range(options.rounds):
            for command, runs in zip((LIMITED, OURS), results.values(), strict=True):
                runs.append(play(command, clients, options.seconds))
                everything.append(runs[-1])
        limits, ours = results.values()
        ratios = [our["pair"] / limit["pair"] for limit, our in zip(limits, ours, strict=True)]
        more = [user_time(our) - user_time(limit) for limit, our in zip(limits, ours, strict=True)]
        over.append(f"{spread(more)} s at {clients}")
        for name, runs in results.items():
            kernel = [run["kernel"] for run in runs if run["kernel"] is not None]
            row = [name, str(clients), held(runs), rtt(runs), spread([run["pair"] for run in runs])]
            row += [spread(ratios) if name == "pygase" else "1", spread(kernel) if kernel else "-"]
            rows.append([*row, spread([run["user"] + run["system"] for run in runs]), busiest(runs)])
    head = ["server", "clients", "held (least)", "p99 round trip, ms", "processor time, us a pair"]
    head += ["ratio", "share in the kernel", "load of its processor", "generator's of its own (most)"]
    text = f"""`python benches/compare/server_cpu.py`: {options.rounds} rounds of {options.seconds:g} s,
interleaved; medians with the least and the largest. Held: clients that got at least 38 packages/s.
User time of ours in 20 s, less the limit server's: {", ".join(over)}.
{noise(everything, before)}

{table(head, rows)}"""
    write_section("Processor time beside the limit server", text)
    print(text)


def user_time(run: dict) -> float:
    """Return the seconds that a server spends outside of the kernel in 20 s."""
    if run["kernel"] is None:
        return 20 * run["user"]
    return 20 * (run["user"] + run["system"]) * (1 - run["kernel"])


if __name__ == "__main__":
    main()
