"""`pygase new`: a game that runs, to begin with."""

from __future__ import annotations

import argparse
import re
from importlib import resources
from pathlib import Path
from typing import Any

from pygase.tools import _cli

__all__ = ["add_command"]

DESCRIPTION = """\
Make a folder with a small game that runs: a server, a bot that plays without a
window, a client for pygame-ce, the rules in a file of their own, and a test that
plays it. Change the rules first; everything else can stay for a while.
"""

NEXT = """\
made {name}: {files}

  cd {name}
  python server.py          # in one terminal
  python bot.py             # in another: plays by itself
  pip install pygame-ce
  python window.py          # you, with the arrow keys
  python -m unittest        # plays a game and checks it
"""

#: What stands for the name in the files.
_PLACEHOLDER = "NAME"


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "new",
        help="make a folder with a game that runs, to begin with",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "name", type=_name, metavar="NAME", help="of the game and its folder, such as space_race"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    folder = Path(options.name)
    texts = {
        file.name: file.read_text(encoding="utf-8").replace(_PLACEHOLDER, options.name)
        for file in resources.files("pygase.tools").joinpath("starter").iterdir()
        if file.is_file()
    }
    try:
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except FileExistsError:
        _cli.complain("new", f"{options.name} exists already; nothing was changed, choose another name")
        return 2
    except OSError as error:
        _cli.complain("new", f"cannot write {error.filename or options.name}: {error.strerror}")
        return 2
    print(NEXT.format(name=options.name, files=", ".join(sorted(texts))), end="")
    return 0


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name: a letter, then letters, digits, - and _, at most 64"
        )
    return text
