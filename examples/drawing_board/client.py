"""Draw on the board that everybody sees: the mouse draws, 1 to 6 choose a colour, the wheel the width.

    python client.py

C wipes the board, for all. `SDL_VIDEODRIVER=dummy python client.py --frames 60` needs no screen and ends by
itself, so many frames after the server showed its board.
"""

import argparse
import os
import sys

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

from board import COLOURS, HEIGHT, MAX_WIDTH, WIDTH
from painter import Painter

BAR = 44  # pixels below the board
PAPER, BAR_COLOUR, TEXT = "#fbfaf6", "#e2e0d8", "#3c424e"
FRAMES_PER_SECOND = 60
SEND_FRAMES = 3  # a line is sent in pieces of this many frames


def draw_line(surface, colour, width, points):
    """Draw a line with round joints and ends."""
    if width > 2:
        for point in points:
            pygame.draw.circle(surface, COLOURS[colour], point, width / 2)
    pygame.draw.lines(surface, COLOURS[colour], False, points, width)


class Window:
    """The board, the line under the mouse, and a bar with the colours."""

    def __init__(self, painter):
        """Open the window for a painter that has been started."""
        self.painter = painter
        self.surface = pygame.display.set_mode((WIDTH, HEIGHT + BAR))
        pygame.display.set_caption("drawing board")
        self.font = pygame.font.Font(None, 22)
        self.paper = pygame.Surface((WIDTH, HEIGHT))
        self.painted = -1  # the changes of the board that `paper` shows
        self.colour, self.width = 4, 5
        self.line = []  # what the mouse drew and was not sent yet

    def handle(self, event):
        """Do what the user wants; return False to close the window."""
        if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
            return False
        if event.type == pygame.KEYDOWN and event.key == pygame.K_c:
            self.painter.wipe()
        if event.type == pygame.KEYDOWN and pygame.K_1 <= event.key < pygame.K_1 + len(COLOURS):
            self.colour = event.key - pygame.K_1
        if event.type == pygame.MOUSEWHEEL:
            self.width = min(max(self.width + event.y, 1), MAX_WIDTH)
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self.line = [event.pos, event.pos]
        if event.type == pygame.MOUSEMOTION and self.line:
            self.line.append(event.pos)
        if event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            self.send()
            self.line = []
        return True

    def send(self):
        """Send what was drawn since the last time; the next piece begins where it ends."""
        if len(self.line) > 1:
            self.painter.draw(self.colour, self.width, self.line)
            self.line = self.line[-1:]

    def draw(self):
        """Show the board as the server told it, and on top the lines that it has not heard of."""
        if self.painted != self.painter.changes:
            self.painted = self.painter.changes
            self.paper.fill(PAPER)
            for colour, width, points in self.painter.board.lines:
                draw_line(self.paper, colour, width, list(zip(points[0::2], points[1::2], strict=True)))
        self.surface.blit(self.paper, (0, 0))
        for colour, width, points in self.painter.waiting:
            draw_line(self.surface, colour, width, list(zip(points[0::2], points[1::2], strict=True)))
        if len(self.line) > 1:
            draw_line(self.surface, self.colour, self.width, self.line)
        self.draw_bar()

    def draw_bar(self):
        pygame.draw.rect(self.surface, BAR_COLOUR, (0, HEIGHT, WIDTH, BAR))
        y = HEIGHT + BAR / 2
        for index, colour in enumerate(COLOURS):
            x = 30 + 36 * index
            if index == self.colour:
                pygame.draw.circle(self.surface, TEXT, (x, y), 16, width=2)
            pygame.draw.circle(self.surface, colour, (x, y), 12)
        pygame.draw.circle(self.surface, COLOURS[self.colour], (270, y), max(1, self.width / 2))
        help_text = "1-6 colour   wheel width   C wipe"
        if not self.painter.is_shown:
            help_text = "connecting ..."
        text = self.font.render(help_text, True, TEXT)
        self.surface.blit(text, (WIDTH - text.get_width() - 18, y - text.get_height() / 2))


def play(window, frames):
    """Run the window until it is closed, or for `frames` frames with the board in it."""
    clock = pygame.time.Clock()
    drawn = 0
    while frames is None or drawn < frames:
        if not all([window.handle(event) for event in pygame.event.get()]):
            return
        window.painter.poll(max_ms=4)
        if drawn % SEND_FRAMES == 0:
            window.send()
        window.draw()
        pygame.display.flip()
        clock.tick(FRAMES_PER_SECOND)
        drawn += window.painter.is_shown


def main():
    parser = argparse.ArgumentParser(description="draw on the board")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--frames", type=int, help="end after this many frames with the board")
    arguments = parser.parse_args()

    painter = Painter()
    painter.start(arguments.port, arguments.hostname)
    pygame.display.init()
    pygame.font.init()
    play(Window(painter), arguments.frames)
    pygame.quit()
    return painter.leave()


if __name__ == "__main__":
    sys.exit(main())
