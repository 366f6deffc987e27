"""What is on a drawing board, for the server and every client alike. No network and no window in here.

A line is a colour (an index into `COLOURS`), a width in pixels, and its points as one flat list of whole
numbers, `[x, y, x, y, ...]`: that is the smallest an event can say it in.
"""

import hashlib
from collections import deque

WIDTH, HEIGHT = 800, 520
COLOURS = ("#20242c", "#d1495b", "#edae49", "#3a9e6e", "#2e86c8", "#7a4fbf")
MAX_WIDTH = 24
MAX_POINTS = 32  # of one line; who draws a longer one sends several
MAX_LINES = 800  # on a board; the oldest ones fade first


def is_number(value, highest):
    return type(value) is int and 0 <= value <= highest


def is_line(colour, width, points):
    """Tell whether something that came over the network is a line."""
    return (
        is_number(colour, len(COLOURS) - 1)
        and is_number(width, MAX_WIDTH)
        and width > 0
        and isinstance(points, list)
        and 4 <= len(points) <= 2 * MAX_POINTS
        and len(points) % 2 == 0
        and all(is_number(x, WIDTH) for x in points[0::2])
        and all(is_number(y, HEIGHT) for y in points[1::2])
    )


class Board:
    """The lines, in the order in which the server heard of them: the later ones lie on top."""

    def __init__(self):
        """Make an empty board."""
        self.lines = deque(maxlen=MAX_LINES)

    def draw(self, colour, width, points):
        """Add a line; return whether it was one."""
        if not is_line(colour, width, points):
            return False
        self.lines.append((colour, width, points))
        return True

    def wipe(self):
        """Take everything off."""
        self.lines.clear()

    def digest(self):
        """Return a short text that is the same for the same lines in the same order."""
        return hashlib.sha256(repr(list(self.lines)).encode()).hexdigest()[:12]
