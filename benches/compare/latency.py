"""How long a join and an event take, by pygase-rs and PyGaSe 0.3.1 on either side, interleaved in one run.

    python benches/compare/latency.py [--rounds 3] [--count 20]

Linux, two processors: the server has one, the player the other. A join lasts from `connect_in_thread` until
the game state is there; an event goes to a handler in the game loop (50 ticks a second), which answers.
Events are measured as they are by default, and with `prompt_events` on to PyGaSe 0.3.1 and off to pygase.
"""

from __future__ import annotations

import argparse
import sys

from harness import ORIGINAL, OURS, PACED, player, serving, share_stolen, spread, stolen, table, write_section


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    original = "PyGaSe 0.3.1"
    servers = {
        "pygase": (OURS, ("pygase", original)),
        "pygase, off": ([*OURS, "--prompt-events", "false"], ("pygase, off",)),
        "pygase, on": ([*OURS, "--prompt-events", "true"], (original,)),
        f"{original}, paced": (PACED, ("pygase", "pygase, on", original)),
    }
    players = {
        "pygase": (sys.executable,),
        "pygase, off": (sys.executable, "false"),
        "pygase, on": (sys.executable, "true"),
        original: (ORIGINAL,),
    }
    before = stolen()
    took: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(options.rounds):
        for server, (command, names) in servers.items():
            with serving(command) as served:
                for name in names:
                    python, *more = players[name]
                    for what in (
                        ("event",) if "," in name or server.endswith(("on", "off")) else ("join", "event")
                    ):
                        measured = player(python, served.port, what, options.count, *more)
                        took.setdefault((what, name, server), []).extend(measured)
    rows = [[what, name, server, spread(values, 1)] for (what, name, server), values in sorted(took.items())]
    text = f"""`python benches/compare/latency.py`: {options.rounds} rounds of {options.count}, interleaved;
medians with the least and the largest. A client of PyGaSe 0.3.1 sends on a grid of 25 ms and
looks for what came between two sends. On and off is `prompt_events`; without a word it is as by
default, on between two of pygase. {share_stolen(before):.1%} of the machine's processor time was
stolen meanwhile.

{table(["what", "client", "server", "milliseconds"], rows)}"""
    write_section("Joins and events", text)
    print(text)


if __name__ == "__main__":
    main()
