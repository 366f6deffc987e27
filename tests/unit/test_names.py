"""Public names: where they are, what they derive from, and how they are documented."""

import importlib
import inspect

import pytest

import pygase
from pygase import _core, connection
from pygase._errors import DecodeError
from pygase.connection import ConnectionStatus

MODULES = ("backend", "client", "connection", "event", "gamestate", "utils")


def public_names():
    for name in MODULES:
        module = importlib.import_module(f"pygase.{name}")
        for public in module.__all__:
            yield pytest.param(getattr(module, public), id=f"{name}.{public}")


def test_names_of_the_package():
    assert set(pygase.__all__) == {
        "Backend",
        "Client",
        "ClientOptions",
        "GameState",
        "GameStateMachine",
        "GameStateStore",
        "Server",
        "ServerOptions",
        "__version__",
        "get_available_ip_addresses",
    }
    assert pygase.__version__ == _core.__version__


@pytest.mark.parametrize("name", ["Header", "Package", "Connection", "ClientConnection", "ServerConnection"])
def test_live_classes_are_those_of_the_core(name):
    public, core = getattr(connection, name), getattr(_core, name)
    assert public is core or core in public.__bases__


def test_connection_status_by_name_and_value():
    assert [status.value for status in ConnectionStatus] == [0, 1, 2]
    for name, value in (("Disconnected", 0), ("Connected", 1), ("Connecting", 2)):
        assert ConnectionStatus.get(name) == value
        assert ConnectionStatus.get(value) == ConnectionStatus.get(ConnectionStatus(value)) == name


def test_errors_are_what_games_catch():
    assert issubclass(connection.ProtocolIDMismatchError, ValueError)
    assert issubclass(connection.DuplicateSequenceError, ConnectionError)
    assert issubclass(DecodeError, TypeError)
    assert issubclass(DecodeError, ValueError)
    assert connection.PROTOCOL_ID == b"\xff\xd0\xfa\xb9"


@pytest.mark.parametrize("public", list(public_names()))
def test_everything_public_is_documented(public):
    if not callable(public):
        return
    assert inspect.getdoc(public)
    for name, member in vars(public).items() if inspect.isclass(public) else ():
        if not name.startswith("_") and inspect.isroutine(member):
            assert inspect.getdoc(getattr(public, name)), name


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (pygase.Client.connect, "(self, port, hostname='localhost')"),
        (pygase.Client.connect_in_thread, "(self, port, hostname='localhost')"),
        (pygase.Client.disconnect, "(self, shutdown_server=False)"),
        (pygase.Client.wait_until, "(self, game_state_condition, timeout=1.0)"),
        (pygase.Client.try_to, "(self, function, timeout=1.0)"),
        (pygase.Client.dispatch_event, "(self, event_type, *args, retries=0, ack_callback=None, **kwargs)"),
        (pygase.Client.register_event_handler, "(self, event_type, event_handler_function)"),
        (pygase.GameStateStore, "(initial_game_state=None)"),
        (pygase.GameStateStore.push_update, "(self, update)"),
        (pygase.Server.run, "(self, port=0, hostname='localhost', event_wire=None)"),
        (pygase.Server.run_in_thread, "(self, port=0, hostname='localhost', event_wire=None, daemon=True)"),
        (
            pygase.Server.dispatch_event,
            "(self, event_type, *args, target_client='all', retries=0, ack_callback=None, **kwargs)",
        ),
        (pygase.GameStateMachine.run_game_loop, "(self, interval=0.02)"),
        (pygase.GameStateMachine.run_game_loop_in_thread, "(self, interval=0.02)"),
        (pygase.GameStateMachine.stop, "(self, timeout=1.0)"),
        (pygase.GameStateMachine.time_step, "(self, game_state, dt)"),
        (
            pygase.Backend,
            "(initial_game_state, time_step_function, event_handlers=None, *, options=None, **settings)",
        ),
        (pygase.Backend.run, "(self, hostname, port, interval=0.02)"),
        (connection.ClientConnection.shutdown, "(self, shutdown_server=False)"),
        (connection.ServerConnection.loop, "(hostname, port, server, event_wire)"),
    ],
)
def test_calls_have_their_signatures(call, signature):
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(call).parameters.values()
    ]
    assert str(inspect.Signature(parameters)) == signature
