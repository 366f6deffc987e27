"""A world for hundreds: who is where, and how to say it in few bytes. No network in here.

Positions are whole numbers, and fifty bots share one attribute of the game state:

| attribute | meaning |
|---|---|
| `flocks` | number of a flock -> `[x, y, x, y, ...]`, one pair for each seat; `NOBODY` in empty ones |

A whole number up to 65535 takes three bytes on the wire, so a flock takes 300, and 500 bots take 3 kB. As
`{"id": {"position": [x, y]}}` with decimal numbers they would take five times that.
"""

import math

WIDTH, HEIGHT = 4000, 2600
FLOCK = 50  # seats in a flock
SPEED = 420.0  # units a second
DIRECTIONS = 256  # a heading is one of so many, a whole number
STEP = 0.1  # seconds between two time steps: clients fill in what lies between
NOBODY = 65535


def heading(x, y):
    """Return the direction of (x, y) as a whole number."""
    return round(math.atan2(y, x) / math.tau * DIRECTIONS) % DIRECTIONS


class World:
    """The bots in their seats, and where they want to go."""

    def __init__(self, seats):
        """Make a world for so many bots."""
        self.free = list(range(seats))[::-1]
        self.places = {}  # seat -> [x, y, heading]
        self.seats = seats

    def join(self):
        """Give a seat to a bot, or None if all are taken."""
        if not self.free:
            return None
        seat = self.free.pop()
        angle = 2.4 * seat  # spreads the seats evenly over the field, like the seeds of a sunflower
        radius = math.sqrt((seat + 0.5) / self.seats)
        x = WIDTH / 2 * (1 + 0.95 * radius * math.cos(angle))
        y = HEIGHT / 2 * (1 + 0.95 * radius * math.sin(angle))
        self.places[seat] = [x, y, 0]
        return seat

    def leave(self, seat):
        """Take a seat back."""
        del self.places[seat]
        self.free.append(seat)

    def steer(self, seat, direction):
        """Note where a bot wants to go."""
        if type(direction) is int and 0 <= direction < DIRECTIONS:
            self.places[seat][2] = direction

    def step(self, dt):
        """Move all bots by `dt` seconds."""
        way = SPEED * dt
        for place in self.places.values():
            x, y, direction = place
            angle = direction * math.tau / DIRECTIONS
            place[0] = min(max(x + way * math.cos(angle), 0.0), WIDTH)
            place[1] = min(max(y + way * math.sin(angle), 0.0), HEIGHT)

    def flocks(self):
        """Return the positions as they go into the game state."""
        flocks = {}
        for first in range(0, self.seats, FLOCK):
            flock = flocks[first // FLOCK] = []
            for seat in range(first, min(first + FLOCK, self.seats)):
                x, y, _ = self.places.get(seat, (NOBODY, NOBODY, 0))
                flock += (round(x), round(y))
        return flocks


def pairs(flock):
    """Return the positions of those who are there in a flock; between two states they are not whole."""
    return [(x, y) for x, y in zip(flock[0::2], flock[1::2], strict=True) if x <= WIDTH and y <= HEIGHT]
