"""`pygase monitor`: what goes on in a running game."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from pygase._monitor import name_of
from pygase.tools import _cli
from pygase.tools._rates import Rates, View
from pygase.tools._screen import WIDTH, columns_of, plain
from pygase.tools._sources import GoneError, Source, choose

__all__ = ["add_command"]

DESCRIPTION = """\
Watch a running game: clients with round trip time, jitter, loss, packages and
bytes per second, the state, ticks, queues, and what was dropped.

A server made with Server(..., monitor=True) or Backend(..., monitor=True) gives
its own figures, to the same user of the same machine. Any other server, of
PyGaSe 0.3.1 too, is seen as one client sees it: a client joins. With --via
LISTEN this relays between clients and the server, and shows both halves of the
line; the clients have to connect to LISTEN.
"""

EXAMPLES = """\
examples:
  pygase monitor localhost:8080
  pygase monitor localhost:8080 --sort loss
  pygase monitor localhost:8080 --via localhost:9000
  pygase monitor localhost:8080 --json --count 10 > figures.jsonl

keys: s and S sort by another column, as clicks on titles do, r reverses, p
pauses, q or Ctrl-C quits and leaves the last figures on the screen.

Exit status: 0 if it was quit, 1 if nobody answers (for 5 seconds) or the server
is gone, 2 for wrong arguments or what could not be started.
"""


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "monitor",
        help="watch a running game: clients, loss, ticks, queues, drops",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("server", type=_cli.address, metavar="HOST:PORT", help="where the server listens")
    parser.add_argument(
        "--via", type=_cli.address, metavar="LISTEN", help="relay from here, and watch what passes"
    )
    parser.add_argument(
        "--as-client", action="store_true", help="join as a client even if the server has a monitor"
    )
    parser.add_argument(
        "--interval", type=_cli.positive, default=1.0, metavar="SECONDS", help="between readings (1)"
    )
    parser.add_argument(
        "--sort", default="client", metavar="COLUMN", help="column to sort by at first (client)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object per reading instead")
    parser.add_argument(
        "--count", type=_cli.count, metavar="N", help="with --json: end after so many readings"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    show = _print_json if options.json else _show_live
    problem = None if options.json else _problem_of_the_terminal()
    if problem is not None:
        _cli.complain("monitor", problem)
        return 2
    try:
        return asyncio.run(_watch(options, show))
    except GoneError as gone:
        _cli.complain("monitor", gone)
        return 1
    except (OSError, ValueError) as error:
        _cli.complain("monitor", error)
        return 2


def _problem_of_the_terminal() -> str | None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "there is no terminal to show it on: use --json"
    columns = shutil.get_terminal_size().columns
    if columns < WIDTH:
        return f"the terminal has {columns} columns, {WIDTH} are needed: make it wider, or use --json"
    try:
        import textual  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        return "the live view needs textual: pip install 'pygase-rs[monitor]', or use --json"
    return None


async def _watch(
    options: argparse.Namespace, show: Callable[[argparse.Namespace, Source, str], Coroutine[Any, Any, int]]
) -> int:
    host, port = options.server
    source = await choose(host, port, options.via, options.as_client)
    try:
        return await show(options, source, f"{name_of(options.server)}: {source.view}")
    finally:
        await source.close()


async def _show_live(options: argparse.Namespace, source: Source, title: str) -> int:
    from pygase.tools._app import MonitorApp

    first = Rates().view(0.0, await source.read())
    keys = [column.key for column in columns_of(first)]
    if options.sort not in keys:
        raise ValueError(f"there is no column {options.sort!r}: there are {', '.join(keys)}")
    app = MonitorApp(source, title, options.interval, options.sort)
    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C from elsewhere
        await app.run_async()
    if app.view is not None:
        print(plain(app.view, title, app.key, app.is_reversed))
    if app.gone is not None:
        raise app.gone
    return 0


async def _print_json(options: argparse.Namespace, source: Source, title: str) -> int:
    rates = Rates()
    print(title, file=sys.stderr)
    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C: what was printed is there
        read = 0
        while options.count is None or read < options.count:
            if read:
                await asyncio.sleep(options.interval)
            view = rates.view(time.monotonic(), await source.read())
            print(json.dumps(_reading(view, source)), flush=True)
            read += 1
    return 0


def _reading(view: View, source: Source) -> dict[str, Any]:
    drops = {reason: count for reason, (count, _) in view.drops.items()}
    return {
        "time": time.time(),
        "view": source.view,
        "totals": view.totals,
        "clients": view.rows,
        "drops": drops,
        "figures": view.figures,
    }
