"""packb and unpackb: the exact encoding, what cannot be sent, and bytes nobody vouches for."""

import contextlib
import random
import struct
from collections import OrderedDict, defaultdict
from datetime import datetime, timedelta, timezone, tzinfo
from enum import IntEnum

import pytest

from pygase._core import packb, unpackb
from pygase._errors import DecodeError

UTC = timezone.utc


class Team(IntEnum):
    RED = 1
    BLUE = 300


class Text(str):
    pass


class Number(float):
    pass


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (None, "c0"),
        (False, "c2"),
        (True, "c3"),
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65535, "cdffff"),
        (65536, "ce00010000"),
        (2**32, "cf0000000100000000"),
        (2**64 - 1, "cfffffffffffffffff"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-128, "d080"),
        (-129, "d1ff7f"),
        (-32769, "d2ffff7fff"),
        (-(2**63), "d38000000000000000"),
        (Team.BLUE, "cd012c"),
        (1.0, "ca3f800000"),
        (0.1, "ca3dcccccd"),
        (-0.0, "ca80000000"),
        (float("nan"), "ca7fc00000"),
        (float("inf"), "ca7f800000"),
        (float("-inf"), "caff800000"),
        (3.4028235e38, "ca7f7fffff"),
        (Number(0.5), "ca3f000000"),
        ("", "a0"),
        ("ß漢🎮", "a9c39fe6bca2f09f8eae"),
        (Text("a"), "a161"),
        ("x" * 32, "d920" + "78" * 32),
        ("x" * 256, "da0100" + "78" * 256),
        (b"", "c400"),
        (b"ab", "c4026162"),
        (b"x" * 256, "c50100" + "78" * 256),
        ([], "90"),
        ((1, (2,)), "92019102"),
        ([0] * 16, "dc0010" + "00" * 16),
        ({}, "80"),
        ({"b": 1, "a": 2}, "82a16201a16102"),
        ({True: 1, None: 2, b"k": 3, (1, ("a",)): 4, 0.5: 5}, "85c301c002c4016b03920191a16104ca3f00000005"),
        (OrderedDict(a=1), "81a16101"),
        (defaultdict(list, a=[1]), "81a1619101"),
        ({i: i for i in range(16)}, "de0010" + "".join(f"{i:02x}{i:02x}" for i in range(16))),
        (datetime(2020, 1, 1), "d6ff5e0be100"),
        (datetime(2020, 1, 2, 3, 4, 5, 678901), "d7ffa1dcd4205e0d5da5"),
        (datetime(2020, 1, 2, 3, 4, 5, 678901, UTC), "d7ffa1dcd4205e0d5da5"),
        (datetime(2020, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=2))), "d7ffa1dcd4205e0d4185"),
        (datetime(1960, 1, 1), "c70cff00000000ffffffffed300880"),
        (datetime(2600, 1, 1), "c70cff0000000000000004a0fe7280"),
    ],
)
def test_the_encoding_is_that_of_the_released_pygase(value, packed):
    assert packb(value).hex() == packed


def test_an_ordered_dict_keeps_its_own_order():
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert packb(ordered).hex() == "82a16202a16101"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "cannot serialise a value of type set"),
        (
            {"players": [0, 1, 2, {"name": object()}]},
            "cannot serialise a value of type object at players[3].name",
        ),
        ({"players": {3: {"a b": 2**64}}}, "cannot serialise an int beyond 64 bits at players[3]['a b']"),
        ({"ärger": {(1, "a"): -(2**63) - 1}}, "cannot serialise an int beyond 64 bits at ärger[(1, 'a')]"),
        ([bytearray(b"a")], "cannot serialise a value of type bytearray at [0]"),
        (
            {"a": {(1, frozenset()): 1}},
            "cannot serialise a value of type frozenset in the key (1, frozenset()) of a",
        ),
        ({float("nan"): 1}, "cannot serialise NaN, which no reader could find again in the key nan"),
        (
            {"a": {0.1: 1, 0.1 + 1e-12: 2}},
            "cannot serialise a dict with two keys that would be received as the same key at a",
        ),
        (
            {datetime(2020, 1, 1): 1, datetime(2020, 1, 1, tzinfo=UTC): 2},
            "cannot serialise a dict with two keys that would",
        ),
        (["\ud800"], "cannot serialise text with a lone surrogate at [0]"),
        ({"a": range(3)}, "cannot serialise a value of type range at a"),
    ],
)
def test_what_cannot_be_sent_is_named_with_its_path(value, message):
    with pytest.raises(TypeError) as raised:
        packb(value)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("value", [1e39, -1e39, 3.4028235677973366e38])
def test_floats_that_are_too_large_are_named_with_their_path(value):
    with pytest.raises(
        OverflowError, match=r"float too large for single precision \(.*\) at boss\.speed\[1\]"
    ):
        packb({"boss": {"speed": [0.0, value]}})


def test_what_contains_itself_is_refused():
    value = []
    value.append({"again": value})
    with pytest.raises(
        TypeError, match=r"nested more than 100 levels deep, or contains itself, at \[0\]\.again\[0\]"
    ):
        packb(value)


def test_depth_is_bounded():
    value = deep = []
    for _ in range(99):
        value = [value]
    assert unpackb(packb(value))
    with pytest.raises(TypeError, match="nested more than 100 levels"):
        packb([value])
    deep.append(1)
    with pytest.raises(DecodeError, match="nested too deep"):
        unpackb(b"\x91" * 1_000_000)


def test_a_time_zone_that_raises_is_heard():
    class Broken(tzinfo):
        def utcoffset(self, moment):
            raise LookupError("no such zone")

    with pytest.raises(LookupError, match="no such zone"):
        packb({"since": datetime(2020, 1, 1, tzinfo=Broken())})


def test_a_time_zone_that_changes_what_is_packed_does_no_harm():
    value = {}

    class Meddling(tzinfo):
        def utcoffset(self, moment):
            value["list"].clear()
            value.clear()
            return timedelta(0)

    moment = datetime(2020, 1, 1, tzinfo=Meddling())
    value.update({"list": [moment, 1, 2], "after": 3})
    assert unpackb(packb(value)) == {"list": [moment.replace(tzinfo=UTC), 1, 2], "after": 3}


def test_a_dict_whose_items_change_what_is_packed_does_no_harm():
    asked = []
    inner = []
    outer = {"before": 1, "inner": inner, "after": 2}

    class Meddling(dict):
        def items(self):
            asked.append(self)
            inner.clear()
            outer.clear()
            return super().items()

    inner += ["first", Meddling(x=1), "last"]
    assert unpackb(packb(outer)) == {"before": 1, "inner": ["first", {"x": 1}, "last"], "after": 2}
    assert len(asked) == 1


def test_a_moment_outside_of_the_calendar():
    with pytest.raises(OverflowError, match=r"years 1 to 9999 in UTC at \[0\]"):
        packb([datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))])


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2000, 2, 29, 1, 2, 3, 4, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
    ],
)
def test_moments_come_back_in_utc(moment):
    back = unpackb(packb(moment))
    assert (back, back.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(
    ("packed", "value"),
    [
        ("cb3ff199999999999a", 1.1),
        ("cd0001", 1),
        ("d30000000000000001", 1),
        ("da000161", "a"),
        ("dd0000000101", [1]),
        ("df0000000101a161", {1: "a"}),
        ("8191910102", {((1,),): 2}),
        ("81d6ff5e0be10001", {datetime(2020, 1, 1, tzinfo=UTC): 1}),
        ("07c1c1", 7),
    ],
)
def test_other_forms_are_read_too(packed, value):
    assert unpackb(bytes.fromhex(packed)) == value


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        ("", "cut off"),
        ("a361", "cut off"),
        ("dfffffffff00", "announces more elements"),
        ("ddffffffff00", "announces more elements"),
        ("dbffffffff00", "cut off"),
        ("c1", "reserved code"),
        ("a1ff", "not UTF-8"),
        ("a3eda080", "not UTF-8"),
        ("8201020103", "same key twice"),
        ("82c3020103", "same key twice"),
        ("82ca3f800000020103", "same key twice"),
        ("81800000", "cannot be a dictionary key"),
        ("8191800000", "cannot be a dictionary key"),
        ("81ca7fc0000000", "cannot be a dictionary key"),
        ("d60112345678", "unknown extension"),
        ("c70cff000000007fffffffffffffff", "unknown extension"),
        ("d7ffffffffff5e0d5d05", "unknown extension"),
    ],
)
def test_bytes_that_are_no_value(packed, problem):
    with pytest.raises(DecodeError, match=problem) as raised:
        unpackb(bytes.fromhex(packed))
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, ValueError)


def test_only_bytes_are_read():
    with pytest.raises(TypeError, match="expected bytes, bytearray or memoryview, found str"):
        unpackb("\x01")
    assert unpackb(memoryview(b"\x01\x02")[::1]) == 1


def test_keys_come_back_whatever_was_read_before():
    names = [f"key{number}" for number in range(5000)] + ["x" * 100, "", "ß"]
    for _ in range(2):
        assert list(unpackb(packb(dict.fromkeys(names)))) == names


def test_keys_that_are_alike_are_told_apart():
    whole = "abcdefghijklmnopqrstuvwxyzABCDEFGH"
    names = {whole[:length] for length in range(len(whole) + 1)}
    names |= {name[:place] + "_" + name[place + 1 :] for name in names for place in range(len(name))}
    order = list(names) * 3
    random.Random(3).shuffle(order)
    for name in order:
        assert unpackb(packb({name: 0})) == {name: 0}


@pytest.mark.parametrize("length", [15, 16, 63, 64, 65, 1000, 70000])
def test_lists_of_any_length_come_back(length):
    value = [{}, [*range(length)], "after"]
    assert unpackb(packb(value)) == value


def value_of(random, depth=0):
    kind = random.randrange(12 if depth < 4 else 9)
    if kind < 3:
        return random.choice([None, True, False, 0, -1, 2**64 - 1, -(2**63), 2.0**-149, float("inf")])
    if kind < 5:
        return random.randrange(-(2 ** random.randrange(1, 64)), 2 ** random.randrange(1, 65))
    if kind == 5:
        return struct.unpack(">f", struct.pack(">f", random.uniform(-1e6, 1e6)))[0]
    if kind == 6:
        return "".join(random.choices("abß漢🎮\x00", k=random.randrange(40)))
    if kind == 7:
        return random.randbytes(random.randrange(40))
    if kind == 8:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(-(10**16), 10**17))
    if kind == 9:
        return {key_of(random): value_of(random, depth + 1) for _ in range(random.randrange(20))}
    return [value_of(random, depth + 1) for _ in range(random.randrange(20))]


def key_of(random, depth=0):
    if depth < 2 and random.random() < 0.2:
        return tuple(key_of(random, depth + 1) for _ in range(random.randrange(3)))
    return random.choice(
        [None, True, "name", "x" * 40, b"k", 1.5, random.randrange(1000), -random.randrange(1000)]
    )


def test_random_values_come_back():
    seeded = random.Random(1)
    for _ in range(500):
        value = value_of(seeded)
        packed = packb(value)
        assert unpackb(packed) == value
        assert packb(unpackb(packed)) == packed


def test_random_bytes_are_a_value_or_a_decode_error():
    seeded = random.Random(2)
    for _ in range(20000):
        packed = bytearray(
            packb(value_of(seeded, depth=3)) if seeded.random() < 0.5 else seeded.randbytes(30)
        )
        if packed:
            packed[seeded.randrange(len(packed))] = seeded.randrange(256)
        with contextlib.suppress(DecodeError):
            unpackb(packed)
