"""The programs of the examples as processes, each with its network and none with a screen."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pygase

#: What peers say of the network: packages to a client that has left, a server that ended first, a machine
#: that is busy.
WEATHER = (
    "packages lost or dropped; ",
    "Throttling down connection to ",
    "no answer from ",
    "The server at ",
    "Lost the server at ",
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def start(script, *arguments):
    """Start a script with pipes for all it reads and writes."""
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SDL_VIDEODRIVER": "dummy", "ARCADE_HEADLESS": "1"},
    )


@contextlib.contextmanager
def serving(script, *arguments):
    """A server process and the port it chose."""
    process = start(script, "--port", 0, *arguments)
    try:
        line = process.stdout.readline()
        match = re.fullmatch(r"listening on localhost:(\d+)\n", line)
        assert match, line + process.stderr.read()
        yield process, match[1]
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def watching(port):
    """A client that only looks, once it has a game state."""
    client = pygase.Client()
    client.start(int(port))
    try:
        client.wait_until(lambda state: state.time_order > 0, timeout=30)
        yield client
    finally:
        client.disconnect()


def finish(process, timeout=20):
    """Wait for a process that ends well, and return what it printed."""
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, output + errors
    lines = [line for line in errors.splitlines() if not line.startswith(WEATHER)]
    assert lines == [], errors
    return output
