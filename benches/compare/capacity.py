"""How many clients a game on one processor holds: ours, and PyGaSe 0.3.1 paced by hand, in the same run.

    python benches/compare/capacity.py [--rounds 2] [--seconds 4] [--trials 3] [--most 6000]

Linux, two processors: the server has one, the load generator the other. In a trial, a server holds clients
when at least 95 % of them get at least 38 packages/s and 99 % of the packages are answered within 50 ms. A
number of clients is held when most of the trials with it say so, each with a fresh server; a trial in which
others, or the host, took too much of the machine is made again, a few times. The largest number that is held
is searched by bisection, down to 4 %. All of this is the same for both servers, but where the search begins.

One trial is not enough: near its limit a server holds by chance, and after an unlucky trial the bisection
never looks above it again. A search tries no other number after three minutes: a round takes about eight at
most, and about four where nobody disturbs it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from harness import OURS, PACED, noise, play, spread, stolen, table, write_section

#: How close the bisection comes.
RESOLUTION = 1.04
#: Seconds that 99 % of the packages are to be answered in.
ROUND_TRIP = 0.05
#: Seconds of a search, after which no other number is tried.
PATIENCE = 180.0


@dataclass
class Found:
    """What a search came to.

    Attributes:
        held: The most clients that were held.
        failed: The least that were not, or how many would have been tried at most.
        trials: Those that held `held`.
    """

    held: int
    failed: int
    trials: list[dict]


def held_by(result: dict) -> bool:
    """Return whether a server held its clients in a trial."""
    return result["holds"] and (result["rtt_p99"] or 1.0) < ROUND_TRIP


def tried(command: list[str], clients: int, seconds: float, trials: int) -> list[dict]:
    """Return the trials that held so many clients; none if most of `trials` did not."""
    results: list[dict] = []
    most = trials // 2 + 1
    for _ in range(trials):
        results.append(play(command, clients, seconds))
        good = [result for result in results if held_by(result)]
        if len(good) == most:
            return good
        if len(results) - len(good) == most:
            break
    return []


def search(command: list[str], low: int, high: int, seconds: float, trials: int) -> Found:
    """Return the largest number of clients held between `low` and `high`; less than `low` if need be."""
    end, found, clients = time.monotonic() + PATIENCE, Found(0, high, []), low
    while True:
        good = tried(command, clients, seconds, trials)
        if good:
            found.held, found.trials = clients, good
        else:
            found.failed = clients
        if not found.held:
            clients //= 2
        elif found.failed <= found.held * RESOLUTION:
            return found
        else:
            clients = round((found.held * found.failed) ** 0.5)
        if not found.held < clients < found.failed or time.monotonic() > end:
            return found


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument(
        "--trials", type=int, default=3, help="trials of a number of clients, of which most count (3)"
    )
    parser.add_argument("--most", type=int, default=6000, help="clients of ours to try at most")
    options = parser.parse_args()
    before = stolen()
    kinds = {"PyGaSe 0.3.1, paced": (PACED, 50, 800), "pygase": (OURS, 2000, options.most)}
    found: dict[str, list[Found]] = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, (command, low, high) in kinds.items():
            found[name].append(search(command, low, high, options.seconds, options.trials))
    theirs, ours = found.values()
    ratios = [our.held / max(their.held, 1) for their, our in zip(theirs, ours, strict=True)]
    rows = []
    for name, searches in found.items():
        said = [trial for search in searches for trial in search.trials]
        row = [
            name,
            spread([search.held for search in searches], 0),
            spread([it.failed for it in searches], 0),
        ]
        row.append(spread(ratios, 0) if searches is ours else "1")
        row.append(spread([1000 * run["rtt_p99"] for run in said], 1) if said else "-")
        row.append(spread([run["user"] + run["system"] for run in said]) if said else "-")
        row.append(f"{max((run['own_processor_share'] for run in said), default=0):.0%}")
        rows.append(row)
    head = [
        "server",
        "clients held",
        "the least not held",
        "ratio",
        "p99 round trip, ms",
        "load of its processor",
    ]
    head.append("generator's of its own (most)")
    every = [trial for searches in found.values() for it in searches for trial in it.trials]
    text = f"""`python benches/compare/capacity.py`: {options.rounds} rounds, interleaved; medians with
least and largest. Held: in most of {options.trials} trials, at least 95 % of the clients got at least 38
packages/s, and 99 % of the packages were answered within 50 ms. {noise(every, before) if every else ""}

{table(head, rows)}"""
    write_section("Clients on one processor", text)
    print(text)


if __name__ == "__main__":
    main()
