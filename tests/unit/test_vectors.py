"""The golden vectors recorded from the released PyGaSe, both directions, through the Python classes."""

import ast
import json
import struct
from pathlib import Path

import pytest

from pygase import _core
from pygase.connection import ClientPackage, Header, Package, ServerPackage
from pygase.event import Event
from pygase.gamestate import GameState, GameStateUpdate
from pygase.utils import Sqn

VECTORS = Path(__file__).parents[1] / "vectors" / "pygase-0.3.1.jsonl"
ALL = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines() if line]


def vectors(*kinds):
    found = [vector for vector in ALL if vector["kind"] in kinds]
    assert found
    return pytest.mark.parametrize("vector", found)


def single(value):
    """The nearest float of single precision."""
    return struct.unpack(">f", struct.pack(">f", value))[0]


def received(value, in_key=False):
    """What arrives when a value is sent."""
    if isinstance(value, float):
        return single(value)
    if isinstance(value, (list, tuple)):
        return (tuple if in_key else list)(received(item, in_key) for item in value)
    if isinstance(value, dict):
        return {received(key, in_key=True): received(item) for key, item in value.items()}
    return value


def same(value, other):
    """Equal with the types and the order of keys, and with 0.0 and -0.0 told apart."""
    return repr(value) == repr(other)


def event_of(triple):
    event_type, args, kwargs = triple
    return Event(event_type, *args, **kwargs)


def package_of(vector):
    header = Header(*vector["header"])
    events = [event_of(triple) for triple in ast.literal_eval(vector["events"])]
    if vector["kind"] == "client_package":
        return ClientPackage(header, vector["time_order"], events)
    if vector["kind"] == "server_package":
        update = GameStateUpdate(vector["time_order"], **ast.literal_eval(vector["update"]))
        return ServerPackage(header, update, events)
    return Package(header, events)


PACKAGES = vectors("package", "client_package", "server_package")


@PACKAGES
def test_a_package_becomes_the_same_datagram(vector):
    package = package_of(vector)
    datagram = bytes.fromhex(vector["hex"])
    assert package.to_datagram() == datagram
    assert package.get_bytesize() == len(datagram)


@PACKAGES
def test_a_datagram_becomes_the_same_package(vector):
    built = package_of(vector)
    package = type(built).from_datagram(bytes.fromhex(vector["hex"]))
    assert type(package) is type(built)
    assert package.header == built.header
    assert package.header.destructure() == tuple(vector["header"])
    triples = [(event.type, event.handler_args, event.handler_kwargs) for event in package.events]
    expected = [tuple(received(triple)) for triple in ast.literal_eval(vector["events"])]
    assert same(triples, expected)
    if vector["kind"] == "client_package":
        assert package.time_order == vector["time_order"]
    if vector["kind"] == "server_package":
        assert package.game_state_update.time_order == vector["time_order"]
        assert same(vars(package.game_state_update), received(ast.literal_eval(vector["update"])))
    assert package.to_datagram() == bytes.fromhex(vector["hex"])


@PACKAGES
def test_a_datagram_that_is_cut_off_is_an_error_or_a_shorter_package(vector):
    datagram = bytes.fromhex(vector["hex"])
    cls = type(package_of(vector))
    for end in range(len(datagram)):
        try:
            package = cls.from_datagram(datagram[:end])
        except ValueError:
            continue
        assert package.to_datagram() == datagram[:end]


@vectors("event")
def test_events_are_as_recorded(vector):
    triple = ast.literal_eval(vector["event"])
    packed = bytes.fromhex(vector["hex"])
    assert event_of(triple).to_bytes() == packed
    event = Event.from_bytes(packed)
    assert same((event.type, event.handler_args, event.handler_kwargs), tuple(received(triple)))
    assert event.to_bytes() == packed


@vectors("game_state")
def test_game_states_are_as_recorded(vector):
    data = ast.literal_eval(vector["data"])
    packed = bytes.fromhex(vector["hex"])
    state = GameState(vector["time_order"], vector["game_status"], **data)
    assert state.to_bytes() == packed
    back = GameState.from_bytes(packed)
    assert (back.time_order, back.game_status) == (vector["time_order"], vector["game_status"])
    assert same(dict(vars(back)), received(data))
    assert back.to_bytes() == packed


@vectors("event", "game_state")
def test_values_are_as_recorded_and_no_part_of_them_passes(vector):
    packed = bytes.fromhex(vector["hex"])
    assert _core.packb(_core.unpackb(packed)) == packed
    assert same(_core.unpackb(memoryview(packed + b"\xc1")), _core.unpackb(bytearray(packed)))
    for end in range(len(packed)):
        with pytest.raises(ValueError):
            _core.unpackb(packed[:end])


@vectors("sqn")
def test_sequence_numbers_count_as_recorded(vector):
    a, b = Sqn(vector["a"]), Sqn(vector["b"])
    assert a + b == vector["add"]
    assert isinstance(a + b, Sqn)
    assert a - b == vector["sub"]
    assert (a < b, a > b) == (vector["lt"], vector["gt"])
    assert Sqn.from_sqn_bytes(a.to_sqn_bytes()) == a
    assert a.to_sqn_bytes() == vector["a"].to_bytes(2, "big")


@vectors("state_trace")
def test_states_take_updates(vector):
    state = GameState(vector["time_order"], 1, **ast.literal_eval(vector["start"]))
    for time_order, data, time_order_after, data_after in vector["steps"]:
        state += GameStateUpdate(time_order, **ast.literal_eval(data))
        assert state.time_order == time_order_after
        custom = {
            key: value for key, value in vars(state).items() if key not in ("time_order", "game_status")
        }
        assert custom == ast.literal_eval(data_after)
