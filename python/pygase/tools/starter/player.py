"""A client that has joined the game: what the window and the bot have in common."""

import contextlib

import pygase


class Player:
    """One player. Call `poll` often, best in every frame."""

    def __init__(self, name, hostname, port):
        self.player_id = None
        self.direction = (0.0, 0.0)
        self.client = pygase.Client()
        self.client.register_event_handler("WELCOME", self.on_welcome)
        self.client.start(port=port, hostname=hostname)
        self.client.dispatch_event("JOIN", name, retries=20)

    def on_welcome(self, player_id):
        self.player_id = player_id

    def poll(self):
        """Handle what has come; return the newest game state."""
        self.client.poll(max_ms=2)
        return self.client.snapshot()

    def steer(self, x, y):
        """Tell the server where to go, if that is something else than before."""
        if (x, y) != self.direction:
            self.direction = (x, y)
            self.client.dispatch_event("STEER", x, y, retries=5)

    def positions(self):
        """Return where to draw each player, by id: smooth between two updates."""
        positions = {}
        for key in getattr(self.client.snapshot(), "players", {}):
            with contextlib.suppress(KeyError):  # has left in this moment
                positions[key] = self.client.interpolated(("players", key, "position"))
        return positions

    def leave(self):
        self.client.disconnect()
