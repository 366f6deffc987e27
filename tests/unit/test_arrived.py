"""Events that wait together for their handlers: in order, each on its own, and nobody holds up the others."""

import asyncio
import logging
import threading

import pytest

from pygase import GameState, GameStateMachine, GameStateStore, Server


@pytest.fixture
def seen():
    return []


@pytest.fixture
def gate():
    """Keeps the thread of the handlers until it is set, so that events come together."""
    return threading.Event()


@pytest.fixture
def server(gate):
    server = Server(GameStateStore(GameState(a=1)))
    server.register_event_handler("GATE", lambda **_: gate.wait(20) and None)
    yield server
    gate.set()
    server.shutdown()


def come(server, client, wait_for, events):
    """Dispatch events behind a closed gate and wait until they are there."""
    client.dispatch_event("GATE")
    wait_for(lambda: server.connections)
    connection = next(iter(server.connections.values()))
    wait_for(lambda: connection.stats()["events_received"] == 1)
    for event in events:
        client.dispatch_event(*event)
    wait_for(lambda: connection.stats()["events_received"] == 1 + len(events))
    return connection


def test_each_event_has_its_own_fate_and_they_keep_their_order(server, gate, seen, connect, caplog, wait_for):
    async def slow(number, client_address):
        await asyncio.sleep(0.05)
        seen.append(number)

    def replaces_itself(number, client_address):
        server.register_event_handler("REPLACED", lambda number, client_address: seen.append(-number))
        seen.append(number)

    def fails(number, client_address):
        seen.append(number)
        raise LookupError("here")

    def returns(number, client_address):
        seen.append(number)
        return {"number": number}

    server.register_event_handler("PLAIN", lambda number, client_address: seen.append(number))
    server.register_event_handler("SLOW", slow)
    server.register_event_handler("REPLACED", replaces_itself)
    server.register_event_handler("FAILS", fails)
    server.register_event_handler("RETURNS", returns)
    server.run_in_thread()
    types = ["PLAIN", "SLOW", "FAILS", "REPLACED", "RETURNS", "SLOW", "REPLACED", "PLAIN"]
    events = [
        *((kind, number) for number, kind in enumerate(types, 1)),
        ("PLAIN",),
        ("UNKNOWN", 9),
        ("PLAIN", 10),
    ]
    client = connect(server)
    connection = come(server, client, wait_for, events)
    assert connection.stats()["events_to_handle"] == len(events)
    gate.set()
    wait_for(lambda: seen and seen[-1] == 10)
    assert seen == [1, 2, 3, 4, 5, 6, -7, 8, 10]
    stats = connection.stats()
    assert (stats["user_error"], stats["wrong_arguments"], stats["unknown_event"]) == (1, 1, 1)
    wait_for(lambda: connection.stats()["events_to_handle"] == 0)
    text = "".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "exception in the handler for FAILS events" in text
    assert "wrong arguments for the handler for PLAIN events" in text


def test_events_of_the_game_loop_are_told_apart(server, gate, seen, connect, wait_for):
    machine = GameStateMachine(server.game_state_store)
    machine.time_step = lambda game_state, dt: {}
    for both in (server, machine):
        name = type(both).__name__
        both.register_event_handler("BOTH", lambda number, name=name, **_: seen.append((name, number)))
    machine.register_event_handler("LOOP", lambda number, **_: seen.append(("GameStateMachine", number)))
    server.register_event_handler("SERVER", lambda number, **_: seen.append(("Server", number)))
    server.run_in_thread(event_wire=machine)
    client = connect(server)
    come(server, client, wait_for, [("SERVER", 1), ("BOTH", 2), ("LOOP", 3), ("SERVER", 4)])
    gate.set()
    wait_for(lambda: len(seen) == 3 and machine.stats()["events_waiting"] == 2)
    assert seen == [("Server", 1), ("Server", 2), ("Server", 4)]
    machine.run_game_loop_in_thread()
    wait_for(lambda: len(seen) == 5)
    machine.stop()
    assert seen[3:] == [("GameStateMachine", 2), ("GameStateMachine", 3)]


def test_a_busy_connection_holds_up_no_other(server, gate, seen, connect, wait_for):
    pause = threading.Event()

    def work(who, client_address):
        seen.append(who)
        pause.wait(0.001)

    server.register_event_handler("WORK", work)
    server.run_in_thread()
    busy, other = connect(server), connect(server)
    come(server, busy, wait_for, [("WORK", "busy")] * 500)
    other.dispatch_event("WORK", "other")
    wait_for(lambda: sum(each.stats()["events_received"] for each in server.connections.values()) == 502)
    gate.set()
    wait_for(lambda: len(seen) == 501, timeout=20)
    assert seen.index("other") < 100
