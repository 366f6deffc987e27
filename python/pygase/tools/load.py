"""`pygase load`: many clients at once, to see what a server holds."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from pygase import _core
from pygase.event import Event
from pygase.tools import _cli
from pygase.tools._report import Samples, page

__all__ = ["add_command"]

#: Packages per second that a client must have received for the server to hold it: 95 % of the 40 sent.
HELD_RATE = 38.0
#: Share of clients that must be held.
HELD_SHARE = 0.95
#: Share of packages that the generator may send late before it counts as the bottleneck.
LATE_SHARE = 0.01
#: Share of a processor from which the generator counts as the bottleneck.
BUSY_SHARE = 0.9

#: Seconds from which on the age of a state says that it does not go by this clock.
FOREIGN_CLOCK = 86_400.0
#: Seconds between two loads of a search, for the server to notice that the clients are gone.
SETTLE = 6.0
#: Open files of the process besides a socket for each client.
SPARE_FILES = 64

DESCRIPTION = """\
Connect many clients to a server and measure what they are served. The clients speak the protocol of PyGaSe
0.3.1, so any server will do. They send no events unless told to, and keep no copy of the game state.
"""

EXAMPLES = """\
examples:
  pygase load localhost:8080 --clients 500
  pygase load localhost:8080 --clients 2000 --seconds 20 --event MOVE 1 2 --event-rate 2
  pygase load localhost:8080 --clients 64 --clock ticks --clock-rate 50
  pygase load localhost:8080 --search --clients 50 --seconds 5 --report load.html

Exit status: 0 if the server holds them (or some of them, with --search), 3 if not,
1 if nothing answers, 2 for wrong arguments or what could not be started.
"""


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "load",
        help="connect many clients to a server and measure what they are served",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("server", type=_cli.address, metavar="HOST:PORT", help="where the server listens")
    parser.add_argument("--clients", type=_cli.count, default=100, help="how many clients (100)")
    parser.add_argument("--seconds", type=_cli.positive, default=10.0, help="how long to measure (10)")
    parser.add_argument(
        "--ramp", type=_cli.positive, default=1000.0, help="clients that start per second (1000)"
    )
    parser.add_argument(
        "--event",
        nargs="+",
        metavar=("TYPE", "ARG"),
        help="an event that each client sends, and its arguments (JSON, or else text)",
    )
    parser.add_argument(
        "--event-rate", type=_cli.positive, default=1.0, help="events per client and second (1)"
    )
    parser.add_argument(
        "--clock",
        metavar="PATH",
        help="measure how old the state is: where it has a time, as in world.now (milliseconds since 1970)",
    )
    parser.add_argument(
        "--clock-rate",
        type=_cli.positive,
        metavar="RATE",
        help="the clock grows by RATE a second, from any beginning: 50 for a count of ticks",
    )
    parser.add_argument(
        "--search", action="store_true", help="find how many players the game holds: double, then bisect"
    )
    parser.add_argument("--most", type=_cli.count, default=10_000, help="with --search: try no more (10000)")
    parser.add_argument("--report", metavar="FILE.html", help="write the result with plots, in one file")
    parser.add_argument("--force", action="store_true", help="overwrite the report if it exists")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and no progress")
    parser.add_argument(
        "--i-own-this-server", action="store_true", help="allow addresses outside of private networks"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.clock_rate and not options.clock:
        _cli.complain("load", "--clock-rate without --clock: where in the state is the clock?")
        return 2
    if options.report and os.path.exists(options.report) and not options.force:
        _cli.complain("load", f"{options.report} exists: another name, or --force to overwrite it")
        return 2
    rounds: list[dict[str, Any]] = []
    samples = Samples()

    def measure(clients: int) -> dict[str, Any]:
        nonlocal samples
        samples = Samples()
        rounds.append(_measure(options, clients, samples))
        return rounds[-1]

    try:
        verdict = _search(measure, options) if options.search else None
        result = rounds[-1] if options.search else measure(options.clients)
    except (OSError, ValueError) as error:
        _cli.complain("load", error)
        return 2
    text = verdict or _text(result)
    print(
        json.dumps({"rounds": rounds, "verdict": verdict} if options.search else result, indent=2)
        if options.json
        else text
    )
    if options.report:
        host, port = options.server
        try:
            with open(options.report, "w", encoding="utf-8") as file:
                file.write(
                    page(f"load on {host}:{port}", f"{_text(result)}\n{verdict or ''}", samples, rounds)
                )
        except OSError as error:
            _cli.complain("load", f"cannot write {options.report}: {error.strerror}")
            return 2
    if not rounds[0]["answered"]:
        _cli.complain("load", "nothing answers at {}:{}".format(*options.server))
        return 1
    return 0 if any(result["holds"] for result in rounds) else 3


def _search(measure: Callable[[int], dict[str, Any]], options: argparse.Namespace) -> str:
    """Double the clients until the server does not hold them, then bisect; return the verdict."""
    held, failed, clients, limited = 0, 0, options.clients, False
    try:
        while not failed or failed - held > max(1, held // 20):
            result = measure(clients)
            if result["interrupted"] or not result["answered"]:
                break
            limited = not result["holds"] and result["own_bottleneck"]
            if result["holds"]:
                held = clients
            else:
                failed = clients
            print(
                f"{clients} clients: {'held' if result['holds'] else 'not held'}", file=sys.stderr, flush=True
            )
            clients = 2 * held if not failed else (held + failed) // 2
            if not failed and clients > options.most:
                return f"your game holds {held} players, and more were not tried (--most {options.most})"
            if clients == held:
                break
            # Time for the server to forget the clients of one load.
            time.sleep(SETTLE)
    except KeyboardInterrupt:
        # Between two loads. What was found so far is said all the same.
        print(file=sys.stderr)
    if limited:
        return f"your game holds at least {held} players: beyond, the load generator itself was at its limit"
    return f"your game holds {held} players" + ("" if failed else ", as far as was tried")


def _measure(options: argparse.Namespace, clients: int, samples: Samples) -> dict[str, Any]:
    """Load the server with some clients and return what they saw, be it ended by Ctrl-C."""
    host, port = options.server
    event = None
    if options.event:
        event_type, *event_arguments = options.event
        event = Event(event_type, *map(_literal, event_arguments)).to_bytes()
    complaint = _make_room(clients)
    if complaint:
        raise ValueError(complaint)
    processor, begun = time.process_time(), time.monotonic()
    rate = options.event_rate if event else 0.0
    load = _core.Load(
        host,
        port,
        clients,
        options.seconds,
        options.ramp,
        event,
        rate,
        options.i_own_this_server,
        clock=options.clock.split(".") if options.clock else None,
        clock_rate=options.clock_rate,
    )
    interrupted = False
    try:
        while not load.over:
            time.sleep(0.25)
            report = load.report()
            samples.add(report)
            if not options.json:
                _progress(report, options)
    except KeyboardInterrupt:
        interrupted = True
        print(file=sys.stderr)
    finally:
        load.stop()
    share = (time.process_time() - processor) / max(time.monotonic() - begun, 1e-9)
    clock = {"clock": options.clock, "clock_rate": options.clock_rate}
    return {**_result(load.report(), clients, share), **clock, "interrupted": interrupted}


def _make_room(clients: int) -> str | None:
    """Raise the limit on open files, for each client has a socket; say what to do if that cannot be done."""
    try:
        import resource
    except ImportError:  # on Windows, where sockets are no files
        return None
    wanted = clients + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return (
            f"{clients} clients need {wanted} open files, and at most {hard} are allowed: raise the limit"
            f" (ulimit -Hn {wanted}, as root) or run at most {max(hard - SPARE_FILES, 0)} clients"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return None


def _result(report: dict[str, Any], clients: int, share: float) -> dict[str, Any]:
    """Return what the clients saw, with the verdict."""
    del report["rtt"]
    seconds = report["measured"] or 1e-9
    rates = sorted(count / seconds for count in report.pop("packages"))
    held = sum(rate >= HELD_RATE for rate in rates) / len(rates) if rates else 0.0
    late = report["late_sends"] / report["sent"] if report["sent"] else 0.0
    return {
        **report,
        "clients": clients,
        "rate_mean": sum(rates) / len(rates) if rates else 0.0,
        "rate_p1": rates[len(rates) // 100] if rates else 0.0,
        "rate_min": rates[0] if rates else 0.0,
        "held": held,
        "holds": held >= HELD_SHARE,
        "own_processor_share": share,
        "own_late_share": late,
        "own_bottleneck": share > BUSY_SHARE or late > LATE_SHARE,
    }


def _progress(report: dict[str, Any], options: argparse.Namespace) -> None:
    measured = f"measuring {report['measured']:.0f}/{options.seconds:.0f} s"
    counts = f"{report['started']} clients, {report['answered']} answered, {report['joined']} have a state"
    line = f"{measured if report['measuring'] else 'starting'}: {counts}"
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{line:<78}", end=end, file=sys.stderr, flush=True)


def _text(result: dict[str, Any]) -> str:
    seconds = result["measured"] or 1e-9
    rtt = _milliseconds(result, "rtt")
    held = f"{result['held']:.1%}"
    verdict = "holds" if result["holds"] else "does not hold"
    text = f"""
clients      {result["clients"]}: {result["answered"]} answered, {result["joined"]} have a state
packages/s   {result["rate_mean"]:.1f} per client (p1 {result["rate_p1"]:.1f}, least {result["rate_min"]:.1f})
round trip   {rtt} ms (p50 / p95 / p99; the answer waits for its turn, 25 ms at most)
{_age(result)}bytes/s      {result["bytes_in"] / seconds:,.0f} in, {result["bytes_out"] / seconds:,.0f} out
events       {result["events_sent"]} sent, {result["events_received"]} received
packages     {result["lost"]} lost, {result["duplicate"]} twice or too late, {result["malformed"]} malformed
strangers    {result["strangers"]} datagrams
generator    {result["own_processor_share"]:.0%} of a processor, {result["own_late_share"]:.1%} sent late
verdict      {verdict} {result["clients"]}: {held} of clients got at least {HELD_RATE:.0f} packages/s"""
    if result["own_bottleneck"]:
        text += (
            "\n             the generator itself was at its limit: the server may hold more than this shows"
        )
    return text


def _milliseconds(result: dict[str, Any], name: str) -> str:
    seconds = [result[f"{name}_{quantile}"] for quantile in ("p50", "p95", "p99")]
    return " / ".join("-" if value is None else f"{value * 1e3:.1f}" for value in seconds)


def _age(result: dict[str, Any]) -> str:
    """Return the line about the age of the state, if that was asked for."""
    if not result["clock"]:
        return ""
    if not result["ages"]:
        return f"age of state none: no client saw a number at {result['clock']}\n"
    if not result["clock_rate"] and abs(result["age_p50"]) > FOREIGN_CLOCK:
        return f"age of state none: {result['clock']} has no milliseconds since 1970; see --clock-rate\n"
    against = "above the youngest seen" if result["clock_rate"] else "by this machine's clock"
    return f"age of state {_milliseconds(result, 'age')} ms (p50 / p95 / p99; {against})\n"


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
