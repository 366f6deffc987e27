"""The server of the lobby: tables to meet at, chat, and a game that starts when all are ready.

    python server.py

Who sits where is game state, as everybody may look at it at any time. What is said is an event: it happens
once, and only those at the same table hear it.
"""

import argparse
import collections
import secrets

import pygase
from pygase.gamestate import TO_DELETE
from rules import Lobby


class LobbyServer:
    """A backend around a `Lobby`, and who of it is behind which address."""

    def __init__(self):
        """Make the server."""
        self.lobby = Lobby()
        self.ids = {}  # address of a client -> id of its player
        self.last_id = 0
        self.shown = self.lobby.state()
        self.gone = collections.deque()  # addresses of clients that are not heard any more
        handlers = {
            "ENTER": self.on_enter,
            "SIT": self.asking(self.lobby.sit),
            "READY": self.asking(self.lobby.be_ready),
            "SAY": self.on_say,
            "LEAVE": lambda client_address, **_: self.gone.append(client_address),
        }
        state = pygase.GameState(**self.lobby.state())
        self.backend = pygase.Backend(state, self.time_step, handlers, ordered_events=True)
        self.backend.server.on_disconnect(lambda client, reason: self.gone.append(client.remote_address))

    # The time step and the handlers all run in the thread of the game loop: no locks needed.

    def time_step(self, game_state, dt):
        while self.gone:
            self.let_go(self.gone.popleft())
        for table, ids in self.lobby.step(dt).items():
            # Here a real game would start a server of its own and say where: its port, and a ticket for each.
            self.tell(ids, "START", table, secrets.token_hex(4))
        before, self.shown = self.shown, self.lobby.state()
        return changes(before, self.shown)

    def on_enter(self, name, client_address, **_):
        if client_address in self.ids:
            return
        self.last_id += 1
        self.ids[client_address] = self.last_id
        name = self.lobby.enter(self.last_id, name)
        self.tell([self.last_id], "WELCOME", self.last_id, name)
        self.tell(self.lobby.players, "NEWS", f"{name} came in")

    def on_say(self, text, client_address, **_):
        player_id = self.ids.get(client_address)
        if player_id is None:
            return
        problem = self.lobby.say(player_id, text)
        if problem:
            self.tell([player_id], "SORRY", problem)
        else:
            player = self.lobby.players[player_id]
            self.tell(self.lobby.at(player["table"]), "SAID", player["name"], text)

    def asking(self, request):
        """Return a handler that passes a request on to the lobby, and the answer back."""

        def handler(*arguments, client_address, **_):
            player_id = self.ids.get(client_address)
            problem = request(player_id, *arguments) if player_id is not None else "say who you are"
            if problem and player_id is not None:
                self.tell([player_id], "SORRY", problem)

        return handler

    def let_go(self, address):
        player_id = self.ids.pop(address, None)
        if player_id is not None:
            name = self.lobby.players[player_id]["name"]
            self.lobby.leave(player_id)
            self.tell(self.lobby.players, "NEWS", f"{name} left")

    def tell(self, ids, event_type, *arguments):
        """Dispatch an event to some players."""
        for address, player_id in self.ids.items():
            if player_id in ids:
                self.backend.server.dispatch_event(event_type, *arguments, target_client=address, retries=5)


def changes(before, now):
    """Return the update that turns one state into another."""
    update = {}
    for key in before.keys() | now.keys():
        old, new = before.get(key), now.get(key, TO_DELETE)
        if isinstance(old, dict) and isinstance(new, dict):
            new = changes(old, new)
            if not new:
                continue
        if new != old:
            update[key] = new
    return update


def main():
    parser = argparse.ArgumentParser(description="a lobby with chat")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (default 8080)")
    arguments = parser.parse_args()

    backend = LobbyServer().backend
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
