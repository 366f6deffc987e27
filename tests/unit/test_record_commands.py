"""`pygase record`, `replay` and `diff`, in a terminal and out of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.raw import RawServer

import pygase
from pygase.__main__ import main
from pygase.gamestate import GameStateUpdate

PYGASE = [sys.executable, "-m", "pygase"]


@pytest.fixture
def game(serve):
    """Run a game that counts, and says so."""
    store = pygase.GameStateStore(pygase.GameState(1, count=0, players={1: {"x": 0}}))
    server = serve(pygase.Server(store))
    over = threading.Event()

    def play():
        for count in range(1, 10_000):
            if over.wait(0.01):
                return
            store.push_update(GameStateUpdate(count + 1, count=count, players={1: {"x": count // 10}}))
            if count % 10 == 0:
                server.dispatch_event("TEN", count)

    thread = threading.Thread(target=play)
    thread.start()
    yield server
    over.set()
    thread.join()


def record(path, count=30, wrong=None):
    """Record a game of so many states at a server; one of them may be wrong."""
    store = pygase.GameStateStore(pygase.GameState(1, count=0))
    server = pygase.Server(store, record=path)
    thread = server.run_in_thread()
    for tick in range(2, count + 1):
        store.push_update(GameStateUpdate(tick, count=-1 if tick == wrong else tick, players={tick: {}}))
    server.shutdown()
    thread.join()
    return path


@pytest.fixture
def run(capsys):
    """Run the command in this process; its status, and what it printed."""

    def run(*arguments):
        capsys.readouterr()
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments):
        import pty

        self.here, inside = pty.openpty()
        command = [*PYGASE, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside)
        os.close(inside)
        self.shown = b""

    def wait_for(self, text):
        while text.encode() not in self.shown:
            self.shown += os.read(self.here, 4096)

    def type(self, text):
        os.write(self.here, text.encode())

    def end(self):
        """Wait for its end; the status, and all that was shown."""
        while True:
            try:
                more = os.read(self.here, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not more:
                break
            self.shown += more
        return self.process.wait(10), self.shown.decode().replace("\r\n", "\n")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.here)


@pytest.fixture
def terminal():
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals")
    terminals = []

    def start(*arguments):
        terminals.append(Terminal(*arguments))
        return terminals[-1]

    yield start
    for each in terminals:
        each.close()


def test_a_client_of_its_own_records_until_ctrl_c(game, terminal, tmp_path, run):
    screen = terminal("record", f"localhost:{game.port}", tmp_path / "a.pgr")
    screen.wait_for("Ctrl-C ends it")
    screen.wait_for(" s: 8")  # 80 packages or more, shown as they come
    screen.process.send_signal(signal.SIGINT)
    status, shown = screen.end()
    assert (status, "went silent" in shown) == (0, False)
    assert int(re.search(r"recorded ([\d,]+) packages", shown)[1]) >= 8
    assert all(len(line.rpartition("\r")[2]) < 80 + len("\x1b[K") for line in shown.splitlines()[1:])
    status, printed, _ = run("replay", tmp_path / "a.pgr", "--print")
    assert status == 0
    ticks = [tuple(map(int, match)) for match in re.findall(r"tick (\d+) .*\bcount=(\d+)", printed)]
    assert len(ticks) > 20
    assert all(count == tick - 1 for tick, count in ticks)
    assert re.search(r"down +TEN\(\d+\)", printed)
    assert "by a client" in printed


def test_a_relay_records_what_each_client_sends_and_gets(game, terminal, tmp_path, run):
    path, port = tmp_path / "a.pgr", free_port()
    screen = terminal("record", f"localhost:{game.port}", path, "--via", f"localhost:{port}")
    screen.wait_for("Ctrl-C ends it")
    clients = [pygase.Client() for _ in range(2)]
    for client in clients:
        client.connect_in_thread(port=port)
    for client in clients:
        client.try_to(lambda state: state.count > 20 or None, timeout=10)
    clients[1].dispatch_event("HELLO", "you")
    time.sleep(0.2)
    for client in clients:
        client.disconnect()
    screen.process.send_signal(signal.SIGINT)
    assert screen.end()[0] == 0
    status, summary, _ = run("replay", path)
    addresses = re.findall(r"127\.0\.0\.1:\d+", re.search(r"^clients .*", summary, re.M)[0])
    assert (status, len(addresses)) == (0, 2)
    said = [run("replay", path, "--print", "--client", address)[1] for address in addresses]
    assert sorted("HELLO('you')" in text for text in said) == [False, True]
    status, _, error = run("replay", path, "--client", "127.0.0.1:9")
    assert (status, error.count("\n")) == (1, 1)
    assert "127.0.0.1:9 is not in it, but 127.0.0.1:" in error


def test_a_server_that_goes_away_is_said_and_the_rest_kept(game, tmp_path, run, monkeypatch):
    monkeypatch.setattr(pygase.connection.Connection, "_timeout", 1.0)
    path, port = tmp_path / "a.pgr", game.port
    threading.Timer(0.7, game.shutdown).start()
    status, out, error = run("record", f"localhost:{port}", path)
    assert (status, error) == (1, f"pygase record: localhost:{port} went silent: recorded up to there\n")
    assert re.search(r"recorded \d+ packages", out)
    assert run("replay", path)[0] == 0


def test_replay_serves_clients_at_any_speed(tmp_path, terminal):
    path, port = record(tmp_path / "a.pgr"), free_port()
    screen = terminal("replay", path, "--serve", port, "--speed", "0.01")
    screen.wait_for("it begins when one does")
    client = pygase.Client()
    client.connect_in_thread(port=port)
    client.try_to(
        lambda state: (state.count == 30 and state.players == {n: {} for n in range(2, 31)}) or None, 15
    )
    status, shown = screen.end()
    client.disconnect()
    assert status == 0
    assert "that was all: 30 states, 0 events" in shown


def test_stepping_with_the_keyboard(tmp_path, terminal, run):
    screen = terminal("replay", record(tmp_path / "a.pgr"), "--step")
    screen.wait_for("> ")
    screen.type("\n")
    screen.wait_for("tick 2 ")
    screen.type("20\n")
    screen.wait_for("tick 20 ")
    screen.type("what\n")
    screen.wait_for("it goes on only")
    screen.type("p\n")
    screen.wait_for("'count': 20")
    screen.type("q\n")
    status, shown = screen.end()
    assert status == 0
    assert "tick 21" not in shown
    status, _, error = run("replay", tmp_path / "a.pgr", "--step")
    assert (status, error) == (2, "pygase replay: --step needs a terminal; --print does not\n")


def test_the_state_at_a_tick_and_at_a_time(tmp_path, capsys):
    path = record(tmp_path / "a.pgr")
    assert main(["replay", str(path), "--at", "7"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tick 7, ")
    assert "'count': 7" in printed
    assert "8: {}" not in printed
    for at, problem in [
        ("31", "tick 31 is not in it: the last is 30"),
        ("900s", "900 s is not in it: it is 0.0 s long"),
        ("0", "its first state is later than that"),
    ]:
        assert main(["replay", str(path), "--at", at]) == 1
        assert capsys.readouterr().err == f"pygase replay: {problem}\n"


def test_two_recordings_are_compared_tick_by_tick(tmp_path, capsys):
    one, same = record(tmp_path / "a.pgr"), record(tmp_path / "b.pgr", count=20)
    other = record(tmp_path / "c.pgr", wrong=12)
    assert main(["diff", str(one), str(same)]) == 0
    assert capsys.readouterr().out == "all 20 ticks that both have are equal\n"
    assert main(["replay", str(one), "--diff", str(other)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "tick 12 is the first that differs:",
        "  count: 12 | -1",
        "1 of the 30 ticks that both have differ",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["record", "localhost", "{new}"], 2, "'localhost' is not HOST:PORT, such as localhost:8080"),
        (["record", "nowhere.invalid:8080", "{new}"], 2, "cannot resolve hostname 'nowhere.invalid'"),
        (["record", ":{port}", "{old}"], 2, "old.pgr is there already; --force overwrites it"),
        (["record", ":{port}", "{new}/nowhere"], 2, "cannot record to "),
        (["record", ":8080", "{new}", "--via", ":{port}"], 2, "is already in use"),
        (["record", ":{port}", "{new}", "--seconds", "-1"], 2, "'-1' is not a positive number"),
        (["record", ":{silent}", "{new}"], 1, "in 0.5 s: does the server run there?"),
        (["replay", "{new}"], 2, "cannot read "),
        (["replay", "{foreign}"], 2, "this is no recording of pygase"),
        (["replay", "{cut}"], 1, "the recording ends in the middle of something"),
        (["replay", "{cut}", "--at", "5"], 1, "the recording ends in the middle of something"),
        (
            ["replay", "{later}"],
            2,
            "this recording has format 9, and at most 1 can be read: update pygase-rs",
        ),
        (
            ["replay", "{old}", "--at", "soon"],
            2,
            "'soon' is neither a tick, such as 120, nor a time, such as 2.5s",
        ),
        (["replay", "{old}", "--serve", "70000"], 2, "port of '70000': from 1 to 65535"),
        (["replay", "{old}", "--serve", "{port}"], 2, "is already in use"),
        (["replay", "{old}", "--speed", "0"], 2, "'0' is not a positive number"),
        (["diff", "{old}", "{foreign}"], 2, "this is no recording of pygase"),
        (["diff", "{old}", "{empty}"], 1, "the two share no tick"),
    ],
)
def test_mistakes_are_one_line(arguments, status, message, tmp_path, game, run, monkeypatch):
    monkeypatch.setattr("pygase.tools.record.PATIENCE", 0.5)
    old = record(tmp_path / "old.pgr")
    whole = old.read_bytes()
    header = whole[:18]
    for name, content in {
        "foreign": b"\x89PNG and more",
        "cut": whole[:-9],
        "later": whole[:8] + b"\x09" + whole[9:],
        "empty": header,
    }.items():
        (tmp_path / f"{name}.pgr").write_bytes(content)
    names = {name: tmp_path / f"{name}.pgr" for name in ("old", "new", "foreign", "cut", "later", "empty")}
    with RawServer() as silent:  # which takes everything in and answers nothing
        places = {**names, "port": game.port, "silent": silent.port}
        ended, _, error = run(*(argument.format(**places) for argument in arguments))
    assert (ended, error.count("\n")) == (status, 1), error
    assert error.startswith(f"pygase {arguments[0]}: ")
    assert message in error
    assert not (tmp_path / "new.pgr").exists()
    assert old.read_bytes() == whole


def test_force_overwrites_and_a_full_disk_ends_it(game, tmp_path, run):
    path = tmp_path / "a.pgr"
    path.write_bytes(b"precious")
    status, _, error = run("record", f"localhost:{game.port}", path, "--force", "--seconds", "0.5")
    assert (status, error) == (0, "")
    assert run("replay", path)[0] == 0
    if sys.platform != "win32":
        limited = f"ulimit -f 2; exec {sys.executable} -m pygase record localhost:{game.port} {path} --force"
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=40)
        assert done.returncode == 1
        assert re.fullmatch(r"pygase record: recording to .* ended: File too large .*\n", done.stderr)
        # What was written before is there.
        assert run("replay", path)[0] == 1


def free_port():
    with RawServer() as server:
        return server.port
