"""Golden vectors recorded from PyGaSe 0.3.1, through the Python classes, both directions."""

import ast
import json
import math
import struct
from pathlib import Path

import pytest

from pygase.connection import ClientPackage, Header, Package, ServerPackage
from pygase.event import Event
from pygase.gamestate import GameState, GameStateUpdate
from pygase.utils import Sqn

FILE = Path(__file__).resolve().parent.parent / "vectors" / "pygase-0.3.1.jsonl"


def rows(*kinds):
    """Yield parameters for the rows of some kinds, or one that skips."""
    if not FILE.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no golden vectors at {FILE}"))]
    lines = enumerate(FILE.read_text(encoding="utf-8").splitlines(), 1)
    found = [(number, json.loads(line)) for number, line in lines]
    found = [(number, row) for number, row in found if row["kind"] in kinds]
    assert found, f"no {kinds} in {FILE}"
    return [pytest.param(row, id=f"line{number}") for number, row in found]


def single(value):
    """What comes back for a value: floats in single precision, tuples as lists but where they are keys."""
    if isinstance(value, float) and math.isfinite(value):
        return struct.unpack(">f", struct.pack(">f", value))[0]
    if isinstance(value, (list, tuple)):
        return [single(element) for element in value]
    if isinstance(value, dict):
        return {key_of(key): single(element) for key, element in value.items()}
    return value


def key_of(key):
    if isinstance(key, tuple):
        return tuple(key_of(element) for element in key)
    return single(key)


def same(one, other):
    """Compare with types and signs of zero: True is not 1 here."""
    return repr(one) == repr(other)


def literal(text):
    # `nan` and `inf` are no literals.
    return eval(
        text, {"__builtins__": {}, "nan": math.nan, "inf": math.inf, "datetime": __import__("datetime")}
    )


def custom(state):
    """Its custom attributes. 0.3.1 has the other two in the same place."""
    return {key: value for key, value in vars(state).items() if key not in ("game_status", "time_order")}


def parts(row):
    return Header(*row["header"]), [
        Event(kind, *args, **kwargs) for kind, args, kwargs in literal(row["events"])
    ]


@pytest.mark.parametrize("row", rows("package", "client_package", "server_package"))
def test_packages_are_as_recorded(row):
    header, events = parts(row)
    if row["kind"] == "package":
        package = Package(header, events)
    elif row["kind"] == "client_package":
        package = ClientPackage(header, row["time_order"], events)
    else:
        update = GameStateUpdate(row["time_order"], **literal(row["update"]))
        package = ServerPackage(header, update, events)
    assert package.to_datagram().hex() == row["hex"]
    assert package.get_bytesize() == len(row["hex"]) // 2

    again = type(package).from_datagram(bytes.fromhex(row["hex"]))
    assert type(again) is type(package)
    assert again.header == header
    assert again.to_datagram().hex() == row["hex"]
    assert len(again.events) == len(events)
    for sent, came in zip(events, again.events, strict=True):
        assert came.type == sent.type
        assert same(came.handler_args, single(sent.handler_args))
        assert same(came.handler_kwargs, single(sent.handler_kwargs))
    if row["kind"] == "client_package":
        assert again.time_order == row["time_order"]
    if row["kind"] == "server_package":
        assert again.game_state_update.time_order == row["time_order"]
        assert same(custom(again.game_state_update), single(literal(row["update"])))


@pytest.mark.parametrize("row", rows("event"))
def test_events_are_as_recorded(row):
    kind, args, kwargs = literal(row["event"])
    assert Event(kind, *args, **kwargs).to_bytes().hex() == row["hex"]
    again = Event.from_bytes(bytes.fromhex(row["hex"]))
    assert again.type == kind
    assert same(again.handler_args, single(args))
    assert same(again.handler_kwargs, single(kwargs))


@pytest.mark.parametrize("row", rows("game_state"))
def test_game_states_are_as_recorded(row):
    data = literal(row["data"])
    state = GameState(row["time_order"], row["game_status"], **data)
    assert state.to_bytes().hex() == row["hex"]
    again = GameState.from_bytes(bytes.fromhex(row["hex"]))
    assert (again.time_order, again.game_status) == (row["time_order"], row["game_status"])
    assert same(custom(again), single(data))


@pytest.mark.parametrize("row", rows("sqn"))
def test_sequence_numbers_count_as_recorded(row):
    a, b = Sqn(row["a"]), Sqn(row["b"])
    assert (a + row["b"], a - b, a < b, a > b) == (row["add"], row["sub"], row["lt"], row["gt"])


@pytest.mark.parametrize("row", rows("state_trace"))
def test_states_take_updates_as_recorded(row):
    state = GameState(row["time_order"], 1, **ast.literal_eval(row["start"]))
    for time_order, data, time_order_after, data_after in row["steps"]:
        state += GameStateUpdate(time_order, **ast.literal_eval(data))
        assert (state.time_order, state.game_status) == (time_order_after, 1)
        assert custom(state) == ast.literal_eval(data_after)
