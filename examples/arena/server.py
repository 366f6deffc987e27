"""The server of the arena: it alone decides where ships are and which shots hit.

    python server.py

Players send JOIN, and STEER with what they want; they see the game state, a WELCOME with the id of their
ship, and the NEWS of who shot down whom.
"""

import argparse
import collections

import pygase
from pygase.gamestate import TO_DELETE
from rules import World


class ArenaServer:
    """A backend around a `World`, and whose ship is whose."""

    def __init__(self, seed=None):
        """Make the server; `seed` decides where ships appear."""
        self.world = World(deleted=TO_DELETE, seed=seed)
        self.ids = {}  # address of a client -> id of its ship
        self.backend = pygase.Backend(
            initial_game_state=pygase.GameState(time=0.0, ships={}, shots={}),
            time_step_function=self.time_step,
            event_handlers={"JOIN": self.on_join, "STEER": self.on_steer},
            connection_timeout=2.0,
        )
        self.gone = collections.deque()  # addresses of clients that are not heard any more
        self.backend.server.on_disconnect(lambda client, reason: self.gone.append(client.remote_address))

    # These three run in the thread of the game loop, one after the other: they need no locks.

    def time_step(self, game_state, dt):
        while self.gone:
            self.world.leave(self.ids.pop(self.gone.popleft(), None))
        update = self.world.step(dt)
        while self.world.news:
            self.backend.server.dispatch_event("NEWS", *self.world.news.pop(0), retries=2)
        return update

    def on_join(self, name, client_address, **_):
        if client_address not in self.ids:
            self.ids[client_address] = self.world.join(name)
        ship_id = self.ids[client_address]
        self.backend.server.dispatch_event("WELCOME", ship_id, target_client=client_address, retries=5)

    def on_steer(self, heading, aim, trigger, client_address, **_):
        if client_address in self.ids:
            self.world.steer(self.ids[client_address], heading, aim, trigger)


def main():
    parser = argparse.ArgumentParser(description="a server for the arena")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (default 8080)")
    parser.add_argument("--seed", type=int, help="for where ships appear")
    arguments = parser.parse_args()

    backend = ArenaServer(arguments.seed).backend
    backend.game_state_machine.run_game_loop_in_thread()
    thread = backend.server.run_in_thread(arguments.port, arguments.hostname, backend.game_state_machine)
    print(f"listening on {backend.server.hostname}:{backend.server.port}", flush=True)
    try:
        thread.join()
    except KeyboardInterrupt:
        print("stopped", flush=True)
    backend.shutdown()


if __name__ == "__main__":
    main()
