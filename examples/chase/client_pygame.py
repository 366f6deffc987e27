"""Play chase with the arrow keys (or WASD) in a window.

    pip install pygame-ce
    python client_pygame.py --port 8080 --name Badger

Runs on pygame-ce and on pygame. `SDL_VIDEODRIVER=dummy python client_pygame.py --frames 60` needs no
screen and ends by itself, with status 0 if the player got into the game.
"""

import argparse
import os
import sys

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

import game
from player import Player

SCALE = 8  # pixels per unit of the field
FRAMES_PER_SECOND = 60
BACKGROUND, LINES = (18, 22, 30), (27, 33, 45)
TEXT = (225, 228, 235)
OWN, OTHER, CHASER = (120, 220, 140), (110, 170, 240), (240, 90, 90)
KEYS = {
    pygame.K_LEFT: (-1, 0),
    pygame.K_a: (-1, 0),
    pygame.K_RIGHT: (1, 0),
    pygame.K_d: (1, 0),
    pygame.K_UP: (0, -1),
    pygame.K_w: (0, -1),
    pygame.K_DOWN: (0, 1),
    pygame.K_s: (0, 1),
}


def heading(pressed):
    """Return the direction of all keys that are held down."""
    x = sum(dx for key, (dx, _) in KEYS.items() if pressed[key])
    y = sum(dy for key, (_, dy) in KEYS.items() if pressed[key])
    return game.unit(x, y)


def draw(window, font, player, shown):
    """Draw what the state says. `shown` smooths the steps between two updates."""
    players, chaser_id = player.look()
    with player.access_game_state() as game_state:
        countdown = getattr(game_state, "countdown", 0.0)
        catches = getattr(game_state, "catches", 0)
    window.fill(BACKGROUND)
    for line in range(0, window.get_width(), SCALE * 8):  # the field is as wide as 13 of these squares
        pygame.draw.line(window, LINES, (line, 0), (line, window.get_height()))
        pygame.draw.line(window, LINES, (0, line), (window.get_width(), line))
    for gone in shown.keys() - players.keys():
        del shown[gone]
    for player_id, other in players.items():
        target = pygame.Vector2(other["position"]) * SCALE
        position = shown.setdefault(player_id, target)
        shown[player_id] = position = position.lerp(target, 0.35)
        colour = CHASER if player_id == chaser_id else OWN if player_id == player.player_id else OTHER
        pygame.draw.circle(window, colour, position, game.CATCH_RADIUS * SCALE / 2)
        if player_id == chaser_id and countdown > 0:
            radius = SCALE * game.CATCH_RADIUS * (0.6 + countdown)
            pygame.draw.circle(window, colour, position, radius, width=2)
        label = font.render(other["name"], True, TEXT)
        distance = game.CATCH_RADIUS * SCALE / 2 + 4
        if position.x + distance + label.get_width() > window.get_width():
            distance = -distance - label.get_width()  # no room to the right
        window.blit(label, position + pygame.Vector2(distance, -label.get_height() / 2))
    you = "you are it!" if chaser_id == player.player_id else "run!"
    status = f"{you}   catches: {catches}   RTT: {player.connection.latency * 1000:.0f} ms"
    window.blit(font.render(status, True, TEXT), (10, 8))


def play(player, frames):
    """Run the window until it is closed, or for `frames` frames; return how many were drawn."""
    window = pygame.display.set_mode((int(game.WIDTH * SCALE), int(game.HEIGHT * SCALE)))
    pygame.display.set_caption("chase")
    font = pygame.font.Font(None, 24)
    clock = pygame.time.Clock()
    shown = {}
    drawn = 0
    while frames is None or drawn < frames:
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                return drawn
        player.steer(*heading(pygame.key.get_pressed()))
        draw(window, font, player, shown)
        pygame.display.flip()
        clock.tick(FRAMES_PER_SECOND)
        drawn += 1
    return drawn


def main():
    parser = argparse.ArgumentParser(description="play chase in a window")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", default="You")
    parser.add_argument("--frames", type=int, help="end after this many frames")
    arguments = parser.parse_args()

    player = Player()
    thread = player.connect_in_thread(port=arguments.port, hostname=arguments.hostname)
    try:
        player.join(arguments.name)
    except TimeoutError as error:
        print(error, file=sys.stderr)
        player.disconnect()
        thread.join(timeout=5.0)
        return 1
    pygame.display.init()
    pygame.font.init()
    try:
        drawn = play(player, arguments.frames)
    finally:
        pygame.quit()
        player.leave()
        thread.join(timeout=5.0)
    print(f"drew {drawn} frames as player {player.player_id}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
