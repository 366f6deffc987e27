"""`pygase monitor` on a game of the released PyGaSe: as one of its clients, and in between."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time

from support.raw import RawServer

MONITOR = [sys.executable, "-m", "pygase", "monitor"]


def test_an_unmodified_server_is_seen_as_one_client_sees_it(start_server):
    server = start_server("theirs")
    command = [*MONITOR, f"127.0.0.1:{server.port}", "--json", "--count", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "the view of one client" in done.stderr
    reading = json.loads(done.stdout.splitlines()[1])
    assert [row["client"] for row in reading["clients"]] == ["this client"]
    assert reading["totals"]["in"] > 0
    assert reading["totals"]["updates"] > 0


def test_an_unmodified_game_is_watched_from_in_between(start_server, start_client):
    server = start_server("theirs")
    with contextlib.closing(RawServer()) as free:
        listen = free.port
    command = [*MONITOR, f"127.0.0.1:{server.port}", "--via", f"127.0.0.1:{listen}", "--json"]
    monitor = subprocess.Popen([*command, "--interval", "0.2"], stdout=subprocess.PIPE, text=True)
    try:
        monitor.stdout.readline()  # it listens
        start_client("theirs", listen)
        row, deadline = {}, time.monotonic() + 20
        while not (row.get("rtt_client") and row.get("rtt_server") and row["in"] and row["out"]):
            assert time.monotonic() < deadline, row
            row = next(iter(json.loads(monitor.stdout.readline())["clients"]), {})
    finally:
        monitor.kill()
        monitor.communicate()
