"""The example games with one side of each kind."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
PAIRS = [
    pytest.param("ours", "theirs", id="our-server-their-clients"),
    pytest.param("theirs", "ours", id="their-server-our-clients"),
]


class Program:
    """A program whose output is read line by line."""

    def __init__(self, side, path, *arguments):
        self.process = subprocess.Popen(
            [side.python, str(EXAMPLES / path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=side.environment(),
        )
        self.lines = []
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()

    def expect(self, pattern, timeout=20.0):
        """Wait for a line and return what matched."""

        def find():
            return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)

        with self.news:
            assert self.news.wait_for(find, timeout), f"no {pattern!r} in {self.lines}"
            return find()

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hush(self):
        """Close its standard input."""
        self.process.stdin.close()

    def ends(self, timeout=20.0):
        """Wait for its end and return the status."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status


@pytest.fixture
def program(sides):
    started = []

    def start(side, *arguments):
        started.append(Program(sides[side], *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)
        one.reader.join(10)
        one.process.stdout.close()
        one.process.stdin.close()


@pytest.mark.parametrize(("server_side", "client_side"), PAIRS)
def test_the_first_game_is_played_to_its_end(program, server_side, client_side):
    backend = program(server_side, "getting_started/backend.py", "--port", "0")
    port = backend.expect(r"listening on \w+:(\d+)")[1]
    client = program(client_side, "getting_started/client.py", "--port", port, "--auto", "--shots", "5")
    client.expect(r"hit!|is down!|missed")
    assert client.ends() == 0, client.lines
    damage = re.search(r"done: (\d+) damage", "\n".join(client.lines))
    assert int(damage[1]) > 0
    assert backend.ends() == 0, backend.lines
    assert "the host closed the game" in backend.lines


@pytest.mark.parametrize(("server_side", "client_side"), PAIRS)
def test_bots_chase_each_other_until_they_are_told_to_stop(program, server_side, client_side):
    server = program(server_side, "chase/server.py", "--port", "0", "--control", "--seed", "7")
    port = server.expect(r"listening on \w+:(\d+)")[1]
    bots = [
        program(
            client_side, "chase/bot.py", "--port", port, "--name", f"Bot{n}", "--seed", str(n), "--control"
        )
        for n in range(3)
    ]
    for bot in bots:
        bot.expect(r'"joined"')
    # Let them play until each has seen the others for a while.
    threading.Event().wait(2.0)
    assert all(bot.process.poll() is None for bot in bots)
    server.say("freeze")
    end = json.loads(server.expect(r'\{"frozen".*')[0])
    assert sorted(end["names"]) == ["Bot0", "Bot1", "Bot2"]
    assert end["ticks"] > 20
    for bot in bots:
        bot.hush()
    for bot in bots:
        assert bot.ends() == 0, bot.lines
    server.hush()
    assert server.ends() == 0, server.lines
