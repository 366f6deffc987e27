"""The rules of NAME, without any network: a field, players, a coin that everybody wants."""

import math
import random

WIDTH, HEIGHT = 100.0, 60.0
SPEED = 30.0  # units a second
REACH = 4.0  # a coin this close is taken


def initial_state():
    """Return the attributes of the game state when a server starts."""
    return {"players": {}, "coin": [WIDTH / 2, HEIGHT / 2], "taken": 0}


def new_player(name):
    """Return a player somewhere on the field."""
    position = [random.uniform(0, WIDTH), random.uniform(0, HEIGHT)]
    return {"name": name, "position": position, "score": 0}


def move(position, direction, dt):
    """Return where a player is after `dt` seconds in a direction (x, y), whose length counts up to 1."""
    x, y = direction
    step = SPEED * dt / max(1.0, math.hypot(x, y))
    return [min(WIDTH, max(0.0, position[0] + x * step)), min(HEIGHT, max(0.0, position[1] + y * step))]


def step(players, directions, coin, taken, dt):
    """Return what `dt` seconds change of the game state.

    `players` is what the state has of them, `directions` where each wants to go, by the same ids.
    """
    changes, result = {}, {}
    for player_id, player in players.items():
        position = move(player["position"], directions.get(player_id, (0.0, 0.0)), dt)
        changes[player_id] = {"position": position}
        if "coin" not in result and math.dist(position, coin) < REACH:
            changes[player_id]["score"] = player["score"] + 1
            result["coin"] = [random.uniform(0, WIDTH), random.uniform(0, HEIGHT)]
            result["taken"] = taken + 1
    return {**result, "players": changes}
