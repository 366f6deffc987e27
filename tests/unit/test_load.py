"""The load generator, against a server of ours over loopback."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time

import pytest

import pygase
from pygase.__main__ import main
from pygase.tools import load as tool


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


def test_says_how_old_the_state_is(server, capsys):
    old, ticks = int(time.time() * 1000) - 5000, 50
    server.game_state_store.push_update(pygase.gamestate.GameStateUpdate(1, world={"now": old}, ticks=ticks))
    command = ["load", f"localhost:{server.port}", "--clients", "2", "--seconds", "0.5"]
    main([*command, "--json", "--clock", "world.now"])
    result = json.loads(capsys.readouterr().out)
    assert result["ages"] > 0
    assert 5.0 < result["age_p50"] <= result["age_p95"] <= result["age_p99"] < 1000.0
    main([*command, "--json", "--clock", "ticks", "--clock-rate", "50"])
    result = json.loads(capsys.readouterr().out)
    assert 0.0 < result["age_p50"] <= result["age_p99"] < 1000.0, "from the first package on, nothing changes"
    for clock, said in {
        "world.now": "(p50 / p95 / p99; by this machine's clock)",
        "ticks --clock-rate 50": "(p50 / p95 / p99; above the youngest seen)",
        "ticks": "none: ticks has no milliseconds since 1970; see --clock-rate",
        "world": "none: no client saw a number at world",
    }.items():
        main([*command, "--clock", *clock.split()])
        assert said in capsys.readouterr().out
    main(command)
    assert "age of state" not in capsys.readouterr().out
    assert main([*command, "--clock-rate", "50"]) == 2
    assert "--clock-rate without --clock" in capsys.readouterr().err


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


def test_the_report_is_one_file_that_loads_nothing(server, tmp_path, capsys):
    file = tmp_path / "load.html"
    command = ["load", f"localhost:{server.port}", "--clients", "3", "--seconds", "1", "--report", str(file)]
    assert main(command) in (0, 3)
    page = file.read_text()
    assert page.count("<svg") == 2
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert "3 answered" in page
    points = re.findall(r'points="([^"]*)"', page)
    assert len(points) == 4 and all(points)
    capsys.readouterr()
    assert main(command) == 2
    assert f"{file} exists: another name, or --force to overwrite it" in capsys.readouterr().err
    assert main([*command, "--force"]) in (0, 3)


@pytest.fixture
def search(monkeypatch, capsys):
    """A search among servers that hold so many; what it says, and what it tried."""
    monkeypatch.setattr(tool, "SETTLE", 0.0)

    def find(holds, interrupted_from=10**9):
        tried = []

        def measure(clients):
            tried.append(clients)
            known = {"answered": 1, "own_bottleneck": False, "interrupted": clients >= interrupted_from}
            return {**known, "holds": clients <= holds}

        return tool._search(measure, argparse.Namespace(clients=10, most=1000)), tried

    return find


def test_a_search_doubles_and_bisects(search):
    found, tried = search(130)
    low = int(re.search(r"\d+", found)[0])
    assert 124 <= low <= 130
    assert low in tried
    assert len(tried) == len(set(tried)) <= 12


def test_a_search_has_ends(search):
    assert search(0)[0] == "your game holds 0 players"
    assert search(10_000)[0] == "your game holds 640 players, and more were not tried (--most 1000)"
    assert search(10_000, interrupted_from=20)[0] == "your game holds 10 players, as far as was tried"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_search_and_an_end_by_ctrl_c_in_a_terminal(server, tmp_path):
    from support.terminal import Terminal

    file = tmp_path / "load.html"
    command = [sys.executable, "-m", "pygase", "load", f"localhost:{server.port}", "--clients", "2"]
    options = ["--most", "3", "--seconds", "0.5", "--search", "--report", str(file)]
    with Terminal([*command, *options]) as shown:
        shown.until("2 clients: ", 30)
        shown.until("your game holds", 60)
        assert shown.wait(30) in (0, 3)
    assert "your game holds" in file.read_text()
    rest = tmp_path / "rest.html"
    options = ["--most", "100", "--seconds", "0.5", "--search", "--report", str(rest)]
    with Terminal([*command, *options]) as shown:
        # In the pause between two loads.
        shown.until("held\n", 30)
        shown.process.send_signal(signal.SIGINT)
        assert shown.wait() in (0, 3)
        assert "your game holds" in shown.shown
    assert "your game holds" in rest.read_text()
    with Terminal([*command, "--seconds", "60"]) as shown:
        shown.until("measuring 1/60 s: 2 clients")
        shown.process.send_signal(signal.SIGINT)
        assert shown.wait() in (0, 3)
    assert "clients      2: 2 answered" in shown.shown
