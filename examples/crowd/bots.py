"""500 bots, each of them a client with a connection of its own, all in this process.

    python bots.py

The bots of a flock circle something that wanders about; each sees where it is in the game state.
"""

import argparse
import logging
import math
import random
import sys
import time

import pygase
from world import FLOCK, HEIGHT, NOBODY, WIDTH, heading

THINK = 0.4  # seconds between two decisions of a bot
JOINS = 250.0  # bots that begin in a second


class Bot(pygase.Client):
    """A client that takes a seat and steers."""

    def __init__(self, dice):
        """Make a bot that is not connected yet; `dice` is its `random.Random`."""
        # Ten packages a second are enough for somebody who decides every 0.4 seconds.
        super().__init__(interval_good=0.1, interval_bad=0.5)
        self.is_there, self.seat = False, None
        self.circle = dice.uniform(60.0, 330.0)  # how far from the middle of the flock it flies
        self.next_thought = time.monotonic() + dice.uniform(0.0, THINK)
        self.register_event_handler("WELCOME", self.on_welcome)
        self.on_connect(self.on_arrival)

    def on_arrival(self):
        self.is_there = True

    def on_welcome(self, seat):
        self.seat = seat

    def place(self):
        """Return where this bot is: nowhere before it has a seat, and after it was silent for too long."""
        if self.seat is None:
            return NOBODY, NOBODY
        flock, place = divmod(self.seat, FLOCK)
        # The first state comes in several packages: a flock may not be there yet.
        seats = getattr(self.snapshot(), "flocks", {}).get(flock)
        return seats[2 * place : 2 * place + 2] if seats else (NOBODY, NOBODY)

    def think(self, now):
        """Look where we are, and steer around the middle of the flock."""
        self.poll()
        if not self.is_there or now < self.next_thought:
            return
        self.next_thought = now + THINK
        x, y = self.place()
        if x == NOBODY:
            self.dispatch_event("JOIN")  # until there is an answer
            return
        flock = self.seat // FLOCK
        to_x, to_y = (goal - at for goal, at in zip(middle(flock, now), (x, y), strict=True))
        distance = math.hypot(to_x, to_y) or 1.0
        # Straight to it from afar, away from it when too close, and around it in between.
        pull = min(max((distance - self.circle) / self.circle, -1.0), 1.0)
        turn = math.copysign(1.0 - abs(pull), 1 if flock % 2 else -1)
        self.dispatch_event("STEER", heading(to_x * pull - to_y * turn, to_y * pull + to_x * turn))


def middle(flock, now):
    """Return what a flock circles: a point that wanders over the whole field."""
    phase = 2.4 * flock
    x = WIDTH * (0.5 + 0.38 * math.sin(0.11 * now + phase))
    y = HEIGHT * (0.5 + 0.34 * math.sin(0.17 * now + 1.7 * phase))
    return x, y


def raise_limit(bots):
    """Let this process open as many files as its clients need, where there is such a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = 5 * bots + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            sys.exit(f"{bots} bots need {wanted} open files, and {hard} are allowed: see ulimit -Hn")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main():
    parser = argparse.ArgumentParser(description="a crowd of bots")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--bots", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=math.inf, help="how long to play")
    arguments = parser.parse_args()

    raise_limit(arguments.bots)
    # On a busy machine 500 connections have more to say about lost packages than anybody can read.
    logging.getLogger("PyGaSe").setLevel(logging.ERROR)
    bots = [Bot(random.Random(number)) for number in range(arguments.bots)]
    begin = time.monotonic()
    started, said = 0, None
    try:
        while (now := time.monotonic()) < begin + arguments.seconds:
            while started < min(len(bots), (now - begin) * JOINS):
                bots[started].start(arguments.port, arguments.hostname)
                started += 1
            for bot in bots[:started]:
                bot.think(now)
            seated = sum(bot.seat is not None for bot in bots)
            if said is None or (seated == len(bots)) != (said == len(bots)):
                print(f"{seated} of {len(bots)} bots are in the world", flush=True)
                said = seated
            time.sleep(0.05)
    except KeyboardInterrupt:
        pass
    for bot in bots[:started]:
        bot.disconnect()
    return 0 if said == len(bots) else 1


if __name__ == "__main__":
    sys.exit(main())
