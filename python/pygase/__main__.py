"""The command `python -m pygase`: tools for whoever runs a game."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pygase import _load

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind `python -m pygase`; by default what the process was started with.

    Returns:
        The exit status: 0 if all went well.
    """
    parser = argparse.ArgumentParser(prog="python -m pygase", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _load.add_command(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
