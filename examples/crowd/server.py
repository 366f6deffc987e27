"""The server of the crowd: one world, and a seat in it for each of 500 bots.

    python server.py

Clients that send JOIN get a seat and may STEER; all others watch.
"""

import argparse
import collections

import pygase
from world import STEP, World

PACKAGES = 0.05  # seconds between two packages to a client; the state of 500 fits into three of them
THROTTLED = 0.5  # the same where packages take long: what lets a machine that is too slow for 500 breathe


class CrowdServer:
    """A backend around a `World`, and who sits where."""

    def __init__(self, seats):
        """Make a server for so many bots."""
        self.world = World(seats)
        self.seats = {}  # address of a client -> its seat
        self.gone = collections.deque()  # addresses of clients that are not heard any more
        self.backend = pygase.Backend(
            initial_game_state=pygase.GameState(flocks=self.world.flocks()),
            time_step_function=self.time_step,
            event_handlers={"JOIN": self.on_join, "STEER": self.on_steer},
            interval_good=PACKAGES,
            interval_bad=THROTTLED,
            connection_timeout=3.0,
        )
        self.backend.server.on_disconnect(lambda client, reason: self.gone.append(client.remote_address))

    # These run in the thread of the game loop, one after the other: they need no locks.

    def time_step(self, game_state, dt):
        while self.gone:
            seat = self.seats.pop(self.gone.popleft(), None)
            if seat is not None:
                self.world.leave(seat)
        self.world.step(dt)
        return {"flocks": self.world.flocks()}

    def on_join(self, client_address, **_):
        if client_address not in self.seats:
            seat = self.world.join()
            if seat is None:
                return  # it may go on asking, and watch meanwhile
            self.seats[client_address] = seat
        seat = self.seats[client_address]
        self.backend.server.dispatch_event("WELCOME", seat, target_client=client_address)

    def on_steer(self, direction, client_address, **_):
        if client_address in self.seats:
            self.world.steer(self.seats[client_address], direction)
        else:
            self.on_join(client_address)  # it was silent for so long that its seat was taken


def main():
    parser = argparse.ArgumentParser(description="a world for a crowd of bots")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (default 8080)")
    parser.add_argument("--seats", type=int, default=500)
    arguments = parser.parse_args()

    backend = CrowdServer(arguments.seats).backend
    backend.game_state_machine.run_game_loop_in_thread(STEP)
    thread = backend.server.run_in_thread(arguments.port, arguments.hostname, backend.game_state_machine)
    print(f"listening on {backend.server.hostname}:{backend.server.port}", flush=True)
    try:
        thread.join()
    except KeyboardInterrupt:
        print("stopped", flush=True)
    backend.shutdown()


if __name__ == "__main__":
    main()
