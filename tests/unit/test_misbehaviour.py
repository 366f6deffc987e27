"""User code that raises or returns rubbish: it is logged and counted, and the rest goes on."""

import asyncio
import contextlib
import logging
import math
import re
import threading

import pytest
from support import misbehaviour
from support.misbehaviour import ACK, HANDLER, HOOK, WIRE, in_turns, provoke, raise_, tracebacks

import pygase
from pygase import _user_errors

game = pytest.fixture(misbehaviour.playing)


class Odd(BaseException):
    """Neither a mistake by its class nor a wish to end anything."""

    def __str__(self):
        raise RuntimeError("an exception that cannot say what it is")


class BadAwaitable:
    def __await__(self):
        raise ValueError("not to be awaited")


async def later(error):
    await asyncio.sleep(0)
    raise error


MISTAKES = {
    "raises": lambda: raise_(ValueError("mine")),
    "raises what is no Exception": lambda: raise_(Odd()),
    "raises CancelledError": lambda: raise_(asyncio.CancelledError()),
    "raises GeneratorExit": lambda: raise_(GeneratorExit()),
    "raises KeyboardInterrupt": lambda: raise_(KeyboardInterrupt()),
    "raises SystemExit": lambda: raise_(SystemExit(3)),
    "raises StopIteration": lambda: raise_(StopIteration()),
    "raises later": lambda: later(ValueError("mine")),
    "raises later what is no Exception": lambda: later(Odd()),
    "raises GeneratorExit later": lambda: later(GeneratorExit()),
    "raises KeyboardInterrupt later": lambda: later(KeyboardInterrupt()),
    "raises SystemExit later": lambda: later(SystemExit(3)),
    "returns what cannot be awaited": BadAwaitable,
}
# For the game loop alone: what others return is nobody's business.
RUBBISH = {
    "returns a number": lambda: 7,
    "returns a list": lambda: [{"a": 1}],
    "returns keys that are no names": lambda: {7: 1},
    "returns what cannot be sent": lambda: {"bad": object()},
    "returns a key that cannot be sent": lambda: {"bad": {math.nan: 1, object(): 2}},
    "returns a number too large": lambda: {"bad": 1e300},
    "returns a set": lambda: {"bad": {1, 2}},
}


@pytest.mark.parametrize(("place", "kind"), in_turns(MISTAKES, [HANDLER, ACK, HOOK, WIRE]))
def test_a_mistake_in_the_network_thread_is_logged_and_counted(game, place, kind, wait_for, caplog):
    mistake = MISTAKES[kind]
    game.server.register_event_handler("MISTAKE", lambda client_address: mistake())
    game.client.register_event_handler("MISTAKE", mistake)
    game.client.register_event_handler("NEWS", lambda: None)
    if place == "server hook":
        game.server.on_connect(lambda connection: mistake())
    elif place == "client hook":
        game.client.on_connect(mistake)

    class Wire:
        def _push_event(self, event):
            if event.type == "FOR THE WIRE":
                return mistake()
            return None

    game.start(Wire() if place == "wire" else None)
    times = 2 if "hook" in place else 4
    for _ in range(times - ("hook" in place)):
        provoke(game, place, mistake)
    # A new connection of the client counts anew.
    least = 1 if place == "client hook" else times
    wait_for(lambda: game.errors() >= least)
    game.goes_on(wait_for)
    assert game.errors() == least
    assert len(tracebacks(caplog)) == (times if place == "client hook" else 1)


@pytest.mark.parametrize("kind", MISTAKES | RUBBISH)
@pytest.mark.parametrize("place", ["handler", "time_step"])
def test_a_mistake_in_the_game_loop_is_logged_and_counted(game, place, kind, wait_for, caplog):
    mistake, wrong = (MISTAKES | RUBBISH)[kind], threading.Event()
    game.machine.register_event_handler("MISTAKE", lambda **_: mistake())
    right_step = game.machine.time_step

    def step(game_state, dt):
        result = right_step(game_state, dt)
        if not wrong.is_set():
            return result
        bad = mistake()
        return {**result, **bad} if isinstance(bad, dict) and "bad" in bad else bad

    game.machine.time_step = step
    game.start()
    if place == "time_step":
        wrong.set()
    for value in range(4):
        game.client.dispatch_event("MISTAKE")
        game.client.dispatch_event("SET", value, retries=5)
    wait_for(lambda: game.errors() >= 4)
    game.client.wait_until(lambda game_state: game_state.value == 3, timeout=10)
    if kind in RUBBISH and "bad" in repr(mistake()):
        game.goes_on(wait_for)  # what else the same step returned is shared
    wrong.clear()
    game.goes_on(wait_for)
    assert game.errors() >= 4
    # Beside the other's: the handler of the same mistake is another piece of user code.
    assert 1 <= len(tracebacks(caplog)) <= 2


def test_reports_of_one_kind_have_a_distance_and_a_count(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(_user_errors.time, "monotonic", lambda: now[0])
    errors = _user_errors.UserErrors()
    for _ in range(1000):
        errors.report("handler for A events", ValueError())
    errors.report("handler for A events", KeyError())
    now[0] += _user_errors.REPORT_INTERVAL + 0.1
    errors.report("handler for A events", ValueError())
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "exception in the handler for A events",
        "exception in the handler for A events",
        "exception in the handler for A events (999 more since the last report)",
    ]
    assert errors.counts["user_error"] == 1002
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


def test_event_types_that_nobody_knows_are_a_bounded_number_of_lines(game, wait_for, caplog):
    game.start()
    for number in range(300):
        game.client.dispatch_event(f"NOBODY {number}" + "x" * 500, retries=5)
    wait_for(lambda: game.errors("unknown_event") == 300)
    texts = [record.getMessage() for record in caplog.records if "no handler" in record.getMessage()]
    assert 10 < len(texts) <= _user_errors.MEMORY + 2
    assert max(map(len, texts)) < 200
    game.goes_on(wait_for)


def test_wrong_arguments_and_unknown_types_on_both_sides(game, wait_for, caplog):
    game.client.register_event_handler("NEWS", lambda: None)
    game.start()
    for _ in range(3):
        game.server.dispatch_event("NEWS", 1, 2, three=3)
        game.server.dispatch_event("NEVER HEARD OF")
        game.client.dispatch_event("ASK")
        game.client.dispatch_event("ASK", 1, 2, 3)
        game.client.dispatch_event("ASK", client_address="forged", number=0)
        game.client.dispatch_event("SET", unknown=1)
    wait_for(lambda: game.errors("unknown_event") == 3 and game.errors("wrong_arguments") >= 12)
    game.goes_on(wait_for)
    # The address of the client is the server's to say: what a client says for it is overwritten.
    assert game.errors("wrong_arguments") == 12 and game.errors("user_error") == 0
    assert len([text for text in caplog.messages if "wrong arguments" in text]) == 3


def test_a_log_that_raises_stops_nothing(game, wait_for):
    def broken(record):
        raise RuntimeError("a filter of the game")

    game.server.register_event_handler("MISTAKE", lambda client_address: raise_(ValueError("mine")))
    game.start()
    pygase.utils.logger.addFilter(broken)
    try:
        for _ in range(3):
            game.client.dispatch_event("MISTAKE")
            game.client.dispatch_event("NOBODY")
        wait_for(lambda: game.errors() == 3 and game.errors("unknown_event") == 3)
        game.goes_on(wait_for)
    finally:
        pygase.utils.logger.removeFilter(broken)


@pytest.mark.parametrize("place", ["server", "client", "poll", "loop"])
def test_who_calls_sys_exit_in_the_main_thread_means_it(place, game, wait_for, caplog):
    """There it may as well be Ctrl-C, or a handler of a signal; the blocking calls end with it."""
    game.server.register_event_handler("END", lambda client_address: raise_(SystemExit(3)))
    game.client.register_event_handler("END", lambda: raise_(SystemExit(3)))
    told, port, ending = [], game.server.port, threading.Event()

    def step(game_state, dt):
        if place == "loop" and game_state.beat > 5:
            raise SystemExit(3)
        return {"beat": game_state.beat + 1}

    def end_client():
        wait_for(lambda: game.server.connections)
        while not ending.wait(0.05):
            game.server.dispatch_event("END")

    def end_server():
        wait_for(lambda: game.server.port)
        game.client.start(game.server.port)
        game.client.dispatch_event("END", retries=100)

    game.machine.time_step = step
    if place != "server":
        game.server.run_in_thread(event_wire=game.machine)
        port = game.server.port
    others = {"server": end_server, "client": end_client}
    other = threading.Thread(target=others.get(place, lambda: None))
    other.start()
    if place == "poll":
        game.client.start(port)
        wait_for(lambda: game.server.connections)
        game.client.register_event_handler("AFTER", lambda: told.append(1))
        game.server.dispatch_event("END", retries=3)
        with pytest.raises(SystemExit):
            wait_for(lambda: game.client.poll() and False)
        game.server.dispatch_event("AFTER", retries=3)
        wait_for(lambda: game.client.poll() and told)
    else:
        run = {
            "server": game.server.run,
            "client": lambda: game.client.connect(port),
            "loop": lambda: game.machine.run_game_loop(0.01),
        }[place]
        with pytest.raises(SystemExit):
            run()
        names = {"server": "The server", "client": "The client", "loop": "The game loop"}
        assert f"{names[place]} ends, because" in caplog.text
    ending.set()
    other.join()
    if place == "loop":
        game.client.start(port)  # the end of the test disconnects it
    assert re.search("Traceback", caplog.text) is None


@contextlib.contextmanager
def played_on(store):
    """Run a game whose level rises on a store of its own, with a client."""
    server, client = pygase.Server(store), pygase.Client()
    machine = pygase.GameStateMachine(store)
    machine.time_step = lambda game_state, dt: {"level": game_state.level + 1}
    server.run_in_thread(event_wire=machine)
    machine.run_game_loop_in_thread(0.01)
    client.connect_in_thread(server.port)
    try:
        yield server, machine, client
    finally:
        store.bad = None
        client.disconnect()
        server.shutdown()
        machine.stop()


@pytest.mark.parametrize("kind", [GeneratorExit, KeyboardInterrupt, SystemExit, Odd, asyncio.CancelledError])
def test_a_store_may_raise_whatever_it_likes(kind, wait_for):
    class Store:
        def __init__(self):
            self.state, self.bad = pygase.GameState(1, level=1), None

        def get_game_state(self):
            return raise_(kind()) if self.bad == "get" else self.state

        def push_update(self, update):
            if self.bad == "push":
                raise kind()
            self.state += update

    store = Store()
    with played_on(store) as (server, machine, client):
        for bad, others in (("get", (server, machine)), ("push", (machine,))):
            before = [owner.stats()["errors"]["user_error"] for owner in others]
            store.bad = bad
            for owner, errors in zip(others, before, strict=True):
                wait_for(
                    lambda owner=owner, errors=errors: owner.stats()["errors"]["user_error"] > errors + 2
                )
            store.bad, level = None, store.state.level
            client.try_to(lambda game_state, level=level: game_state.level > level + 3 or None, timeout=10)
        store.bad = "push"
        assert machine.stop(5), "a store that cannot be told of the end keeps nobody waiting for it"


@pytest.mark.parametrize(
    "get", [lambda: raise_(KeyError("mine")), lambda: None, lambda: object(), lambda: 7], ids=range(4)
)
def test_a_store_that_misbehaves_is_asked_again(get, wait_for, caplog):
    class Store:
        def __init__(self):
            self.state, self.bad = pygase.GameState(1, level=1), None

        def get_game_state(self):
            return self.state if self.bad is None else self.bad()

        def push_update(self, update):
            if self.bad is not None:
                self.bad()
            self.state += update

    store = Store()
    with played_on(store) as (server, machine, client):
        client.try_to(lambda game_state: game_state.level > 3 or None, timeout=10)
        store.bad = get
        wait_for(lambda: server.stats()["errors"]["user_error"] > 2)
        wait_for(lambda: machine.stats()["errors"]["user_error"] > 2)
        store.bad, level = None, store.state.level
        client.wait_until(lambda game_state: game_state.level > level + 3, timeout=10)
        assert 1 <= len(tracebacks(caplog)) <= 3
