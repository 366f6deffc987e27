"""The client with Arcade: shows the square; arrow keys push it."""

import sys

import arcade

import pygase

# Arcade's y axis points up, that of the game state down.
KEYS = {arcade.key.LEFT: (-1, 0), arcade.key.RIGHT: (1, 0), arcade.key.UP: (0, -1), arcade.key.DOWN: (0, 1)}


class Window(arcade.Window):
    """A window with a connection."""

    def __init__(self, hostname):
        """Connect, and open the window."""
        super().__init__(640, 360, "square", update_rate=1 / 60)
        self.background_color = arcade.color.MIDNIGHT_BLUE
        self.client = pygase.Client()
        self.client.start(8080, hostname)

    def on_update(self, delta_time):
        self.client.poll(max_ms=2)

    def on_draw(self):
        self.clear()
        if "position" in self.client.snapshot().data:
            x, y = self.client.interpolated("position")
            arcade.draw_lbwh_rectangle_filled(x, 320 - y, 40, 40, arcade.color.ORANGE)

    def on_key_press(self, symbol, modifiers):
        if symbol in KEYS:
            self.client.dispatch_event("PUSH", *KEYS[symbol], retries=3)

    def on_close(self):
        self.client.disconnect()
        super().on_close()


Window(sys.argv[1] if len(sys.argv) > 1 else "localhost").run()
