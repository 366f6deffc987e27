"""Make the pictures of the documentation: play the examples without a screen, and keep what they show.

    python scripts/screenshots.py [chase arena ...]

The programs are the real ones, with servers and bots as processes of their own. A window is caught when it
closes after its `--frames`; what a terminal shows is drawn with a font. The pictures go to docs/images.
"""

from __future__ import annotations

import argparse
import ctypes.util
import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, IMAGES = ROOT / "examples", ROOT / "docs" / "images"
FONTS = ("dejavusansmono", "liberationmono")
LIBRARIES = {"EGL": "libegl1", "GL": "libgl1", "GLU": "libglu1-mesa"}
FOREGROUND, BACKGROUND, BAR = (214, 219, 232), (24, 27, 37), (40, 45, 60)
ANSI = {31: "#ef6b73", 32: "#8fd18a", 33: "#e8c268", 34: "#6ea8f7", 35: "#c792ea", 36: "#64cfd6"}


def missing() -> list[str]:
    """Return the Debian packages that are not there."""
    import pygame

    packages = [package for name, package in LIBRARIES.items() if ctypes.util.find_library(name) is None]
    if not pygame.font.match_font(list(FONTS)):
        packages.append("fonts-dejavu-core")
    return packages


@contextmanager
def running(example: str, script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program of an example, and end it."""
    process = subprocess.Popen(
        [sys.executable, script, *map(str, arguments)],
        cwd=EXAMPLES / example,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def serve(stack: ExitStack, example: str, script: str = "server.py", *arguments: object) -> str:
    """Run a server until the stack unwinds; return its port."""
    server = stack.enter_context(running(example, script, "--port", 0, *arguments))
    assert server.stdout is not None
    return server.stdout.readline().strip().rpartition(":")[2]


def window(name: str, script: str, *arguments: object) -> None:
    """Run a program with a window in a process of its own, which keeps the last frame; see `catch`."""
    command = [sys.executable, __file__, "--catch", name, script, *map(str, arguments)]
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "ARCADE_HEADLESS": "1"}
    subprocess.run(command, cwd=EXAMPLES / name, env=environment, check=True, timeout=120)


def catch(name: str, script: str, arguments: list[str]) -> None:
    """Run a program in this process, and save its window when it closes it."""
    sys.path.insert(0, os.getcwd())
    sys.argv = [script, *arguments]
    if name == "arena":
        import arcade

        close, update = arcade.Window.close, arcade.Window.dispatch_event

        def save_and_close(self: arcade.Window) -> None:
            write(arcade.get_image().convert("RGB"), name)
            close(self)

        def play(self: arcade.Window, kind: str, *arguments: object) -> object:
            if kind == "on_update":
                self.on_mouse_motion(self.width // 2, self.height // 2, 0, 0)
                self.on_mouse_press(0, 0, 1, 0)
                self.on_key_press(arcade.key.W if time.monotonic() % 3 < 1.5 else arcade.key.A, 0)
            return update(self, kind, *arguments)

        arcade.Window.close, arcade.Window.dispatch_event = save_and_close, play
    else:
        import pygame

        leave, open_window = pygame.quit, pygame.display.set_mode

        def save_and_quit() -> None:
            save(pygame.display.get_surface(), name)
            leave()

        def open_and_draw(size: tuple[int, int]) -> pygame.Surface:
            surface = open_window(size)
            if name == "drawing_board":
                for kind, place in handwriting():
                    pygame.event.post(pygame.event.Event(kind, pos=place, button=1))
            return surface

        pygame.quit, pygame.display.set_mode = save_and_quit, open_and_draw
    runpy.run_path(script, run_name="__main__")


def handwriting() -> Iterator[tuple[int, tuple[int, int]]]:
    """Return the mouse events that write a greeting."""
    import pygame

    strokes = (
        [(330, 40), (322, 130), (331, 92), (352, 84), (362, 98), (358, 132)],
        [(404, 92), (398, 118), (405, 132), (416, 126)],
        [(408, 66), (411, 69)],
        [(452, 42), (446, 104)],
        [(443, 128), (446, 131)],
    )
    for stroke in strokes:
        yield pygame.MOUSEBUTTONDOWN, stroke[0]
        for place in stroke[1:]:
            yield pygame.MOUSEMOTION, place
        yield pygame.MOUSEBUTTONUP, stroke[-1]


def square() -> None:
    """Show the square of the landing page in two windows at the same moment."""
    import pygame
    from PIL import Image

    backend = runpy.run_path(str(ROOT / "docs" / "code" / "server.py"))["backend"]
    backend.game_state_machine.run_game_loop_in_thread()
    backend.server.run_in_thread(event_wire=backend.game_state_machine)
    commands = ("python client_pygame.py",) * 2
    moment = time.time() + 5.0
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            screens = [folder / f"{index}.png" for index in range(len(commands))]
            arguments = (str(backend.server.port), str(moment))
            command = [sys.executable, __file__, "--catch-square", *arguments]
            environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
            programs = [subprocess.Popen([*command, str(screen)], env=environment) for screen in screens]
            if any(program.wait(timeout=60) for program in programs):
                raise RuntimeError("a client of the square failed")
            pygame.font.init()
            font = pygame.font.Font(pygame.font.match_font(list(FONTS)), 13)
            surface = pygame.Surface((2 * 480 + 3 * 16, 270 + 28 + 2 * 16))
            surface.fill("white")
            for index, (screen, text) in enumerate(zip(screens, commands, strict=True)):
                left = 16 + index * (480 + 16)
                surface.fill(BAR, (left, 16, 480, 28))
                surface.blit(font.render(text, True, FOREGROUND), (left + 10, 22))
                picture = Image.open(screen).resize((480, 270), Image.Resampling.LANCZOS)
                part = pygame.image.frombytes(picture.convert("RGB").tobytes(), picture.size, "RGB")
                surface.blit(part, (left, 44))
            save(surface, "square")
    finally:
        backend.shutdown()


def catch_square(port: str, moment: str, path: str) -> None:
    """Run the client of the landing page in this process, and keep what it shows at a moment."""
    import pygame

    import pygase

    start, flip = pygase.Client.start, pygame.display.flip

    def start_there(self: pygase.Client, _: int, hostname: str = "localhost") -> None:
        start(self, int(port), hostname)

    def flip_and_save() -> None:
        flip()
        if time.time() >= float(moment) and not os.path.exists(path):
            pygame.image.save(pygame.display.get_surface(), path)
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    pygase.Client.start, pygame.display.flip = start_there, flip_and_save
    sys.argv[1:] = []
    runpy.run_path(str(ROOT / "docs" / "code" / "client_pygame.py"), run_name="__main__")


def getting_started() -> None:
    with ExitStack() as stack:
        port = serve(stack, "getting_started", "backend.py")
        client = stack.enter_context(
            running("getting_started", "client.py", "--port", port, "--auto", "--shots", 4)
        )
        assert client.stdout is not None
        terminal("getting_started", "python client.py --auto", client.stdout.read())


def chase() -> None:
    with ExitStack() as stack:
        port = serve(stack, "chase", "server.py", "--seed", 4)
        for name in ("Otter", "Fox", "Wren", "Hare"):
            stack.enter_context(running("chase", "bot.py", "--port", port, "--name", name))
        window("chase", "client_pygame.py", "--port", port, "--frames", 420)


def arena() -> None:
    with ExitStack() as stack:
        port = serve(stack, "arena", "server.py", "--seed", 1)
        stack.enter_context(running("arena", "bot.py", "--port", port, "--bots", 5, "--seed", 1))
        window("arena", "client.py", "--port", port, "--frames", 700)


def drawing_board() -> None:
    with ExitStack() as stack:
        port = serve(stack, "drawing_board")
        for figure in (0, 2, 3, 4, 5):
            with running("drawing_board", "painter.py", "--port", port, "--figure", figure) as painter:
                painter.wait(timeout=20)
        window("drawing_board", "client.py", "--port", port, "--frames", 120)


def lobby() -> None:
    says = (
        (1, "/sit red"),
        (0, "hello! who plays?"),
        (1, "/up"),
        (1, "me, at table red"),
        (0, "/sit red"),
        (1, "/sit red"),
        (0, "all there?"),
        (1, "yes :)"),
        (0, "/ready"),
        (1, "/ready"),
        (0, "/tables"),
    )
    with ExitStack() as stack:
        port = serve(stack, "lobby")
        guests = []
        for name in ("Anna", "Ben"):
            guest = stack.enter_context(
                running("lobby", "client.py", "--port", port, "--name", name, "--colour")
            )
            guests.append(guest)
            time.sleep(1.0)
        for who, line in says:
            stdin = guests[who].stdin
            assert stdin is not None
            stdin.write(line + "\n")
            stdin.flush()
            time.sleep(0.4)
        time.sleep(3.5)
        output, _ = guests[0].communicate(timeout=10)
        terminal("lobby", "python client.py --name Anna", output)


def crowd() -> None:
    with ExitStack() as stack:
        port = serve(stack, "crowd")
        bots = stack.enter_context(running("crowd", "bots.py", "--port", port))
        assert bots.stdout is not None
        while not bots.stdout.readline().startswith("500 of 500"):
            assert bots.poll() is None
        time.sleep(8.0)
        window("crowd", "watch.py", "--port", port, "--frames", 420)


def terminal(name: str, command: str, output: str) -> None:
    """Draw what a terminal shows, with its colours."""
    import pygame

    pygame.font.init()
    font = pygame.font.Font(pygame.font.match_font(list(FONTS)), 15)
    width, height = font.size("m")
    lines = [f"\033[2m$\033[0m {command}", *output.rstrip().split("\n")]
    plain = [re.sub(r"\033\[[\d;]*m", "", line) for line in lines]
    size = (max(76, *map(len, plain)) * width + 32, (len(lines) + 2) * (height + 3) + 24)
    surface = pygame.Surface(size)
    surface.fill(BACKGROUND)
    surface.fill(BAR, (0, 0, size[0], 28))
    for index, colour in enumerate(("#ef6b73", "#e8c268", "#8fd18a")):
        pygame.draw.circle(surface, colour, (18 + 20 * index, 14), 6)
    for row, line in enumerate(lines):
        x = 16
        colour: object = FOREGROUND
        for part in re.split(r"(\033\[[\d;]*m)", line):
            code = re.fullmatch(r"\033\[([\d;]*)m", part)
            if code:
                number = int(code[1].rpartition(";")[2])
                colour = {0: FOREGROUND, 2: (136, 144, 166), **ANSI}[number]
                continue
            surface.blit(font.render(part, True, colour), (x, 42 + row * (height + 3)))
            x += width * len(part)
    save(surface, name)


def save(surface: object, name: str) -> None:
    """Save a surface of pygame."""
    import pygame
    from PIL import Image

    assert isinstance(surface, pygame.Surface)
    write(Image.frombytes("RGB", surface.get_size(), pygame.image.tobytes(surface, "RGB")), name)


def write(image: object, name: str) -> None:
    """Write a picture, small: 256 colours are enough for these."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.png"
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}  {image.width} x {image.height}  {path.stat().st_size / 1000:.0f} kB")


PICTURES: dict[str, Callable[[], None]] = {
    "square": square,
    "getting_started": getting_started,
    "chase": chase,
    "arena": arena,
    "drawing_board": drawing_board,
    "lobby": lobby,
    "crowd": crowd,
}


def main() -> int:
    if sys.argv[1:2] == ["--catch-square"]:
        catch_square(*sys.argv[2:])
        return 0
    if sys.argv[1:2] == ["--catch"]:
        catch(sys.argv[2], sys.argv[3], sys.argv[4:])
        return 0
    parser = argparse.ArgumentParser(description="make the pictures of the documentation")
    parser.add_argument("names", nargs="*", metavar="EXAMPLE", help=f"{', '.join(PICTURES)} (default: all)")
    names = parser.parse_args().names or list(PICTURES)
    packages = missing()
    if packages:
        print(f"make screenshots needs these Debian packages: {' '.join(packages)}", file=sys.stderr)
        return 1
    for name in names:
        PICTURES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
