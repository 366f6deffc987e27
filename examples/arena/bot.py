"""Players of the arena that need no human.

    python bot.py --bots 5

It takes the same way over the network as a player with a window. After `--seconds` it says how it went.
"""

import argparse
import math
import random
import time

from player import Player
from rules import unit

NAMES = ("Otter", "Fox", "Wren", "Hare", "Lynx", "Mole", "Stork", "Newt")
AIM_ERROR = 0.12  # radians


class Bot:
    """Circles the nearest ship and shoots at where it is."""

    def __init__(self, name, dice):
        """Make a bot; `dice` is its `random.Random`."""
        self.player = Player(name)
        self.dice = dice
        self.turn, self.until = 1.0, 0.0
        self.heading = (0.0, 0.0)

    def think(self):
        """Look at the newest state and steer."""
        self.player.poll()
        own = self.player.own_ship()
        if own is None:
            return
        x, y = own["position"]
        ships = self.player.snapshot().ships
        others = [
            ship["position"] for key, ship in ships.items() if key != self.player.ship_id and ship["health"]
        ]
        if not others:
            self.player.steer((0.0, 0.0), (0.0, 0.0), False)
            return
        target = min(others, key=lambda position: math.dist(position, (x, y)))
        distance = math.dist(target, (x, y))
        toward = math.atan2(target[1] - y, target[0] - x)
        if time.monotonic() > self.until:
            self.turn = self.dice.choice((-1.0, 1.0)) * self.dice.uniform(0.6, 1.4)
            self.until = time.monotonic() + self.dice.uniform(0.4, 1.5)
            # Around it, nearer when it is far, away when it is close.
            way = (
                toward
                + self.turn * (1.0 if distance < 250.0 else 0.4)
                + (1.2 * self.turn if distance < 90.0 else 0.0)
            )
            self.heading = unit(math.cos(way), math.sin(way))
        aim = toward + self.dice.gauss(0.0, AIM_ERROR)
        self.player.steer(self.heading, (math.cos(aim), math.sin(aim)), distance < 380.0)


def main():
    parser = argparse.ArgumentParser(description="bots for the arena")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--bots", type=int, default=3)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seconds", type=float, default=math.inf, help="how long to play")
    arguments = parser.parse_args()

    bots = [
        Bot(NAMES[i % len(NAMES)], random.Random(None if arguments.seed is None else arguments.seed + i))
        for i in range(arguments.bots)
    ]
    for bot in bots:
        bot.player.start(arguments.port, arguments.hostname)
    end = time.monotonic() + arguments.seconds
    try:
        while time.monotonic() < end:
            for bot in bots:
                bot.think()
            time.sleep(0.02)
    except KeyboardInterrupt:
        pass
    for bot in bots:
        own = bot.player.own_ship()
        print(f"{bot.player.ship_id}: " + (f"score {own['score']}" if own else "no ship"), flush=True)
        bot.player.disconnect()


if __name__ == "__main__":
    main()
