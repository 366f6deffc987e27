"""`pygase find`: servers in the local network that want to be found."""

from __future__ import annotations

import argparse
import time
from typing import Any

from pygase import _core
from pygase.tools import _cli

__all__ = ["add_command"]

DESCRIPTION = """\
Look for servers in the local network. A server is found if it wants to be:

  Server(store, announce="Anna's game")

in the networks it listens in: run it with hostname='0.0.0.0' for others to find
it, with 'localhost' only this machine does.
"""

EXAMPLES = """\
examples:
  pygase find
  pygase find --seconds 5
  pygase find --interface 192.168.1.20     only in the network of this address

Exit status: 0 if a server was found, 1 if none was, 2 if none could be looked
for. Questions and answers are small, and go no further than the local network.
"""

#: Seconds between two questions: some get lost.
AGAIN = 0.5


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "find",
        help="look for servers in the local network",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "--seconds", type=_cli.positive, default=2.0, metavar="2", help="how long to look (2)"
    )
    parser.add_argument(
        "--interface", metavar="ADDRESS", help="an address of this machine: look in its network only"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    servers: dict[int, tuple[str, list[str]]] = {}
    try:
        _look(options, servers)
    except (OSError, ValueError) as error:
        _cli.complain("find", f"cannot look in the network: {error.args[-1]}")
        return 2
    except KeyboardInterrupt:
        pass  # what was found is found
    _cli.progress("")
    for name, places in sorted(servers.values()):
        shown = "".join(character if character.isprintable() else "?" for character in name)
        print(f"{shown}\n  {' or '.join(places)}")
    if not servers:
        _cli.complain("find", "no server answered: is one running with announce=..., and hostname='0.0.0.0'?")
    return 0 if servers else 1


def _look(options: argparse.Namespace, servers: dict[int, tuple[str, list[str]]]) -> None:
    finder = _core.Finder(options.interface)
    until = time.monotonic() + options.seconds
    ask = 0.0
    while (now := time.monotonic()) < until:
        if now >= ask:
            finder.ask()
            ask = now + AGAIN
            _cli.progress(f"looking for {until - now:.0f} s, {len(servers)} found")
        answer = finder.next(min(ask, until) - now)
        if answer is not None:
            name, host, port, identity = answer
            places = servers.setdefault(identity, (name, []))[1]
            if f"{host}:{port}" not in places:
                places.append(f"{host}:{port}")
