"""`pygase new`: the game it makes runs, and mistakes are one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pygase.__main__ import main


def test_the_game_plays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "space_race"]) == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "space_race"
    files = sorted(file.name for file in folder.iterdir())
    assert printed.startswith(f"made space_race: {', '.join(files)}\n")
    assert "NAME" not in "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    command = [sys.executable, "-W", "error", "-m", "unittest"]
    played = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert played.returncode == 0, played.stderr


def test_its_window_shows_a_player(tmp_path, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.chdir(tmp_path)
    assert main(["new", "race"]) == 0
    folder = tmp_path / "race"
    server = subprocess.Popen(
        [sys.executable, "server.py", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        port = server.stdout.readline().split(";")[0].rpartition(":")[2]
        window = subprocess.run(
            [sys.executable, "window.py", "--port", port, "--frames", "60"],
            cwd=folder,
            env={**os.environ, "SDL_VIDEODRIVER": "dummy"},
            capture_output=True,
            text=True,
            timeout=40,
        )
    finally:
        server.kill()
        server.communicate()
    assert (window.returncode, window.stderr) == (0, "")


@pytest.mark.parametrize("name", ["", "9lives", "../out", "a b", "a" * 65, "é"])
def test_a_name_that_is_none_is_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["new", name])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert "is no name: a letter, then letters, digits, - and _, at most 64" in printed.err
    assert not list(tmp_path.iterdir())


def test_what_exists_stays_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("precious")
    assert main(["new", "mine"]) == 2
    assert capsys.readouterr().err == (
        "pygase new: mine exists already; nothing was changed, choose another name\n"
    )
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_what_a_person_sees(tmp_path):
    from support.terminal import Terminal

    with Terminal([sys.executable, "-m", "pygase", "new", "space_race"], cwd=tmp_path) as shown:
        shown.until("python -m unittest        # plays a game and checks it\n")
        assert shown.wait() == 0
    assert all(len(line) < 100 for line in shown.shown.splitlines())
