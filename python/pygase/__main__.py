"""Tools for whoever makes or runs a network game."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pygase
from pygase.tools import _cli, doctor, find, load, monitor, new, record, replay, simulate

__all__ = ["main"]

EXAMPLES = """\
examples:
  pygase new space_race
  pygase monitor localhost:8080
  pygase simulate localhost:9000 localhost:8080 --preset wifi-cafe
  pygase record localhost:8080 game.pgr
  pygase load localhost:8080 --clients 500

Each command explains itself: pygase simulate --help. Exit status: 0 if all went
well, 2 for wrong arguments or what could not be started, others as the command
says.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `pygase`, which is also `python -m pygase`.

    Args:
        arguments: What stands behind `pygase`; by default what the process was started with.

    Returns:
        The exit status: 0 if all went well.
    """
    parser = _cli.Parser(
        prog="pygase",
        description=__doc__,
        epilog=EXAMPLES,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for tool in (new, doctor, monitor, find, simulate, record, replay, load):
        tool.add_command(commands)
    options = parser.parse_args(arguments)
    if not hasattr(pygase, "__version__"):
        print(
            "pygase: PyGaSe was installed over pygase-rs, and is what import pygase gives: "
            "uninstall both (pip uninstall -y pygase pygase-rs), then install one",
            file=sys.stderr,
        )
        return 2
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
