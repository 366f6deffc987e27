"""The client with pyglet: shows the square; arrow keys push it."""

import sys

import pyglet
from pyglet.window import key

import pygase

# pyglet's y axis points up, that of the game state down.
KEYS = {key.LEFT: (-1, 0), key.RIGHT: (1, 0), key.UP: (0, -1), key.DOWN: (0, 1)}

client = pygase.Client()
client.start(8080, sys.argv[1] if len(sys.argv) > 1 else "localhost")
window = pyglet.window.Window(640, 360, "square")
square = pyglet.shapes.Rectangle(0, 0, 40, 40, color=(255, 165, 0))


@window.event
def on_draw():
    client.poll(max_ms=2)
    window.clear()
    if "position" in client.snapshot().data:
        x, y = client.interpolated("position")
        square.position = (x, 320 - y)
        square.draw()


@window.event
def on_key_press(symbol, modifiers):
    if symbol in KEYS:
        client.dispatch_event("PUSH", *KEYS[symbol], retries=3)


pyglet.app.run(1 / 60)
client.disconnect()
