"""Runs a client of docs/code without a display, looks at what it draws, presses a key and closes it.

    python screens.py SCRIPT PORT

The square is what is orange: the first bright red of the picture. Once it was seen in five places, the left
arrow is pressed; once the game state says that this was heard, the window is closed. Prints the places.
"""

import os
import re
import runpy
import sys
from pathlib import Path

import pygase

SCRIPT, PORT = Path(sys.argv[1]), int(sys.argv[2])
del sys.argv[1:]
clients, places = [], []


def start(self, port, hostname="localhost", start=pygase.Client.start):
    clients.append(self)
    start(self, PORT, hostname)


def look(picture, width, press, leave):
    """Take a picture of four bytes a pixel in, and do what its time has come for."""
    bright = re.search(rb"[\xc8-\xff]", bytes(picture)[::4])
    if bright is not None:
        place = bright.start() % width, bright.start() // width
        if place not in places:
            places.append(place)
        if len(places) == 5:
            press()
    if bright is not None and [abs(speed) for speed in clients[0].snapshot().velocity] == [200, 0]:
        leave()


def with_pygame():
    os.environ.update(SDL_VIDEODRIVER="dummy")
    import pygame

    def flip():
        surface = pygame.display.get_surface()
        look(
            pygame.image.tobytes(surface, "RGBA"),
            surface.get_width(),
            lambda: pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_LEFT)),
            lambda: pygame.event.post(pygame.event.Event(pygame.QUIT)),
        )

    pygame.display.flip = flip


def with_pyglet():
    os.environ.update(ARCADE_HEADLESS="True")
    import pyglet

    pyglet.options.headless = True

    def close(window):
        window.dispatch_event("on_close")
        if window.context:  # Arcade's loop without a display does not close it
            window.close()

    def flip(self, flip=pyglet.window.Window.flip):
        looping = pyglet.app.event_loop.is_running
        image = pyglet.image.get_buffer_manager().get_color_buffer().get_image_data()
        look(
            image.get_data("RGBA", image.width * 4),
            image.width,
            lambda: self.dispatch_event("on_key_press", pyglet.window.key.LEFT, 0),
            lambda: pyglet.clock.schedule_once(lambda _: close(self), 0) if looping else close(self),
        )
        if not looping:
            self.dispatch_events()
        if self.context:
            flip(self)

    pyglet.window.Window.flip = flip


def with_panda3d():
    from panda3d.core import loadPrcFileData

    loadPrcFileData("", "window-type offscreen\nload-display p3tinydisplay\nwin-size 640 360")
    loadPrcFileData("", "audio-library-name null\nnotify-level fatal")
    from direct.showbase.ShowBase import ShowBase

    def run(self, run=ShowBase.run):
        def after_frame(task):
            texture = self.win.getScreenshot()
            if texture is not None:
                picture = texture.getRamImageAs("RGBA")
                look(picture, texture.getXSize(), lambda: self.messenger.send("arrow_left"), self.userExit)
            return task.cont

        self.taskMgr.add(after_frame, "look", sort=60)
        run(self)

    ShowBase.run = run


pygase.Client.start = start
toolkit = SCRIPT.stem.removeprefix("client_")
{"pygame": with_pygame, "arcade": with_pyglet, "pyglet": with_pyglet, "panda3d": with_panda3d}.get(
    toolkit, int
)()
try:
    runpy.run_path(str(SCRIPT), run_name="__main__")
finally:
    print(places, flush=True)
