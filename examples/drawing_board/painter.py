"""The client of the drawing board without a window; run by itself, it draws a figure.

    python painter.py --figure 1

It ends when the server has answered with all of it, and says what is on its board then.
"""

import argparse
import math
import sys
import time

import pygase
from board import COLOURS, HEIGHT, MAX_POINTS, WIDTH, Board


class Painter(pygase.Client):
    """A client with a board. What it draws is on the board once the server says so."""

    def __init__(self):
        """Make a painter that is not connected yet."""
        super().__init__(ordered_events=True)
        self.board = Board()
        self.changes = 0  # a window draws anew when this has changed
        self.is_shown = False  # whether the server has told what is on the board
        self.waiting = []  # lines sent from here that have not come back yet
        self.register_event_handler("DRAW", self.on_draw)
        self.register_event_handler("WIPE", self.on_wipe)
        self.register_event_handler("SHOWN", self.on_shown)

    def on_draw(self, colour, width, points):
        self.board.draw(colour, width, points)
        if [colour, width, points] in self.waiting:
            self.waiting.remove([colour, width, points])
        self.changes += 1

    def on_wipe(self):
        self.board.wipe()
        self.changes += 1

    def on_shown(self):
        self.is_shown = True

    def draw(self, colour, width, points):
        """Send a line of any length, in pieces that begin where the last one ended."""
        points = [(round(min(max(x, 0), WIDTH)), round(min(max(y, 0), HEIGHT))) for x, y in points]
        for first in range(0, max(1, len(points) - 1), MAX_POINTS - 1):
            piece = points[first : first + MAX_POINTS]
            flat = [number for point in piece for number in point]
            self.waiting.append([colour, width, flat])
            self.dispatch_event("DRAW", colour, width, flat, retries=5)

    def wipe(self):
        """Ask for an empty board."""
        self.dispatch_event("WIPE", retries=5)

    def leave(self):
        """Disconnect and say what is on the board; return the exit status, 1 if the server never told."""
        hostname, port = self.connection.remote_address
        self.disconnect()
        if not self.is_shown:
            print(f"nothing heard from {hostname}:{port}", file=sys.stderr)
            return 1
        print(f"{len(self.board.lines)} lines, digest {self.board.digest()}", flush=True)
        return 0


def figure(number, points=361):
    """Return the points of a curve that a pen in a wheel draws; each number gives another one."""
    petals = 3 + number % 7
    x0, y0 = WIDTH * (0.2 + 0.3 * (number % 3)), HEIGHT * (0.3 + 0.4 * (number // 3 % 2))
    for i in range(points):
        angle = math.tau * i / (points - 1)
        radius = 0.13 * WIDTH * (0.72 + 0.28 * math.cos(petals * angle))
        yield x0 + radius * math.cos(angle), y0 + radius * math.sin(angle)


def main():
    parser = argparse.ArgumentParser(description="draw a figure on the board")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--figure", type=int, help="which one; without it this only looks")
    arguments = parser.parse_args()

    painter = Painter()
    painter.start(arguments.port, arguments.hostname)
    if arguments.figure is not None:
        colour = 1 + arguments.figure % (len(COLOURS) - 1)
        painter.draw(colour, 5, list(figure(arguments.figure)))
    end = time.monotonic() + 20.0
    while time.monotonic() < end and (painter.waiting or not painter.is_shown):
        painter.poll()
        time.sleep(0.01)
    return painter.leave()


if __name__ == "__main__":
    sys.exit(main())
