"""Header and the three packages as Python objects."""

import copy
import gc
import pickle
import weakref
from functools import partial
from inspect import signature

import pytest

from pygase import _core
from pygase._errors import DecodeError
from pygase.connection import (
    PROTOCOL_ID,
    ClientPackage,
    Header,
    Package,
    ProtocolIDMismatchError,
    ServerPackage,
)
from pygase.event import Event
from pygase.gamestate import GameStateUpdate
from pygase.utils import Sqn

ZEROS = "0" * 32
BITS = "1" + "01" * 15 + "0"
FULL = "Package exceeds the maximum size of 2048 bytes."
SERVER_FULL = "package exceeds the maximum size of 2048 bytes"


@pytest.fixture
def header():
    return Header(2, 65535, BITS)


def packages(header, events=None):
    return [
        Package(header, events),
        ClientPackage(header, 7, events),
        ServerPackage(header, GameStateUpdate(5, x=1), events),
    ]


def sized(size):
    """An event of so many bytes."""
    event = Event("A", b"x" * 300)
    event.handler_args[0] = b"x" * (300 + size - len(event.to_bytes()))
    assert len(event.to_bytes()) == size
    return event


def test_they_are_types_of_the_extension():
    for cls in (Header, Package, ClientPackage, ServerPackage):
        assert getattr(_core, cls.__name__) is cls
    assert (Package._timeout, Package._max_size) == (1.0, 2048)


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (Header, "(sequence, ack, ack_bitfield)"),
        (Package, "(header, events=None)"),
        (ClientPackage, "(header, time_order, events=None)"),
        (ServerPackage, "(header, game_state_update, events=None)"),
    ],
)
def test_signatures(cls, text):
    assert str(signature(cls)) == text


class TestHeader:
    def test_attributes(self, header):
        assert (header.sequence, header.ack, header.ack_bitfield) == (2, 65535, BITS)
        assert type(header.sequence) is type(header.ack) is Sqn
        assert header.destructure() == (2, 65535, BITS)
        assert header == Header(sequence=2, ack=65535, ack_bitfield=BITS)
        assert Header(None, 0, ZEROS).sequence == 0

    def test_attributes_can_be_set(self, header):
        header.sequence, header.ack, header.ack_bitfield = 3, 4, ZEROS
        assert header == Header(3, 4, ZEROS)
        with pytest.raises(ValueError, match="value exceeds maximum sequence number"):
            header.ack = 65536

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ((65536, 0, ZEROS), ValueError, "value exceeds maximum sequence number"),
            ((1, -1, ZEROS), ValueError, "sequence numbers must not be negative"),
            ((10**30, 0, ZEROS), ValueError, "value exceeds maximum sequence number"),
            ((1, 0, "01"), ValueError, "must have 32 characters"),
            ((1, 0, "2" * 32), ValueError, "must have 32 characters"),
            ((1, 0, 5), TypeError, "must be a str"),
            (("a", 0, ZEROS), TypeError, None),
            ((1,), TypeError, "missing 2 required"),
        ],
    )
    def test_wrong_arguments(self, arguments, error, message):
        with pytest.raises(error, match=message):
            Header(*arguments)

    @pytest.mark.parametrize("call", [Header, partial(type.__call__, Header)], ids=["short", "as any class"])
    def test_every_way_to_give_arguments(self, call):
        wanted = Header(2, 65535, BITS)
        for header in (
            call(2, 65535, BITS),
            call(2, 65535, ack_bitfield=BITS),
            call(2, ack_bitfield=BITS, ack=65535),
            call(ack_bitfield=BITS, ack=65535, sequence=2),
            call(Sqn(2), Sqn(65535), ack_bitfield=BITS),
        ):
            assert type(header) is Header
            assert header == wanted
        for arguments, keywords in (
            ((), {}),
            ((2, 65535, BITS, 1), {}),
            ((2, 65535, BITS), {"ack": 65535}),
            ((2, 65535), {"bits": BITS}),
        ):
            with pytest.raises(TypeError, match="argument"):
                call(*arguments, **keywords)

    def test_bytes(self, header):
        packed = header.to_bytearray()
        assert type(packed) is bytearray
        assert packed == PROTOCOL_ID + b"\x00\x02\xff\xff" + int(BITS, 2).to_bytes(4, "big")
        for kind in (bytes, bytearray, memoryview):
            back, payload = Header.deconstruct_datagram(kind(bytes(packed) + b"rest"))
            assert back == header
            assert type(back) is Header
            assert payload == b"rest"
            assert type(payload) is kind

    @pytest.mark.parametrize("datagram", [b"", b"\xff\xd0", b"shutdown", b"abcdefghijklmnop"])
    def test_other_datagrams(self, datagram):
        for read in (Header.deconstruct_datagram, Package.from_datagram, ServerPackage.from_datagram):
            with pytest.raises(ProtocolIDMismatchError):
                read(datagram)

    def test_a_header_that_is_cut_off(self):
        with pytest.raises(DecodeError, match="the header"):
            Header.deconstruct_datagram(PROTOCOL_ID + b"\x00\x01")

    def test_comparison_is_by_value(self, header):
        assert header == Header(2, 65535, BITS)
        for other in (
            Header(3, 65535, BITS),
            Header(2, 1, BITS),
            Header(2, 65535, ZEROS),
            5,
            (2, 65535, BITS),
        ):
            assert header != other
            assert (header == other) is False
        with pytest.raises(TypeError, match="unhashable"):
            hash(header)
        assert repr(header) == f"Header(sequence=2, ack=65535, ack_bitfield='{BITS}')"

    def test_subclasses(self):
        class Named(Header):
            def __init__(self, name):
                super().__init__(1, 0, ZEROS)
                self.name = name

        class Made(Header):
            def __new__(cls, *arguments):
                made = super().__new__(cls)
                made.arguments = arguments
                return made

        assert Made(1, 0, ZEROS).arguments == (1, 0, ZEROS)
        named = Named("anna")
        assert (named.name, named.sequence) == ("anna", 1)
        assert named != Named("bert")
        assert isinstance(type("Same", (Header,), {}).deconstruct_datagram(named.to_bytearray())[0], Header)


class TestPackages:
    def test_attributes(self, header):
        event = Event("A", 1)
        for package in packages(header, [event]):
            assert package.header is header
            assert package.events == [event]
            package.events.append(1)
            assert package.events == [event]
            with pytest.raises(AttributeError):
                package.events = []
            package.header = Header(1, 1, ZEROS)
            assert package.header.sequence == 1
        assert Package(header).events == Package(header, ()).events == []

    def test_the_list_of_events_is_a_copy(self, header):
        events = [Event("A")]
        package = Package(header, events)
        events.append(Event("B"))
        package.add_event(Event("C"))
        assert [event.type for event in package.events] == ["A", "C"]
        assert len(events) == 2

    def test_time_order(self, header):
        package = ClientPackage(header, 5)
        assert type(package.time_order) is Sqn
        package.time_order = 6
        assert package.to_datagram()[12:] == b"\x00\x06"
        for wrong in (65536, -1):
            with pytest.raises(ValueError, match="sequence number"):
                ClientPackage(header, wrong)
        assert ClientPackage(header, None).time_order == 0

    def test_game_state_update(self, header):
        package = ServerPackage(header, GameStateUpdate(5))
        package.game_state_update = GameStateUpdate(6)
        assert package.to_datagram()[12:] == b"\x00\x0d\x81\xaatime_order\x06"
        with pytest.raises(AttributeError):
            ServerPackage(header, None).to_datagram()

    def test_sizes(self, header):
        assert [package.get_bytesize() for package in packages(header)] == [12, 14, 12 + 2 + 16]
        assert [package.get_bytesize() for package in packages(header, [Event("A")])] == [52, 54, 70]

    def test_round_trip(self, header):
        for package in packages(header, [Event("A", 1, b="c"), Event("B")]):
            for kind in (bytes, bytearray, memoryview):
                back = type(package).from_datagram(kind(package.to_datagram()))
                assert type(back) is type(package)
                assert back == package
                assert back.to_datagram() == package.to_datagram()

    def test_the_largest_event(self, header):
        update = GameStateUpdate(5)
        assert len(Package(header, [sized(2034)]).to_datagram()) == 2048
        assert len(ClientPackage(header, 0, [sized(2032)]).to_datagram()) == 2048
        assert len(ServerPackage(header, update, [sized(2019)]).to_datagram()) == 2048
        for package, message in [
            (Package(header, [sized(2035)]), FULL),
            (ClientPackage(header, 0, [sized(2033)]), FULL),
            (ServerPackage(header, update, [sized(2020)]), SERVER_FULL),
            (ServerPackage(header, GameStateUpdate(5, x=b"y" * 2100)), SERVER_FULL),
            (ServerPackage(header, GameStateUpdate(5, x=b"y" * 70000)), SERVER_FULL),
            (Package(header, [Event("A", b"x" * 70000)]), FULL),
        ]:
            for build in (package.to_datagram, package.get_bytesize):
                with pytest.raises(OverflowError) as raised:
                    build()
                assert str(raised.value) == message

    def test_events_have_to_fit_once_the_datagram_was_built(self, header):
        for package in packages(header):
            package.add_event(sized(3000))
            assert len(package.events) == 1
        for package in packages(header):
            datagram = package.to_datagram()
            for built in (package, type(package).from_datagram(datagram)):
                with pytest.raises(OverflowError) as raised:
                    built.add_event(sized(2048))
                assert str(raised.value) == FULL
                assert built.events == []
                built.add_event(Event("A"))
                assert built.get_bytesize() == len(datagram) + 40

    def test_the_maximum_size_is_that_of_the_class(self, header):
        class Small(Package):
            _max_size = 20

        assert Small(header).to_datagram()
        with pytest.raises(OverflowError, match="maximum size of 20 bytes"):
            Small(header, [Event("A")]).to_datagram()

    def test_comparison_is_by_value(self, header):
        first, second = packages(header, [Event("A")]), packages(header, [Event("A")])
        first[0].to_datagram()
        assert first == second
        for index, package in enumerate(first):
            assert package != packages(header, [Event("B")])[index]
            assert package != packages(Header(1, 1, ZEROS), [Event("A")])[index]
            assert package != header
            with pytest.raises(TypeError, match="unhashable"):
                hash(package)
        assert first[1] != ClientPackage(header, 8, [Event("A")])
        assert first[2] != ServerPackage(header, GameStateUpdate(5, x=2), [Event("A")])
        assert first[1] != Package(header, [Event("A")])
        assert repr(first[1]) == f"ClientPackage({header!r}, 7, [Event('A')])"

    def test_subclasses(self, header):
        class Mine(ServerPackage):
            pass

        class Own(Package):
            def __init__(self, number):
                super().__init__(Header(number, 0, ZEROS))
                self.number = number

        datagram = Mine(header, GameStateUpdate(5), [Event("A")]).to_datagram()
        assert type(Mine.from_datagram(datagram)) is Mine
        assert Own(3).header.sequence == Own(3).number == 3
        with pytest.raises(AttributeError, match="not given a header"):
            Own.__new__(Own).to_datagram()

    def test_wrong_arguments(self, header):
        for arguments in [(), (5,), (header, 5), (header, [], 1)]:
            with pytest.raises(TypeError):
                Package(*arguments)
        with pytest.raises(TypeError):
            ClientPackage(header)
        with pytest.raises(TypeError):
            ServerPackage(header)

    def test_copies(self, header):
        for package in packages(header, [Event("A")]):
            assert copy.deepcopy(package) == package
            assert copy.copy(package) == package
            assert pickle.loads(pickle.dumps(package)) == package

    def test_cycles_are_collected(self, header):
        for index in range(3):
            package = packages(header)[index]
            package.add_event(package)
            package.myself = package
            gone = weakref.ref(package)
            del package
            gc.collect()
            assert gone() is None


@pytest.mark.parametrize(
    ("cls", "rest"),
    [
        (Package, "00"),
        (Package, "0000"),
        (Package, "000561"),
        (Package, "0001c1"),
        (Package, "000180"),
        (ClientPackage, "00"),
        (ClientPackage, "0000000180"),
        (ServerPackage, ""),
        (ServerPackage, "0000"),
        (ServerPackage, "000180"),
        (ServerPackage, "000181"),
        (ServerPackage, "001081aa74696d655f6f72646572ce00010000"),
        (Package, "00" * 2100),
    ],
)
def test_malformed_datagrams_are_refused(cls, rest):
    datagram = bytes(Header(1, 0, ZEROS).to_bytearray()) + bytes.fromhex(rest)
    with pytest.raises(DecodeError):
        cls.from_datagram(datagram)
