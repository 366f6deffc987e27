"""One player, with pygase-rs or PyGaSe 0.3.1: prints, as JSON, the seconds that something took each time.

python benches/compare/player.py PORT {join,event} COUNT [PROMPT_EVENTS]
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time

import pygase

PATIENCE = 5.0
#: Options of clients of pygase-rs.
OPTIONS = {"prompt_events": json.loads(sys.argv[4])} if len(sys.argv) > 4 else {}


def joined(client: pygase.Client) -> bool:
    """Return whether a client has the game state."""
    with client.access_game_state() as game_state:
        return hasattr(game_state, "players")


def join(port: int) -> tuple[pygase.Client, float]:
    """Return a client that has the game state, and how long that took."""
    client, begin = pygase.Client(**OPTIONS), time.perf_counter()
    client.connect_in_thread(port, "127.0.0.1")
    while not joined(client) and time.perf_counter() < begin + PATIENCE:
        time.sleep(0.0002)
    return client, time.perf_counter() - begin


def joins(port: int, count: int) -> list[float]:
    """Return how long it takes to have the first game state."""
    took = []
    for _ in range(count):
        client, seconds = join(port)
        took.append(seconds)
        client.disconnect()
        time.sleep(random.uniform(0.02, 0.05))
    return took


def events(port: int, count: int) -> list[float]:
    """Return how long an event takes to the game loop and back."""
    client, _ = join(port)
    back = threading.Event()
    client.register_event_handler("PONG", lambda number: back.set())
    took = []
    for number in range(count):
        time.sleep(random.uniform(0.02, 0.07))
        back.clear()
        begin = time.perf_counter()
        client.dispatch_event("PING", number)
        if back.wait(PATIENCE):
            took.append(time.perf_counter() - begin)
    client.disconnect()
    return took


if __name__ == "__main__":
    measure = {"join": joins, "event": events}[sys.argv[2]]
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[3]))))
