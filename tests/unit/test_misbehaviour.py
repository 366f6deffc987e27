"""User code that raises, returns rubbish, blocks or ends things from inside itself: the rest goes on."""

import asyncio
import logging
import math
import re
import threading
import time

import pytest

import pygase
from pygase import _user_errors

BLOCK = 1.5


class Odd(BaseException):
    """Neither a mistake by its class nor a wish to end anything."""

    def __str__(self):
        raise RuntimeError("an exception that cannot say what it is")


class BadAwaitable:
    def __await__(self):
        raise ValueError("not to be awaited")


def raise_(error):
    raise error


async def later(error):
    await asyncio.sleep(0)
    raise error


MISTAKES = {
    "raises": lambda: raise_(ValueError("mine")),
    "raises what is no Exception": lambda: raise_(Odd()),
    "raises CancelledError": lambda: raise_(asyncio.CancelledError()),
    "raises GeneratorExit": lambda: raise_(GeneratorExit()),
    "raises StopIteration": lambda: raise_(StopIteration()),
    "raises later": lambda: later(ValueError("mine")),
    "raises later what is no Exception": lambda: later(Odd()),
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
# Where user code is called, on the one side and the other: both have the same code behind them.
HANDLER, ACK = ("server handler", "client handler"), ("server ack", "client ack")
HOOK, WIRE, LOOP = ("server hook", "client hook"), ("wire",), ("game loop",)


# What happens is the same at any rate of packages.
RATE = {"interval_good": 0.005, "interval_bad": 0.01}


def in_turns(things, places):
    """Pair each thing with one side of each place, and the next with the other side."""
    return [
        (sides[(number + turn) % len(sides)], thing)
        for number, thing in enumerate(things)
        for turn, sides in enumerate(places)
    ]


class Game:
    """A server with a game loop and a client, where one piece of user code misbehaves."""

    def __init__(self):
        step = lambda game_state, dt: {"beat": game_state.beat + 1}  # noqa: E731
        self.backend = pygase.Backend(pygase.GameState(beat=0, value=-1), step, {}, **RATE)
        self.server, self.machine = self.backend.server, self.backend.game_state_machine
        self.client = pygase.Client(**RATE)
        self.asked = []
        self.server.register_event_handler("ASK", lambda number, client_address: self.asked.append(number))
        self.machine.register_event_handler("SET", lambda value, **_: {"value": value})

    def start(self, wire=None):
        self.server.run_in_thread(event_wire=wire or self.machine)
        self.machine.run_game_loop_in_thread(0.01)
        self.client.connect_in_thread(self.server.port)
        self.client.try_to(lambda game_state: game_state.beat, timeout=10)
        return self

    def end(self):
        self.client.disconnect()
        self.backend.shutdown()

    def errors(self, name="user_error"):
        loop, server = self.machine.stats()["errors"], self.server.stats()["errors"]
        return loop[name] + server[name] + self.client.stats()["errors"][name]

    def goes_on(self, wait_for):
        """See the game loop, both pumps and the line at work."""
        number = len(self.asked)
        self.client.dispatch_event("ASK", number, retries=5)
        wait_for(lambda: number in self.asked)
        with self.client.access_game_state() as game_state:
            beat = game_state.beat
        self.client.wait_until(lambda game_state: game_state.beat > beat + 2, timeout=10)
        assert self.client.stats()["connection"]["status"] == "connected"


@pytest.fixture
def game():
    game = Game()
    yield game
    game.end()


def tracebacks(caplog):
    return [record for record in caplog.records if record.exc_info and record.name == "PyGaSe"]


def provoke(game, place, mistake):
    """Let a piece of user code make a mistake, again and again."""
    server, client = game.server, game.client
    if place == "server handler":
        client.dispatch_event("MISTAKE")
    elif place == "client handler":
        server.dispatch_event("MISTAKE")
    elif place == "server ack":
        server.dispatch_event("NEWS", retries=3, ack_callback=lambda connection: mistake())
    elif place == "client ack":
        client.dispatch_event("ASK", 0, retries=3, ack_callback=mistake)
    elif place == "wire":
        client.dispatch_event("FOR THE WIRE")
    else:
        client.disconnect()
        client.connect_in_thread(server.port)
        client.try_to(lambda game_state: game_state.beat, timeout=10)


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


def test_user_code_that_blocks_ends_no_connection():
    game = Game()
    blocked = threading.Barrier(4)

    def block(**_):
        blocked.wait(10)
        time.sleep(BLOCK)

    def step(game_state, dt):
        if game_state.beat == 20:
            block()
        return {"beat": game_state.beat + 1}

    game.machine.time_step = step
    game.server._options = pygase.options.ServerOptions(connection_timeout=BLOCK / 3)
    game.client._options = pygase.options.ClientOptions(connection_timeout=BLOCK / 3)
    game.server.register_event_handler("BLOCK", block)
    game.client.register_event_handler("BLOCK", block)
    ends = []
    game.client.on_disconnect(ends.append)
    game.server.on_disconnect(lambda connection, reason: ends.append(reason))
    game.start()
    try:
        game.client.dispatch_event("BLOCK", retries=5)
        game.server.dispatch_event("BLOCK", retries=5)
        blocked.wait(10)
        before = game.client.stats()["connection"]
        time.sleep(BLOCK / 2)
        during = game.client.stats()["connection"]
        assert during["status"] == "connected"
        assert during["received"] - before["received"] > 5
        assert during["acknowledged"] - before["acknowledged"] > 5
        game.client.wait_until(lambda game_state: game_state.beat > 25, timeout=10)
        assert not ends
    finally:
        game.end()


def test_handlers_that_block_for_longer_than_the_connection_timeout_end_no_connection(game, wait_for):
    """On both sides at once: packages go on meanwhile, and each event has one fate after."""
    blocked, may_go_on, fates, ends = threading.Barrier(3), threading.Event(), [], []

    def block(**_):
        blocked.wait(10)
        may_go_on.wait(30)

    game.server.register_event_handler("BLOCK", block)
    game.client.register_event_handler("BLOCK", block)
    game.client.register_event_handler("NEWS", lambda: None)
    game.client.on_disconnect(ends.append)
    game.server.on_disconnect(lambda connection, reason: ends.append(reason))
    game.start()
    game.client.dispatch_event("BLOCK", retries=5)
    game.server.dispatch_event("BLOCK", retries=5)
    blocked.wait(10)
    before, begun = game.client.stats()["connection"], time.monotonic()
    for number in range(20):
        game.client.dispatch_event("ASK", number, retries=5, ack_callback=lambda n=number: fates.append(n))
        game.server.dispatch_event("NEWS", retries=5, ack_callback=lambda connection: fates.append("news"))
    with game.client.access_game_state() as game_state:
        beat = game_state.beat
    while time.monotonic() - begun < game.client.options.connection_timeout + 1:
        time.sleep(0.1)
        assert game.client.stats()["connection"]["status"] == "connected"
        assert [client["status"] for client in game.server.stats()["clients"].values()] == ["connected"]
    during = game.client.stats()["connection"]
    assert during["received"] - before["received"] > 20
    assert during["acknowledged"] - before["acknowledged"] > 20
    with game.client.access_game_state() as game_state:
        assert game_state.beat > beat + 20
    assert not fates, "callbacks run where handlers do, and wait for them"
    may_go_on.set()
    wait_for(lambda: len(fates) >= 40)
    wait_for(lambda: len(game.asked) >= 20)
    game.goes_on(wait_for)
    assert sorted(fate for fate in fates if fate != "news") == list(range(20))
    assert fates.count("news") == 20
    assert sorted(game.asked[:20]) == list(range(20))
    assert not ends


class Reentrant:
    """What user code may call from inside itself."""

    def dispatch(self, game):
        game.server.dispatch_event("NEWS")
        game.client.dispatch_event("ASK", 0)

    def push(self, game):
        state = game.backend.game_state_store.get_game_state()
        game.backend.game_state_store.push_update(
            pygase.gamestate.GameStateUpdate(state.time_order + 1, pushed=True)
        )

    def push_event(self, game):
        return game.machine._push_event(pygase.event.Event("SET", 5))

    def register(self, game):
        game.server.register_event_handler("FRESH", lambda client_address: None)

    def stats(self, game):
        assert game.backend.stats() and game.client.stats()

    def kick(self, game):
        for address in list(game.server.connections):
            game.server.kick(address)

    def ban(self, game):
        game.server.ban("192.0.2.1")
        game.server.unban("192.0.2.1")

    def disconnect(self, game):
        return game.client.disconnect()

    def shutdown(self, game):
        return game.server.shutdown()

    def stop(self, game):
        return game.machine.stop()

    def run_again(self, game):
        for run in (game.server.run_in_thread, game.machine.run_game_loop_in_thread):
            with pytest.raises(RuntimeError, match="already running"):
                run()
        with pytest.raises(RuntimeError, match="already connected"):
            game.client.connect_in_thread(game.server.port)


NAMES = [name for name in vars(Reentrant) if not name.startswith("_")]
# What may wait for the thread it is called in is tried everywhere; the rest returns nothing to be awaited.
ENDINGS = ("kick", "disconnect", "shutdown", "stop")
AWAITED = ("push_event", "disconnect", "shutdown", "stop")
CALLS = [
    *in_turns([name for name in NAMES if name not in ENDINGS], [HANDLER, ACK, LOOP]),
    *[(place, name) for place in (*HANDLER, *ACK, *LOOP) for name in ENDINGS],
]


@pytest.mark.parametrize(
    ("place", "name", "awaits"),
    [(*call, False) for call in CALLS] + [(*call, True) for call in CALLS if call[1] in AWAITED],
)
def test_user_code_may_call_anything_from_inside(game, place, name, awaits, wait_for, caplog):
    done = []

    def call(**_):
        result = getattr(Reentrant(), name)(game)
        done.append(name)
        if awaits and result is not None:
            return waiting(result)
        return None

    async def waiting(result):
        await result

    game.server.register_event_handler("MISTAKE", call)
    game.client.register_event_handler("MISTAKE", call)
    game.client.register_event_handler("NEWS", lambda: None)
    game.machine.register_event_handler("LOOP", call)
    game.start()
    if place == "game loop":
        game.client.dispatch_event("LOOP", retries=5)
    else:
        provoke(game, place, call)
    wait_for(lambda: done)
    if name == "kick":
        wait_for(lambda: not game.server.stats()["clients"])
    elif name == "shutdown":
        wait_for(lambda: game.server.port is None)
        wait_for(lambda: game.server._session.done.is_set())
        game.server.run_in_thread(event_wire=game.machine)
    elif name == "disconnect":
        wait_for(lambda: game.client.connection._is_closed)
        game.client.connect_in_thread(game.server.port)
        game.client.try_to(lambda game_state: game_state.beat, timeout=10)
    elif name == "stop":
        wait_for(lambda: not game.machine._game_loop_is_running)
        game.machine.run_game_loop_in_thread(0.01)
    if name not in ("kick", "shutdown"):
        game.goes_on(wait_for)
    assert not tracebacks(caplog), caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("place", ["server", "client", "poll", "loop"])
def test_who_calls_sys_exit_in_user_code_means_it(place, game, wait_for, caplog):
    game.server.register_event_handler("END", lambda client_address: raise_(SystemExit(3)))
    game.client.register_event_handler("END", lambda: raise_(SystemExit(3)))
    game.machine.register_event_handler("END LOOP", lambda **_: raise_(SystemExit(3)))
    game.server.run_in_thread(event_wire=game.machine)
    game.machine.run_game_loop_in_thread(0.01)
    if place == "poll":
        game.client.start(game.server.port)
    else:
        game.client.connect_in_thread(game.server.port)
    wait_for(lambda: game.server.connections)
    if place == "server":
        game.client.dispatch_event("END", retries=3)
        wait_for(lambda: game.server.port is None)
        assert "The server ends, because" in caplog.text
    elif place == "client":
        game.server.dispatch_event("END", retries=3)
        wait_for(lambda: game.client.connection._is_closed)
        assert "The client ends, because" in caplog.text
    elif place == "loop":
        game.client.dispatch_event("END LOOP", retries=3)
        wait_for(lambda: not game.machine._game_loop_is_running)
        assert "The game loop ends, because" in caplog.text
    else:
        told = []
        game.client.register_event_handler("AFTER", lambda: told.append(1))
        game.server.dispatch_event("END", retries=3)
        with pytest.raises(SystemExit):
            wait_for(lambda: game.client.poll() and False)
        game.server.dispatch_event("AFTER", retries=3)
        wait_for(lambda: game.client.poll() and told)
    assert re.search("Traceback", caplog.text) is None


@pytest.mark.parametrize(
    "get", [lambda: raise_(KeyError("mine")), lambda: None, lambda: object(), lambda: 7], ids=range(4)
)
def test_a_store_that_misbehaves_is_asked_again(get, wait_for, caplog):
    class Store:
        def __init__(self):
            self.state, self.get = pygase.GameState(1, level=1), None

        def get_game_state(self):
            return self.state if self.get is None else self.get()

        def push_update(self, update):
            if self.get is not None:
                self.get()
            self.state += update

    store = Store()
    server, client = pygase.Server(store), pygase.Client()
    machine = pygase.GameStateMachine(store)
    machine.time_step = lambda game_state, dt: {"level": game_state.level + 1}
    server.run_in_thread(event_wire=machine)
    machine.run_game_loop_in_thread(0.01)
    client.connect_in_thread(server.port)
    try:
        client.try_to(lambda game_state: game_state.level > 3 or None, timeout=10)
        store.get = get
        wait_for(lambda: server.stats()["errors"]["user_error"] > 2)
        wait_for(lambda: machine.stats()["errors"]["user_error"] > 2)
        store.get, level = None, store.state.level
        client.wait_until(lambda game_state: game_state.level > level + 3, timeout=10)
        assert 1 <= len(tracebacks(caplog)) <= 3
    finally:
        client.disconnect()
        server.shutdown()
        machine.stop()
