"""Names and signatures: every public one of PyGaSe 0.3.1 is where it was."""

import enum
import importlib
import inspect

import pytest

import pygase

NAMES = {
    "pygase": "Client Backend Server GameStateStore GameStateMachine GameState get_available_ip_addresses",
    "pygase.connection": "PROTOCOL_ID ProtocolIDMismatchError DuplicateSequenceError Header Package"
    " ClientPackage ServerPackage ConnectionStatus Connection ClientConnection ServerConnection",
    "pygase.event": "Event UniversalEventHandler",
    "pygase.gamestate": "TO_DELETE GameStatus GameState GameStateUpdate",
    "pygase.utils": "Comparable Sendable NamedEnum Sqn LockedRessource get_available_ip_addresses logger",
    "pygase.client": "Client",
    "pygase.backend": "GameStateStore Server GameStateMachine Backend",
}

SIGNATURES = {
    "connection.Header": "sequence, ack, ack_bitfield",
    "connection.Header.to_bytearray": "self",
    "connection.Header.destructure": "self",
    "connection.Header.deconstruct_datagram": "datagram",
    "connection.Package": "header, events=None",
    "connection.Package.add_event": "self, event",
    "connection.Package.get_bytesize": "self",
    "connection.Package.to_datagram": "self",
    "connection.Package.from_datagram": "datagram",
    "connection.ClientPackage": "header, time_order, events=None",
    "connection.ServerPackage": "header, game_state_update, events=None",
    "connection.ConnectionStatus.get": "name_or_value",
    "connection.Connection": "remote_address, event_handler, event_wire=None",
    "connection.Connection.dispatch_event": "self, event, ack_callback=None, timeout_callback=None",
    "connection.ClientConnection": "remote_address, event_handler",
    "connection.ClientConnection.shutdown": "self, shutdown_server=False",
    "connection.ClientConnection.loop": "self",
    "connection.ServerConnection": "remote_address, event_handler, game_state_store, last_client_time_order,"
    " event_wire=None",
    "connection.ServerConnection.loop": "hostname, port, server, event_wire",
    "event.Event": "event_type, *, **",
    "event.Event.to_bytes": "self",
    "event.Event.from_bytes": "bytepack",
    "event.UniversalEventHandler": "",
    "event.UniversalEventHandler.register_event_handler": "self, event_type, event_handler_function",
    "event.UniversalEventHandler.handle": "self, event, **",
    "event.UniversalEventHandler.has_event_type": "self, event_type",
    "gamestate.GameState": "time_order=0, game_status=0, **",
    "gamestate.GameState.is_paused": "self",
    "gamestate.GameState.to_bytes": "self",
    "gamestate.GameState.from_bytes": "bytepack",
    "gamestate.GameStateUpdate": "time_order, **",
    "gamestate.GameStateUpdate.to_bytes": "self",
    "gamestate.GameStateUpdate.from_bytes": "bytepack",
    "utils.NamedEnum.get": "name_or_value",
    "utils.NamedEnum.register": "name",
    "utils.Sqn.set_bytesize": "bytesize",
    "utils.Sqn.get_max_sequence": "",
    "utils.Sqn.to_sqn_bytes": "self",
    "utils.Sqn.from_sqn_bytes": "bytestring",
    "utils.get_available_ip_addresses": "",
    "client.Client": "",
    "client.Client.connect": "self, port, hostname='localhost'",
    "client.Client.connect_in_thread": "self, port, hostname='localhost'",
    "client.Client.disconnect": "self, shutdown_server=False",
    "client.Client.access_game_state": "self",
    "client.Client.wait_until": "self, game_state_condition, timeout=1.0",
    "client.Client.try_to": "self, function, timeout=1.0",
    "client.Client.dispatch_event": "self, event_type, *, retries=0, ack_callback=None, **",
    "client.Client.register_event_handler": "self, event_type, event_handler_function",
    "backend.GameStateStore": "initial_game_state=None",
    "backend.GameStateStore.get_update_cache": "self",
    "backend.GameStateStore.get_game_state": "self",
    "backend.GameStateStore.push_update": "self, update",
    "backend.Server": "game_state_store",
    "backend.Server.run": "self, port=0, hostname='localhost', event_wire=None",
    "backend.Server.run_in_thread": "self, port=0, hostname='localhost', event_wire=None, daemon=True",
    "backend.Server.shutdown": "self",
    "backend.Server.dispatch_event": "self, event_type, *, target_client='all', retries=0,"
    " ack_callback=None, **",
    "backend.Server.register_event_handler": "self, event_type, event_handler_function",
    "backend.GameStateMachine": "game_state_store",
    "backend.GameStateMachine.register_event_handler": "self, event_type, event_handler_function",
    "backend.GameStateMachine.run_game_loop": "self, interval=0.02",
    "backend.GameStateMachine.run_game_loop_in_thread": "self, interval=0.02",
    "backend.GameStateMachine.stop": "self, timeout=1.0",
    "backend.GameStateMachine.time_step": "self, game_state, dt",
    "backend.Backend": "initial_game_state, time_step_function, event_handlers=None",
    "backend.Backend.run": "self, hostname, port",
    "backend.Backend.shutdown": "self",
}


@pytest.mark.parametrize("module", NAMES)
def test_modules_have_their_names(module):
    namespace = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(namespace, name)]
    assert not missing


def test_submodules_are_attributes():
    assert pygase.client.Client is pygase.Client
    assert pygase.backend.Server is pygase.Server
    assert pygase.gamestate.GameState is pygase.GameState
    assert pygase.utils.get_available_ip_addresses is pygase.get_available_ip_addresses


def test_connection_lends_names():
    """Game code has always been able to take these from `pygase.connection`, too."""
    import pygase.connection as connection

    assert connection.Event is pygase.event.Event
    assert connection.Sqn is pygase.utils.Sqn
    assert connection.GameStateUpdate is pygase.gamestate.GameStateUpdate


def describe(callable_object):
    """Spell a signature as in the table above: kinds and defaults without the annotations."""
    parts, starred = [], False
    for parameter in inspect.signature(callable_object).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            parts.append("*")
            starred = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            parts.append("**")
        else:
            if parameter.kind is parameter.KEYWORD_ONLY and not starred:
                parts.append("*")
                starred = True
            default = parameter.default
            if default is parameter.empty:
                parts.append(parameter.name)
            else:
                # Some numbers of 0.3.1 are members of an enum by now.
                text = str(int(default)) if isinstance(default, enum.IntEnum) else repr(default)
                parts.append(f"{parameter.name}={text}")
    return parts


@pytest.mark.parametrize("path", SIGNATURES)
def test_signatures_have_all_they_had(path, is_original):
    expected = [part for part in SIGNATURES[path].split(", ") if part]
    module, *names = path.split(".")
    target = importlib.import_module(f"pygase.{module}")
    for name in names:
        target = getattr(target, name)
    found = describe(target)
    if is_original:
        assert found == expected
        return
    # Later parameters may have been added, as long as nobody needs to give them.
    added = [part for part in found if part not in expected]
    assert [part for part in found if part in expected] == expected
    assert all("=" in part or part in ("*", "**") for part in added), found
    if added and "*" not in expected and "**" not in expected:
        assert found[: len(expected)] == expected, found


def test_what_games_await_are_coroutine_functions():
    from pygase.connection import ServerConnection
    from pygase.event import UniversalEventHandler

    assert inspect.iscoroutinefunction(UniversalEventHandler.handle)
    assert inspect.iscoroutinefunction(ServerConnection.loop)


def test_class_attributes_have_their_values():
    from pygase.backend import GameStateStore
    from pygase.connection import Package
    from pygase.utils import Sqn

    assert (Package._timeout, Package._max_size) == (1.0, 2048)
    assert GameStateStore._update_cache_size == 100
    assert (Sqn._bytesize, Sqn._max_sequence) == (2, 65535)
