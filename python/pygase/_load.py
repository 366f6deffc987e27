"""`python -m pygase load`: many clients at once, to see what a server holds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from pygase import _core
from pygase.event import Event

__all__ = ["add_command"]

#: Packages per second that a client must have received for the server to hold it: 95 % of the 40 sent.
HELD_RATE = 38.0
#: Share of clients that must be held.
HELD_SHARE = 0.95
#: Share of packages that the generator may send late before it counts as the bottleneck.
LATE_SHARE = 0.01
#: Share of a processor from which the generator counts as the bottleneck.
BUSY_SHARE = 0.9

#: Open files of the process besides a socket for each client.
SPARE_FILES = 64

DESCRIPTION = """\
Connect many clients to a server and measure what they are served. The clients speak the protocol of PyGaSe
0.3.1, so any server will do. They send no events unless told to, and keep no copy of the game state.
"""

EXAMPLES = """\
examples:
  python -m pygase load localhost:8080 --clients 500
  python -m pygase load localhost:8080 --clients 2000 --seconds 20 --event MOVE 1 2 --event-rate 2
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
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("server", type=_address, metavar="HOST:PORT", help="where the server listens")
    parser.add_argument("--clients", type=_positive(int), default=100, help="how many clients (100)")
    parser.add_argument("--seconds", type=_positive(float), default=10.0, help="how long to measure (10)")
    parser.add_argument(
        "--ramp", type=_positive(float), default=1000.0, help="clients that start per second (1000)"
    )
    parser.add_argument(
        "--event",
        nargs="+",
        metavar=("TYPE", "ARG"),
        help="an event that each client sends, and its arguments (JSON, or else text)",
    )
    parser.add_argument(
        "--event-rate", type=_positive(float), default=1.0, help="events per client and second (1)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and no progress")
    parser.add_argument(
        "--i-own-this-server", action="store_true", help="allow addresses outside of private networks"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    host, port = options.server
    event = None
    if options.event:
        event_type, *event_arguments = options.event
        event = Event(event_type, *map(_literal, event_arguments)).to_bytes()
    complaint = _make_room(options.clients)
    if complaint:
        print(f"pygase load: {complaint}", file=sys.stderr)
        return 2
    processor, begun = time.process_time(), time.monotonic()
    try:
        load = _core.Load(
            host,
            port,
            options.clients,
            options.seconds,
            options.ramp,
            event,
            options.event_rate if event else 0.0,
            options.i_own_this_server,
        )
    except (OSError, ValueError) as error:
        print(f"pygase load: {error.args[-1]}", file=sys.stderr)
        return 2
    try:
        while not load.over:
            time.sleep(0.25)
            if not options.json:
                _progress(load.report(), options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    finally:
        load.stop()
    share = (time.process_time() - processor) / max(time.monotonic() - begun, 1e-9)
    result = _result(load.report(), options.clients, share)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        _print(result)
    if not result["answered"]:
        print(f"pygase load: nothing answers at {host}:{port}", file=sys.stderr)
        return 1
    return 0 if result["holds"] else 3


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


def _print(result: dict[str, Any]) -> None:
    seconds = result["measured"] or 1e-9
    rtt = [f"{result[name] * 1e3:.1f}" if result[name] else "-" for name in ("rtt_p50", "rtt_p95", "rtt_p99")]
    held = f"{result['held']:.1%}"
    verdict = "holds" if result["holds"] else "does not hold"
    print(
        f"""
clients      {result["clients"]}: {result["answered"]} answered, {result["joined"]} have a state
packages/s   {result["rate_mean"]:.1f} per client (p1 {result["rate_p1"]:.1f}, least {result["rate_min"]:.1f})
round trip   {" / ".join(rtt)} ms (p50 / p95 / p99; the answer waits for its turn, 25 ms at most)
bytes/s      {result["bytes_in"] / seconds:,.0f} in, {result["bytes_out"] / seconds:,.0f} out
events       {result["events_sent"]} sent, {result["events_received"]} received
packages     {result["lost"]} lost, {result["duplicate"]} twice or too late, {result["malformed"]} malformed
generator    {result["own_processor_share"]:.0%} of a processor, {result["own_late_share"]:.1%} sent late
verdict      {verdict} {result["clients"]}: {held} of clients got at least {HELD_RATE:.0f} packages/s"""
    )
    if result["own_bottleneck"]:
        print("             the generator itself was at its limit: the server may hold more than this shows")


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as localhost:8080")
    return host.strip("[]") or "localhost", int(port)


def _positive(kind: type) -> Any:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
        return value

    return parse


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
