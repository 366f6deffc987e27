"""`pygase replay` and `pygase diff`: what a recording tells, shown, played again, compared."""

from __future__ import annotations

import argparse
import logging
import os
import pprint
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pygase
import pygase.utils
from pygase._store import attributes_of, update_after
from pygase.gamestate import TO_DELETE
from pygase.tools import _cli
from pygase.tools._recording import Happening, Story, changes, flat, listed

__all__ = ["add_command"]

DESCRIPTION = """\
Show what was recorded with pygase record or Server(record=FILE). Without
options it says what is in the file.

Ticks are the numbers of the game states. In a recording of a server there is
each state the game made; in any other, and with --client, the states that one
client was sent, in the pieces in which they came.
"""

EXAMPLES = """\
examples:
  pygase replay game.pgr
  pygase replay game.pgr --print
  pygase replay game.pgr --at 120
  pygase replay game.pgr --at 2.5s --client 127.0.0.1:50312
  pygase replay game.pgr --step
  pygase replay game.pgr --serve 8080 --speed 4

--serve waits for a client, of any PyGaSe, and ends a second after the last
state.
Exit status: 0 if all went well, 1 if the recording is cut or damaged (what is
whole is used) or has no such tick, 2 if it cannot be read at all.
"""

DIFF_DESCRIPTION = """\
Compare the game states of two recordings, tick by tick: those that both have,
by their numbers. Two clients of one server, two runs of a game that should be
the same, a client and its server.
"""

DIFF_EXAMPLES = """\
examples:
  pygase diff before.pgr after.pgr

Exit status: 0 if all are equal, 1 if not or if they share no tick, 2 if one
cannot be read.
"""

STEP_HELP = "Enter: next state; a number: that tick; p: print the state; q: end"
#: Seconds for which a server that has shown everything stays, so that clients get the last of it.
LINGER = 1.0


def add_command(commands: Any) -> None:
    """Add both commands to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "replay",
        help="show a recording, or play it to clients",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--print", action="store_true", help="print what changed, tick by tick, and events")
    what.add_argument(
        "--at", type=_moment, metavar="120", help="print the state at a tick, or at a time: 2.5s"
    )
    what.add_argument("--step", action="store_true", help="go from state to state with the keyboard")
    what.add_argument(
        "--serve", type=_cli.port, metavar="PORT", help="be a server whose game is the recording"
    )
    what.add_argument("--diff", type=Path, metavar="OTHER", help="the same as pygase diff FILE OTHER")
    parser.add_argument("--client", type=_cli.address, metavar="HOST:PORT", help="what this client saw")
    parser.add_argument("--speed", type=_cli.positive, default=1.0, metavar="4", help="with --serve (1)")
    parser.set_defaults(run=_run)
    parser = commands.add_parser(
        "diff",
        help="compare two recordings",
        description=DIFF_DESCRIPTION,
        epilog=DIFF_EXAMPLES,
    )
    parser.add_argument("file", type=Path, metavar="A", help="a recording")
    parser.add_argument("diff", type=Path, metavar="B", help="another one")
    parser.set_defaults(run=_diff)


def _run(options: argparse.Namespace) -> int:
    if options.diff is not None:
        return _diff(options)
    if options.step and not (sys.stdin.isatty() and sys.stdout.isatty()):
        _cli.complain("replay", "--step needs a terminal; --print does not")
        return 2
    try:
        story = Story(options.file, options.client)
    except (OSError, ValueError) as error:
        _cli.complain("replay", error)
        return 2
    happenings = _Lenient(story)
    try:
        if options.at is not None:
            status = _show_at(happenings, *options.at)
        elif options.serve is not None:
            status = _serve(happenings, options.serve, options.speed)
        elif options.step:
            status = _step(happenings)
        else:
            status = _show(happenings, options.print)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _cli.complain("replay", error)
        return 2
    if options.client is not None and happenings.is_over and options.client not in story.clients:
        _cli.complain("replay", f"{_name(options.client)} is not in it, but {_names(story) or 'no client'}")
        return 1
    return max(status, happenings.status)


class _Lenient:
    """Goes through a recording to where it can be read, and says once why it ends there."""

    def __init__(self, story: Story, tool: str = "replay") -> None:
        self.story = story
        self.status = 0
        self.is_over = False
        self._tool = tool

    def __iter__(self) -> Iterator[Happening]:
        try:
            yield from self.story
        except ValueError as error:
            _cli.progress("")
            sys.stdout.flush()
            _cli.complain(self._tool, error)
            self.status = 1
        self.is_over = True

    def states(self) -> Iterator[Happening]:
        return (it for it in self if it.changes is not None)


def _show(happenings: _Lenient, everything: bool) -> int:
    story, first, last = happenings.story, None, None
    for happening in happenings:
        if happening.changes is not None:
            first, last = first or happening, happening
        if everything:
            print(_line(happening))
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(story.recording.started))
    print(f"recorded   {begun}, {story.seconds:.1f} s, {_SOURCES[story.recording.source]}")
    if first is not None and last is not None:
        print(f"states     {story.states:,}, ticks {first.tick} to {last.tick}")
    else:
        print("states     none")
    print(f"clients    {_names(story) or 'none'}")
    up, down = (sum(counts[way] for counts in story.clients.values()) for way in (0, 1))
    print(f"packages   {up:,} to the server, {down:,} from it")
    of = f" of {_name(story.client)}" if story.client else ""
    print(f"events     {story.events:,}{of}")
    if story.missing:
        print(f"missing    {story.missing:,}: they came faster than they were written")
    return 0


_SOURCES = {"server": "by the server", "client": "by a client", "relay": "between clients and the server"}


def _show_at(happenings: _Lenient, tick: int | None, seconds: float | None) -> int:
    found: tuple[float, int] | None = None
    state = ""
    for it in happenings.states():
        is_later = it.tick > tick if tick is not None else it.at > (seconds or 0.0)
        if is_later:
            break
        found, state = (it.at, it.tick), _printed(it)
    else:
        story = happenings.story
        if happenings.status:
            return 1  # which was said
        if tick is not None and (found is None or found[1] < tick):
            reach = f"the last is {found[1]}" if found else "it has no states"
            _cli.complain("replay", f"tick {tick} is not in it: {reach}")
            return 1
        if seconds is not None and (found is None or story.seconds < seconds):
            _cli.complain("replay", f"{seconds:g} s is not in it: it is {story.seconds:.1f} s long")
            return 1
    if found is None:
        _cli.complain("replay", "its first state is later than that")
        return 1
    print(f"tick {found[1]}, {found[0]:.3f} s\n{state}")
    return 0


def _step(happenings: _Lenient) -> int:
    print(STEP_HELP)
    goal = 0
    for it in happenings.states():
        if it.tick < goal:
            continue
        print(_line(it))
        while True:
            try:
                answer = input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                print()
                return 0
            if answer == "q":
                return 0
            if answer == "p":
                print(_printed(it))
            elif answer.isdecimal() and int(answer) > it.tick:
                goal = int(answer)
                break
            elif not answer:
                break
            else:
                print(f"this is tick {it.tick}, and it goes on only. {STEP_HELP}")
    print("that was the last state")
    return 0


def _serve(happenings: _Lenient, port: int, speed: float) -> int:
    pygase.utils.logger.setLevel(logging.CRITICAL)
    steps = iter(happenings)
    first = next((it for it in steps if it.changes is not None), None)
    if first is None:
        _cli.complain("replay", "it has no states to serve")
        return 1
    came = threading.Event()
    store = pygase.GameStateStore(pygase.GameState(1, **_attributes(first)))
    server = pygase.Server(store, host_shutdown=False)

    @server.on_connect
    def begin(_: Any) -> None:
        came.set()

    thread = server.run_in_thread(port)
    try:
        where = f"localhost:{server.port}"
        print(f"clients connect to {where}; it begins when one does; Ctrl-C ends it", flush=True)
        while not came.wait(0.1):
            pass
        _play(steps, server, store, first.at, speed)
        time.sleep(LINGER)
        print(f"that was all: {happenings.story.states:,} states, {happenings.story.events:,} events")
    except KeyboardInterrupt:
        _cli.progress("")
        print(f"stopped at {happenings.story.seconds:.1f} s")
    finally:
        server.shutdown()
        thread.join()
    return 0


def _play(steps: Iterator[Happening], server: pygase.Server, store: Any, start: float, speed: float) -> None:
    begun, shown = time.monotonic(), 0.0
    for it in steps:
        wait = (it.at - start) / speed - (time.monotonic() - begun)
        if wait > 0:
            time.sleep(wait)
        if it.changes is not None:
            # A value too large for a package did not reach clients then, either.
            with suppress(OverflowError):
                store.push_update(update_after(store.get_game_state(), it.changes))
        elif it.event is not None and not it.is_up:
            server.dispatch_event(it.event.type, *it.event.handler_args, **it.event.handler_kwargs)
        if time.monotonic() > shown + 0.25:
            shown = time.monotonic()
            _cli.progress(f"{it.at:.1f} s, tick {it.tick}, {len(server.connections)} clients")
    _cli.progress("")


def _diff(options: argparse.Namespace) -> int:
    try:
        both = [_Lenient(Story(path), "diff") for path in (options.file, options.diff)]
    except (OSError, ValueError) as error:
        _cli.complain("diff", error)
        return 2
    ways = [it.states() for it in both]
    one, other = (next(way, None) for way in ways)
    common = different = 0
    shown = time.monotonic()
    while one is not None and other is not None:
        if one.tick == other.tick:
            common += 1
            update = changes(_attributes(one), _attributes(other))
            different += bool(update)
            if update and different == 1:
                _cli.progress("")
                print(f"tick {one.tick} is the first that differs:")
                _print_difference(_attributes(one), update)
        if time.monotonic() > shown + 0.25:
            shown = time.monotonic()
            _cli.progress(f"tick {one.tick}: {different:,} of {common:,} differ")
        tick, other_tick = one.tick, other.tick
        if tick <= other_tick:
            one = next(ways[0], None)
        if other_tick <= tick:
            other = next(ways[1], None)
    _cli.progress("")
    if not common:
        _cli.complain("diff", "the two share no tick")
        return 1
    equal = f"all {common:,} ticks that both have are equal"
    print(f"{different:,} of the {common:,} ticks that both have differ" if different else equal)
    return 1 if different else max(it.status for it in both)


def _print_difference(before: dict[str, Any], update: dict[str, Any]) -> None:
    old = dict(flat(before))
    for path, value in flat(update):
        new = "(nothing)" if value == TO_DELETE else repr(value)
        print(_cut(f"  {path}: {old[path]!r} | {new}" if path in old else f"  {path}: (nothing) | {new}"))


def _attributes(happening: Happening) -> dict[str, Any]:
    return attributes_of(happening.state)


def _printed(happening: Happening) -> str:
    return pprint.pformat(_attributes(happening), width=79, sort_dicts=False)


def _line(happening: Happening) -> str:
    if happening.event is None:
        return _cut(f"{happening.at:9.3f} s  tick {happening.tick:<6} {listed(happening.changes or {})}")
    event, way = happening.event, "up" if happening.is_up else "down"
    arguments = [repr(value) for value in event.handler_args]
    arguments += [f"{name}={value!r}" for name, value in event.handler_kwargs.items()]
    return _cut(f"{happening.at:9.3f} s  {way:<11} {event.type}({', '.join(arguments)})")


def _cut(line: str) -> str:
    """Shorten a line to the terminal; whoever reads from a pipe gets all of it."""
    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width or not sys.stdout.isatty() else line[: width - 1] + "…"


def _name(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _names(story: Story) -> str:
    names = [_name(client) for client in story.clients]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _moment(text: str) -> tuple[int | None, float | None]:
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?) *s", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a tick, such as 120, nor a time, such as 2.5s")
    return (int(match[1]), None) if match[1] else (None, float(match[2]))
