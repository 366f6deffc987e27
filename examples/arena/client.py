"""Play in the arena: fly with WASD or the arrow keys, aim with the mouse, shoot with its button or space.

    python client.py

`ARCADE_HEADLESS=1 python client.py --frames 60` needs no screen and ends by itself, so many frames after it
got a ship.
"""

import argparse
import math
import sys

import arcade

import rules
from player import Player

DELAY = 0.08  # seconds behind the newest state that things are drawn, so that there is always a next position
BACKGROUND, FLOOR, LINES = (13, 16, 26), (20, 25, 39), (29, 36, 54)
STONE, EDGE, TEXT, DIM = (46, 54, 76), (92, 104, 138), (226, 230, 240), (128, 138, 164)
COLOURS = ((96, 205, 255), (255, 138, 101), (144, 220, 120), (240, 200, 90), (200, 150, 255), (255, 128, 170),
           (110, 230, 200), (210, 210, 220))  # fmt: skip
KEYS = {
    arcade.key.A: (-1, 0), arcade.key.LEFT: (-1, 0), arcade.key.D: (1, 0), arcade.key.RIGHT: (1, 0),
    arcade.key.W: (0, 1), arcade.key.UP: (0, 1), arcade.key.S: (0, -1), arcade.key.DOWN: (0, -1),
}  # fmt: skip


class ArenaWindow(arcade.Window):
    """Draws what the state says, as it was `DELAY` ago, and reports what the player wants."""

    def __init__(self, player, frames=None):
        """Open the window for a player that has been started; it closes after `frames` with a ship."""
        super().__init__(int(rules.WIDTH), int(rules.HEIGHT), "arena", antialiasing=True)
        self.player, self.frames = player, frames
        self.held, self.trigger, self.mouse = set(), False, (0.0, 0.0)
        self.labels = {}  # making a text is slow, moving it is not
        self.background_color = BACKGROUND

    def on_update(self, delta_time):
        self.player.poll(max_ms=4)
        own = self.player.own_ship()
        if own is None:
            return
        heading = [sum(KEYS[key][axis] for key in self.held) for axis in (0, 1)]
        aim = [mouse - at for mouse, at in zip(self.mouse, own["position"], strict=True)]
        self.player.steer(heading, aim, self.trigger)

    def on_draw(self):
        self.clear()
        self.draw_floor()
        state = self.player.snapshot()
        if self.player.own_ship() is None:
            self.write("wait", "connecting ...", self.width / 2, self.height / 2 - 6, TEXT, 14, "center")
        else:
            now = self.player.interpolated("time", DELAY)
            for shot in state.shots.values():
                self.draw_shot(shot, now)
            for ship_id, ship in state.ships.items():
                self.draw_ship(ship_id, ship)
            self.draw_scores(state.ships)
            latency = self.player.connection.latency * 1000
            self.write("status", f"{latency:.0f} ms to the server", 16, 14, DIM, 10)
        if self.frames is not None and self.player.own_ship() is not None:
            self.frames -= 1
            if self.frames <= 0:
                self.close()

    def draw_floor(self):
        width, height = rules.WIDTH, rules.HEIGHT
        arcade.draw_lrbt_rectangle_filled(6, width - 6, 6, height - 6, FLOOR)
        for x in range(80, int(width), 80):
            arcade.draw_line(x, 6, x, height - 6, LINES)
        for y in range(80, int(height), 80):
            arcade.draw_line(6, y, width - 6, y, LINES)
        arcade.draw_lrbt_rectangle_outline(6, width - 6, 6, height - 6, EDGE, 2)
        for x, y, radius in rules.PILLARS:
            arcade.draw_circle_filled(x, y, radius, STONE, num_segments=64)
            arcade.draw_circle_outline(x, y, radius, EDGE, 2, num_segments=64)

    def draw_shot(self, shot, now):
        """Draw a shot where it is now, or how it ended."""
        if shot["begin"] <= now < shot["end"]:
            x, y = rules.place(shot, now)
            back = [speed * min(0.045, now - shot["begin"]) for speed in shot["velocity"]]
            arcade.draw_line(x - back[0], y - back[1], x, y, (255, 236, 160), 3)
        elif 0.0 <= now - shot["end"] < 0.3:
            x, y = rules.place(shot, shot["end"])
            age = (now - shot["end"]) / 0.3
            radius = (26 if shot["hit"] else 9) * (0.3 + age)
            colour = (255, 190, 110, int(230 * (1 - age)))
            arcade.draw_circle_outline(x, y, radius, colour, 3, num_segments=32)

    def draw_ship(self, ship_id, ship):
        """Draw a ship that flies: an arrowhead, its name and its health."""
        if not ship["health"]:
            return
        x, y = self.player.interpolated(("ships", ship_id, "position"), DELAY)
        angle = math.atan2(*reversed(self.player.interpolated(("ships", ship_id, "aim"), DELAY)))
        colour = COLOURS[ship_id % len(COLOURS)]
        corners = [
            (x + size * math.cos(angle + turn), y + size * math.sin(angle + turn))
            for size, turn in ((20, 0.0), (18, 2.5), (7, math.pi), (18, -2.5))
        ]
        if ship_id == self.player.ship_id:
            arcade.draw_circle_outline(x, y, 27, (*colour, 110), 2, num_segments=48)
        # Two halves, as the whole arrowhead is not convex.
        arcade.draw_triangle_filled(*corners[0], *corners[1], *corners[2], colour)
        arcade.draw_triangle_filled(*corners[0], *corners[2], *corners[3], colour)
        left = x - 18
        arcade.draw_lrbt_rectangle_filled(left, left + 36, y - 34, y - 30, STONE)
        full = 36 * ship["health"] / rules.FULL_HEALTH
        arcade.draw_lrbt_rectangle_filled(left, left + full, y - 34, y - 30, colour)
        self.write(ship_id, ship["name"], x, y + 28, TEXT, 10, "center")

    def draw_scores(self, ships):
        """List who leads, and what happened last."""
        order = sorted(ships.items(), key=lambda item: (-item[1]["score"], item[0]))
        for row, (ship_id, ship) in enumerate(order[:8]):
            y = self.height - 32 - 20 * row
            colour = COLOURS[ship_id % len(COLOURS)]
            self.write(("name", row), ship["name"], 20, y, colour, 12)
            self.write(("score", row), str(ship["score"]), 130, y, TEXT, 12, "right")
        for row, (shooter, victim) in enumerate(reversed(self.player.news[-3:])):
            y = self.height - 32 - 20 * row
            self.write(("news", row), f"{shooter} shot down {victim}", self.width - 20, y, DIM, 11, "right")

    def write(self, key, text, x, y, colour, size, anchor="left"):
        """Draw a text; `key` tells which one of the last frame it was."""
        label = self.labels.get(key)
        if label is None:
            label = self.labels[key] = arcade.Text("", 0, 0, font_size=size, anchor_x=anchor)
        if label.text != text:
            label.text = text
        label.color = colour
        label.position = (x, y)
        label.draw()

    def on_key_press(self, symbol, modifiers):
        if symbol in KEYS:
            self.held.add(symbol)
        self.trigger = self.trigger or symbol == arcade.key.SPACE
        if symbol == arcade.key.ESCAPE:
            self.close()

    def on_key_release(self, symbol, modifiers):
        self.held.discard(symbol)
        self.trigger = self.trigger and symbol != arcade.key.SPACE

    def on_mouse_motion(self, x, y, dx, dy):
        self.mouse = (x, y)

    def on_mouse_drag(self, x, y, dx, dy, buttons, modifiers):
        self.mouse = (x, y)

    def on_mouse_press(self, x, y, button, modifiers):
        self.trigger = True

    def on_mouse_release(self, x, y, button, modifiers):
        self.trigger = False


def main():
    parser = argparse.ArgumentParser(description="play in the arena")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", default="You")
    parser.add_argument("--frames", type=int, help="end after this many frames with a ship")
    arguments = parser.parse_args()

    player = Player(arguments.name)
    player.start(arguments.port, arguments.hostname)
    window = ArenaWindow(player, arguments.frames)
    window.run()
    player.disconnect()
    if player.ship_id is None:
        print(f"got no ship from {arguments.hostname}:{arguments.port}", file=sys.stderr)
        return 1
    print(f"flew ship {player.ship_id}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
