"""`pygase.utils`: sequence numbers, enums, locked resources, comparison and bytes."""

import logging
import threading
import warnings

import pytest

import pygase
import pygase.utils
from pygase.utils import Comparable, LockedRessource, NamedEnum, Sendable, Sqn, logger

# The second spelling is younger than 0.3.1.
LockedResource = getattr(pygase.utils, "LockedResource", None)


class TestSqn:
    def test_is_an_int(self):
        assert Sqn(5) == 5
        assert isinstance(Sqn(5), int)
        assert hash(Sqn(5)) == hash(5)
        assert (repr(Sqn(5)), str(Sqn(5)), f"{Sqn(5):04}") == ("5", "5", "0005")
        assert {Sqn(5): "a"}[5] == "a"

    def test_none_is_zero(self):
        assert Sqn(None) == 0

    def test_float_is_cut(self):
        assert Sqn(1.5) == 1

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (65536, "value exceeds maximum sequence number"),
            (-1, "sequence numbers must not be negative"),
        ],
    )
    def test_range(self, value, message):
        with pytest.raises(ValueError) as error:
            Sqn(value)
        assert str(error.value) == message

    def test_text_is_refused(self):
        with pytest.raises(TypeError):
            Sqn("12")

    def test_add_wraps_past_zero(self):
        assert Sqn(65534) + 1 == 65535
        assert Sqn(65535) + 1 == 1
        assert Sqn(65530) + 10 == 5
        assert type(Sqn(1) + 1) is Sqn
        assert type(Sqn(1) + Sqn(1)) is Sqn

    def test_in_place(self):
        value = Sqn(65535)
        value += 1
        assert value == 1
        assert type(value) is Sqn

    def test_difference_is_a_plain_int(self):
        assert Sqn(5) - Sqn(3) == 2
        assert Sqn(1) - Sqn(65535) == 1
        assert Sqn(65535) - Sqn(1) == -1
        assert type(Sqn(5) - 3) is int

    def test_order_wraps(self):
        assert Sqn(1) > Sqn(65535)
        assert Sqn(65535) < Sqn(1)
        assert not Sqn(7) < Sqn(7)
        assert not Sqn(7) > Sqn(7)
        assert Sqn(0) < Sqn(1)

    def test_bytes(self):
        assert Sqn(258).to_sqn_bytes() == b"\x01\x02"
        assert Sqn.from_sqn_bytes(b"\x01\x02") == 258
        assert type(Sqn.from_sqn_bytes(b"\x01\x02")) is Sqn
        with pytest.raises(ValueError):
            Sqn.from_sqn_bytes(b"\x01\x02\x03")

    def test_width_belongs_to_the_class(self):
        class Wide(Sqn):
            """Four bytes."""

        Wide.set_bytesize(4)
        assert Wide.get_max_sequence() == 4294967295
        assert Wide._bytesize == 4
        assert Wide(70000).to_sqn_bytes() == b"\x00\x01\x11p"
        assert Wide(4294967295) + 1 == 1
        assert Sqn.get_max_sequence() == 65535


class TestNamedEnum:
    def test_register_and_get(self):
        class Colour(NamedEnum):
            """Two names."""

        Colour.register("Red")
        Colour.register("Green")
        red, green = Colour.get("Red"), Colour.get("Green")
        assert red != green
        assert (Colour.get(red), Colour.get(green)) == ("Red", "Green")

    @pytest.mark.ours
    def test_values_belong_to_the_subclass(self):
        class Colour(NamedEnum):
            """One name."""

        class Shape(NamedEnum):
            """One name."""

        Colour.register("Red")
        Shape.register("Round")
        assert (Colour.get("Red"), Shape.get("Round")) == (0, 0)
        with pytest.raises(ValueError):
            Colour.get("Round")

    def test_unknown_name(self):
        class Colour(NamedEnum):
            """No name."""

        with pytest.raises(ValueError):
            Colour.get("Blue")

    def test_unknown_value(self):
        class Colour(NamedEnum):
            """No name."""

        with pytest.raises((IndexError, ValueError)):
            Colour.get(1000)


class TestComparable:
    class Point(Comparable):
        def __init__(self, x):
            self.x = x

    def test_by_value(self):
        assert self.Point(1) == self.Point(1)
        assert self.Point(1) != self.Point(2)
        assert (self.Point(1) != self.Point(1)) is False

    def test_unhashable(self):
        with pytest.raises(TypeError):
            hash(self.Point(1))


class TestSendable:
    class Note(Sendable):
        def __init__(self, text="", size=0):
            self.text = text
            self.size = size

    def test_round_trip(self):
        note = self.Note("hello", 3)
        again = self.Note.from_bytes(note.to_bytes())
        assert type(again) is self.Note
        assert again == note
        assert again is not note

    def test_to_bytes_is_the_attribute_map(self):
        assert self.Note("a", 1).to_bytes() == b"\x82\xa4text\xa1a\xa4size\x01"

    @pytest.mark.parametrize("data", [b"", b"\x01", b"\x83\xa1", b"\xa1"])
    def test_bad_bytes(self, data, is_original):
        with pytest.raises(TypeError) as error:
            self.Note.from_bytes(data)
        assert is_original or isinstance(error.value, ValueError)

    def test_reserved_code(self, is_original):
        with pytest.raises(Exception if is_original else TypeError) as error:
            self.Note.from_bytes(b"\xc1")
        assert is_original or isinstance(error.value, ValueError)

    def test_message_names_the_class(self):
        with pytest.raises(TypeError, match="Note"):
            self.Note.from_bytes(b"\x01")

    @pytest.mark.parametrize("value", [{1, 2}, object(), 2**64, -(2**63) - 1])
    def test_unserialisable(self, value, is_original):
        with pytest.raises(Exception if is_original else TypeError):
            self.Note(value).to_bytes()

    def test_float_too_large(self):
        with pytest.raises(OverflowError):
            self.Note(1e300).to_bytes()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestLockedRessource:
    def test_holds_and_locks(self):
        value = {"a": 1}
        locked = LockedRessource(value)
        assert locked.ressource is value
        with locked as inner:
            assert inner is value
            assert locked.lock.locked()
        assert not locked.lock.locked()

    def test_released_after_an_exception(self):
        locked = LockedRessource({})
        with pytest.raises(KeyError), locked:
            raise KeyError("x")
        assert not locked.lock.locked()

    def test_excludes_other_threads(self):
        locked, order = LockedRessource([]), []
        entered, leave = threading.Event(), threading.Event()

        def holder():
            with locked:
                entered.set()
                leave.wait(10)
                order.append("holder")

        def waiter():
            with locked:
                order.append("waiter")

        first = threading.Thread(target=holder)
        second = threading.Thread(target=waiter)
        first.start()
        assert entered.wait(10)
        second.start()
        assert locked.lock.locked()
        leave.set()
        first.join(10)
        second.join(10)
        assert order == ["holder", "waiter"]

    @pytest.mark.ours
    def test_both_spellings(self):
        value = object()
        for locked in (LockedRessource(value), LockedResource(value)):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert locked.resource is value
            with pytest.warns(DeprecationWarning, match="(?i)ressource"):
                assert locked.ressource is value
        for kind in (LockedRessource, LockedResource):
            assert kind(resource=value).resource is value
            with pytest.warns(DeprecationWarning, match="(?i)ressource"):
                assert kind(ressource=value).resource is value


def test_the_logger_is_that_of_the_package():
    assert logger is logging.getLogger("PyGaSe")


def test_the_addresses_of_this_machine_are_listed():
    addresses = pygase.get_available_ip_addresses()
    assert isinstance(addresses, list)
    assert "127.0.0.1" in addresses
    assert all(isinstance(address, str) for address in addresses)
