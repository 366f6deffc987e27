"""What the corners of the API evaluate to: one line each, the same for PyGaSe 0.3.1."""

import copy
import pickle

import pytest

import pygase
from pygase import backend, connection, event, gamestate, utils


def header():
    return connection.Header(1, 2, "1" * 32)


def step(game_state, dt):
    return {}


# What the expressions below are made of.
NAMESPACE = {
    **{
        name: value
        for part in (utils, event, gamestate, connection, backend)
        for name, value in vars(part).items()
    },
    "client": pygase.Client,
    "connection": lambda: connection.Connection(("a", 1), None),
    "copy": copy,
    "header": header,
    "pickle": pickle,
    "step": step,
    "update": gamestate.GameStateUpdate,
}
Sqn, TO_DELETE = utils.Sqn, gamestate.TO_DELETE

VALUES = {
    "sequence numbers": {
        "Sqn(5) <= Sqn(65535)": True,
        "Sqn(5) >= Sqn(65535)": False,
        "Sqn(5) == 5.0": True,
        "5 + Sqn(3)": 8,
        "65535 + Sqn(3)": 65538,
        "5 - Sqn(3)": 2,
        "Sqn(5) - (-1)": 6,
        "Sqn(5) * 2": 10,
        "-Sqn(5)": -5,
        "Sqn(5) + 70000": Sqn(4470),
        "Sqn(5) - 70000": -4460,
        "Sqn(0) - Sqn(65535)": 0,
        "Sqn(5) < 70000": True,
        "Sqn(40000) < 1": False,
        "Sqn(1) > 40000": False,
        "Sqn(1) < 40000": True,
        "Sqn(32767) > Sqn(0)": True,
        "Sqn(32768) > Sqn(0)": False,
        "Sqn(32768) > Sqn(1)": True,
        "Sqn(32769) > Sqn(1)": False,
        "Sqn(5.7)": Sqn(5),
        "Sqn(True)": Sqn(1),
        "Sqn(Sqn(3))": Sqn(3),
        "Sqn(0).to_sqn_bytes()": b"\x00\x00",
        "Sqn.from_sqn_bytes(b'')": Sqn(0),
        "Sqn.from_sqn_bytes(b'\\x05')": Sqn(5),
        "Sqn.from_sqn_bytes(bytearray(b'\\x05\\x01'))": Sqn(1281),
        "Sqn.get_max_sequence()": Sqn(65535),
        "max([Sqn(65535), Sqn(1)])": Sqn(1),
        "sorted([Sqn(2), Sqn(65535), Sqn(1)])": [65535, 1, 2],
        "copy.copy(Sqn(5))": Sqn(5),
        "pickle.loads(pickle.dumps(Sqn(5)))": Sqn(5),
        "[10, 20, 30][Sqn(1)]": 20,
        "'%d' % Sqn(5)": "5",
    },
    "building blocks": {
        "Comparable() == Comparable()": True,
        "Comparable() == 5": False,
        "Sendable().to_bytes()": b"\x80",
        "Sendable.from_bytes(b'\\x80') == Sendable()": True,
        "GameStatus.register('Active')": None,
        "GameStatus.get('Active')": 1,
        "ConnectionStatus.get(ConnectionStatus.get('Connecting'))": "Connecting",
    },
    "events": {
        "Event('a').to_bytes()": b"\x83\xa4type\xa1a\xachandler_args\x90\xaehandler_kwargs\x80",
        "Event('a', type=5).handler_kwargs": {"type": 5},
        "Event('a', (1, 2)).handler_args": [(1, 2)],
        "Event.from_bytes(bytearray(Event('a').to_bytes())).type": "a",
        "Event.from_bytes(Event('a').to_bytes() + b'after').type": "a",
        "Event('a') == 5": False,
        "Event('a') != 5": True,
        "vars(Event('a', 1, b=2))": {"type": "a", "handler_args": [1], "handler_kwargs": {"b": 2}},
        "copy.deepcopy(Event('a', [1])).handler_args": [[1]],
        "pickle.loads(pickle.dumps(Event('a', 1, k=2))) == Event('a', 1, k=2)": True,
        "UniversalEventHandler().register_event_handler(5, print)": None,
        "UniversalEventHandler().has_event_type(None)": False,
        "vars(UniversalEventHandler())": {"_event_handlers": {}},
    },
    "game states": {
        "GameState(5).time_order": Sqn(5),
        "GameState(None).time_order": Sqn(0),
        "GameState(time_order=5, a=1).a": 1,
        "GameState(game_status='Active').is_paused()": False,
        "GameState(game_status=GameStatus.get('Active')).is_paused()": False,
        "GameState(1) > GameState(1)": False,
        "GameState(1) == update(1)": False,
        "GameState().to_bytes()": b"\x82\xabgame_status\x00\xaatime_order\x00",
        "(GameState(1) + update(2, a=1)).a": 1,
        "(update(2, a=1) + GameState(1)).a": 1,
        "type(GameState(1) + update(2)) is GameState": True,
        "type(update(2) + GameState(1)) is GameState": True,
        "hasattr(GameState(5, b=1) + update(2, a=1), 'a')": False,
        "copy.deepcopy(GameState(5, a={'x': 1})).a": {"x": 1},
        "copy.copy(GameState(5, a=1)) == GameState(5, a=1)": True,
        "pickle.loads(pickle.dumps(GameState(5, a=1))) == GameState(5, a=1)": True,
        "GameState.from_bytes(GameState(5).to_bytes()).time_order == 5": True,
        "hasattr(GameState(), 'x')": False,
        "'a' in vars(GameState(a=1))": True,
    },
    "updates": {
        "update(5).time_order": Sqn(5),
        "update(time_order=5, a=1).a": 1,
        "(update(5, a=1) + update(5, a=2)).a": 1,
        "(update(5, a={'x': 1}) + update(6, a=TO_DELETE)).a": TO_DELETE,
        "(update(5, a=TO_DELETE) + update(6, a={'x': 1})).a": {"x": 1},
        "(0 + update(2, a=1)).a": 1,
        "sum([update(3, a=1), update(1, a=2)]).a": 1,
        "sum([])": 0,
    },
    "packages": {
        "Header(None, 2, '1' * 32).sequence": Sqn(0),
        "type(Header.deconstruct_datagram(header().to_bytearray())[1])": bytearray,
        "type(Header.deconstruct_datagram(bytes(header().to_bytearray()))[1])": bytes,
        "header() == 5": False,
        "copy.copy(header()) == header()": True,
        "copy.deepcopy(header()) == header()": True,
        "pickle.loads(pickle.dumps(header())) == header()": True,
        "type(Package(header()).to_datagram())": bytes,
        "type(ClientPackage(header(), 1).to_datagram())": bytes,
        "type(ServerPackage(header(), update(1)).to_datagram())": bytes,
        "ClientPackage(header(), None).time_order": Sqn(0),
        "ClientPackage(header(), 1) == Package(header())": False,
        "Package(header()) == ClientPackage(header(), 1)": False,
        "ServerPackage(header(), None).game_state_update": None,
        "ServerPackage(header(), update(1)) == ServerPackage(header(), update(1))": True,
        "copy.deepcopy(ClientPackage(header(), 1, [Event('a')])).events == [Event('a')]": True,
        "Package(header()) == 5": False,
        "Package(header()).add_event(Event('a'))": None,
    },
    "connections": {
        "connection().quality": "good",
        "type(connection().latency)": float,
        "connection().dispatch_event(event=Event('a'))": None,
        "ServerConnection(('a', 1), None, None, 5).last_client_time_order == 5": True,
        "ServerConnection(('a', 1), None, None, last_client_time_order=5, event_wire=7).event_wire": 7,
    },
    "the backend": {
        "GameStateStore(None).get_game_state().time_order": Sqn(0),
        "GameStateStore().get_update_cache()[0].time_order": Sqn(0),
        "GameStateStore(GameState(5)).get_update_cache()[0].time_order": Sqn(0),
        "Server(game_state_store=5).game_state_store": 5,
        "Server(None).dispatch_event('a', retries=2, target_client='all')": None,
        "GameStateMachine(None).game_time": 0.0,
        "Backend(None, step).game_state_store.get_game_state().time_order": Sqn(0),
        "Backend(GameState(), step).game_state_machine.time_step is step": True,
        "Backend(GameState(), step, None).shutdown is not None": True,
        "Backend(GameState(), step, {'a': print}).server._universal_event_handler.has_event_type('a')": False,
    },
}

# Messages that Python itself writes differ from version to version; "" is for those.
ERRORS = {
    "sequence numbers": {
        "Sqn()": (TypeError, ""),
        "Sqn('5')": (TypeError, ""),
        "Sqn(b'5')": (TypeError, ""),
        "Sqn(-0.5)": (ValueError, "sequence numbers must not be negative"),
        "Sqn(65535.5)": (ValueError, "value exceeds maximum sequence number"),
        "Sqn(5) + 1.5": (TypeError, ""),
        "Sqn.from_sqn_bytes(5)": (TypeError, ""),
        "Sqn.from_sqn_bytes('5')": (TypeError, ""),
        "ConnectionStatus.get(7)": (IndexError, "list index out of range"),
        "ConnectionStatus.get(None)": (TypeError, ""),
    },
    "events": {
        "Event()": (TypeError, ""),
        "Event('a', event_type=5)": (TypeError, ""),
        "Event('a', self=5)": (TypeError, ""),
        "Event.from_bytes('text')": (TypeError, "Bytes could no be parsed into Event."),
        "Event.from_bytes(None)": (TypeError, "Bytes could no be parsed into Event."),
        "UniversalEventHandler().register_event_handler('a')": (TypeError, ""),
    },
    "game states": {
        "GameState(0, 0, 5)": (TypeError, ""),
        "GameState(self=5)": (TypeError, ""),
        "GameState(70000)": (ValueError, "value exceeds maximum sequence number"),
        "GameState(-1)": (ValueError, "sequence numbers must not be negative"),
        "GameState(1) <= GameState(1)": (TypeError, ""),
        "GameState(a=1).b": (AttributeError, "'GameState' object has no attribute 'b'"),
        "update(70000)": (ValueError, "value exceeds maximum sequence number"),
        "update('x')": (TypeError, ""),
        "update(5, time_order=6)": (TypeError, ""),
    },
    "packages": {
        "Header(1, 2)": (TypeError, ""),
        "Header('1', 2, '1' * 32)": (TypeError, ""),
        "Package()": (TypeError, ""),
        "ClientPackage(header())": (TypeError, ""),
        "ClientPackage(header(), 70000)": (ValueError, "value exceeds maximum sequence number"),
        "ServerPackage(header())": (TypeError, ""),
        "ServerPackage(header(), None).to_datagram()": (AttributeError, ""),
        "Package(header(), [Event('a', 'x' * 3000)]).get_bytesize()": (
            OverflowError,
            "Package exceeds the maximum size of 2048 bytes.",
        ),
    },
    "connections": {
        "Connection()": (TypeError, ""),
        "Connection(None)": (TypeError, ""),
        "ServerConnection(None, None)": (TypeError, ""),
        "connection().dispatch_event()": (TypeError, ""),
    },
    "the backend": {
        "Server()": (TypeError, ""),
        "setattr(Server(None), 'port', 5)": (AttributeError, ""),
        "setattr(Server(None), 'hostname', 'x')": (AttributeError, ""),
        "Server(None).dispatch_event()": (TypeError, ""),
        "Server(None).dispatch_event('a', target_client='b')": (KeyError, "'b'"),
        "Server(None).dispatch_event('a', target_client=None)": (KeyError, "None"),
        "GameStateMachine()": (TypeError, ""),
        "GameStateMachine(None).register_event_handler('a', 5)": (
            TypeError,
            "'int' object is not callable.",
        ),
        "Backend()": (TypeError, ""),
        "Backend(5, step)": (
            TypeError,
            "'initial_game_state' should be of type 'GameState', not 'int'.",
        ),
        "Backend(GameState(), step, {'a': 5})": (TypeError, "'int' object is not callable."),
    },
    "the client": {
        "client(5)": (TypeError, ""),
        "client().connect()": (TypeError, ""),
        "client().connect_in_thread()": (TypeError, ""),
        "client().dispatch_event()": (TypeError, ""),
        "client().wait_until()": (TypeError, ""),
        "client().register_event_handler('a', None)": (TypeError, "'NoneType' object is not callable."),
    },
}


def cases(groups):
    return [
        pytest.param(expression, expected, id=expression)
        for group in groups.values()
        for expression, expected in group.items()
    ]


@pytest.mark.parametrize(("expression", "expected"), cases(VALUES))
def test_expressions_have_their_values(expression, expected):
    value = eval(expression, NAMESPACE)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("expression", "expected"), cases(ERRORS))
def test_expressions_raise_their_errors(expression, expected):
    kind, message = expected
    with pytest.raises(kind) as error:
        eval(expression, NAMESPACE)
    assert not message or str(error.value) == message
