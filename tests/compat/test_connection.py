"""`pygase.connection`: headers, packages, and connections that nobody steps yet."""

import weakref

import pytest

import pygase
from pygase.connection import (
    PROTOCOL_ID,
    ClientConnection,
    ClientPackage,
    Connection,
    ConnectionStatus,
    DuplicateSequenceError,
    Header,
    Package,
    ProtocolIDMismatchError,
    ServerConnection,
    ServerPackage,
)
from pygase.event import Event, UniversalEventHandler
from pygase.gamestate import GameState, GameStateUpdate
from pygase.utils import Comparable, Sqn

ONES = "1" * 32
ZEROS = "0" * 32


def header(sequence=1, ack=2, ack_bitfield=ONES):
    return Header(sequence, ack, ack_bitfield)


def test_the_protocol_and_its_errors_have_their_names():
    assert PROTOCOL_ID == b"\xff\xd0\xfa\xb9"
    assert issubclass(ProtocolIDMismatchError, ValueError)
    assert issubclass(DuplicateSequenceError, ConnectionError)


def test_repr_of_values_says_what_is_in_them(is_original):
    things = [header(), Package(header()), Event("a"), GameState(x=1), GameStateUpdate(1)]
    for thing in things:
        assert repr(thing).startswith("<pygase.") == is_original
    for thing in (Connection(None, None), UniversalEventHandler(), pygase.Client()):
        assert repr(thing).startswith("<pygase.")


class TestStatus:
    def test_get(self):
        names = ["Disconnected", "Connected", "Connecting"]
        values = [ConnectionStatus.get(name) for name in names]
        assert len(set(values)) == 3
        assert [ConnectionStatus.get(value) for value in values] == names

    @pytest.mark.ours
    def test_members(self):
        assert [ConnectionStatus.get(name) for name in ("Disconnected", "Connected", "Connecting")] == [
            0,
            1,
            2,
        ]
        assert (ConnectionStatus.DISCONNECTED, ConnectionStatus.CONNECTED, ConnectionStatus.CONNECTING) == (
            0,
            1,
            2,
        )

    def test_unknown(self):
        with pytest.raises(ValueError):
            ConnectionStatus.get("Lost")


class TestHeader:
    def test_attributes(self):
        head = header(1, 2)
        assert (head.sequence, head.ack, head.ack_bitfield) == (1, 2, ONES)
        assert type(head.sequence) is Sqn
        assert type(head.ack) is Sqn

    def test_keywords(self):
        assert Header(sequence=1, ack=2, ack_bitfield=ONES) == header(1, 2)

    def test_attributes_can_be_set(self):
        head = header()
        head.sequence = Sqn(9)
        head.ack = Sqn(8)
        head.ack_bitfield = ZEROS
        assert head == header(9, 8, ZEROS)
        assert head.to_bytearray() == PROTOCOL_ID + b"\0\x09\0\x08" + bytes(4)

    def test_bytes(self):
        data = header(1, 2, "1" + "0" * 30 + "1").to_bytearray()
        assert type(data) is bytearray
        assert data == b"\xff\xd0\xfa\xb9\x00\x01\x00\x02\x80\x00\x00\x01"

    def test_destructure(self):
        parts = header().destructure()
        assert parts == (1, 2, ONES)
        assert [type(part) for part in parts] == [Sqn, Sqn, str]

    @pytest.mark.parametrize("kind", [bytes, bytearray])
    def test_deconstruct_datagram(self, kind):
        datagram = kind(bytes(header(3, 4, ZEROS).to_bytearray()) + b"payload")
        head, payload = Header.deconstruct_datagram(datagram)
        assert head == header(3, 4, ZEROS)
        assert payload == b"payload"

    def test_foreign_protocol(self):
        for decode in (
            Header.deconstruct_datagram,
            Package.from_datagram,
            ClientPackage.from_datagram,
            ServerPackage.from_datagram,
        ):
            with pytest.raises(ProtocolIDMismatchError):
                decode(b"\xff\xd0\xfa\xb8" + bytes(20))

    def test_compares_by_value(self):
        assert header() == header()
        assert header() != header(2)
        assert (header() != header()) is False
        assert header() != "header"
        with pytest.raises(TypeError):
            hash(header())

    def test_range(self):
        with pytest.raises(ValueError, match="value exceeds maximum sequence number"):
            header(65536)
        with pytest.raises(ValueError, match="sequence numbers must not be negative"):
            header(1, -1)

    def test_subclass(self):
        class Named(Header):
            name = "named"

        assert Named(1, 2, ONES).to_bytearray() == header().to_bytearray()
        head, _ = Named.deconstruct_datagram(bytes(header().to_bytearray()))
        assert isinstance(head, Header)


class TestPackage:
    def test_attributes(self):
        events = [Event("a", 1)]
        package = Package(header(), events)
        assert package.header == header()
        assert package.events == events
        assert Package(header()).events == []

    def test_events_are_a_copy(self):
        package = Package(header())
        package.events.append(Event("a"))
        assert package.events == []

    def test_add_event(self):
        package = Package(header())
        package.add_event(Event("a", 1))
        package.add_event(Event("b"))
        assert [event.type for event in package.events] == ["a", "b"]

    @pytest.mark.parametrize("built", [False, True])
    def test_add_event_after_building(self, built):
        package = Package(header(), [Event("a")])
        if built:
            package.to_datagram()
        package.add_event(Event("b", 2))
        again = Package.from_datagram(package.to_datagram())
        assert again.events == [Event("a"), Event("b", 2)]

    def test_layout(self):
        event = Event("a", 1).to_bytes()
        block = len(event).to_bytes(2, "big") + event
        head = bytes(header().to_bytearray())
        update = GameStateUpdate(7, x=1)
        body = len(update.to_bytes()).to_bytes(2, "big") + update.to_bytes()
        assert Package(header(), [Event("a", 1)]).to_datagram() == head + block
        assert ClientPackage(header(), 258, [Event("a", 1)]).to_datagram() == head + b"\x01\x02" + block
        assert ServerPackage(header(), update, [Event("a", 1)]).to_datagram() == head + body + block

    def test_result_types(self):
        datagram = Package(header()).to_datagram()
        assert isinstance(datagram, (bytes, bytearray))
        assert Package(header()).get_bytesize() == 12
        assert Package(header(), [Event("a")]).get_bytesize() == 14 + len(Event("a").to_bytes())

    def test_sizes(self):
        update = GameStateUpdate(1, x="y" * 10)
        assert ClientPackage(header(), 1).get_bytesize() == 14
        assert ServerPackage(header(), update).get_bytesize() == 14 + len(update.to_bytes())

    def test_client_package(self):
        package = ClientPackage(header(), 5, [Event("a")])
        assert package.time_order == 5
        assert type(package.time_order) is Sqn
        again = ClientPackage.from_datagram(package.to_datagram())
        assert again == package
        assert type(again) is ClientPackage
        assert isinstance(again, Package)

    def test_server_package(self):
        update = GameStateUpdate(5, x={"y": [1, None]})
        package = ServerPackage(header(), update, [Event("a")])
        assert package.game_state_update == update
        again = ServerPackage.from_datagram(package.to_datagram())
        assert type(again.game_state_update) is GameStateUpdate
        assert again.game_state_update == update
        assert again.events == [Event("a")]
        assert isinstance(again, Package)

    def test_keywords(self):
        update = GameStateUpdate(1)
        assert Package(header=header(), events=[]) == Package(header())
        assert ClientPackage(header=header(), time_order=1, events=None).time_order == 1
        assert ServerPackage(header=header(), game_state_update=update, events=[]).game_state_update == update

    def test_compares_by_value(self):
        assert Package(header(), [Event("a")]) == Package(header(), [Event("a")])
        assert Package(header(), [Event("a")]) != Package(header(), [Event("b")])
        assert ClientPackage(header(), 1) != ClientPackage(header(), 2)
        assert ServerPackage(header(), GameStateUpdate(1)) != ServerPackage(header(), GameStateUpdate(2))
        with pytest.raises(TypeError):
            hash(Package(header()))

    def test_largest(self):
        fixed = len(Event("a", b"x" * 300).to_bytes()) - 300
        for kind, room in ((Package, 2034), (lambda h, e: ClientPackage(h, 1, e), 2032)):
            event = Event("a", b"x" * (room - fixed))
            assert kind(header(), [event]).get_bytesize() == 2048
            assert len(kind(header(), [event]).to_datagram()) == 2048

    def test_too_large(self):
        big = [Event("a", "x" * 2040)]
        plain = "Package exceeds the maximum size of 2048 bytes."
        lower = "package exceeds the maximum size of 2048 bytes"
        for package, message in (
            (Package(header(), big), plain),
            (ClientPackage(header(), 1, big), plain),
            (ServerPackage(header(), GameStateUpdate(1), big), lower),
            (ServerPackage(header(), GameStateUpdate(1, a="x" * 2040)), lower),
        ):
            with pytest.raises(OverflowError) as error:
                package.to_datagram()
            assert str(error.value) == message

    def test_too_large_by_add_event(self):
        package = Package(header())
        package.to_datagram()
        with pytest.raises(OverflowError) as error:
            for _ in range(20):
                package.add_event(Event("a", "x" * 200))
        assert str(error.value) == "Package exceeds the maximum size of 2048 bytes."

    def test_subclass(self):
        class Traced(ClientPackage):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.note = "traced"

        package = Traced(header(), 5, [Event("a")])
        assert (package.note, package.time_order) == ("traced", 5)
        assert ClientPackage.from_datagram(package.to_datagram()).events == [Event("a")]

    @pytest.mark.ours
    @pytest.mark.parametrize(
        "payload",
        [
            b"\x00",
            b"\x00\x05\x83",
            b"\x00\x01\xc1",
            b"\x00\x01\x01",
            b"\x00\x0a\x81\xa4type\xa3\xff\xff\xff\xc0",
        ],
    )
    def test_bad_events(self, payload):
        datagram = bytes(header().to_bytearray()) + payload
        with pytest.raises((TypeError, ValueError)):
            assert Package.from_datagram(datagram).events


class TestConnection:
    def test_plain(self):
        handler = UniversalEventHandler()
        connection = Connection(("127.0.0.1", 5), handler, "wire")
        assert connection.remote_address == ("127.0.0.1", 5)
        assert connection.event_handler is handler
        assert connection.event_wire == "wire"

    def test_starts_fresh(self):
        connection = Connection(("127.0.0.1", 5), None)
        assert (connection.local_sequence, connection.remote_sequence) == (0, 0)
        assert type(connection.local_sequence) is Sqn
        assert type(connection.remote_sequence) is Sqn
        assert connection.ack_bitfield == ZEROS
        assert connection.latency == 0.0
        assert connection.quality == "good"
        assert connection.event_wire is None
        assert ConnectionStatus.get(connection.status) == "Disconnected"

    def test_making_one_opens_nothing(self):
        """Neither resolved nor checked."""
        assert Connection(None, None).remote_address is None
        assert Connection(("no.such.host.invalid", 5), None).remote_address[1] == 5

    def test_attributes_can_be_set(self):
        connection = Connection(None, None)
        connection.local_sequence = Sqn(7)
        connection.remote_sequence = Sqn(8)
        connection.ack_bitfield = ONES
        connection.latency = 0.5
        connection.event_handler = handler = UniversalEventHandler()
        connection.remote_address = ("127.0.0.1", 9)
        connection.mine = "own"
        assert (connection.local_sequence, connection.remote_sequence) == (7, 8)
        assert (connection.ack_bitfield, connection.latency) == (ONES, 0.5)
        assert (connection.event_handler, connection.remote_address) == (handler, ("127.0.0.1", 9))
        assert connection.mine == "own"

    def test_identity(self):
        one, two = Connection(None, None), Connection(None, None)
        assert one != two
        assert len({one, two, one}) == 2
        assert weakref.ref(one)() is one

    def test_client(self):
        connection = ClientConnection(("127.0.0.1", 5), UniversalEventHandler())
        assert isinstance(connection, Connection)
        with connection.game_state_context as state:
            assert isinstance(state, GameState)
            assert state.time_order == 0
        assert connection.game_state_context.lock is not None

    def test_server(self):
        store = pygase.GameStateStore()
        connection = ServerConnection(("127.0.0.1", 5), None, store, Sqn(7), "wire")
        assert isinstance(connection, Connection)
        assert connection.game_state_store is store
        assert connection.last_client_time_order == 7
        assert connection.event_wire == "wire"

    @pytest.mark.parametrize("base", [Connection, ClientConnection])
    def test_subclass(self, base):
        class Mine(base):
            def __init__(self, address, extra):
                super().__init__(address, UniversalEventHandler())
                self.extra = extra

        mine = Mine(("127.0.0.1", 5), 3)
        assert mine.extra == 3
        assert isinstance(mine, Connection)

    def test_dispatch_before_anything_runs(self):
        connection = Connection(None, UniversalEventHandler())
        connection.dispatch_event(Event("a"))
        connection.dispatch_event(Event("a"), lambda: None, lambda: None)
        connection.dispatch_event(Event("a"), ack_callback=None, timeout_callback=print)

    @pytest.mark.ours
    def test_dispatch_refuses_what_never_fits(self):
        connection = Connection(None, UniversalEventHandler())
        with pytest.raises(OverflowError, match="2034"):
            connection.dispatch_event(Event("a", "x" * 2040))

    @pytest.mark.ours
    def test_stats(self):
        stats = Connection(None, None).stats()
        assert stats["hello"] is False
        assert all(isinstance(name, str) for name in stats)


def test_comparing_takes_no_base_class(is_original):
    for make in (header, lambda: Package(header()), lambda: ClientPackage(header(), 3)):
        assert isinstance(make(), Comparable) == is_original
        assert make() == make()
