"""Live sessions between this implementation and the released PyGaSe 0.3.1, over real sockets.

Each side is a process of its own that runs the very same code in its own environment.
`PYGASE_ORIGINAL_PYTHON` names the Python that has `pygase==0.3.1`; without it, it is
`.venv-original/bin/python` in this repository.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Where the tests run in the background, Ctrl-C is ignored, and so it would be by the processes they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.polling import poll  # noqa: E402
from support.recorder import Recorder  # noqa: E402
from support.remote import Remote  # noqa: E402

SERVER = """
import threading, time
import pygase
from pygase.gamestate import TO_DELETE

got, acks, changes, seen = [], [], [], []

def step(game_state, dt):
    if PACE:
        time.sleep(PACE)
    update = {"ticks": game_state.ticks + 1}
    if changes:
        update.update(changes.pop(0))
    return update

def acked(connection):
    acks.append(connection.remote_address)

def on_hello(*args, **kwargs):
    kwargs.pop("client_address")
    got.append([list(args), kwargs])

def on_move(name, x, game_state, dt, client_address):
    return {"players": {name: {"x": x}}}

async def on_echo(value, client_address):
    server.dispatch_event("ECHO", value, target_client=client_address, retries=3)

def nothing(*_, **__):
    return {}

attributes = {"ticks": 0, "players": {}, "world": {"size": [3, 0.5]}, "doomed": {"a": 1, "b": 2}}
store = pygase.GameStateStore(pygase.GameState(TIME_ORDER, 1, **attributes))
pygase.connection.Connection._timeout = TIMEOUT
server = pygase.Server(store)
machine = pygase.GameStateMachine(store)
machine.time_step = step
server.register_event_handler("HELLO", on_hello)
server.register_event_handler("ECHO", on_echo)
server.register_event_handler("MOVE", nothing)
machine.register_event_handler("MOVE", on_move)
# The released server dies of an event that its game loop does not know.
machine.register_event_handler("HELLO", nothing)
machine.register_event_handler("ECHO", nothing)
server_thread = server.run_in_thread(port=BIND, event_wire=machine)
while not server.port:
    time.sleep(0.01)
machine_thread = machine.run_game_loop_in_thread()

def statuses():
    return [pygase.connection.ConnectionStatus.get(c.status) for c in server.connections.values()]

def whole():
    state = store.get_game_state()
    return {"game_status": int(state.game_status), **vars(state)}
"""

CLIENT = """
import threading, time
import pygase

got, acks = [], []
client = pygase.Client()
client.register_event_handler("NEWS", lambda *args: got.append(list(args)))

async def on_echo(value):
    got.append(value)

client.register_event_handler("ECHO", on_echo)
client_thread = client.connect_in_thread(PORT, "127.0.0.1")

def acked(*_):
    acks.append(1)

def status():
    return pygase.connection.ConnectionStatus.get(client.connection.status)

def state(key=None):
    with client.access_game_state() as game_state:
        if key is None:
            return {"game_status": int(game_state.game_status), **vars(game_state)}
        return getattr(game_state, key, None)
"""


@pytest.fixture(scope="session")
def original_python():
    """The interpreter that has PyGaSe 0.3.1, checked."""
    python = os.environ.get("PYGASE_ORIGINAL_PYTHON") or str(REPOSITORY / ".venv-original" / "bin" / "python")
    if not Path(python).exists():
        pytest.fail(
            f"no PyGaSe 0.3.1 to talk to: {python} does not exist. Run `make environments`, or set "
            "PYGASE_ORIGINAL_PYTHON to a Python that has pygase==0.3.1.",
            pytrace=False,
        )
    ask = "import importlib.metadata as m; print(m.version('pygase'))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, env=environment)
    if answer.stdout.strip() != "0.3.1":
        pytest.fail(f"{python} has no pygase 0.3.1: {answer.stdout}{answer.stderr}", pytrace=False)
    return python


class Side:
    """Where a peer runs: in this environment, or in the original's."""

    def __init__(self, name, python, isolated):
        self.name, self.python, self.isolated = name, python, isolated

    def __repr__(self):
        return self.name

    def environment(self):
        names = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV") if self.isolated else ()
        return {
            **{key: value for key, value in os.environ.items() if key not in names},
            "PYTHONUNBUFFERED": "1",
        }


@pytest.fixture(scope="session")
def sides(original_python):
    """Both sides by name."""
    return {"ours": Side("ours", sys.executable, False), "theirs": Side("theirs", original_python, True)}


@pytest.fixture
def remote(sides):
    """Start peers; they end with the test."""
    started = []

    def start(side):
        started.append(Remote(sides[side].python, isolated=sides[side].isolated))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def start_server(remote):
    """Start a server with a game loop on one side."""

    def start(side, time_order=0, setup="", port=0, timeout=5.0):
        process = remote(side)
        process.run(f"TIMEOUT = {timeout}")
        # Their game loop never sleeps by itself.
        process.run(f"PACE = {0.02 if side == 'theirs' else 0}; TIME_ORDER = {time_order}; BIND = {port}")
        process.run(SERVER)
        process.run(setup)
        process.port = process.value("server.port")
        return process

    return start


@pytest.fixture
def start_client(remote):
    """Start a client on one side and wait until it has the state."""

    def start(side, port, wait=True):
        process = remote(side)
        process.run(f"PORT = {port}")
        process.run(CLIENT)
        if wait:
            process.wait("status() == 'Connected'")
            process.wait("state('world')")
        return process

    return start


@pytest.fixture
def recorder():
    """Start relays that record; they end with the test."""
    started = []

    def start(port):
        started.append(Recorder(port))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def wait_for():
    """Poll a condition with a deadline: processes have to start."""
    return functools.partial(poll, timeout=15.0)
