"""`pygase monitor` as a person uses it: in a terminal, on games that run, end, or are not there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.raw import RawServer

import pygase
from pygase.__main__ import main
from pygase._monitor import socket_path
from pygase.tools import _sources as sources
from pygase.tools._rates import Rates
from pygase.tools._screen import heading, in_order, plain, sparkline

MONITOR = [sys.executable, "-m", "pygase", "monitor"]

in_terminals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


@contextlib.contextmanager
def a_game(clients=1, **settings):
    """A backend with clients, which all know the state."""
    step = lambda game_state, dt: {"x": game_state.x + 1}  # noqa: E731
    backend = pygase.Backend(pygase.GameState(x=0), step, **settings)
    thread = threading.Thread(target=backend.run, args=("localhost", 0))
    thread.start()
    while backend.server.port is None:
        time.sleep(0.01)
    players = [pygase.Client() for _ in range(clients)]
    for player in players:
        player.connect_in_thread(port=backend.server.port)
    while len(backend.server.connections) < clients:
        time.sleep(0.01)
    try:
        yield backend
    finally:
        for player in players:
            player.disconnect()
        backend.shutdown()
        thread.join()


@pytest.fixture
def terminal():
    from support.terminal import Terminal

    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Terminal([*MONITOR, *arguments], **options))


def free_port():
    with contextlib.closing(RawServer()) as server:
        return server.port


@in_terminals
class TestLive:
    def test_a_server_shows_its_clients_and_q_leaves_the_last_figures(self, terminal):
        with a_game(clients=2, monitor=True) as backend:
            shown = terminal(f"localhost:{backend.server.port}", "--interval", "0.2")
            shown.until("the server's own figures")
            host, port = next(iter(backend.server.connections))
            shown.until(f"{host}:{port}")
            shown.until("ticks  ")
            shown.press("s")
            shown.until("rtt ms▼")
            shown.press("r")
            shown.until("rtt ms▲")
            shown.press("p")
            shown.until("; paused")
            shown.press("q")
            assert shown.wait() == 0
        left = shown.shown[shown.shown.rindex("localhost:") :].splitlines()
        assert left[1].startswith("clients      2; state ")
        names = ["round trip", "packages/s", "bytes/s", "ticks", "queues", "drops"]
        assert all(line.startswith(name) for line, name in zip(left[2:], names, strict=False))
        assert any(line.startswith(f"{host}:{port}") for line in left)
        assert max(map(len, left)) <= 80

    @pytest.mark.parametrize("how", ["key", "signal"])
    def test_ctrl_c_leaves_the_last_figures(self, terminal, how):
        with a_game(monitor=True) as backend:
            shown = terminal(f"localhost:{backend.server.port}", "--interval", "0.2")
            shown.until("127.0.0.1:")
            if how == "key":
                shown.press("\x03")
            else:
                shown.process.send_signal(signal.SIGINT)
            assert shown.wait() in (0, 130), shown.shown
        assert "\nclients      1; state" in shown.shown

    def test_a_server_that_goes_is_one_line_below_the_last_figures(self, terminal):
        with a_game(monitor=True) as backend:
            port = backend.server.port
            shown = terminal(f"localhost:{port}", "--interval", "0.2")
            shown.until("127.0.0.1:")
        assert shown.wait() == 1
        lines = shown.shown.rstrip().splitlines()
        assert lines[-1] == f"pygase monitor: the server at localhost:{port} is gone"
        assert any(line.startswith("clients      1; state") for line in lines)

    def test_too_narrow(self, terminal):
        shown = terminal("localhost:1", columns=60)
        assert shown.wait() == 2
        assert "the terminal has 60 columns, 80 are needed" in shown.shown

    def test_without_textual(self, terminal):
        code = "import sys; sys.modules['textual'] = None; from pygase.__main__ import main; sys.exit(main())"
        from support.terminal import Terminal

        with Terminal([sys.executable, "-c", code, "monitor", "localhost:1"]) as shown:
            assert shown.wait() == 2
        assert "pip install 'pygase-rs[monitor]', or use --json" in shown.shown

    def test_a_column_that_is_not_there(self, terminal):
        with a_game(monitor=True) as backend:
            shown = terminal(f"localhost:{backend.server.port}", "--sort", "ping")
            assert shown.wait() == 2
        assert "there is no column 'ping': there are client, rtt, jitter" in shown.shown


def run_json(*arguments):
    command = [*MONITOR, *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_json_says_what_stats_says():
    with a_game(clients=2, monitor=True) as backend:
        status, readings, _ = run_json(
            f"localhost:{backend.server.port}", "--count", "2", "--interval", "0.3"
        )
        assert set(readings[1]["figures"]) == set(backend.stats())
    assert (status, len(readings)) == (0, 2)
    assert readings[1]["totals"]["tick_rate"] > 0
    assert all(row["in"] > 0 and row["bytes_out"] > 0 for row in readings[1]["clients"])


def test_a_server_without_a_monitor_is_the_view_of_one_client():
    with a_game(clients=0) as backend:
        status, (reading,), said = run_json(f"localhost:{backend.server.port}", "--count", "1")
        assert "the view of one client" in said
        assert not os.path.exists(socket_path(backend.server.port))
    assert status == 0
    assert [row["client"] for row in reading["clients"]] == ["this client"]


def test_a_relay_shows_both_halves():
    listen = free_port()
    with a_game(clients=0) as backend:
        command = [*MONITOR, f"127.0.0.1:{backend.server.port}", "--via", f"127.0.0.1:{listen}", "--json"]
        process = subprocess.Popen([*command, "--interval", "0.2"], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # it listens
        player = pygase.Client()
        player.connect_in_thread(port=listen, hostname="127.0.0.1")
        deadline = time.monotonic() + 15
        row = {}
        while not (row.get("rtt_client") and row.get("rtt_server") and row["in"] and row["out"]):
            assert time.monotonic() < deadline, row
            row = next(iter(json.loads(process.stdout.readline())["clients"]), {})
        player.disconnect()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=10)[0]
    assert process.returncode in (0, 130)
    assert all(json.loads(line) for line in rest.splitlines())
    assert (row["loss_up"], row["loss_down"]) == (0.0, 0.0)


def test_a_server_that_does_not_answer_is_waited_for_and_named(capsys, monkeypatch):
    assert sources.PATIENCE == 5.0
    monkeypatch.setattr(sources, "PATIENCE", 0.5)
    assert main(["monitor", f"localhost:{free_port()}", "--json"]) == 1
    assert "within 0.5 s: does a server run there?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.invalid:8080", "--json"], "cannot resolve hostname 'nowhere.invalid'"),
        (["localhost:8080"], "there is no terminal to show it on: use --json"),
        (["localhost:8080", "--interval", "0"], "'0' is not a positive number"),
        (["localhost"], "'localhost' is not HOST:PORT"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    try:
        status = main(["monitor", *arguments])
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert message in printed.err


def test_a_taken_port_is_one_line(capsys):
    with a_game(clients=0) as backend:
        via = f"localhost:{backend.server.port}"
        assert main(["monitor", "localhost:8080", "--via", via, "--json"]) == 2
    printed = capsys.readouterr()
    assert "already in use" in printed.err
    assert printed.err.count("\n") == 1


class TestViews:
    def reading(self, clients=1, seconds=0, **changes):
        """What a server says after some seconds of 40 packages each way."""
        packages = 40 * seconds
        gauges = {
            **dict.fromkeys(("acknowledged_late", "events_to_send", "events_to_handle", "lost"), 0),
            **dict.fromkeys(("sent", "received", "acknowledged"), packages),
            **dict.fromkeys(("bytes_sent", "bytes_received"), 100 * packages),
            "round_trip_time": 0.02,
            "jitter": 0.001,
            "status": "connected",
            **changes,
        }
        return {"clients": {f"10.0.0.{place}:1": dict(gauges) for place in range(clients)}, "server": {}}

    def test_rates_are_of_the_last_five_seconds(self):
        rates = Rates()
        for second in range(20):
            lost = 20 if second >= 16 else 0
            view = rates.view(second, self.reading(seconds=second, lost=lost, bytes_sent=second**2))
        (row,) = view.rows
        assert (row["in"], row["out"]) == (40, 40)
        assert row["bytes_out"] == (19**2 - 14**2) / 5
        assert row["loss"] == 20 / 220
        assert view.history["bytes_out"][-1] == 19**2 - 18**2

    def test_a_client_that_is_away_shows_so(self):
        view = Rates().view(0, self.reading(status="disconnected"))
        assert heading(view)[0].startswith("clients      1, 1 of them away")
        assert plain(view, "title", "client").splitlines()[-1].split()[:2] == ["10.0.0.0:1", "away"]

    def test_names_go_up_and_numbers_down(self):
        view = Rates().view(0, self.reading(clients=3))
        for place, row in enumerate(view.rows):
            row["rtt"] = place
        assert [row["rtt"] for row in in_order(view, "rtt", False)] == [2, 1, 0]
        assert [row["rtt"] for row in in_order(view, "client", False)] == [0, 1, 2]

    def test_a_sparkline_reaches_its_top(self):
        assert sparkline([0, 1, 2, 4], 3) == "▃▅█"
        assert sparkline([0, 0], 5) == "▁▁"
        assert sparkline([], 5) == ""
