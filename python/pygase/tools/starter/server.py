"""The server of NAME: it alone decides who is where and who gets the coin.

    python server.py --port 8080

Clients send JOIN once and STEER whenever they change their mind; what they see is the game state, and a
WELCOME with the id of their player.
"""

import argparse
import threading

import game
import pygase
from pygase.gamestate import TO_DELETE


class GameServer:
    """A backend with the rules of `game.py` in it. Handlers and `time_step` run in one thread: no locks."""

    def __init__(self):
        self.ids = {}  # address of a client -> id of its player
        self.directions = {}  # id of a player -> where it wants to go
        self.gone = []  # ids of players whose client has left
        self.joined = 0
        self.backend = pygase.Backend(
            initial_game_state=pygase.GameState(**game.initial_state()),
            time_step_function=self.time_step,
            event_handlers={"JOIN": self.on_join, "STEER": self.on_steer},
        )
        self.backend.server.on_disconnect(self.on_disconnect)

    def time_step(self, game_state, dt):
        players = {key: player for key, player in game_state.players.items() if key not in self.gone}
        changes = game.step(players, self.directions, game_state.coin, game_state.taken, dt)
        changes["players"].update(dict.fromkeys(self.gone, TO_DELETE))
        self.gone = []
        return changes

    def on_join(self, name, client_address, **_):
        if client_address in self.ids:
            return {}
        self.joined += 1
        player_id = self.ids[client_address] = self.joined
        self.directions[player_id] = (0.0, 0.0)
        server = self.backend.server
        server.dispatch_event("WELCOME", player_id, target_client=client_address, retries=5)
        return {"players": {player_id: game.new_player(str(name)[:16])}}

    def on_steer(self, x, y, client_address, **_):
        if client_address in self.ids:
            self.directions[self.ids[client_address]] = (float(x), float(y))
        return {}

    def on_disconnect(self, connection, reason):
        player_id = self.ids.pop(connection.remote_address, None)
        if player_id is not None:
            del self.directions[player_id]
            self.gone.append(player_id)


def announce(server):
    """Print the address as soon as there is one."""
    while not server.port:
        threading.Event().wait(0.01)
    print(f"listening on {server.hostname}:{server.port}; Ctrl-C ends it", flush=True)


def main():
    parser = argparse.ArgumentParser(description="the server of NAME")
    parser.add_argument("--hostname", default="localhost", help="0.0.0.0 lets others in your network play")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (8080)")
    arguments = parser.parse_args()
    backend = GameServer().backend
    threading.Thread(target=announce, args=[backend.server], daemon=True).start()
    try:
        backend.run(arguments.hostname, arguments.port)
    except KeyboardInterrupt:
        backend.shutdown()


if __name__ == "__main__":
    main()
