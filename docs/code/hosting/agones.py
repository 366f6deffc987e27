"""The square as a game server of Agones: says when it is ready, that it lives, and when it is over.

The match is over once there were players and the last has left.
"""

import os
import sys
import threading
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from server import backend

HELPER = f"http://localhost:{os.environ.get('AGONES_SDK_HTTP_PORT', '9358')}"
players = set()
over = threading.Event()


def tell(what):
    """Send one of Agones' words: ready, health, shutdown."""
    request = urllib.request.Request(
        f"{HELPER}/{what}", data=b"{}", headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=5).close()


@backend.server.on_connect
def joined(connection):
    players.add(connection.remote_address)


@backend.server.on_disconnect
def left(connection, reason):
    players.discard(connection.remote_address)
    if not players:
        over.set()


backend.game_state_machine.run_game_loop_in_thread()
backend.server.run_in_thread(
    int(os.environ.get("PORT", "8080")), "0.0.0.0", event_wire=backend.game_state_machine
)
tell("ready")
while not over.wait(timeout=2):
    tell("health")
backend.shutdown()
tell("shutdown")
