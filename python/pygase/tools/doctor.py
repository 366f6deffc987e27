"""`pygase doctor`: what goes wrong at home, and what to do about it."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import metadata, resources
from typing import Any

import pygase
import pygase.utils
from pygase import _core
from pygase.event import Event
from pygase.tools import _cli

__all__ = ["add_command"]

DESCRIPTION = """\
Look for what keeps friends from joining your game, and say what to do about it:
versions, a second library in the same place, the port, the addresses to give to
them, the firewall, and how large a package gets through.

Run it on the machine of the server before the server is started. With a server
to ask, given as HOST:PORT, run it on the machine of a client.
"""

EXAMPLES = """\
examples:
  pygase doctor                       at home, before the server starts
  pygase doctor --port 9000
  pygase doctor 192.168.1.20:8080     at a friend's, while the server runs

Exit status: 0 if all is well, 1 if something is not, 2 for wrong arguments.
"""

#: Seconds to wait for a server, and for each package that is tried.
PATIENCE = 5.0
HELLO_PATIENCE = 1.0
PACKAGE_PATIENCE = 3.0
#: Packages that are tried, in bytes: the largest of PyGaSe, of Ethernet, of ordinary servers, and small ones.
SIZES = (2000, 1400, 1200, 1000, 500)
#: What the header of a client's package and the length of an event take, in bytes.
_HEAD = 16
#: An event that no game has. Only pygase-rs drops it: one that is unknown ends the game loop of PyGaSe 0.3.1.
_PROBE = "PYGASE_DOCTOR"

#: Firewalls that stand between a server and the network, with what opens a port in them.
_NETSH = "netsh advfirewall firewall add rule name=game dir=in action=allow protocol=udp"
FIREWALLS = {
    "ufw": "sudo ufw allow {port}/udp",
    "firewall-cmd": "sudo firewall-cmd --add-port={port}/udp",
    "netsh": _NETSH + " localport={port}",
}


def add_command(commands: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "doctor",
        help="look for what keeps friends from joining, and say what to do",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "server", nargs="?", type=_cli.address, metavar="HOST:PORT", help="a server that runs, to ask it"
    )
    parser.add_argument("--port", type=_cli.port, default=8080, help="the port your server will have (8080)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # What the library warns of is what this looks for, and says in its own words.
    pygase.utils.logger.setLevel(logging.CRITICAL)
    findings = _Findings()
    try:
        _look_at_versions(findings)
        if options.server:
            _ask(findings, *options.server)
        else:
            _look_at_home(findings, options.port)
    except OSError as error:
        _cli.complain("doctor", error)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is above holds")
        return 130
    print("all is well" if not findings.count else f"{findings.count} to mend, see !! above")
    return 1 if findings.count else 0


class _Findings:
    """Prints what was found and counts what is not well."""

    def __init__(self) -> None:
        self.count = 0

    def good(self, what: str, text: str) -> None:
        print(f"ok  {what:<9} {text}", flush=True)

    def bad(self, what: str, text: str) -> None:
        self.count += 1
        print(f"!!  {what:<9} {text}", flush=True)

    def hint(self, text: str) -> None:
        print(f"    {'':<9} {text}", flush=True)


def _look_at_versions(findings: _Findings) -> None:
    system = f"{platform.system()} {platform.machine()}"
    findings.good("python", f"{platform.python_implementation()} {platform.python_version()} on {system}")
    findings.good("library", f"pygase-rs {_core.__version__} in {resources.files('pygase')}")
    if "pygase" in owners():
        findings.bad("library", "the distribution pygase is installed too, in the same folder")
        findings.hint(f"{sys.executable} -m pip uninstall -y pygase pygase-rs")
        findings.hint(f"{sys.executable} -m pip install pygase-rs")


def owners() -> set[str]:
    """Return the names of the installed distributions that `import pygase` may come from."""
    names = ("pygase", "pygase-rs")
    return {name for name in names if list(metadata.distributions(name=name))}


def _look_at_home(findings: _Findings, port: int) -> None:
    try:
        with _running_server(port):
            findings.good("port", f"UDP port {port} is free")
            with _client("localhost", port) as client:
                if _connected(client):
                    findings.good("loopback", "a server on this machine answers a client on it")
                    _look_at_sizes(findings, client)
                else:
                    findings.bad(
                        "loopback", f"no answer in {PATIENCE:g} s from a server on this very machine"
                    )
                    findings.hint(
                        "a firewall or a security program blocks UDP on localhost: make an exception"
                    )
    except OSError as error:
        findings.bad("port", str(error.args[-1]))
        findings.hint("end the program that has it, or give your server another with run(port=...)")
    known = map(ipaddress.ip_address, pygase.get_available_ip_addresses())
    addresses = [str(address) for address in known if address.version == 4 and not address.is_loopback]
    if addresses:
        findings.good("address", f"friends in your network connect to {' or '.join(addresses)}, port {port},")
        findings.hint("if the server runs with hostname='0.0.0.0'; 'localhost' is for this machine alone")
    else:
        findings.bad("address", "this machine is in no network: only programs on it can join")
    for program, command in FIREWALLS.items():
        if shutil.which(program):
            findings.hint(f"should they get no answer, open the firewall: {command.format(port=port)}")
            break
    findings.hint(f"from outside, the router has to forward UDP port {port} to this machine")


def _ask(findings: _Findings, host: str, port: int) -> None:
    with _client(host, port) as client:
        if not _connected(client):
            findings.bad("server", f"no answer from {host}:{port} in {PATIENCE:g} s")
            findings.hint("does the server run, with hostname='0.0.0.0', on that port?")
            findings.hint("run pygase doctor on its machine: it knows the address and the firewall there")
            return
        if _poll(client, lambda: _gauge(client, "hello"), HELLO_PATIENCE):
            findings.good("server", f"{host}:{port} answers")
            _look_at_sizes(findings, client)
        else:
            findings.good("server", f"{host}:{port} answers; it is PyGaSe 0.3.1, or the line is very bad")
            findings.hint("large packages were not tried: an event that 0.3.1 does not know ends its game")
        findings.good("latency", f"a round trip takes {_gauge(client, 'round_trip_time') * 1000:.0f} ms")


def _look_at_sizes(findings: _Findings, client: pygase.Client) -> None:
    for size in SIZES:
        arrived = threading.Event()
        padding = size - _HEAD - len(Event(_PROBE, b"\0" * 256).to_bytes()) + 256
        client.dispatch_event(_PROBE, b"\0" * padding, retries=2, ack_callback=arrived.set)
        if _poll(client, arrived.is_set, PACKAGE_PATIENCE):
            if size >= max(SIZES):
                findings.good("packages", f"get through up to the largest tried, {size} bytes")
            elif size >= 1200:
                findings.good("packages", f"of {size} bytes get through; larger ones do not, and need not")
            else:
                findings.bad("packages", f"of more than {size} bytes do not get through")
                findings.hint(f"give your server and clients the option package_size={size // 2}")
            return
    findings.bad("packages", f"not even {min(SIZES)} bytes get through: the line is very bad")


def _drop(padding: bytes, **_: Any) -> None:
    """Stand in for the handler of a game."""


@contextmanager
def _running_server(port: int) -> Generator[pygase.Server, None, None]:
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(1)))
    server.register_event_handler(_PROBE, _drop)
    thread = server.run_in_thread(port, "0.0.0.0")
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def _client(host: str, port: int) -> Generator[pygase.Client, None, None]:
    client = pygase.Client()
    client.start(port, host)
    try:
        yield client
    finally:
        client.disconnect()


def _connected(client: pygase.Client) -> bool:
    return _poll(client, lambda: _gauge(client, "status") == "connected", PATIENCE)


def _gauge(client: pygase.Client, name: str) -> Any:
    return client.stats()["connection"][name]


def _poll(client: pygase.Client, done: Callable[[], bool], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            return False
        client.poll(max_ms=5)
        time.sleep(0.005)
    return True
