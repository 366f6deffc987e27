"""The game that is measured: twenty players as nested dicts, three of which move in each tick.

python benches/compare/game.py [--paced] [--burn SECONDS] [--prompt-events JSON] PORT

Runs with pygase-rs and with PyGaSe 0.3.1, whose game loop does not sleep by itself: it is paced by hand.
The game loop answers PING events with PONG; a server handler counts COUNT events, and one for SLEEP sleeps.
On SIGTERM it prints, as JSON, when each of the last ticks began and how many events were counted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections import deque

import pygase
from pygase.gamestate import GameState

PLAYERS = 20
MOVERS = 3
INTERVAL = 0.02
#: How many ticks are remembered: what the game itself collects must not look like what the server does.
REMEMBERED = 5000


class Game:
    """The rules.

    Args:
        paced: Whether a step waits for its time.
        burn: Seconds of pure Python in each step.
        options: Of the backend of pygase-rs.
    """

    def __init__(self, paced: bool, burn: float, **options: object) -> None:
        self.paced, self.burn = paced, burn
        self.ticks: deque[float] = deque(maxlen=REMEMBERED)
        self.ticked = self.counted = 0
        self.due = time.monotonic()
        state = GameState(players={n: {"name": f"player {n}", "x": 0, "y": 0} for n in range(PLAYERS)})
        self.backend = pygase.Backend(state, self.step, {"PING": self.answer}, **options)
        self.backend.server.register_event_handler("COUNT", self.count)
        self.backend.server.register_event_handler("SLEEP", lambda seconds, **_: time.sleep(seconds))

    def step(self, game_state: GameState, dt: float) -> dict:
        """Move three players."""
        if self.paced:
            now = time.monotonic()
            self.due = max(self.due + INTERVAL, now)
            time.sleep(self.due - now)
        self.ticks.append(time.monotonic())
        while time.monotonic() < self.ticks[-1] + self.burn:
            pass
        self.ticked = tick = self.ticked + 1
        movers = ((MOVERS * tick + mover) % PLAYERS for mover in range(MOVERS))
        return {"players": {mover: {"x": tick, "y": 7 * tick} for mover in movers}}

    def answer(self, number: int, client_address: tuple[str, int], **_: object) -> dict:
        """Send an event back to the client that sent one."""
        self.backend.server.dispatch_event("PONG", number, target_client=client_address)
        return {}

    def count(self, **_: object) -> None:
        """Count an event."""
        self.counted += 1

    def end(self, *_: object) -> None:
        """Say what was, and end at once."""
        print(json.dumps({"ticks": list(self.ticks), "counted": self.counted}), flush=True)
        os._exit(0)


def main() -> None:
    """Run the server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--burn", type=float, default=0.0)
    parser.add_argument("--prompt-events", type=json.loads)
    options = parser.parse_args()
    more = {} if options.prompt_events is None else {"prompt_events": options.prompt_events}
    game = Game(options.paced, options.burn, **more)
    signal.signal(signal.SIGTERM, game.end)
    print("listening", flush=True)
    game.backend.run(hostname="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
