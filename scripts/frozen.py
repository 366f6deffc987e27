"""Freeze a small game into one file with PyInstaller, and play it where no Python and no package is at hand.

    python scripts/frozen.py

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


def main() -> int:
    """Freeze it and play it; return 0 if it played and said nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "game.py")
        source.write_text(GAME, encoding="utf-8")
        freeze = [sys.executable, "-m", "PyInstaller", "--onefile", "--log-level", "WARN", "--paths"]
        freeze += [str(ROOT / "python"), "--distpath", folder, "--specpath", folder]
        freeze += ["--workpath", str(Path(folder, "work"))]
        subprocess.run([*freeze, str(source)], check=True)
        played = subprocess.run(
            [Path(folder, "game.exe" if os.name == "nt" else "game")],
            cwd=folder,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PYTHON", "VIRTUAL"))
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    print(played.stdout, played.stderr, sep="", end="")
    return int((played.returncode, played.stdout, played.stderr) != (0, "played\n", ""))


if __name__ == "__main__":
    sys.exit(main())
