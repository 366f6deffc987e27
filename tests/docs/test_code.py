"""The programs of the documentation: each client shows the square that the server moves, and pushes it."""

import ctypes.util
import importlib.util
import json
import os
import queue
import runpy
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import pygase

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "docs" / "code"
CLIENTS = sorted(CODE.glob("client_*.py"))


@pytest.fixture
def backend():
    """The server of the documentation, on a free port."""
    backend = runpy.run_path(str(CODE / "server.py"))["backend"]
    backend.game_state_machine.run_game_loop_in_thread()
    backend.server.run_in_thread(event_wire=backend.game_state_machine)
    yield backend
    backend.shutdown()


@pytest.mark.parametrize("script", CLIENTS, ids=[script.stem for script in CLIENTS])
def test_a_client_sees_and_pushes_the_square(backend, script):
    toolkit = script.stem.removeprefix("client_")
    if toolkit != "headless" and importlib.util.find_spec(toolkit) is None:
        pytest.skip(f"{toolkit} is not installed: `make docs` installs it")
    if toolkit in ("arcade", "pyglet") and ctypes.util.find_library("EGL") is None:
        pytest.skip("drawing without a display takes libEGL: apt install libegl1 libgl1-mesa-dri")
    screens = ROOT / "tests" / "docs" / "screens.py"
    command = [sys.executable, str(screens), str(script), str(backend.server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    places = json.loads(done.stdout.splitlines()[-1].replace("(", "[").replace(")", "]"))
    velocity = backend.game_state_store.get_game_state().velocity
    assert [abs(speed) for speed in velocity] == [200, 0]
    if toolkit != "headless":
        assert len(places) >= 5
        assert all(0 <= x <= 600 and 0 <= y <= 320 for x, y in places)


def test_what_a_client_may_send(backend):
    """A push that is out of range or makes no sense neither teleports the square nor stops the game."""
    push = runpy.run_path(str(CODE / "server.py"))["push"]
    assert push(1e9, float("nan")) == {"velocity": [200, 200]}
    with pytest.raises(TypeError):
        push("left", 0)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Helper(BaseHTTPRequestHandler):
    """Stands in for what Agones puts beside a game server."""

    heard = queue.Queue()

    def do_POST(self):
        self.heard.put(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_match_under_agones_ends_with_its_last_player():
    helper = ThreadingHTTPServer(("localhost", 0), Helper)
    threading.Thread(target=helper.serve_forever, daemon=True).start()
    port = free_port()
    environment = {**os.environ, "AGONES_SDK_HTTP_PORT": str(helper.server_port), "PORT": str(port)}
    server = subprocess.Popen([sys.executable, str(CODE / "hosting" / "agones.py")], env=environment)
    try:
        assert Helper.heard.get(timeout=20) == "/ready"
        client = pygase.Client()
        client.start(port)
        client.wait_until(lambda state: "position" in state.data, timeout=10)
        assert Helper.heard.get(timeout=10) == "/health"
        client.disconnect()
        assert server.wait(timeout=30) == 0
        words = [Helper.heard.get_nowait() for _ in range(Helper.heard.qsize())]
        assert words[-1] == "/shutdown"
        assert set(words[:-1]) <= {"/health"}
    finally:
        server.kill()
        helper.shutdown()
        helper.server_close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_the_server_ends_well_by_ctrl_c():
    """As systemd and containers end it, too: not with a traceback and a status that says it failed."""
    port = free_port()
    elsewhere = (
        "import pygase, runpy; run = pygase.Backend.run; "
        f"pygase.Backend.run = lambda self, *_: run(self, '127.0.0.1', {port}); "
        f"runpy.run_path({str(CODE / 'server.py')!r}, run_name='__main__')"
    )
    server = subprocess.Popen([sys.executable, "-c", elsewhere], stderr=subprocess.PIPE, text=True)
    try:
        client = pygase.Client()
        client.start(port)
        client.wait_until(lambda state: "position" in state.data, timeout=20)
        client.disconnect()
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=20)
        assert (server.returncode, "Traceback" in said) == (0, False), said
    finally:
        server.kill()
        server.communicate()
