"""Watch the crowd in a window.

    python watch.py

`SDL_VIDEODRIVER=dummy python watch.py --frames 60` needs no screen and ends by itself, so many frames after
it saw the first bot.
"""

import argparse
import colorsys
import os
import sys
import time

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

import pygase
import world

SCALE = 0.24  # pixels per unit of the world
DELAY = 0.2  # seconds behind the newest state: a little more than a step and its way take
FRAMES_PER_SECOND = 60
NIGHT, TEXT = (11, 13, 22), (190, 196, 212)


def colour_of(flock, flocks):
    return tuple(round(255 * part) for part in colorsys.hls_to_rgb(flock / flocks, 0.66, 0.85))


class Window:
    """Draws all bots between two steps of the world, with a trail behind each."""

    def __init__(self, client):
        """Open the window for a client that has been started."""
        self.client = client
        self.surface = pygame.display.set_mode((int(world.WIDTH * SCALE), int(world.HEIGHT * SCALE)))
        pygame.display.set_caption("crowd")
        self.font = pygame.font.Font(None, 22)
        self.trails = pygame.Surface(self.surface.get_size())
        self.trails.fill(NIGHT)
        self.fade = pygame.Surface(self.surface.get_size())
        self.fade.fill(NIGHT)
        self.fade.set_alpha(14)
        self.seen, self.text, self.measured = 0, "connecting ...", (time.monotonic(), 0)

    def draw(self):
        """Draw a frame."""
        self.trails.blit(self.fade, (0, 0))
        self.seen = 0
        heads = []
        flocks = getattr(self.client.snapshot(), "flocks", {})
        for flock in flocks:
            colour = colour_of(flock, len(flocks))
            dim = tuple(part // 2 for part in colour)
            for x, y in world.pairs(self.client.interpolated(("flocks", flock), DELAY)):
                self.seen += 1
                place = (x * SCALE, y * SCALE)
                self.trails.fill(dim, (place[0] - 1, place[1] - 1, 2, 2))
                heads.append((colour, place))
        self.surface.blit(self.trails, (0, 0))
        for colour, place in heads:
            pygame.draw.circle(self.surface, colour, place, 3)
        self.measure()
        self.surface.blit(self.font.render(self.text, True, TEXT), (14, 12))

    def measure(self):
        """Say every second what this client alone is sent of the world."""
        then, received = self.measured
        now = time.monotonic()
        if now - then >= 1.0 and self.seen:
            total = self.client.stats()["connection"]["bytes_received"]
            rate = (total - received) / (now - then)
            latency = self.client.connection.latency * 1000
            self.text = f"{self.seen} bots   {rate / 1024:.0f} kB/s   {latency:.0f} ms to the server"
            self.measured = (now, total)


def main():
    parser = argparse.ArgumentParser(description="watch the crowd")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--frames", type=int, help="end after this many frames with bots")
    arguments = parser.parse_args()

    client = pygase.Client()
    client.start(arguments.port, arguments.hostname)
    pygame.display.init()
    pygame.font.init()
    window, clock = Window(client), pygame.time.Clock()
    drawn = 0
    while arguments.frames is None or drawn < arguments.frames:
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            break
        client.poll()
        window.draw()
        pygame.display.flip()
        clock.tick(FRAMES_PER_SECOND)
        drawn += window.seen > 0
    pygame.quit()
    client.disconnect()
    has_seen = client.snapshot().time_order > 0
    print(f"saw {window.seen} bots" if has_seen else "saw nothing", flush=True)
    return 0 if has_seen else 1


if __name__ == "__main__":
    sys.exit(main())
