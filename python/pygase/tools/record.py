"""`pygase record`: write down what goes between a server and its clients."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import pygase
import pygase.utils
from pygase import _core
from pygase.tools import _cli

__all__ = ["add_command"]

DESCRIPTION = """\
Record what a server sends to a client and what it gets from it, for pygase
replay to show, to compare and to play again. Neither side is changed, and any
PyGaSe will do.

By default this joins as a client of its own, and the file has what one client
sees. With --via it stands between: clients connect to LISTEN, and the file has
what each of them sends and gets. A server of pygase-rs can record by itself,
with Server(record=FILE): then the file also has every state the game makes.

Ctrl-C ends it; the file has everything up to then.
"""

EXAMPLES = """\
examples:
  pygase record localhost:8080 game.pgr
  pygase record localhost:8080 game.pgr --seconds 60
  pygase record localhost:8080 game.pgr --via localhost:9000

A recording has everything that went over the wire, also what lets a client
come back from another address: give it away when the game is over.

Exit status: 0 if something was recorded, 1 if the server does not answer or
goes away, or the file cannot be written any more, 2 for what could not be
started.
"""

#: Seconds to wait for a server.
PATIENCE = 5.0
#: What it does to the line.
_PERFECT: dict[str, Any] = {}


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "record",
        help="write what goes between a server and clients to a file",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("server", type=_cli.address, metavar="HOST:PORT", help="where the server listens")
    parser.add_argument("file", type=Path, metavar="FILE", help="where to write it")
    parser.add_argument(
        "--via", type=_cli.address, metavar="LISTEN", help="stand between: clients connect here, HOST:PORT"
    )
    parser.add_argument("--seconds", type=_cli.positive, metavar="60", help="end after so many")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    pygase.utils.logger.setLevel(logging.CRITICAL)
    listen, source = options.via or ("127.0.0.1", 0), "relay" if options.via else "client"
    try:
        # What cannot be relayed is known before the file is touched.
        _core.Relay(listen, options.server, _PERFECT).stop()
        recorder = _core.Recorder(options.file, source, overwrite=options.force)
    except FileExistsError:
        _cli.complain("record", f"{options.file} is there already; --force overwrites it")
        return 2
    except OSError as error:
        _cli.complain("record", error)
        return 2
    try:
        relay = _core.Relay(listen, options.server, _PERFECT, recorder)
        where = "{}:{}".format(*options.server)
        via = "clients connect to {}:{}, ".format(*options.via) if options.via else ""
        print(f"{via}recording {where} to {options.file}; Ctrl-C ends it", flush=True)
        client = None if options.via else pygase.Client()
        try:
            if client is not None:
                client.start(relay.port or 0, "127.0.0.1")
            problem = _watch(options, recorder, relay, client)
        finally:
            if client is not None and client.connection is not None:
                client.disconnect()
            relay.stop()
    except OSError as error:  # the port was taken meanwhile
        problem = str(error.args[-1])
    finally:
        recorder.stop()
    _cli.progress("")
    stats = recorder.stats()
    if problem and problem.startswith("no answer"):
        options.file.unlink()  # there is nothing in it but knocking
        _cli.complain("record", problem)
        return 1
    size = options.file.stat().st_size if options.file.exists() else 0
    dropped = f", {stats['records_dropped']:,} more were lost" if stats["records_dropped"] else ""
    print(f"recorded {stats['recorded']:,} packages, {size:,} bytes{dropped}")
    problem = problem or stats["failure"]
    if not problem and not stats["recorded"]:
        problem = "nothing passed: no client came"
    if problem:
        _cli.complain("record", problem)
    return 1 if problem else 0


def _watch(
    options: argparse.Namespace, recorder: _core.Recorder, relay: _core.Relay, client: pygase.Client | None
) -> str | None:
    """Wait for the end; return what went wrong."""
    begun, was_there = time.monotonic(), False
    try:
        while True:
            stats, passed = recorder.stats(), time.monotonic() - begun
            _cli.progress(f"{passed:.0f} s: {stats['recorded']:,} packages")
            if options.seconds is not None and passed >= options.seconds:
                return None
            if relay.over:
                return "the relay ended by itself: the system took its socket away"
            if stats["failure"]:
                return None
            if client is not None:
                is_there = client.stats()["connection"]["status"] == "connected"
                where = "{}:{}".format(*options.server)
                if was_there and not is_there:
                    return f"{where} went silent: recorded up to there"
                if not is_there and passed > PATIENCE:
                    return f"no answer from {where} in {PATIENCE:g} s: does the server run there?"
                was_there = is_there
            time.sleep(0.1)
    except KeyboardInterrupt:
        return None
