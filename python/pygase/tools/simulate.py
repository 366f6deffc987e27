"""`pygase simulate`: a relay that puts clients behind a bad line."""

from __future__ import annotations

import argparse
import textwrap
import time
from dataclasses import asdict, replace
from typing import Any

from pygase import _core
from pygase.conditions import PRESETS, QUANTITIES, Conditions
from pygase.tools import _cli

__all__ = ["add_command"]

DESCRIPTION = """\
Relay between clients and a server, and do to their datagrams what a bad line
does. Start the server as ever, start this, and let clients connect to LISTEN.
Works for any game over UDP, PyGaSe or not.

Every client gets a line of its own. What is set happens on each of the two
ways: with --latency 80ms a round trip takes 160 ms longer. The same seed loses
the same datagrams of each client, in order of arrival. Ctrl-C ends it and shows
what became of the datagrams.
"""

EXAMPLES = """\
examples:
  pygase simulate localhost:9000 localhost:8080 --preset 4g
  pygase simulate localhost:9000 localhost:8080 --latency 80ms --loss 5% --seed 7
  pygase simulate localhost:9000 localhost:8080 --preset satellite --loss 10%

presets, each way:
"""

_OPTIONS = {
    "latency": ("80ms", "one-way delay"),
    "jitter": ("20ms", "up to this much more, evenly distributed"),
    "loss": ("5%", "datagrams that never arrive"),
    "duplicate": ("1%", "datagrams that arrive twice"),
    "reorder": ("2%", "datagrams held back by 10 to 50 ms, for others to overtake them"),
    "rate": ("256kbit", "what gets through per second; up to 200 ms of it wait, the rest is dropped"),
}


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    presets = "\n".join(
        textwrap.fill(f"{name:<11}{conditions}", 78, initial_indent="  ", subsequent_indent=" " * 13)
        for name, conditions in PRESETS.items()
    )
    parser = commands.add_parser(
        "simulate",
        help="relay between clients and a server, as bad as a real line",
        description=DESCRIPTION,
        epilog=EXAMPLES + presets,
    )
    parser.add_argument(
        "listen", type=_cli.address, metavar="LISTEN", help="where clients connect, HOST:PORT"
    )
    parser.add_argument(
        "upstream", type=_cli.address, metavar="UPSTREAM", help="where the server listens, HOST:PORT"
    )
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), help="a line that players have; the options below change it"
    )
    for name, (example, text) in _OPTIONS.items():
        parser.add_argument(f"--{name}", metavar=example, help=text)
    parser.add_argument("--seed", type=_seed, default=0, metavar="7", help="decides what happens to what (0)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        conditions = _conditions(options)
        relay = _core.Relay(options.listen, options.upstream, asdict(conditions))
    except (OSError, ValueError) as error:
        _cli.complain("simulate", error)
        return 2
    (host, port), (server, server_port) = options.listen, options.upstream
    print(f"clients connect to {host}:{port}, the server is at {server}:{server_port}", flush=True)
    print(textwrap.fill(f"each way {conditions}", 79, subsequent_indent="  "), flush=True)
    print(f"seed {options.seed}; Ctrl-C ends it", flush=True)
    failed = False
    try:
        while not relay.over:
            _cli.progress(_line(relay.report()))
            time.sleep(0.25)
        failed = True
    except KeyboardInterrupt:
        pass
    finally:
        relay.stop()
    _cli.progress("")
    _print(relay.report())
    if failed:
        _cli.complain("simulate", "the relay ended by itself: the system took its socket away")
    return 1 if failed else 0


def _conditions(options: argparse.Namespace) -> Conditions:
    texts = {name: getattr(options, name) for name in _OPTIONS}
    given = {name: QUANTITIES[name](name, text) for name, text in texts.items() if text is not None}
    preset = PRESETS[options.preset] if options.preset else Conditions()
    return replace(preset, **given, seed=options.seed)  # type: ignore[arg-type]


def _line(report: dict[str, int]) -> str:
    up, down = (f"{report[f'{way}_sent']} ({report[f'{way}_lost']} lost)" for way in ("up", "down"))
    return f"{report['clients']} clients, {up} up, {down} down"


def _print(report: dict[str, int]) -> None:
    print("\ndatagrams        sent     lost    twice  held back  crowded out")
    for way, name in (("up", "to server"), ("down", "to clients")):
        counts = [
            report[f"{way}_{fate}"] for fate in ("sent", "lost", "duplicated", "held_back", "crowded_out")
        ]
        sent, lost, twice, held_back, crowded_out = counts
        print(f"{name:<11}{sent:>10,}{lost:>9,}{twice:>9,}{held_back:>11,}{crowded_out:>13,}")
    if report["unsent"]:
        print(f"{report['unsent']} were not taken: is the server running?")
    if report["refused"]:
        print(f"{report['refused']} were refused: more than 1000 clients, or 100,000 datagrams on their way")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"seed of {text!r}: a whole number that is not negative")
    return int(text)
