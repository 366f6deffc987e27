"""What a busy game costs 500 clients: their round trip and packages, and the rate of the game loop.

    python benches/compare/independence.py [--clients 500] [--rounds 3] [--seconds 5]

Linux, two processors. The game idles, burns 10 ms of pure Python in each tick, or has a server handler that
sleeps all the time, a second for each event of the clients.
"""

from __future__ import annotations

import argparse
import itertools

from harness import OURS, held, noise, play, rtt, spread, stolen, table, write_section

BURN = "0.01"


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    # One event a second in all, each of which is slept on for a second.
    asleep = ["--event", "SLEEP", "1", "--event-rate", str(1 / options.clients)]
    games = {
        "idle": (OURS, []),
        "10 ms of Python in each tick": ([*OURS, "--burn", BURN], []),
        "a handler that sleeps": (OURS, asleep),
    }
    before = stolen()
    results: dict[str, list[dict]] = {name: [] for name in games}
    for _ in range(options.rounds):
        for name, (command, more) in games.items():
            results[name].append(play(command, options.clients, options.seconds, *more))
    rows, everything = [], list(itertools.chain(*results.values()))
    for name, runs in results.items():
        pairs = list(zip(results["idle"], runs, strict=True))
        row = [name, held(runs), spread([run["rate_mean"] for run in runs])]
        row.append(spread([run["rate_mean"] / idle["rate_mean"] for idle, run in pairs]))
        row += [rtt(runs), spread([(run["rtt_p99"] or 1) / (idle["rtt_p99"] or 1) for idle, run in pairs])]
        rows.append([*row, spread([run["tick_rate"] for run in runs])])
    head = ["game", "held (least)", "packages/s", "ratio to idle", "p99 round trip, ms", "ratio to idle"]
    text = f"""`python benches/compare/independence.py`: {options.clients} clients, {options.rounds} rounds,
interleaved; medians with the least and the largest. {noise(everything, before)}

{table([*head, "ticks/s"], rows)}"""
    write_section("A busy game", text)
    print(text)


if __name__ == "__main__":
    main()
