"""Events that set out ahead of the grid of packages: to whom, and with what."""

from __future__ import annotations

import itertools

import pytest
from support.raw import RawServer

import pygase
from pygase import Client


@pytest.fixture
def game(wait_for):
    """Run a server that answers PING with PONG, and a client; both with the same options."""
    running = []

    def start(**options):
        server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, a=1)), **options)

        def answer(number, client_address):
            server.dispatch_event("PONG", number, target_client=client_address)

        server.register_event_handler("PING", answer)
        running.append((server.shutdown, server.run_in_thread()))
        client, pongs = Client(**options), []
        client.register_event_handler("PONG", pongs.append)
        running.append((client.disconnect, client.connect_in_thread(server.port)))
        client.wait_until(lambda state: state.time_order > 0, timeout=10)
        (connection,) = server.connections.values()
        wait_for(lambda: connection.stats()["hello"] and client.connection.stats()["hello"])

        def ping(number):
            client.dispatch_event("PING", number)
            wait_for(lambda: len(pongs) > number)

        return ping, client.connection, connection, pongs

    yield start
    for stop, thread in running[::-1]:
        stop()
        thread.join(10)


def early(connections):
    return [connection.stats()["sent_early"] for connection in connections]


@pytest.mark.parametrize("options", [{}, {"prompt_events": True}])
def test_two_of_ours_send_events_early_both_ways(game, options):
    ping, *connections, pongs = game(**options)
    for number in itertools.count():
        ping(number)
        # One may be dispatched right before a package goes out anyway.
        if all(early(connections)):
            break
    assert pongs == list(range(number + 1))


def test_off_is_off(game):
    ping, *connections, _ = game(prompt_events=False)
    for number in range(20):
        ping(number)
    assert early(connections) == [0, 0]


@pytest.mark.parametrize(("asked", "early"), [(None, False), (True, True)])
def test_a_server_of_another_kind_is_sent_events_early_only_if_asked(connect, asked, early):
    with RawServer() as server:
        client = connect(server, Client(prompt_events=asked), wait=False)
        assert server.talk(lambda: server.received and server.received[-1].ack)
        for number in range(200):
            client.dispatch_event("PING", number)
            server.talk(seconds=0.01)
            if client.connection.stats()["sent_early"]:
                break
        stats = client.connection.stats()
        assert bool(stats["sent_early"]) is early
        assert not stats["hello"]
        assert all(len(datagram.events) <= 5 for datagram in server.received)


def test_an_event_of_a_time_step_comes_with_what_the_step_changes(wait_for):
    behind, number = [], itertools.count(1)

    def step(game_state, dt):
        step.number = next(number)
        backend.server.dispatch_event("STEP", step.number)
        return {"number": step.number}

    backend = pygase.Backend(pygase.GameState(number=0), step)
    thread = backend.server.run_in_thread()
    loop = backend.game_state_machine.run_game_loop_in_thread(0.02)
    client = Client()

    def compare(said):
        with client.access_game_state() as game_state:
            behind.append(said - game_state.number)

    client.register_event_handler("STEP", compare)
    playing = client.connect_in_thread(backend.server.port)
    try:
        wait_for(lambda: len(behind) > 100)
        # Not all: a package whose turn comes in the middle of a step has what is there by then.
        assert sum(lag > 0 for lag in behind) < len(behind) / 2, behind
    finally:
        client.disconnect()
        backend.shutdown()
        for ended in (playing, loop, thread):
            ended.join(10)
