"""The server of chase.

    python server.py --port 8080

Players send JOIN, STEER and LEAVE; what they see is the game state and, once, a WELCOME with their id.
The rules are in `game.py`; this file knows who is connected.

With `--control` it takes orders on its standard input and answers in lines of JSON, for a program that
started it: `freeze` pauses the game and tells the digest of the state, the end of the input is the end of
the server.
"""

import argparse
import json
import sys
import threading
import time

import game
import pygase
import report
from pygase.connection import ConnectionStatus
from pygase.gamestate import TO_DELETE

# The released PyGaSe takes no pause between two time steps and would run thousands of them a second.
ON_THE_ORIGINAL = not hasattr(pygase, "_core")


class ChaseServer:
    """A backend with the world of chase in it, and the addresses of its players."""

    def __init__(self, pace=0.0, seed=None):
        """Make the server; `pace` is how long each time step sleeps, in seconds."""
        self.pace = pace
        self.world = game.World(deleted=TO_DELETE, seed=seed)
        self.ids = {}  # address of a client -> id of its player
        self.backend = pygase.Backend(
            initial_game_state=pygase.GameState(**game.initial_state()),
            time_step_function=self.time_step,
            event_handlers={"JOIN": self.on_join, "STEER": self.on_steer, "LEAVE": self.on_leave},
        )

    # The time step and the handlers all run in the thread of the game loop: no locks needed.

    def time_step(self, game_state, dt):
        if self.pace:
            time.sleep(self.pace)
        self.forget_the_silent()
        return self.world.step(game_state, dt)

    def on_join(self, name, client_address, **_):
        # Clients repeat the request until they are welcomed: one address gets one player.
        if client_address not in self.ids:
            self.ids[client_address] = self.world.join(name)
        player_id = self.ids[client_address]
        self.backend.server.dispatch_event("WELCOME", player_id, target_client=client_address, retries=3)
        return {}

    def on_steer(self, x, y, client_address, **_):
        if client_address in self.ids:
            self.world.steer(self.ids[client_address], x, y)
        return {}

    def on_leave(self, client_address, **_):
        if client_address in self.ids:
            self.world.leave(self.ids.pop(client_address))
        return {}

    def forget_the_silent(self):
        """Let the players go whose client was lost without a word."""
        connections = self.backend.server.connections
        for address in list(self.ids):
            connection = connections.get(address)
            gone = ConnectionStatus.get("Disconnected")
            if connection is None or connection.status == gone:
                self.world.leave(self.ids.pop(address))

    def freeze(self):
        """Pause the game and return the state that stays."""
        self.backend.game_state_machine.stop()
        return self.backend.game_state_store.get_game_state()


def announce(server):
    """Print the address as soon as there is one."""
    while not server.port:
        time.sleep(0.01)
    print(f"listening on {server.hostname}:{server.port}", flush=True)


def obey(chase):
    """Follow the orders on standard input; see the module's text."""
    for line in sys.stdin:
        if line.strip() == "freeze":
            state = chase.freeze()
            names = [player["name"] for player in state.players.values()]
            end = {"frozen": report.digest(state), "ticks": state.ticks, "catches": state.catches}
            print(json.dumps({**end, "names": names, "state": len(state.to_bytes())}), flush=True)
    chase.backend.shutdown()


def main():
    parser = argparse.ArgumentParser(description="a server for a game of chase")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (default 8080)")
    parser.add_argument("--seed", type=int, help="for where players appear")
    parser.add_argument(
        "--pace",
        type=float,
        default=game.INTERVAL if ON_THE_ORIGINAL else 0.0,
        metavar="SECONDS",
        help="sleep this long in each time step; needed on PyGaSe 0.3.1 (default there: 0.02)",
    )
    parser.add_argument("--control", action="store_true", help="take orders on the standard input")
    arguments = parser.parse_args()

    chase = ChaseServer(arguments.pace, arguments.seed)
    threading.Thread(target=announce, args=[chase.backend.server], daemon=True).start()
    if arguments.control:
        threading.Thread(target=obey, args=[chase], daemon=True).start()
    try:
        chase.backend.run(arguments.hostname, arguments.port)
    except KeyboardInterrupt:
        chase.backend.shutdown()


if __name__ == "__main__":
    main()
