"""Play NAME in a window, with the arrow keys.

pip install pygame-ce
python window.py --port 8080 --name You
"""

import argparse
import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

import game
from player import Player

SCALE = 9  # pixels per unit of the field
BACKGROUND, TEXT = (18, 22, 30), (225, 228, 235)
COIN, OWN, OTHER = (240, 200, 80), (120, 220, 140), (110, 170, 240)


def draw(window, font, player, state):
    window.fill(BACKGROUND)
    for player_id, (x, y) in player.positions().items():
        colour = OWN if player_id == player.player_id else OTHER
        pygame.draw.circle(window, colour, (x * SCALE, y * SCALE), 2 * SCALE)
        other = state.players.get(player_id, {})
        label = font.render(f"{other.get('name')}: {other.get('score')}", True, TEXT)
        window.blit(label, (x * SCALE - label.get_width() / 2, (y - 5) * SCALE))
    if hasattr(state, "coin"):
        pygame.draw.circle(window, COIN, [SCALE * value for value in state.coin], SCALE)
    else:
        window.blit(font.render("looking for the server...", True, TEXT), (10, 10))


def main():
    parser = argparse.ArgumentParser(description="NAME in a window")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", default="You")
    parser.add_argument("--frames", type=int, help="end after this many frames")
    arguments = parser.parse_args()
    pygame.display.init()
    pygame.font.init()
    window = pygame.display.set_mode((int(game.WIDTH * SCALE), int(game.HEIGHT * SCALE)))
    pygame.display.set_caption("NAME")
    font, clock = pygame.font.Font(None, 24), pygame.time.Clock()
    player, drawn = Player(arguments.name, arguments.hostname, arguments.port), 0
    while drawn != arguments.frames and not pygame.event.get(pygame.QUIT):
        pressed = pygame.key.get_pressed()
        x = pressed[pygame.K_RIGHT] - pressed[pygame.K_LEFT]
        y = pressed[pygame.K_DOWN] - pressed[pygame.K_UP]
        player.steer(float(x), float(y))
        draw(window, font, player, player.poll())
        pygame.display.flip()
        clock.tick(60)
        drawn += 1
    player.leave()
    pygame.quit()


if __name__ == "__main__":
    main()
