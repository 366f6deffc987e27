"""Every limit, reached: it is counted, said in the log, and ends as README promises."""

import asyncio
import logging
import pathlib
import re
import threading
import time

import pytest
from support.raw import RawClient
from support.wire import event

import pygase

README = pathlib.Path(__file__).parents[2] / "README.md"


class World:
    """A backend with options, and raw clients."""

    def __init__(self, options):
        self.backend = pygase.Backend(pygase.GameState(level=1), lambda game_state, dt: {}, **options)
        self.server = self.backend.server
        self.machine = self.backend.game_state_machine
        self.machine.register_event_handler("LOOP", lambda **_: None)
        self.may_go_on = threading.Event()
        self.server.register_event_handler("HOLD", self.hold)
        self.handled = []
        self.server.register_event_handler("A", lambda number, client_address: self.handled.append(number))
        self.server.run_in_thread(event_wire=self.machine)
        self.raws = []

    async def hold(self, client_address):
        await asyncio.to_thread(self.may_go_on.wait, 20)

    def raw(self):
        self.raws.append(RawClient(self.server.port))
        return self.raws[-1]

    def joined(self):
        return self.raw().join()

    def refused(self):
        """A client that proves its address and gets no state all the same."""
        raw = self.raw()
        assert not raw.talk(raw.has_state, 0.3)
        return raw

    def end(self):
        self.may_go_on.set()
        for raw in self.raws:
            raw.close()
        self.backend.shutdown()

    def stats(self):
        """The figures of the server as a whole, and the sums over its clients."""
        stats = self.server.stats()
        clients = stats["clients"].values()
        return {
            **stats["server"],
            "queue_full": sum(client["queue_full"] for client in clients),
            "events_dropped": stats["game_loop"]["events_dropped"],
        }


def more_clients_than_allowed(world):
    world.joined()
    world.refused()
    return lambda: len(world.server.connections) == 1


def more_strangers_than_allowed(world):
    for _ in range(40):
        world.raw().send()
    return lambda: world.stats()["unproven_entries"] <= 16 and world.joined()


def more_packages_than_allowed(world):
    raw = world.joined()
    for number in range(60):
        raw.send([event("A", number)])
    # What came too much counts as lost, and what comes later is taken again.
    return lambda: (
        len(world.handled) < 40 and (raw.talk(seconds=0.1, events=[event("A", 99)]) or 99 in world.handled)
    )


def more_event_bytes_than_allowed(world):
    raw = world.joined()
    for number in range(4):
        raw.send([event("A", number), event("B", "x" * 1500)])
    return lambda: 0 in world.handled and 3 not in world.handled


def deeper_than_allowed(world):
    raw = world.joined()
    raw.send([event("A", [[[[[[7]]]]]])])
    raw.send([event("A", [[7]])])
    return lambda: raw.talk(seconds=0.05) and world.handled == [[[7]]]


def more_values_than_allowed(world):
    raw = world.joined()
    raw.send([event("A", list(range(30)))])
    raw.send([event("A", [1])])
    return lambda: raw.talk(seconds=0.05) and world.handled == [[1]]


def longer_than_allowed(world):
    raw = world.joined()
    raw.send_bytes(b"\xff\xd0\xfa\xb9" + bytes(2045))
    return lambda: raw.talk(seconds=0.05)


def more_events_in_a_package_than_may_wait(world):
    raw = world.joined()
    number = raw.send([event("A", number) for number in range(5)])
    raw.send([event("A", 6)])
    # The package counts as never received: its sender learns that from the acknowledgements.
    return lambda: raw.talk(seconds=0.05) and world.handled == [6] and not acknowledged(raw, number)


def acknowledged(raw, number):
    return any(
        answer.ack == number
        or (0 < answer.ack - number <= 32 and answer.bits >> (32 - answer.ack + number) & 1)
        for answer in raw.received
    )


def more_bytes_to_send_than_may_wait(world):
    world.joined()
    told = []
    connection = next(iter(world.server.connections.values()))
    for number in range(4):
        connection.dispatch_event(
            pygase.event.Event("A", "x" * 1000), None, lambda number=number: told.append(number)
        )
    return lambda: 3 in told and 0 not in told


def more_calls_than_may_wait(world):
    raw = world.joined()
    raw.send([event("HOLD")])
    lane = next(iter(world.server.connections.values())).__dict__
    for number in range(8):
        raw.talk(events=[event("A", number)], seconds=0.02)
        # What waits in the core has a limit of its own.
        raw.talk(lambda number=number: "_lane" in lane and lane["_lane"].waiting > min(number, 2))
    return lambda: world.may_go_on.set() or (raw.talk(seconds=0.05) and world.handled == [0, 1, 2])


def more_events_for_the_game_loop_than_may_wait(world):
    raw = world.joined()
    for _ in range(2):
        raw.talk(seconds=0.05, events=[event("LOOP") for _ in range(4)])
    return lambda: world.machine.stats()["events_waiting"] == 3


def more_bans_than_allowed(world):
    world.joined()
    client = next(iter(world.server.connections))
    world.server.ban(("192.0.2.1", 1))
    for number in range(3):
        with pytest.raises(OverflowError):
            world.server.ban(("192.0.2.2", 1 + number))
        with pytest.raises(OverflowError):
            world.server.kick(client)
    stats = world.stats()
    assert stats["bans_refused"] == 6
    assert stats["bans"] == 1
    return lambda: client in world.server.connections


def what_is_banned(world):
    world.joined()
    world.server.ban("127.0.0.1")
    world.raw().send()
    return lambda: not world.server.connections


LIMITS = {
    "max_connections": (1, more_clients_than_allowed, "over_limit"),
    "max_connections_per_source": (1, more_clients_than_allowed, "over_source"),
    "max_new_per_source": (1, more_clients_than_allowed, "over_source"),
    "max_unproven": (16, more_strangers_than_allowed, "evicted"),
    "max_package_rate": (10, more_packages_than_allowed, "over_rate"),
    "max_event_rate": (2048, more_event_bytes_than_allowed, "over_rate"),
    "max_event_depth": (5, deeper_than_allowed, "malformed"),
    "max_event_values": (16, more_values_than_allowed, "malformed"),
    "2048 bytes": (None, longer_than_allowed, "oversize"),
    "max_waiting_events": (3, more_events_in_a_package_than_may_wait, "queue_full"),
    "max_waiting_events, calls": (3, more_calls_than_may_wait, "queue_full"),
    "max_waiting_bytes": (2048, more_bytes_to_send_than_may_wait, "queue_full"),
    "max_loop_events": (3, more_events_for_the_game_loop_than_may_wait, "events_dropped"),
    "max_bans": (1, more_bans_than_allowed, "bans_refused"),
    "a ban": (None, what_is_banned, "banned"),
}
#: What is not in the sums that the core logs, but said where it happens.
SAID = {"max_waiting_events, calls": "too many calls wait", "max_loop_events": "too many events wait"}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_is_reached(limit, wait_for, caplog):
    value, reach, counter = LIMITS[limit]
    name = limit.partition(",")[0]
    world = World({} if value is None else {name: value})
    caplog.set_level(logging.WARNING, "PyGaSe")
    try:
        has_the_outcome = reach(world)
        wait_for(lambda: world.stats()[counter])
        wait_for(has_the_outcome)
        if limit == "max_connections":
            world.server.kick(next(iter(world.server.connections)))
            wait_for(lambda: not world.server.connections)
            world.joined()
        text = SAID.get(limit, counter.replace("_", " "))
        wait_for(lambda: text in caplog.text, timeout=20)
        assert len([message for message in caplog.messages if text in message]) == 1
    finally:
        world.end()


def test_bans_are_bounded(serve):
    server = serve(pygase.Server(pygase.GameStateStore(), max_bans=2))
    for number in range(2):
        server.ban(f"192.0.2.{number}")
        server.ban(("192.0.2.9", 1 + number))
    for address in ("192.0.2.3", ("192.0.2.3", 5)):
        with pytest.raises(OverflowError, match="max_bans"):
            server.ban(address)
    server.ban("192.0.2.0")  # is banned already
    assert server.stats()["server"]["bans"] == 4
    server.unban("192.0.2.0")
    server.ban("192.0.2.3")


def test_every_limit_is_reached_here_and_explained():
    options = {name for name in vars(pygase.ServerOptions()) if name.startswith("max_")}
    options -= {"max_throttle_time"}
    assert options == {name.partition(",")[0] for name in LIMITS if name.startswith("max_")}
    table = README.read_text().partition("| limit | outcome | counter |")[2].partition("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines() if "`" in row]
    for name in options:
        [row] = [row for row in rows if f"`{name}`" in row[1]]
        counters = {LIMITS[limit][2] for limit in LIMITS if limit.partition(",")[0] == name}
        assert counters <= set(re.findall(r"`(\w+)`", row[3])), name


def test_the_log_is_as_quiet_as_promised_under_a_flood(wait_for, caplog):
    world = World({"max_package_rate": 10})
    caplog.set_level(logging.WARNING, "PyGaSe")
    try:
        raw, end = world.joined(), time.monotonic() + 3
        while time.monotonic() < end:
            raw.send([event("NOBODY KNOWS")])
            raw.send_bytes(b"rubbish")
            time.sleep(0.001)
        # From some on, what comes is too far from what was taken to be of this connection.
        stats = world.stats()
        assert stats["over_rate"] > 50
        assert stats["over_rate"] + stats["implausible"] > 100
        assert len([message for message in caplog.messages if "dropped" in message]) == 1
    finally:
        world.end()
