"""Freeze games into one file each with PyInstaller, and play them where no Python and no package is at hand.

    python scripts/frozen.py

The games are a server and a client in one program, which try out what they can, and the window of chase.

The extension imports modules by name, which a freezer cannot see: whatever nothing else imports would be
missing in the executable.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHASE = ROOT / "examples" / "chase"

GAME = """
import pygase

def time_step(game_state, dt):
    return {"ticks": game_state.ticks + 1}

def add(amount, game_state, **_):
    return {"score": game_state.score + amount}

backend = pygase.Backend(pygase.GameState(ticks=0, score=0), time_step, {"ADD": add})
backend.game_state_machine.run_game_loop_in_thread()
backend.server.run_in_thread(event_wire=backend.game_state_machine)
client = pygase.Client()
thread = client.connect_in_thread(backend.server.port)
client.try_to(lambda state: state.ticks, timeout=10)
client.dispatch_event("ADD", 5, retries=5)
client.wait_until(lambda state: state.score == 5, timeout=10)
for mistake in (lambda: pygase.GameState.from_bytes(b"?"), lambda: client.dispatch_event("A", object())):
    try:
        mistake()
    except (TypeError, ValueError):
        pass
    else:
        raise SystemExit("no error")
try:
    pygase.Client().connect(port=80, hostname="no.such.host.invalid")
except OSError:
    pass
client.disconnect(shutdown_server=True)
thread.join(10)
backend.game_state_machine.stop()
print("played")
"""


def freeze(source: Path, folder: Path) -> Path:
    """Make one file of a program, and return it."""
    command = [sys.executable, "-m", "PyInstaller", "--onefile", "--log-level", "WARN"]
    command += ["--paths", str(ROOT / "python"), "--distpath", str(folder), "--specpath", str(folder)]
    command += ["--workpath", str(folder / "work"), str(source)]
    subprocess.run(command, check=True)
    frozen = folder / (source.stem + (".exe" if os.name == "nt" else ""))
    print(f"{frozen.name}: {frozen.stat().st_size / 1e6:.1f} MB", flush=True)
    return frozen


def play(frozen: Path, *arguments: str) -> str:
    """Run a frozen program that knows of no Python; return what it printed, or exit if that went wrong."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    played = subprocess.run(
        [frozen, *arguments],
        cwd=frozen.parent,
        env={**bare, "SDL_VIDEODRIVER": "dummy"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    print(played.stdout, played.stderr, sep="", end="", flush=True)
    if played.returncode or played.stderr:
        sys.exit(f"{frozen.name} ended with status {played.returncode}")
    return played.stdout


def play_chase(folder: Path) -> str:
    """Freeze the window of chase, and let it join a server."""
    client = freeze(CHASE / "client_pygame.py", folder)
    server = subprocess.Popen(
        [sys.executable, "server.py", "--port", "0"], cwd=CHASE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip().rpartition(":")[2]
        return play(client, "--port", port, "--frames", "60")
    finally:
        server.kill()
        server.communicate()


def main() -> int:
    """Return 0 if all of them played."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "game.py"
        source.write_text(GAME, encoding="utf-8")
        played = play(freeze(source, folder))
        drawn = play_chase(folder)
    return int((played, drawn) != ("played\n", "drew 60 frames as player 1\n"))


if __name__ == "__main__":
    sys.exit(main())
