"""The client of chase: what bots, the pygame view and the terminal view have in common."""

import time

import game
import pygase


class Player(pygase.Client):
    """A PyGaSe client that knows how to join a game of chase, to steer and to leave."""

    def __init__(self):
        """Make a client that is not connected yet."""
        super().__init__()
        self.player_id = None
        self.last_heading = None
        self.last_steer = 0.0
        self.register_event_handler("WELCOME", self.on_welcome)

    def on_welcome(self, player_id):
        self.player_id = player_id

    def join(self, name, timeout=10.0):
        """Ask to play until the server says welcome and the player is in the state."""
        deadline = time.monotonic() + timeout
        asked = 0.0
        while True:
            now = time.monotonic()
            if self.player_id is not None and self.player_id in self.look()[0]:
                return
            if now > deadline:
                raise TimeoutError("the server did not let us join")
            if self.player_id is None and now - asked > 0.5:
                asked = now
                self.dispatch_event("JOIN", name)
            time.sleep(0.02)

    def look(self):
        """Return a copy of the players and the id of the chaser."""
        with self.access_game_state() as game_state:
            players = game.whole_players(game_state)
            copy = {player_id: dict(player) for player_id, player in players.items()}
            return copy, getattr(game_state, "chaser_id", None)

    def steer(self, x, y):
        """Say where to go; sent when it is news, and now and then in case the last one was lost."""
        now = time.monotonic()
        heading = (round(x, 2), round(y, 2))
        news = heading != self.last_heading and now - self.last_steer > 0.04
        if news or now - self.last_steer > 0.25:
            self.last_heading, self.last_steer = heading, now
            self.dispatch_event("STEER", *heading)

    def leave(self, timeout=1.0):
        """Say goodbye, so that the player is gone at once, and disconnect."""
        heard = []
        self.dispatch_event("LEAVE", retries=2, ack_callback=lambda: heard.append(True))
        deadline = time.monotonic() + timeout
        while not heard and time.monotonic() < deadline:
            time.sleep(0.01)
        self.disconnect()
