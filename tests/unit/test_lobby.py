"""The lobby: who sits where and may say what, and guests over the network in a pipe."""

import importlib
import sys

import pytest
from support.examples import EXAMPLES, finish, serving, start

LOBBY = EXAMPLES / "lobby"


@pytest.fixture
def rules(monkeypatch):
    monkeypatch.syspath_prepend(str(LOBBY))
    yield importlib.import_module("rules")
    sys.modules.pop("rules")


def seated(rules, *names):
    lobby = rules.Lobby()
    for player_id, name in enumerate(names):
        lobby.enter(player_id, name)
        lobby.sit(player_id, "red")
    return lobby


def test_names_are_unique_and_plain(rules):
    lobby = rules.Lobby()
    names = [lobby.enter(key, name) for key, name in enumerate(("Anna", "anna", "\033[31mAnna", "", None))]
    assert names == ["Anna", "anna2", "31mAnna", "nobody", "None"]


def test_the_game_starts_when_all_are_ready_and_nobody_got_up(rules):
    lobby = seated(rules, "anna", "ben")
    lobby.be_ready(0)
    assert lobby.step(rules.COUNTDOWN) == {}
    lobby.be_ready(1)
    assert lobby.state()["countdowns"] == {"red": 4}
    lobby.sit(1, "")
    assert lobby.step(rules.COUNTDOWN) == {}
    lobby.sit(1, "red")
    lobby.be_ready(1)
    assert lobby.step(rules.COUNTDOWN) == {"red": [0, 1]}
    assert not any(player["ready"] for player in lobby.players.values())


def test_a_table_has_so_many_seats(rules):
    lobby = seated(rules, *"abcd")
    lobby.enter(4, "e")
    assert "seats" in lobby.sit(4, "red")
    assert lobby.sit(4, "blue") is None
    assert lobby.sit(4, "no/table") is not None


def test_talk_has_limits(rules):
    lobby = seated(rules, "anna")
    assert lobby.say(0, "x" * 201) and lobby.say(0, "  ") and lobby.say(0, 5) and lobby.say(0, "\033[2J")
    assert [lobby.say(0, "hello") for _ in range(rules.TALK + 1)] == [None] * rules.TALK + ["not so fast"]
    lobby.step(rules.TALK_SECONDS)
    assert lobby.say(0, "hello") is None


def test_guests_meet_and_hear_only_their_table():
    def type_in(guest, line):
        guest.stdin.write(line + "\n")
        guest.stdin.flush()

    def read(guest, *wanted):
        for line in wanted:
            while (seen := guest.stdout.readline()) and line not in seen:
                pass
            assert seen, f"never heard {line!r}"

    with serving(LOBBY / "server.py") as (_, port):
        anna = start(LOBBY / "client.py", "--port", port, "--name", "Anna")
        read(anna, "you are Anna")
        ben = start(LOBBY / "client.py", "--port", port, "--name", "Ben")
        read(ben, "you are Ben")
        read(anna, "* Ben came in")
        type_in(anna, "hello")
        read(ben, "Anna: hello")
        type_in(anna, "/sit red")
        type_in(anna, "all alone")
        read(anna, "Anna: all alone")
        type_in(ben, "/ready")
        read(ben, "! sit down at a table first")
        type_in(ben, "/quit")
        assert "all alone" not in finish(ben)
        read(anna, "* Ben left")
        type_in(anna, "/tables")
        read(anna, "red          Anna")
        type_in(anna, "/quit")
        finish(anna)
