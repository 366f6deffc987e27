"""How many clients a game on one processor holds: ours, and PyGaSe 0.3.1 paced by hand, in the same run.

    python benches/compare/capacity.py [--rounds 2] [--seconds 4] [--most 6000]

Linux, two processors: the server has one, the load generator the other. A server holds clients when at least
95 % of them get at least 38 packages/s and 99 % of the packages are answered within 50 ms. The largest such
number is searched by bisection, down to 4 %; what fails is tried once more, on either side.
"""

from __future__ import annotations

import argparse

from harness import OURS, PACED, noise, play, spread, stolen, table, write_section

#: How close the bisection comes.
RESOLUTION = 1.04
#: Seconds that 99 % of the packages are to be answered in.
ROUND_TRIP = 0.05
TRIES = 2


def holds(command: list[str], clients: int, seconds: float) -> dict | None:
    """Return what the load generator says of a server that holds so many clients, None if it does not."""
    for _ in range(TRIES):
        result = play(command, clients, seconds)
        if result["holds"] and (result["rtt_p99"] or 1.0) < ROUND_TRIP:
            return result
    return None


def search(command: list[str], low: int, high: int, seconds: float) -> tuple[int, dict]:
    """Return the largest number of clients held between `low` and `high`, with what the generator says."""
    best, said = 0, {}
    while not best or high > low * RESOLUTION:
        clients = low if not best else round((low * high) ** 0.5)
        result = holds(command, clients, seconds)
        if result:
            best, low, said = clients, clients, result
        elif not best:
            low, high = max(low // 2, 1), low
            if high == 1:
                break
        else:
            high = clients
    return best, said


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--most", type=int, default=6000, help="clients of ours to try at most")
    options = parser.parse_args()
    before = stolen()
    kinds = {"PyGaSe 0.3.1, paced": (PACED, 50, 800), "pygase": (OURS, 2000, options.most)}
    found: dict[str, list[tuple[int, dict]]] = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, (command, low, high) in kinds.items():
            found[name].append(search(command, low, high, options.seconds))
    theirs, ours = found.values()
    ratios = [our / max(their, 1) for (their, _), (our, _) in zip(theirs, ours, strict=True)]
    rows = []
    for name, runs in found.items():
        said = [run for _, run in runs if run]
        row = [name, spread([count for count, _ in runs], 0), spread(ratios, 0) if runs is ours else "1"]
        row.append(spread([1000 * run["rtt_p99"] for run in said], 1) if said else "-")
        row.append(spread([run["user"] + run["system"] for run in said]) if said else "-")
        row.append(f"{max((run['own_processor_share'] for run in said), default=0):.0%}")
        rows.append(row)
    head = ["server", "clients held", "ratio", "p99 round trip, ms", "load of its processor"]
    head.append("generator's of its own (most)")
    text = f"""`python benches/compare/capacity.py`: {options.rounds} rounds, interleaved; medians with least
and largest. Held: at least 95 % of the clients got at least 38 packages/s, and 99 % of the packages were
answered within 50 ms. {noise([run for runs in found.values() for _, run in runs if run], before)}

{table(head, rows)}"""
    write_section("Clients on one processor", text)
    print(text)


if __name__ == "__main__":
    main()
