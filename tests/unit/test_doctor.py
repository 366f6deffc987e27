"""`pygase doctor`: what it finds in homes that are well and in homes that are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from support.raw import RawServer

import pygase
from pygase.__main__ import main

FREE = ["--port", "18473"]


@pytest.fixture
def server():
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(1)))
    thread = server.run_in_thread(0)
    yield server
    server.shutdown()
    thread.join()


def test_a_home_that_is_well(capsys):
    assert main(["doctor", *FREE]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for found in (
        "python",
        "library",
        "port",
        "loopback",
        "packages  get through up to the largest",
        "all is well",
    ):
        assert found in printed.out
    assert "!!" not in printed.out


def test_a_taken_port(server, capsys):
    assert main(["doctor", "--port", str(server.port)]) == 1
    printed = capsys.readouterr().out
    assert "!!  port" in printed
    assert "already in use" in printed
    assert "1 to mend, see !! above" in printed


def test_a_server_that_answers(server, capsys):
    assert main(["doctor", f"localhost:{server.port}"]) == 0
    printed = capsys.readouterr().out
    assert f"ok  server    localhost:{server.port} answers\n" in printed
    assert "ok  packages" in printed
    assert "ok  latency" in printed


def test_an_original_server_is_sent_no_event(capsys):
    with RawServer() as original:
        over = threading.Event()
        talking = threading.Thread(target=original.talk, args=(over.is_set,), kwargs={"seconds": 30.0})
        talking.start()
        try:
            assert main(["doctor", f"127.0.0.1:{original.port}"]) == 0
        finally:
            over.set()
            talking.join()
        assert original.received
        assert not any(datagram.events for datagram in original.received)
    printed = capsys.readouterr().out
    assert "it is PyGaSe 0.3.1" in printed
    assert "large packages were not tried" in printed


def test_a_server_that_does_not_answer_is_named(monkeypatch, capsys):
    monkeypatch.setattr("pygase.tools.doctor.PATIENCE", 0.3)
    assert main(["doctor", "127.0.0.1:18474"]) == 1
    assert "!!  server    no answer from 127.0.0.1:18474 in 0.3 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.invalid:8080"], "cannot resolve hostname 'nowhere.invalid'"),
        (["nowhere"], "'nowhere' is not HOST:PORT, such as localhost:8080"),
        (["--port", "99999"], "port of '99999': from 1 to 65535"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    try:
        status = main(["doctor", *arguments])
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert (status, printed.err.count("\n")) == (2, 1)
    assert message in printed.err


def test_two_libraries_in_one_place(tmp_path):
    other = tmp_path / "pygase-0.3.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pygase\nVersion: 0.3.1\n")
    done = subprocess.run(
        [sys.executable, "-m", "pygase", "doctor", *FREE],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "!!  library   the distribution pygase is installed too, in the same folder" in done.stdout
    assert "-m pip uninstall -y pygase pygase-rs" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_what_a_person_sees_and_an_end_by_ctrl_c():
    from support.terminal import Terminal

    command = [sys.executable, "-m", "pygase", "doctor"]
    with Terminal([*command, *FREE]) as shown:
        shown.until("all is well")
        assert shown.wait() == 0
    with Terminal([*command, "127.0.0.1:18474"]) as shown:
        shown.until("ok  library")
        shown.process.send_signal(signal.SIGINT)
        shown.until("stopped; what is above holds")
        assert shown.wait() == 130
