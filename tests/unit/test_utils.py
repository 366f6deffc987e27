"""Sequence numbers, named integers, locked resources and comparison by value."""

import logging

import pytest

from pygase.utils import (
    Comparable,
    LockedResource,
    LockedRessource,
    NamedEnum,
    Sendable,
    Sqn,
    get_available_ip_addresses,
    logger,
)


class Point(Sendable):
    def __init__(self, x=0, y=0):
        self.x, self.y = x, y


@pytest.mark.parametrize(
    ("value", "number"), [(None, 0), (0, 0), (5, 5), (65535, 65535), (True, 1), (3.7, 3)]
)
def test_sqn_is_an_int(value, number):
    assert Sqn(value) == number
    assert isinstance(Sqn(value), int)
    assert hash(Sqn(value)) == number


def test_sqn_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match=r"^value exceeds maximum sequence number$"):
        Sqn(65536)
    with pytest.raises(ValueError, match=r"^sequence numbers must not be negative$"):
        Sqn(-1)
    with pytest.raises(TypeError):
        Sqn("7")


def test_sqn_sum_wraps_to_one_and_stays_a_sqn():
    assert Sqn(65535) + 1 == 1
    assert Sqn(65535) + 65535 == 65535
    assert Sqn(5) + (-5) == 0
    assert type(Sqn(1) + 1) is Sqn
    with pytest.raises(ValueError, match="negative"):
        Sqn(5) + (-6)


def test_sqn_difference_is_the_shorter_way():
    assert Sqn(1) - Sqn(65535) == 1
    assert Sqn(1) - Sqn(40000) == 25536
    assert Sqn(40000) - Sqn(1) == -25536
    assert type(Sqn(5) - Sqn(3)) is int


def test_sqn_order_wraps_between_two_of_them():
    assert Sqn(65535) < Sqn(1)
    assert Sqn(1) > Sqn(65535)
    assert Sqn(0) > Sqn(40000)
    assert not Sqn(5) < Sqn(5)
    assert not Sqn(5) > Sqn(5)


def test_sqn_order_against_an_int_is_the_ordinary_one():
    assert Sqn(1) < 40000
    assert not Sqn(1) > 40000


def test_sqn_of_another_size_leaves_the_others_alone():
    class Wide(Sqn):
        pass

    Wide.set_bytesize(4)
    assert Wide.get_max_sequence() == 2**32 - 1
    assert Wide(70000).to_sqn_bytes() == b"\x00\x01\x11\x70"
    assert type(Wide(1) + 1) is Wide
    assert Sqn.get_max_sequence() == 65535
    assert type(Sqn.get_max_sequence()) is Sqn


def test_a_number_comes_back_from_its_bytes():
    assert Sqn(258).to_sqn_bytes() == b"\x01\x02"
    assert Sqn.from_sqn_bytes(b"\x01\x02") == 258
    assert type(Sqn.from_sqn_bytes(b"\x01\x02")) is Sqn


def test_named_enums_have_values_of_their_own():
    class Team(NamedEnum):
        pass

    class Colour(NamedEnum):
        pass

    for name in ("Red", "Blue", "Red"):
        Team.register(name)
    Colour.register("Blue")
    assert [Team.get("Red"), Team.get("Blue"), Colour.get("Blue")] == [0, 1, 0]
    assert Team.get(1) == "Blue"
    with pytest.raises(ValueError, match="'Green' is not one of Red, Blue"):
        Team.get("Green")
    with pytest.raises(IndexError):
        Colour.get(1)


def test_comparable_goes_by_class_and_attributes():
    class Other(Comparable):
        def __init__(self, x=0, y=0):
            self.x, self.y = x, y

    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != Other(1, 2)
    assert Point() != 5
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point())


def test_sendable_there_and_back():
    point = Point(3, ["a", None, {"b": b"c"}])
    assert Point.from_bytes(point.to_bytes()) == point
    assert point.to_dict() == {"x": 3, "y": ["a", None, {"b": b"c"}]}
    assert Point.from_dict(point.to_dict()) == point


@pytest.mark.parametrize("error", [TypeError, ValueError])
@pytest.mark.parametrize("garbage", [b"", b"abc", b"\x81", b"\x01", None])
def test_sendable_from_garbage(error, garbage):
    with pytest.raises(error, match=r"^Bytes could no be parsed into Point\.$"):
        Point.from_bytes(garbage)


def test_locked_resource_holds_its_lock_inside():
    locked = LockedResource({"foo": 0})
    assert not locked.lock.locked()
    with locked as resource:
        assert locked.lock.locked()
        assert resource is locked.resource
    assert not locked.lock.locked()
    with pytest.raises(TypeError, match="needs a resource"):
        LockedResource()


@pytest.mark.parametrize("spelling", [LockedResource, LockedRessource])
def test_locked_resource_lets_go_when_the_block_raises(spelling, recwarn):
    locked = spelling(1)
    with pytest.raises(RuntimeError), locked:
        raise RuntimeError
    assert not locked.lock.locked()


def test_old_spelling_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match="LockedResource"):
        locked = LockedRessource(ressource=1)
    assert locked.resource == 1
    assert isinstance(locked, LockedResource)
    with pytest.warns(DeprecationWarning, match="resource"):
        assert locked.ressource == 1
    with pytest.warns(DeprecationWarning, match="resource"):
        locked.ressource = 2
    with pytest.warns(DeprecationWarning, match="resource"):
        assert LockedResource(ressource=3).resource == 3
    with pytest.warns(DeprecationWarning, match="LockedResource"):
        assert LockedRessource(resource=4).resource == 4
    assert locked.resource == 2


def test_addresses_and_logger():
    addresses = get_available_ip_addresses()
    assert isinstance(addresses, list)
    assert all(isinstance(address, str) for address in addresses)
    assert "127.0.0.1" in addresses
    assert logger is logging.getLogger("PyGaSe")
