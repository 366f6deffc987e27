"""What the tools share on the command line: taking addresses, failing, showing what goes on."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import Any, NoReturn

__all__ = ["Parser", "address", "complain", "count", "port", "positive", "progress"]


class Parser(argparse.ArgumentParser):
    """A parser that keeps the lines of its texts as they are, and answers wrong arguments with one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, what may have been meant, and where to read on; exit with status 2."""
        wrong = re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            known = wrong[2].replace("'", "").split(", ")
            near = difflib.get_close_matches(wrong[1], known, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            message = f"there is no command {wrong[1]!r}: {meant}"
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help explains)\n")


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`.

    Args:
        text: The argument. Without a host it is this machine.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as localhost:8080")
    return host.strip("[]") or "localhost", int(port)


def port(text: str) -> int:
    """Return the number of a port.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    if not text.isdecimal() or not 0 < int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"port of {text!r}: from 1 to 65535")
    return int(text)


def positive(text: str) -> float:
    """Return a number that is more than 0 and less than a billion.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def count(text: str) -> int:
    """Return a whole number that is more than 0 and less than a billion.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    if not text.isdecimal() or not 0 < int(text) < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def complain(tool: str, problem: object) -> None:
    """Print one line about what went wrong.

    Args:
        tool: Name of the command.
        problem: An exception or a text.
    """
    text = problem.args[-1] if isinstance(problem, OSError | ValueError) and problem.args else problem
    print(f"pygase {tool}: {text}", file=sys.stderr)


def progress(line: str) -> None:
    """Show what goes on, in place of what was shown before; nothing where nobody watches.

    Args:
        line: At most 79 characters.
    """
    if sys.stderr.isatty():
        print(f"\r{line[:79]}\x1b[K", end="", file=sys.stderr, flush=True)
