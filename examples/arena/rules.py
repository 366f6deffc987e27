"""The rules of the arena: who flies where, who shoots, who is hit. No network and no window in here.

`World` is the truth, and only the server has one. What players see of it is the game state:

| attribute | meaning |
|---|---|
| `time` | seconds of play; the clock that shots go by |
| `ships` | id -> `{"name": str, "position": [x, y], "aim": [x, y], "health": int, "score": int}` |
| `shots` | id -> `{"start": [x, y], "velocity": [x, y], "begin": time, "end": time, "hit": bool}` |

A shot flies straight, so it is sent once, not in every step: everybody can tell where it is from the time.
"""

import itertools
import math
import random
from dataclasses import dataclass

WIDTH, HEIGHT = 960.0, 640.0
PILLARS = (
    (250.0, 200.0, 46.0),
    (710.0, 440.0, 46.0),
    (250.0, 460.0, 28.0),
    (710.0, 180.0, 28.0),
    (480.0, 320.0, 64.0),
)
SHIP_RADIUS = 16.0
SHIP_SPEED = 170.0  # units a second
SHOT_SPEED = 430.0
SHOT_SECONDS = 1.6  # how long a shot flies at most
COOLDOWN = 0.3  # seconds between two shots of a ship
REST = 2.0  # seconds until a ship that was shot down is back
AFTERGLOW = 0.6  # seconds for which a shot that has ended stays in the state, so that all can see how
FULL_HEALTH = 4
MAX_NAME = 12


@dataclass
class Ship:
    """A ship, with what its player wants and what nobody needs to see."""

    name: str
    position: list
    aim: tuple = (1.0, 0.0)
    heading: tuple = (0.0, 0.0)
    trigger: bool = False
    health: int = FULL_HEALTH
    score: int = 0
    cooldown: float = 0.0
    rest: float = 0.0

    def seen(self):
        """Return what goes into the game state."""
        return {
            "name": self.name,
            "position": list(self.position),
            "aim": list(self.aim),
            "health": self.health,
            "score": self.score,
        }


@dataclass
class Shot:
    """A shot on its way."""

    owner: int
    start: tuple
    velocity: tuple
    begin: float
    end: float
    hit: bool = False

    def seen(self):
        """Return what goes into the game state."""
        return {
            "start": list(self.start),
            "velocity": list(self.velocity),
            "begin": self.begin,
            "end": self.end,
            "hit": self.hit,
        }


def unit(x, y):
    """Return (x, y) at length one, or (0, 0) if it has no direction."""
    length = math.hypot(x, y)
    return (x / length, y / length) if 1e-6 < length < math.inf else (0.0, 0.0)


def place(shot, time):
    """Return where a shot, as it stands in the game state, is at a time."""
    seconds = time - shot["begin"]
    return tuple(at + speed * seconds for at, speed in zip(shot["start"], shot["velocity"], strict=True))


def is_free(x, y, radius):
    """Tell whether a circle touches neither a wall nor a pillar."""
    inside = radius <= x <= WIDTH - radius and radius <= y <= HEIGHT - radius
    return inside and all(math.dist((x, y), pillar[:2]) >= pillar[2] + radius for pillar in PILLARS)


class World:
    """All ships and shots. Players ask with `join`, `steer` and `leave`; `step` moves the world on."""

    def __init__(self, deleted, seed=None):
        """Make an empty world; `deleted` is the value that removes a key from the game state."""
        self.deleted = deleted
        self.random = random.Random(seed)
        self.time = 0.0
        self.ships, self.shots = {}, {}
        self.news = []  # (who shot, who was shot down): the server tells everybody
        self.shown = {"ships": {}, "shots": {}}
        self.ship_ids, self.shot_ids = itertools.count(1), itertools.count(1)

    def join(self, name):
        """Let a ship in and return its id."""
        ship_id = next(self.ship_ids)
        self.ships[ship_id] = Ship(str(name)[:MAX_NAME] or "nobody", self.free_place())
        return ship_id

    def leave(self, ship_id):
        """Take a ship out."""
        self.ships.pop(ship_id, None)

    def steer(self, ship_id, heading, aim, trigger):
        """Note what a player wants. It says nothing about where its ship is or whom it hits."""
        ship = self.ships[ship_id]
        ship.heading, ship.trigger = unit(*heading), bool(trigger)
        ship.aim = unit(*aim) if any(unit(*aim)) else ship.aim

    def step(self, dt):
        """Move everything on by `dt` seconds; return what changed, as an update of the game state."""
        self.time += dt
        for ship_id, ship in self.ships.items():
            self.move(ship_id, ship, dt)
        for shot in self.shots.values():
            self.judge(shot)
        over = [shot_id for shot_id, shot in self.shots.items() if shot.end + AFTERGLOW < self.time]
        for shot_id in over:
            del self.shots[shot_id]
        changed = {"ships": self.changes("ships"), "shots": self.changes("shots")}
        return {"time": self.time, **{name: change for name, change in changed.items() if change}}

    def move(self, ship_id, ship, dt):
        """Fly, shoot, or wait to come back."""
        if ship.rest > 0.0:
            ship.rest -= dt
            if ship.rest <= 0.0:
                ship.health, ship.position = FULL_HEALTH, self.free_place()
            return
        x, y = ship.position
        to_x, to_y = (at + way * SHIP_SPEED * dt for at, way in zip(ship.position, ship.heading, strict=True))
        for new in ((to_x, to_y), (to_x, y), (x, to_y)):  # the last two slide along what is in the way
            if is_free(*new, SHIP_RADIUS):
                ship.position = list(new)
                break
        ship.cooldown -= dt
        if ship.trigger and ship.cooldown <= 0.0:
            ship.cooldown = COOLDOWN
            start = tuple(at + way * SHIP_RADIUS for at, way in zip(ship.position, ship.aim, strict=True))
            velocity = tuple(way * SHOT_SPEED for way in ship.aim)
            shot = Shot(ship_id, start, velocity, self.time, self.time + SHOT_SECONDS)
            self.shots[next(self.shot_ids)] = shot

    def judge(self, shot):
        """See what a shot in flight runs into."""
        if shot.end <= self.time:
            return
        at = place(shot.seen(), self.time)
        if not is_free(*at, 0.0):
            shot.end = self.time
            return
        for ship_id, ship in self.ships.items():
            if ship_id != shot.owner and ship.health and math.dist(at, ship.position) <= SHIP_RADIUS:
                shot.end, shot.hit = self.time, True
                ship.health -= 1
                if not ship.health:
                    ship.rest = REST
                    self.reward(shot.owner, ship)
                return

    def reward(self, owner, victim):
        """Count a ship shot down, if the one that did it is still here."""
        if owner in self.ships:
            self.ships[owner].score += 1
            self.news.append((self.ships[owner].name, victim.name))

    def changes(self, kind):
        """Return what is different from what was shown last."""
        now = {key: thing.seen() for key, thing in getattr(self, kind).items()}
        before, self.shown[kind] = self.shown[kind], now
        update = {key: self.deleted for key in before.keys() - now.keys()}
        for key, thing in now.items():
            old = before.get(key, {})
            fresh = {name: value for name, value in thing.items() if name not in old or old[name] != value}
            if fresh:
                update[key] = fresh
        return update

    def free_place(self):
        """Return a place where there is room for a ship."""
        while True:
            x, y = self.random.uniform(0.0, WIDTH), self.random.uniform(0.0, HEIGHT)
            if is_free(x, y, 2 * SHIP_RADIUS):
                return [x, y]
