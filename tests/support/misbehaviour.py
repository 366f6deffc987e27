"""A game for user code that misbehaves: where such code is called, and whether the rest goes on."""

import pygase


def raise_(error):
    raise error


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


def playing():
    """Give a game that ends with the test: the body of a fixture."""
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
