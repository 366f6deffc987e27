"""`pygase find`: servers that want to be found, and no others. On the loopback interface alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

import pygase
from pygase.__main__ import main

NAME = f"game of {os.getpid()}"
FIND = ["find", "--interface", "127.0.0.1"]


def start(serve, **settings):
    return serve(pygase.Server(pygase.GameStateStore(), **settings))


def test_a_server_that_wants_to_be_found_is_and_others_are_not(serve, capsys):
    server = start(serve, announce=NAME)
    silent = start(serve)
    for _ in range(5):  # somebody else's flood of questions may be on
        assert main([*FIND, "--seconds", "1"]) in (0, 1)
        printed = capsys.readouterr().out
        if NAME in printed:
            break
    assert f"{NAME}\n  127.0.0.1:{server.port}\n" in printed
    assert f":{silent.port}" not in printed
    assert server.stats()["server"]["announce_answered"] >= 1
    assert "announce_answered" not in silent.stats()["server"]
    server.shutdown()
    main([*FIND, "--seconds", "0.3"])
    assert NAME not in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_ctrl_c_in_a_terminal_keeps_what_was_found(serve):
    import pty

    server = start(serve, announce=NAME)
    terminal, inside = pty.openpty()
    command = [sys.executable, "-m", "pygase", *FIND, "--seconds", "50"]
    process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    shown = b""
    try:
        while not re.search(rb"[1-9]\d* found", shown):
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        while f"127.0.0.1:{server.port}".encode() not in shown:
            shown += os.read(terminal, 4096)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert NAME.encode() in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "soon"], "'soon' is not a positive number"),
        (["--interface", "eth0"], '"eth0" is no IPv4 address of this machine'),
        (["--interface", "198.51.100.7", "--seconds", "1"], "cannot look in the network: "),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    try:
        status = main(["find", *arguments])
    except SystemExit as end:
        status = end.code
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("pygase find: ")
    assert message in error


@pytest.mark.parametrize("name", ["", "ü" * 33, "two\nlines", "\x1b[2J"])
def test_names_that_are_none(name):
    with pytest.raises(
        ValueError, match="option announce of ServerOptions must have 1 to 64 bytes of printable"
    ):
        pygase.Server(pygase.GameStateStore(), announce=name)
    with pytest.raises(TypeError, match="option announce of ServerOptions must be a name, not 5"):
        pygase.Server(pygase.GameStateStore(), announce=5)
