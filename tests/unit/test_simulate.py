"""`pygase simulate`: the units people write, and a game behind a bad line, in a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import pygase
from pygase.__main__ import main
from pygase.conditions import PRESETS, Conditions, duration, rate, share

SIMULATE = [sys.executable, "-m", "pygase", "simulate"]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (duration, "80ms", 0.08),
        (duration, "0.5 s", 0.5),
        (duration, "900us", 0.0009),
        (share, "5%", 0.05),
        (share, "100%", 1.0),
        (rate, "256kbit", 32_000),
        (rate, "2Mbit", 250_000),
    ],
)
def test_quantities_have_units(parse, text, value):
    assert parse("it", text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (duration, "80", "latency of '80': no unit; write it like 80ms or 0.5s"),
        (duration, "80kg", "latency of '80kg': no unit 'kg'; write it like 80ms or 0.5s"),
        (duration, "-1ms", "latency of '-1ms': not a number with a unit, such as 80ms or 0.5s"),
        (duration, "2000s", "latency of 2000s: at most 60s"),
        (share, "150%", "latency of 150 %: at most 100%"),
        (share, "0.1", "latency of '0.1': no unit; write it like 5%"),
        (share, "nan%", "latency of 'nan%': not a number with a unit, such as 5%"),
        (rate, "0kbit", "latency of 0kbit: from 8bit to 34gbit; leave it out for no limit"),
        (rate, "99gbit", "latency of 99gbit: from 8bit to 34gbit; leave it out for no limit"),
    ],
)
def test_other_quantities_are_one_line(parse, text, message):
    with pytest.raises(ValueError) as error:
        parse("latency", text)
    assert str(error.value) == message


def test_conditions_read_as_they_are_written():
    assert str(Conditions()) == "a perfect line"
    assert str(PRESETS["satellite"]) == "latency 300ms, jitter 20ms, loss 1%, rate 2mbit"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulat"], "there is no command 'simulat': did you mean simulate?"),
        (["simulate", "a", "b"], "'a' is not HOST:PORT, such as localhost:8080"),
        (["simulate", ":9000", ":8080", "--loss", "150%"], "loss of 150 %: at most 100%"),
        (["simulate", ":9000", ":8080", "--seed", "-1"], "seed of '-1'"),
        (["simulate", ":9000", ":8080", "--preset", "5g"], "invalid choice: '5g'"),
        (["simulate", ":9000", "nowhere.invalid:8080"], "cannot resolve hostname 'nowhere.invalid'"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert printed.err.startswith("pygase")
    assert message in printed.err


def test_a_taken_port_is_one_line(capsys):
    server = pygase.Server(pygase.GameStateStore(pygase.GameState()))
    thread = server.run_in_thread(port=0)
    try:
        assert main(["simulate", f"localhost:{server.port}", "localhost:8080"]) == 2
        assert "already in use" in capsys.readouterr().err
    finally:
        server.shutdown()
        thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_game_behind_a_bad_line_in_a_terminal():
    import pty

    server = pygase.Server(pygase.GameStateStore(pygase.GameState(x=1)))
    thread = server.run_in_thread(port=0)
    relay_port = _free_port()
    terminal, inside = pty.openpty()
    command = [*SIMULATE, f"127.0.0.1:{relay_port}", f"127.0.0.1:{server.port}", "--latency", "40ms"]
    process = subprocess.Popen([*command, "--seed", "7"], stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    try:
        shown = _read_until(terminal, b"Ctrl-C ends it")
        client = pygase.Client()
        client.connect_in_thread(port=relay_port, hostname="127.0.0.1")
        with client.access_game_state():
            pass
        deadline = time.monotonic() + 10
        while client.connection.latency < 0.08:
            assert time.monotonic() < deadline, f"a round trip takes {client.connection.latency} s"
            time.sleep(0.02)
        shown += _read_until(terminal, b"1 clients, ")
        client.disconnect()
        process.send_signal(signal.SIGINT)
        shown += _read_until(terminal, b"to clients")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        server.shutdown()
        thread.join()
    lines = shown.decode().splitlines()
    assert lines[1] == "each way latency 40ms"
    assert all(len(line.rpartition("\r")[2]) <= 80 for line in lines)


def _free_port() -> int:
    server = pygase.Server(pygase.GameStateStore(pygase.GameState()))
    thread = server.run_in_thread(port=0)
    port = server.port
    server.shutdown()
    thread.join()
    return port


def _read_until(terminal: int, text: bytes) -> bytes:
    shown = b""
    while text not in shown:
        shown += os.read(terminal, 4096)
    return shown
