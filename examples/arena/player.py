"""What every player of the arena does, with a window or without."""

import time

import pygase

STEER_SECONDS = 0.04  # time between two reports of what the player wants


class Player(pygase.Client):
    """A client that asks for a ship as soon as it is connected, and steers it."""

    def __init__(self, name):
        """Make a player that is not connected yet."""
        super().__init__()
        self.ship_id = None
        self.news = []
        self.last_steer = 0.0
        self.register_event_handler("WELCOME", self.on_welcome)
        self.register_event_handler("NEWS", lambda shooter, victim: self.news.append((shooter, victim)))
        self.on_connect(lambda: self.dispatch_event("JOIN", name, retries=5))

    def on_welcome(self, ship_id):
        self.ship_id = ship_id

    def own_ship(self):
        """Return this player's ship in the newest state, or None while there is none."""
        return getattr(self.snapshot(), "ships", {}).get(self.ship_id)

    def steer(self, heading, aim, trigger):
        """Say what the player wants. No retries: when one is known to be lost, a newer one is on its way."""
        now = time.monotonic()
        if self.ship_id is not None and now - self.last_steer >= STEER_SECONDS:
            self.last_steer = now
            self.dispatch_event("STEER", list(heading), list(aim), trigger)
