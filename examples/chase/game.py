"""The rules of chase, shared by the server, the bots and the views. No network in here.

The state of a game, as every peer sees it:

| attribute | meaning |
|---|---|
| `players` | id -> `{"name": str, "position": [x, y], "catches": int}` |
| `chaser_id` | who has to catch somebody; None while nobody plays |
| `countdown` | seconds the chaser still has to wait: the protection of the others after a catch |
| `catches` | how often somebody was caught |
| `ticks` | time steps so far |

Positions are in units of a field of WIDTH x HEIGHT, the origin in the upper left corner.
"""

import math
import random

WIDTH = 104.0
HEIGHT = 76.0
RUNNER_SPEED = 22.0  # units a second
CHASER_SPEED = 36.0
CATCH_RADIUS = 3.0
COUNTDOWN = 1.2  # seconds between being caught and giving chase
INTERVAL = 0.02  # seconds between two time steps
MAX_NAME = 12

# Bots look at a chaser that is nearer than this, and stroll otherwise.
FEAR_RADIUS = 30.0
WALL_RADIUS = 12.0


def initial_state():
    """Return the attributes of the state before anybody has joined."""
    return {"players": {}, "chaser_id": None, "countdown": 0.0, "catches": 0, "ticks": 0}


def unit(x, y):
    """Return (x, y) at length one, or no direction at all when it is too short to have one."""
    length = math.hypot(x, y)
    return (x / length, y / length) if length > 1e-6 else (0.0, 0.0)


def clamp(x, y):
    """Keep a position on the field."""
    return [min(max(x, 0.0), WIDTH), min(max(y, 0.0), HEIGHT)]


def whole_players(game_state):
    """Return the players of a state as {id: player}.

    Whoever reads a state over the network may see one in the making: an attribute that has not arrived
    yet, or a player that has just been deleted. Those are left out.
    """
    players = getattr(game_state, "players", None)
    if not isinstance(players, dict):
        return {}
    return {
        player_id: player
        for player_id, player in players.items()
        if isinstance(player, dict) and "name" in player and len(player.get("position") or ()) == 2
    }


class World:
    """Turns what players ask for into updates of the game state.

    Requests (`join`, `leave`, `steer`) are only noted; `step` is the one place that changes anything, so
    that all changes of a time step leave in one update.
    """

    def __init__(self, deleted, seed=None):
        """Make a world without players; `deleted` is the value that removes a key from the state."""
        self.deleted = deleted
        self.random = random.Random(seed)
        self.headings = {}
        self.joining = {}
        self.leaving = set()
        self.next_id = 1

    def join(self, name):
        """Note a new player and return the id it will have."""
        player_id, self.next_id = self.next_id, self.next_id + 1
        self.joining[player_id] = {
            "name": str(name)[:MAX_NAME] or "nobody",
            "position": [self.random.uniform(0.1, 0.9) * WIDTH, self.random.uniform(0.1, 0.9) * HEIGHT],
            "catches": 0,
        }
        return player_id

    def leave(self, player_id):
        """Note that a player has gone."""
        if self.joining.pop(player_id, None) is None:
            self.leaving.add(player_id)

    def steer(self, player_id, x, y):
        """Note where a player wants to go; (0, 0) is to stand still."""
        if math.isfinite(x) and math.isfinite(y):
            self.headings[player_id] = unit(x, y)

    def step(self, game_state, dt):
        """Return what `dt` seconds change."""
        players = dict(game_state.players)
        update = {"players": {}, "ticks": game_state.ticks + 1}
        for player_id in self.leaving & players.keys():
            update["players"][player_id] = self.deleted
            del players[player_id]
            self.headings.pop(player_id, None)
        self.leaving.clear()
        update["players"].update(self.joining)
        players.update(self.joining)
        self.joining.clear()

        countdown = max(0.0, game_state.countdown - dt)
        chaser_id = game_state.chaser_id
        if chaser_id not in players:
            chaser_id = self.random.choice(sorted(players)) if players else None
            countdown = COUNTDOWN if players else 0.0
            update["chaser_id"] = chaser_id

        positions = {}
        for player_id, player in players.items():
            speed = RUNNER_SPEED
            if player_id == chaser_id:
                speed = 0.0 if countdown > 0 else CHASER_SPEED
            x, y = self.headings.get(player_id, (0.0, 0.0))
            position = clamp(player["position"][0] + x * speed * dt, player["position"][1] + y * speed * dt)
            positions[player_id] = position
            if position != player["position"]:
                update["players"].setdefault(player_id, {})["position"] = position

        caught = self.find_caught(chaser_id, positions) if countdown == 0.0 else None
        if caught is not None:
            update["players"].setdefault(chaser_id, {})["catches"] = players[chaser_id]["catches"] + 1
            update["chaser_id"] = caught
            update["catches"] = game_state.catches + 1
            countdown = COUNTDOWN
        if countdown != game_state.countdown:
            update["countdown"] = countdown
        if not update["players"]:
            del update["players"]
        return update

    @staticmethod
    def find_caught(chaser_id, positions):
        """Return the id of the player in reach of the chaser, the nearest first, or None."""
        others = [
            (math.dist(positions[chaser_id], position), player_id)
            for player_id, position in positions.items()
            if player_id != chaser_id
        ]
        distance, player_id = min(others, default=(math.inf, None))
        return player_id if distance <= CATCH_RADIUS else None


class Brain:
    """Decides where a bot goes: after the nearest as chaser, away from the chaser as runner."""

    def __init__(self, seed=None):
        """Make a brain that strolls the way `seed` says."""
        self.random = random.Random(seed)
        self.goal = None
        self.swerve = 0.0

    def heading(self, own_id, players, chaser_id):
        """Return the direction to go in, given the players and the chaser of a state."""
        x, y = players[own_id]["position"]
        others = {i: p["position"] for i, p in players.items() if i != own_id}
        if own_id == chaser_id:
            if not others:
                return (0.0, 0.0)
            goal = min(others.values(), key=lambda position: math.dist(position, (x, y)))
            return unit(goal[0] - x, goal[1] - y)
        chaser = others.get(chaser_id)
        if chaser and math.dist(chaser, (x, y)) < FEAR_RADIUS:
            return self.flee(x, y, chaser)
        return self.stroll(x, y)

    def flee(self, x, y, chaser):
        """Run from the chaser, along the walls instead of into them."""
        away_x, away_y = unit(x - chaser[0], y - chaser[1])
        self.swerve = min(max(self.swerve + self.random.uniform(-0.2, 0.2), -0.6), 0.6)
        turned_x, turned_y = away_x - self.swerve * away_y, away_y + self.swerve * away_x
        for distance, push_x, push_y in (
            (x, 1.0, 0.0),
            (WIDTH - x, -1.0, 0.0),
            (y, 0.0, 1.0),
            (HEIGHT - y, 0.0, -1.0),
        ):
            if distance < WALL_RADIUS:
                strength = 1.6 * (1.0 - distance / WALL_RADIUS)
                turned_x += push_x * strength
                turned_y += push_y * strength
        self.goal = None
        return unit(turned_x, turned_y)

    def stroll(self, x, y):
        """Go from one spot to the next."""
        if self.goal is None or math.dist(self.goal, (x, y)) < 4.0:
            self.goal = (self.random.uniform(0.1, 0.9) * WIDTH, self.random.uniform(0.1, 0.9) * HEIGHT)
        return unit(self.goal[0] - x, self.goal[1] - y)
