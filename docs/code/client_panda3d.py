"""The client with Panda3D: shows the square as a card on a plane; arrow keys push it."""

import sys

from direct.showbase.ShowBase import ShowBase
from panda3d.core import CardMaker

import pygase

# Panda3D's z axis points up, the y axis of the game state down.
KEYS = {"arrow_left": (-1, 0), "arrow_right": (1, 0), "arrow_up": (0, -1), "arrow_down": (0, 1)}


class Game(ShowBase):
    """A window with a connection."""

    def __init__(self, hostname):
        """Connect, open the window, and have `follow` called in each frame."""
        super().__init__()
        self.client = pygase.Client()
        self.client.start(8080, hostname)
        maker = CardMaker("square")
        maker.setFrame(0, 40, 0, 40)
        self.square = self.pixel2d.attachNewNode(maker.generate())
        self.square.setColor(1, 0.65, 0, 1)
        self.square.hide()
        for name, direction in KEYS.items():
            self.accept(name, self.push, list(direction))
        self.taskMgr.add(self.follow, "follow the game state")
        self.exitFunc = self.client.disconnect

    def push(self, right, down):
        self.client.dispatch_event("PUSH", right, down, retries=3)

    def follow(self, task):
        self.client.poll(max_ms=2)
        if "position" in self.client.snapshot().data:
            x, y = self.client.interpolated("position")
            self.square.setPos(x, 0, -40 - y)
            self.square.show()
        return task.cont


Game(sys.argv[1] if len(sys.argv) > 1 else "localhost").run()
