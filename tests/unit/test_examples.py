"""The examples play by themselves, each side in a process of its own."""

import os
import re
import signal
from pathlib import Path

import pytest
from support.examples import EXAMPLES, finish, serving, start

STARTED, CHASE = EXAMPLES / "getting_started", EXAMPLES / "chase"


def test_the_dragon_is_hit_and_the_host_closes_the_server():
    with serving(STARTED / "backend.py") as (backend, port):
        output = finish(start(STARTED / "client.py", "--port", port, "--auto", "--shots", 4))
        assert output.count("dragon at (") == 4
        assert re.search(r"a hit! \(damage \d+\)", output)
        assert re.search(r"done: [1-9]\d* damage in 4 shots", output)
        assert "the host closed the game" in finish(backend, timeout=5)


def test_who_does_not_own_the_server_leaves_it_running():
    with serving(STARTED / "backend.py") as (backend, port):
        for _ in range(2):
            finish(start(STARTED / "client.py", "--port", port, "--shots", 1, "--keep-server"))
        assert backend.poll() is None
        backend.send_signal(signal.SIGINT)
        assert "stopped" in finish(backend, timeout=5)


def test_feedback_goes_to_the_archer_alone():
    with serving(STARTED / "backend.py") as (_, port):
        clients = [
            start(STARTED / "client.py", "--port", port, "--shots", 3, "--keep-server") for _ in range(2)
        ]
        for client in clients:
            output = finish(client)
            assert len(re.findall(r"\(damage \d+\)", output)) == 3
            assert "no answer" not in output


def test_a_client_without_a_server_says_so():
    client = start(STARTED / "client.py", "--port", 9, "--auto")
    _, errors = client.communicate(timeout=30)
    assert client.returncode == 2
    assert "nothing heard from localhost:9" in errors


@pytest.mark.timeout(90)
def test_bots_and_a_window_play_chase():
    pytest.importorskip("pygame")
    with serving(CHASE / "server.py") as (_, port):
        bots = [
            start(CHASE / "bot.py", "--port", port, "--name", f"Bot {i}", "--seconds", 3) for i in range(2)
        ]
        output = finish(start(CHASE / "client_pygame.py", "--port", port, "--frames", 50), timeout=40)
        assert re.fullmatch(r"drew 50 frames as player [123]\n", output)
        for bot in bots:
            finish(bot)


@pytest.mark.timeout(90)
def test_the_demo_ends_with_the_same_state_everywhere():
    output = finish(start(CHASE / "demo.py", "--seconds", 5, "--seed", 5), timeout=60)
    assert output.count("joined, ended with digest") == 4
    assert output.count("same state") == 4
    lines = re.findall(r"^ +\d+\.\d s  chaser .*RTT .*ticks .*state \d+ bytes", output, re.MULTILINE)
    assert 2 <= len(lines) <= 6
    assert output.endswith("  all states agree\n")


@pytest.mark.timeout(60)
def test_ctrl_c_ends_the_demo_with_a_summary_and_no_orphans():
    demo = start(CHASE / "demo.py", "--seconds", 60)
    seen = ""
    while "ticks 5" not in seen and "ticks 4" not in seen:
        line = demo.stdout.readline()
        assert line, demo.stderr.read()
        seen += line
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children")
    family = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=30)
    # Whether somebody was caught by now is a matter of luck.
    assert demo.returncode in (0, 1)
    assert output.count("same state") == 4
    for pid in family:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
