"""Mistakes that are easily made meet an error or a warning that says the way out."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import Counter

import pytest

import pygase
from pygase.gamestate import GameStateUpdate

needs_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes here")


def backend(time_step=None, handlers=None):
    state = pygase.GameState(count=0, players={1: {"hp": 3}})
    return pygase.Backend(state, time_step or (lambda game_state, dt: {}), handlers)


def hints(call, *kinds):
    """Return the message and the notes of the error that a call raises."""
    with pytest.raises(kinds or Exception) as error:
        call()
    return [str(error.value), *getattr(error.value, "__notes__", [])]


@pytest.fixture
def silent_port():
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def live(wait_for):
    """A backend that plays, with a client in its main loop."""
    game = backend()
    game.game_state_machine.run_game_loop_in_thread()
    game.server.run_in_thread(event_wire=game.game_state_machine)
    client = pygase.Client()
    client.start(game.server.port)
    client.wait_until(lambda state: state.time_order > 0, timeout=10)
    yield game, client
    client.disconnect()
    game.shutdown()


@needs_notes
class TestTheWordsStay:
    """The message is that of PyGaSe 0.3.1, the way out stands below it."""

    def test_not_connected(self):
        said = hints(lambda: pygase.Client().dispatch_event("A"), RuntimeError)
        assert said == ["Client is not connected.", "call start(), connect() or connect_in_thread() first"]

    def test_after_disconnect(self, live):
        _, client = live
        client.disconnect()
        said = hints(lambda: client.dispatch_event("A"), RuntimeError)
        assert said == ["Client is not connected.", "its connection has ended: connect again"]

    def test_no_server(self, silent_port):
        client = pygase.Client()
        client.start(silent_port, "127.0.0.1")
        for wait in (client.wait_until, client.try_to):
            said = hints(lambda wait=wait: wait(lambda state: None, timeout=0.01), TimeoutError)
            assert said[0] == "Condition not satisfied after timeout of 0.01 seconds."
            assert said[1:] == [
                f"no state from ('127.0.0.1', {silent_port}) yet: does a server run there, and its game loop?"
            ]
        client.disconnect()

    def test_a_name_that_is_wrong_says_so(self, live):
        _, client = live
        said = hints(lambda: client.try_to(lambda state: state.playres, timeout=0.01), TimeoutError)
        assert len(said) == 2
        assert said[1].startswith("the last try ended with AttributeError(\"'GameState' object has no")
        assert "playres" in said[1]
        said = hints(lambda: client.try_to(lambda state: None, timeout=0.01), TimeoutError)
        assert len(said) == 1

    def test_attributes_of_a_state(self):
        said = hints(lambda: pygase.GameState(b=1, a=2).c, AttributeError)
        assert said == ["'GameState' object has no attribute 'c'", "this game state has a, b"]
        said = hints(lambda: pygase.GameState().players, AttributeError)
        assert said[1] == "this game state is empty, as at a client before its first update"

    def test_numbers_in_a_path(self, live):
        _, client = live
        assert client.interpolated(("players", 1, "hp")) == 3
        said = hints(lambda: client.interpolated("players.1.hp"), KeyError)
        assert said[0] == "'players.1.hp'"
        assert said[1].endswith('give a tuple: ("players", 1)')
        assert len(hints(lambda: client.interpolated("players.hp"), KeyError)) == 1
        assert len(hints(lambda: client.interpolated(("players", 2, "hp")), KeyError)) == 1

    def test_targets(self, live):
        game, _ = live
        (connection,) = game.server.connections.values()
        for target, kind, hint in (
            (("192.0.2.1", 1), KeyError, "no client has this address"),
            (connection, KeyError, "target_client is an address, such as remote_address"),
            ([connection.remote_address], TypeError, "the address of one client, or 'all'"),
        ):
            said = hints(lambda target=target: game.server.dispatch_event("A", target_client=target), kind)
            assert hint in said[1]

    def test_handlers_of_a_backend(self):
        said = hints(lambda: backend(handlers={"MOVE": None}), TypeError)
        assert said == [
            "'NoneType' object is not callable.",
            "the handler for events of type 'MOVE' must be a function",
        ]


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "says"),
        [
            (lambda: backend(handlers=[("A", print)]), "event_handlers must be a dict of functions"),
            (lambda: pygase.Server(pygase.GameState()).run(), "a GameStateStore is needed.*not GameState"),
            (lambda: backend().server.run(event_wire=backend()), "event_wire must be a GameStateM.*Backend"),
            (lambda: backend().run(8080, "localhost"), "port must be an int, not str: 'localhost'"),
            (lambda: pygase.Client().start("localhost", 8080), "port must be an int, not str: 'localhost'"),
            (lambda: pygase.GameState({"players": {}}), r"time_order must .*not dict; .*GameState\(players="),
            (lambda: backend().server.dispatch_event("A", retries="3"), "retries must be an int, not '3'"),
            (lambda: backend().server.dispatch_event("A", ack_callback=3), "ack_callback must be callable"),
            (lambda: pygase.Client(port=8080), "no option 'port': port is given to what connects or runs"),
            (lambda: pygase.Client(max_connections=8), "max_connections is one of servers"),
        ],
    )
    def test_says_what_to_do(self, call, says):
        with pytest.raises(TypeError, match=says):
            call()

    def test_options(self):
        for name, says in (("interval", "what runs the game loop"), ("reconnect_for", "one of clients")):
            with pytest.raises(TypeError, match=says):
                pygase.Backend(pygase.GameState(), lambda game_state, dt: {}, **{name: 0.1})

    def test_an_event_of_a_client(self, live):
        _, client = live
        with pytest.raises(TypeError, match="retries"):
            client.dispatch_event("A", retries=1.5)
        with pytest.raises(TypeError, match="ack_callback"):
            client.dispatch_event("A", ack_callback="done")

    def test_the_state_without_with(self, live):
        _, client = live
        with pytest.raises(AttributeError, match=r"'players' .*: with client.access_game_state\(\) as state"):
            _ = client.access_game_state().players

    def test_poll_in_an_event_loop(self, live):
        _, client = live

        async def play():
            client.poll()

        with pytest.raises(RuntimeError, match="connect_in_thread"):
            asyncio.run(play())

    @pytest.mark.parametrize(
        ("base", "use"),
        [
            (pygase.Client, lambda made: made.start(8080)),
            (pygase.Client, lambda made: made.register_event_handler("A", print)),
            (pygase.Server, lambda made: made.run()),
            (pygase.Backend, lambda made: made.run("localhost", 0)),
            (pygase.GameStateStore, lambda made: made.get_game_state()),
            (pygase.GameStateMachine, lambda made: made.run_game_loop()),
        ],
    )
    def test_forgotten_init(self, base, use):
        kind = type("Mine", (base,), {"__init__": lambda self: None, "time_step": lambda self, s, dt: {}})
        with pytest.raises(AttributeError, match=r"Mine.__init__ has to call super\(\).__init__\(\) first"):
            use(kind())

    def test_a_name_that_is_not_there(self):
        with pytest.raises(AttributeError, match=r"^'Client' object has no attribute 'conect'$") as error:
            pygase.Client().conect(8080)
        assert error.value.name == "conect"
        assert isinstance(error.value.obj, pygase.Client)


class TestWarnings:
    """What is no error, because it is found in a loop."""

    @pytest.fixture
    def ticks(self, caplog, wait_for):
        """Play some time steps and return what was said."""

        def play(time_step, handlers=None, event=None, wired=True):
            game = backend(time_step, handlers)
            with caplog.at_level(logging.WARNING, logger="PyGaSe"):
                game.game_state_machine.run_game_loop_in_thread(0.001)
                machine = game.game_state_machine
                if event is not None:
                    game.server.run_in_thread(event_wire=machine if wired else None)
                    client, done = pygase.Client(), threading.Event()
                    client.start(game.server.port)
                    client.dispatch_event(event, retries=5, ack_callback=done.set)
                    wait_for(lambda: client.poll() or done.is_set())
                    client.disconnect()
                at = machine.stats()["ticks"]
                wait_for(lambda: machine.stats()["ticks"] >= at + 5)
                game.shutdown()
            return Counter(record.getMessage() for record in caplog.records if record.name == "PyGaSe")

        return play

    def test_none(self, ticks):
        said = ticks(lambda game_state, dt: None)
        assert said == {"the time_step returned None: return a dict of what changes, {} for nothing": 1}

    def test_assigned(self, ticks):
        def time_step(game_state, dt):
            game_state.count += 1
            return {}

        (said,) = ticks(time_step).items()
        assert said == (
            "count was assigned to the game state, which no client sees: return what changes",
            1,
        )

    def test_assigned_and_returned(self, ticks):
        def time_step(game_state, dt):
            game_state.count += 1
            return {"count": game_state.count}

        assert ticks(time_step) == {}

    def test_pushed_meanwhile(self, caplog, wait_for):
        game = backend(lambda game_state, dt: push())

        def push():
            store = game.game_state_store
            order = store.get_game_state().time_order + 1
            store.push_update(GameStateUpdate(order, count=int(order)))
            return {}

        with caplog.at_level(logging.WARNING, logger="PyGaSe"):
            game.game_state_machine.run_game_loop_in_thread(0.001)
            wait_for(lambda: game.game_state_machine.stats()["ticks"] > 5)
            game.shutdown()
        assert not [record for record in caplog.records if record.name == "PyGaSe"]

    def test_arguments_that_handlers_get(self, ticks):
        said = ticks(None, {"A": lambda: {}}, "A")
        (warning,) = (text for text in said if "wrong arguments" in text)
        assert warning.endswith("; end its parameters with **_ to leave out what it does not need")

    def test_a_forgotten_wire(self, ticks):
        said = ticks(None, {"A": lambda **_: {}}, "A", wired=False)
        assert (
            "no handler for events of type 'A'; without event_wire the server asks none but its own" in said
        )

    def test_nobody_there(self, silent_port, caplog, wait_for):
        client = pygase.Client()
        with caplog.at_level(logging.WARNING, logger="PyGaSe"):
            client.start(silent_port, "127.0.0.1")
            wait_for(lambda: client.poll() or caplog.records)
        client.disconnect()
        assert caplog.records[0].getMessage().endswith("still trying; does a server run there?")
