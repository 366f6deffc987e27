"""The load generator, against a server of ours over loopback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import pygase
from pygase.__main__ import main


@pytest.fixture
def server():
    store = pygase.GameStateStore(pygase.GameState(x=1))
    server = pygase.Server(store)
    server.heard = []
    server.register_event_handler("MOVE", lambda *args, **_: server.heard.append(args))
    thread = server.run_in_thread(port=0)
    yield server
    server.shutdown()
    thread.join()


def test_measures_what_a_server_serves(server, capsys):
    options = [
        "--clients",
        "20",
        "--seconds",
        "1",
        "--json",
        "--event",
        "MOVE",
        "1",
        "up",
        "--event-rate",
        "10",
    ]
    status = main(["load", f"localhost:{server.port}", *options])
    result = json.loads(capsys.readouterr().out)
    assert status in (0, 3), "3 where the machine was too busy to serve the full rate"
    assert result["answered"] == result["joined"] == 20
    assert result["rate_mean"] > 0
    assert result["rtt_p50"] <= result["rtt_p95"] <= result["rtt_p99"]
    assert result["malformed"] == 0
    assert result["events_sent"] > 0
    assert (1, "up") in server.heard


def test_prints_a_verdict_and_progress(server, capsys):
    main(["load", f"localhost:{server.port}", "--clients", "3", "--seconds", "0.6"])
    printed = capsys.readouterr()
    assert "verdict" in printed.out
    assert "3 answered" in printed.out
    assert "measuring" in printed.err


def test_says_that_nothing_answers(capsys):
    assert main(["load", "localhost:9", "--clients", "1", "--seconds", "0.2", "--json"]) == 1
    assert "nothing answers at localhost:9" in capsys.readouterr().err


def test_spares_servers_of_others(capsys):
    assert main(["load", "198.51.100.7:8080", "--clients", "1", "--seconds", "0.1"]) == 2
    assert "--i-own-this-server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["localhost"], "is not HOST:PORT"),
        (["localhost:70000"], "is not HOST:PORT"),
        (["localhost:1", "--clients", "0"], "is not a positive number"),
        (["localhost:1", "--seconds", "long"], "is not a positive number"),
    ],
)
def test_refuses_what_makes_no_sense(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["load", *arguments])
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err


def test_is_a_command():
    command = [sys.executable, "-m", "pygase", "load", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "HOST:PORT" in shown.stdout
    assert "examples:" in shown.stdout


def test_makes_room_for_its_sockets(server):
    pytest.importorskip("resource", reason="no limit on open files")
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
    run = "from pygase.__main__ import main; raise SystemExit(main())"
    command = [f"localhost:{server.port}", "--clients", "150", "--seconds", "0.2", "--json"]

    def load(soft, hard):
        code = few.format(soft=soft, hard=hard) + run
        return subprocess.run([sys.executable, "-c", code, "load", *command], capture_output=True, text=True)

    raised = load(128, 256)
    assert json.loads(raised.stdout)["answered"] == 150, raised.stderr
    refused = load(128, 128)
    assert refused.returncode == 2
    assert "150 clients need 214 open files, and at most 128 are allowed" in refused.stderr
    assert "run at most 64 clients" in refused.stderr
