"""The drawing board: what a line is, and boards that agree over the network."""

import importlib
import sys

import pytest
from support.examples import EXAMPLES, finish, serving, start

DRAWING = EXAMPLES / "drawing_board"


@pytest.fixture
def board(monkeypatch):
    monkeypatch.syspath_prepend(str(DRAWING))
    yield importlib.import_module("board")
    sys.modules.pop("board")


@pytest.mark.parametrize(
    "line",
    [
        (99, 5, [0, 0, 1, 1]),
        (True, 5, [0, 0, 1, 1]),
        (0, 0, [0, 0, 1, 1]),
        (0, 5, [0, 0]),
        (0, 5, [0, 0, 1]),
        (0, 5, [0, 0, -1, 1]),
        (0, 5, [0, 0, 1.5, 1]),
        (0, 5, "abcd"),
        (0, 5, [0, 0] * 500),
    ],
)
def test_what_is_no_line_is_not_kept(board, line):
    paper = board.Board()
    assert paper.draw(0, 5, [0, 0, 1, 1])
    assert not paper.draw(*line)
    assert len(paper.lines) == 1


def test_a_board_is_never_more_than_full(board):
    paper = board.Board()
    for number in range(board.MAX_LINES + 10):
        paper.draw(0, 1, [number % board.WIDTH, 0, 1, 1])
    assert len(paper.lines) == board.MAX_LINES
    assert paper.lines[0][2][0] == 10


def test_all_boards_agree_and_who_comes_late_sees_everything():
    with serving(DRAWING / "server.py") as (_, port):
        painters = [start(DRAWING / "painter.py", "--port", port, "--figure", number) for number in range(2)]
        for painter in painters:
            assert "lines, digest" in finish(painter)
        late = [start(DRAWING / "painter.py", "--port", port) for _ in range(2)]
        late = [finish(painter) for painter in late]
        assert late[0] == late[1]
        assert late[0].startswith("24 lines, ")


def test_a_window_shows_the_board():
    pytest.importorskip("pygame")
    with serving(DRAWING / "server.py") as (_, port):
        finish(start(DRAWING / "painter.py", "--port", port, "--figure", 0))
        output = finish(start(DRAWING / "client.py", "--port", port, "--frames", 20))
        assert output.startswith("12 lines, digest")
