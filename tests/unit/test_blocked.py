"""A handler that blocks for long: what waits meanwhile is bounded, counted, and told when it goes on."""

import gc
import threading

import pytest
from support.raw import RawClient
from support.wire import event

import pygase
from pygase import _core

CLIENTS = 200
MAX_EVENTS = 4


class World:
    """A server whose handler blocks, and a thread of the game that looks at its clients all the time."""

    def __init__(self, **options):
        self.server = pygase.Server(pygase.GameStateStore(pygase.GameState(level=1)), **options)
        self.is_blocked, self.may_go_on, self.is_over = (threading.Event() for _ in range(3))
        self.handled = []
        self.server.register_event_handler("BLOCK", self.block)
        self.server.register_event_handler("A", lambda *args, client_address: self.handled.append(args))
        self.server.run_in_thread()
        self.raws = []
        self.game = threading.Thread(target=self.look)
        self.game.start()

    def block(self, client_address):
        self.is_blocked.set()
        self.may_go_on.wait(60)

    def look(self):
        while not self.is_over.wait(0.005):
            assert self.server.connections is not None

    def joined(self):
        self.raws.append(RawClient(self.server.port))
        return self.raws[-1].join()

    def blocked(self):
        """A client whose event blocks the server's thread."""
        raw = self.joined()
        assert raw.talk(self.is_blocked.is_set, events=[event("BLOCK")])
        return raw

    def end(self):
        self.may_go_on.set()
        self.is_over.set()
        self.game.join(10)
        for raw in self.raws:
            raw.close()
        self.server.shutdown()


@pytest.fixture
def world():
    worlds = []

    def make(**options):
        worlds.append(World(**options))
        return worlds[-1]

    yield make
    for made in worlds:
        made.end()


@pytest.mark.timeout(120)
def test_events_of_many_clients_wait_up_to_the_limit_of_each(world, wait_for):
    """The oldest stay; what comes on top counts as lost to its sender, and takes no memory."""
    world = world(max_waiting_events=MAX_EVENTS)
    world.blocked()
    load = _core.Load(
        "127.0.0.1",
        world.server.port,
        clients=CLIENTS,
        seconds=60,
        ramp=500,
        event=pygase.event.Event("A", 7).to_bytes(),
        event_rate=5,
    )
    try:
        wait_for(lambda: len(world.server.connections) > CLIENTS, timeout=60)

        def dropped():
            return sum(client["queue_full"] for client in world.server.stats()["clients"].values())

        wait_for(lambda: dropped() > 2 * CLIENTS, timeout=60)
        gc.collect()
        objects = len(gc.get_objects())
        before = dropped()
        wait_for(lambda: dropped() > before + 2 * CLIENTS, timeout=60)
        stats = world.server.stats()
        # Beside the events: that it is connected, and perhaps that the line got worse and better.
        assert max(client["events_to_handle"] for client in stats["clients"].values()) < MAX_EVENTS + 33
        assert stats["server"]["notices_waiting"] < 3 * CLIENTS
        gc.collect()
        assert len(gc.get_objects()) < objects + 5000, "nothing of it has come to Python"
        assert not world.handled
        received = sum(client["events_received"] for client in stats["clients"].values())
        assert received <= MAX_EVENTS * (CLIENTS + 1)
    finally:
        load.stop()
    world.may_go_on.set()
    # What was taken in, and what was acknowledged for that, is handled.
    wait_for(lambda: len(world.handled) >= received - 1, timeout=60)


def test_who_is_gone_keeps_the_place_until_the_handlers_thread_has_heard_of_it(world, wait_for):
    told = []
    world = world(max_connections=2, connection_timeout=0.5, idle_removal=1.0)
    world.server.on_disconnect(lambda connection, reason: told.append(reason))
    blocking, _gone = world.blocked(), world.joined()
    count = world.server.stats()["server"]
    assert blocking.talk(lambda: world.server.stats()["server"]["connections"] == 1)
    waiting = RawClient(world.server.port)
    world.raws.append(waiting)
    assert not waiting.talk(waiting.has_state, 0.5)
    assert world.server.stats()["server"]["over_limit"] > count["over_limit"]
    world.may_go_on.set()
    wait_for(lambda: told[:1] == ["timeout"])
    waiting.join()


def test_who_comes_back_while_nobody_listens_is_there_after(world, wait_for):
    told = []
    world = world(connection_timeout=0.5, idle_removal=1.0)
    world.server.on_connect(lambda connection: told.append((connection.remote_address[1], "joined")))
    world.server.on_disconnect(lambda connection, reason: told.append((connection.remote_address[1], reason)))
    raw, address = world.joined(), None
    wait_for(lambda: told)
    [(address, connection)] = world.server.connections.items()
    blocking = world.blocked()
    stop = threading.Event()
    talking = threading.Thread(target=lambda: blocking.talk(stop.is_set, 60))
    talking.start()
    try:
        wait_for(lambda: world.server.stats()["server"]["connections"] == 1)
        assert raw.talk(lambda: world.server.stats()["server"]["connections"] == 2)
        assert raw.talk(lambda: connection.status == 1)
        world.may_go_on.set()
        of_raw = [(raw.port, what) for what in ("joined", "timeout", "joined")]
        assert raw.talk(lambda: [entry for entry in told if entry[0] == raw.port] == of_raw)
        assert raw.talk(lambda: world.handled, events=[event("A", 1)])
        assert world.server.connections[address] is connection
    finally:
        stop.set()
        talking.join(10)


def test_many_threads_that_ask_at_once_all_get_an_answer(world):
    world, answers = world(), []
    world.blocked()
    threads = [
        threading.Thread(target=lambda: answers.append(world.server.stats()["server"])) for _ in range(200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer["connections"] for answer in answers] == [1] * 200
