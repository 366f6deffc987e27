"""Nearly as many events as 40 packages a second of five carry: each arrives once, and its sender is told."""

import threading
import time

from pygase import Backend, Client, GameState, GameStateStore, Server

RATE, SECONDS = 190, 2
COUNT = RATE * SECONDS


def dispatch_all(dispatch):
    """Call a function for each event, at the rate."""
    begin = time.monotonic()
    for number in range(COUNT):
        time.sleep(max(begin + number / RATE - time.monotonic(), 0))
        dispatch(number)


def test_every_event_of_a_busy_client_arrives_once(connect, wait_for):
    server, seen, acked = Server(GameStateStore(GameState(a=1))), [], []
    server.register_event_handler("N", lambda number, client_address: seen.append(number))
    server.run_in_thread()
    client = connect(server)
    dispatch_all(lambda number: client.dispatch_event("N", number, ack_callback=lambda: acked.append(number)))
    wait_for(lambda: len(seen) >= COUNT and len(acked) >= COUNT)
    assert seen == list(range(COUNT))
    assert sorted(acked) == seen
    stats = client.connection.stats()
    assert (stats["events_sent"], stats["queue_full"]) == (COUNT, 0)
    server.shutdown()


def test_every_event_for_a_busy_client_arrives_once(connect, wait_for):
    server, client, seen, acked = Server(GameStateStore(GameState(a=1))), Client(), [], []
    client.register_event_handler("N", seen.append)
    server.run_in_thread()
    connect(server, client)
    dispatch_all(
        lambda number: server.dispatch_event("N", number, ack_callback=lambda _: acked.append(number))
    )
    wait_for(lambda: len(seen) >= COUNT and len(acked) >= COUNT)
    assert seen == list(range(COUNT))
    assert sorted(acked) == seen
    server.shutdown()


def test_the_game_goes_on_while_handlers_of_server_and_client_sleep(connect, wait_for):
    asleep, awake = [threading.Event(), threading.Event()], threading.Event()

    def sleep(who):
        asleep[who].set()
        awake.wait(20)

    backend = Backend(GameState(a=1), lambda game_state, dt: {})
    backend.server.register_event_handler("SLEEP", lambda client_address: sleep(0))
    machine, client = backend.game_state_machine, Client()
    client.register_event_handler("SLEEP", lambda: sleep(1))
    backend.server.run_in_thread(event_wire=machine)
    thread = machine.run_game_loop_in_thread(0.005)
    connect(backend.server, client)
    backend.server.dispatch_event("SLEEP")
    client.dispatch_event("SLEEP")
    assert all(each.wait(10) for each in asleep)
    before = machine.stats()["ticks"]
    wait_for(lambda: machine.stats()["ticks"] >= before + 20)
    awake.set()
    assert machine.stop(timeout=10)
    thread.join(10)
    backend.server.shutdown()
