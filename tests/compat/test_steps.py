"""Connections stepped by hand, under a clock that the test moves, in every event loop that is installed."""

import asyncio
import time

import pytest

from pygase import GameState, GameStateStore
from pygase.connection import (
    ClientConnection,
    ClientPackage,
    Connection,
    ConnectionStatus,
    DuplicateSequenceError,
    Header,
    Package,
    ServerConnection,
    ServerPackage,
)
from pygase.event import Event, UniversalEventHandler
from pygase.gamestate import GameStateUpdate
from pygase.utils import Sqn

ADDRESS = ("127.0.0.1", 8080)
ZEROS = "0" * 32


@pytest.fixture(params=["asyncio", "trio", "curio"])
def run(request, is_original):
    """Run one coroutine in an event loop of its own."""
    if is_original and request.param != "curio":
        pytest.skip("PyGaSe 0.3.1 knows curio only")
    library = pytest.importorskip(request.param)

    def run(coroutine):
        outcome = {}

        # curio leaves its kernel behind when an exception comes out of it.
        async def guarded():
            try:
                outcome["result"] = await coroutine
            except Exception as error:
                outcome["error"] = error

        library.run(guarded if request.param == "trio" else guarded())
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]

    return run


@pytest.fixture
def clock():
    """A frozen clock that the test moves."""
    freezegun = pytest.importorskip("freezegun")
    with freezegun.freeze_time("2020-01-01") as frozen:
        yield frozen


class Socket:
    """Keeps what was sent."""

    def __init__(self):
        self.sent = []

    async def sendto(self, data, address):
        self.sent.append((data, address))

    @property
    def last(self):
        return self.sent[-1][0]


def header(sequence, ack=0, bits=""):
    return Header(sequence, ack, bits.ljust(32, "0"))


def package(*args, events=(), **kwargs):
    return Package(header(*args, **kwargs), list(events))


def status(connection):
    return ConnectionStatus.get(connection.status)


def sequences(datagrams):
    return [Package.from_datagram(data).header.sequence for data, _ in datagrams]


@pytest.fixture
def socket():
    return Socket()


@pytest.fixture
def handler():
    return UniversalEventHandler()


@pytest.fixture
def connection(handler):
    return Connection(ADDRESS, handler)


class TestRemoteInfo:
    def test_bitfield(self, connection):
        for sequence, bits in ((1, ""), (2, "1"), (3, "11"), (4, "111")):
            connection._update_remote_info(Sqn(sequence))
            assert connection.remote_sequence == sequence
            assert connection.ack_bitfield == bits.ljust(32, "0")

    def test_older(self, connection):
        for sequence in (1, 2, 3, 5, 4):
            connection._update_remote_info(Sqn(sequence))
        assert connection.remote_sequence == 5
        assert connection.ack_bitfield[0] == "1"

    def test_before_a_gap(self, connection, is_original):
        """PyGaSe forgets the package before a gap."""
        for sequence in (1, 3):
            connection._update_remote_info(Sqn(sequence))
        assert connection.ack_bitfield == ("" if is_original else "01").ljust(32, "0")

    @pytest.mark.parametrize("again", [5, 4])
    def test_duplicate(self, connection, again):
        for sequence in (3, 5, 4):
            connection._update_remote_info(Sqn(sequence))
        before = connection.ack_bitfield
        with pytest.raises(DuplicateSequenceError):
            connection._update_remote_info(Sqn(again))
        assert (connection.remote_sequence, connection.ack_bitfield) == (5, before)

    def test_first_may_be_any(self, connection):
        connection._update_remote_info(Sqn(1000))
        assert (connection.remote_sequence, connection.ack_bitfield) == (1000, ZEROS)

    @pytest.mark.ours
    def test_too_old_to_tell(self, connection):
        """An IndexError in PyGaSe."""
        connection._update_remote_info(Sqn(100))
        connection._update_remote_info(Sqn(60))
        assert (connection.remote_sequence, connection.ack_bitfield) == (100, ZEROS)
        assert connection.stats()["late"] == 1


def test_latency(connection):
    for round_trip, latency in ((1, 0.1), (0.5, 0.14), (0, 0.126)):
        connection._update_latency(round_trip)
        assert connection.latency == pytest.approx(latency)


@pytest.mark.parametrize("name", ["Connected", "Connecting", "Disconnected"])
def test_set_status(connection, name):
    connection._set_status(name)
    assert status(connection) == name
    with pytest.raises(ValueError):
        connection._set_status("Lost")


@pytest.mark.ours
def test_set_status_by_enum(connection):
    connection._set_status(ConnectionStatus.CONNECTED)
    assert connection.status is ConnectionStatus.CONNECTED


class TestThrottling:
    def look(self, connection, state, t, latency):
        connection.latency = latency
        assert connection._throttling_state_machine(t, state) is None
        return connection.quality, connection._package_interval, tuple(state.values())

    def test_walk(self, connection):
        state = {"throttle_time": 1.0, "last_quality_change": 0, "last_good_quality_milestone": 0}
        for t, latency, *expected in (
            (0.9, 0.1, "good", 1 / 40, (1, 0, 0)),
            (1.1, 0.1, "good", 1 / 40, (1, 0, 1.1)),
            (1.2, 0.3, "bad", 1 / 20, (1, 1.2, 1.1)),
            (1.3, 0.3, "bad", 1 / 20, (1, 1.2, 1.1)),
            (1.4, 0.1, "good", 1 / 20, (1, 1.4, 1.4)),
            (1.5, 0.3, "bad", 1 / 20, (2, 1.5, 1.4)),
            (1.6, 0.1, "good", 1 / 20, (2, 1.6, 1.6)),
            (3.7, 0.1, "good", 1 / 40, (1, 1.6, 3.7)),
            (9, 0.25, "good", 1 / 40, (1, 1.6, 9)),
            (10, 0.26, "bad", 1 / 20, (1, 10, 9)),
            (11, 0.25, "bad", 1 / 20, (1, 10, 9)),
        ):
            assert self.look(connection, state, t, latency) == tuple(expected), t

    def test_no_end_of_throttling(self, connection):
        state = {"throttle_time": 50.0, "last_quality_change": 0, "last_good_quality_milestone": 0}
        assert self.look(connection, state, 1, 0.5)[2] == (60, 1, 0)

    def test_interval_can_be_set(self, connection):
        connection._package_interval = 0.3
        assert connection._package_interval == pytest.approx(0.3)


class TestCreate:
    def test_plain(self, connection):
        connection.local_sequence = Sqn(7)
        connection.remote_sequence = Sqn(5)
        connection.ack_bitfield = "1" + "0" * 31
        connection.dispatch_event(Event("a"))
        package = connection._create_next_package()
        assert type(package) is Package
        assert package == Package(Header(7, 5, "1" + "0" * 31))
        assert connection.local_sequence == 7
        assert not connection._outgoing_event_queue.empty()

    def test_client(self, handler):
        package = ClientConnection(ADDRESS, handler)._create_next_package()
        assert package == ClientPackage(header(0), 0)

    def test_server(self, handler):
        store = GameStateStore(GameState(time_order=3, x=1))
        connection = ServerConnection(ADDRESS, handler, store, Sqn(0))
        assert connection._create_next_package() == ServerPackage(
            header(0), GameStateUpdate(3, x=1, game_status=0)
        )
        store.push_update(GameStateUpdate(4, y=2))
        assert connection._create_next_package().game_state_update == GameStateUpdate(
            4, x=1, y=2, game_status=0
        )


class TestSend:
    def test_first(self, run, connection, socket):
        connection.dispatch_event(Event("a", 1))
        assert run(connection._send_next_package(socket)) is None
        assert socket.sent == [(package(1, events=[Event("a", 1)]).to_datagram(), ADDRESS)]
        assert connection.local_sequence == 1
        assert connection._outgoing_event_queue.empty()
        assert list(connection._pending_acks) == [1]

    def test_numbers(self, run, connection, socket):
        connection.local_sequence = Sqn(65534)
        for _ in range(3):
            run(connection._send_next_package(socket))
        assert sequences(socket.sent) == [65535, 1, 2]

    def test_five_events(self, run, connection, socket):
        for number in range(7):
            connection.dispatch_event(Event("a", number))
        for expected in ([0, 1, 2, 3, 4], [5, 6], []):
            run(connection._send_next_package(socket))
            assert [event.handler_args for event in Package.from_datagram(socket.last).events] == [
                [number] for number in expected
            ]

    @pytest.mark.ours
    def test_events_that_do_not_fit_wait(self, run, connection, socket):
        """An OverflowError in PyGaSe, and the events are gone."""
        for number in range(3):
            connection.dispatch_event(Event("a", number, "x" * 1000))
        for expected in ([0], [1], [2]):
            run(connection._send_next_package(socket))
            assert [e.handler_args[0] for e in Package.from_datagram(socket.last).events] == expected

    def test_time_of_sending(self, clock, connection, socket):
        run = pytest.importorskip("curio").run
        run(connection._send_next_package(socket))
        start = time.time()
        clock.tick(0.5)
        run(connection._send_next_package(socket))
        assert dict(connection._pending_acks) == {1: start, 2: pytest.approx(start + 0.5)}

    def test_own_package(self, run, handler, socket):
        class Greeting(Connection):
            def _create_next_package(self):
                package = super()._create_next_package()
                package.add_event(Event("hello"))
                return package

        run(Greeting(ADDRESS, handler)._send_next_package(socket))
        assert socket.last == package(1, events=[Event("hello")]).to_datagram()

    def test_client_and_server(self, run, handler, socket):
        run(ClientConnection(ADDRESS, handler)._send_next_package(socket))
        sent = ClientPackage.from_datagram(bytes(socket.last))
        assert (sent.header, sent.time_order, sent.events) == (header(1), 0, [])
        store = GameStateStore(GameState(time_order=3, x=1))
        run(ServerConnection(ADDRESS, handler, store, Sqn(0))._send_next_package(socket))
        sent = ServerPackage.from_datagram(bytes(socket.last))
        assert sent.header == header(1)
        assert sent.game_state_update == GameStateUpdate(3, x=1, game_status=0)


class TestReceive:
    def test_connects(self, run, connection):
        run(connection._recv(package(1)))
        assert status(connection) == "Connected"
        assert connection.remote_sequence == 1
        assert connection._incoming_event_queue.empty()

    def test_duplicate(self, run, connection):
        run(connection._recv(package(1)))
        with pytest.raises(DuplicateSequenceError):
            run(connection._recv(package(1, events=[Event("a")])))
        assert connection._incoming_event_queue.empty()

    def test_acknowledged(self, run, connection, socket, calls):
        calls = calls()
        connection.dispatch_event(Event("a"), ack_callback=calls, timeout_callback=pytest.fail)
        run(connection._send_next_package(socket))
        run(connection._recv(package(1)))
        assert not calls
        run(connection._recv(package(2, 1)))
        assert len(calls) == 1
        assert not connection._pending_acks
        run(connection._recv(package(3, 1)))
        assert len(calls) == 1

    def test_coroutine_callback(self, run, connection, socket):
        called = []

        async def callback():
            called.append(1)

        connection.dispatch_event(Event("a"), callback)
        run(connection._send_next_package(socket))
        run(connection._recv(package(1, 1)))
        assert called == [1]

    def test_bits(self, run, connection, socket):
        for _ in range(4):
            run(connection._send_next_package(socket))
        run(connection._recv(package(1, 4, "101")))
        assert list(connection._pending_acks) == [2]

    def test_round_trip(self, run, clock, connection, socket):
        run(connection._send_next_package(socket))
        clock.tick(0.2)
        run(connection._recv(package(1, 1)))
        assert connection.latency == pytest.approx(0.02, abs=1e-6)

    def test_lost(self, run, clock, connection, socket, calls):
        calls = calls()
        connection.dispatch_event(Event("a"), pytest.fail, calls)
        run(connection._send_next_package(socket))
        clock.tick(0.99)
        run(connection._recv(package(1)))
        assert list(connection._pending_acks) == [1]
        assert not calls
        clock.tick(0.02)
        run(connection._recv(package(2)))
        assert not connection._pending_acks
        assert len(calls) == 1

    def test_late_acknowledgement_counts(self, run, clock, connection, socket, calls):
        calls = calls()
        connection.dispatch_event(Event("a"), calls, pytest.fail)
        run(connection._send_next_package(socket))
        clock.tick(2)
        run(connection._recv(package(1, 1)))
        assert len(calls) == 1

    @pytest.mark.ours
    def test_lost_while_nothing_comes(self, run, clock, connection, socket, calls):
        """PyGaSe learns that a package is lost when another comes in."""
        calls = calls()
        connection.dispatch_event(Event("a"), pytest.fail, calls)
        run(connection._recv(package(1)))
        run(connection._send_next_package(socket))
        clock.tick(1.01)
        run(connection._send_next_package(socket))
        assert len(calls) == 1
        assert status(connection) == "Connected"
        clock.tick(4)
        run(connection._send_next_package(socket))
        assert status(connection) == "Disconnected"

    @pytest.mark.ours
    def test_clock_that_goes_back(self, run, clock, connection, socket, calls):
        calls = calls()
        connection.dispatch_event(Event("a"), pytest.fail, calls)
        run(connection._send_next_package(socket))
        clock.tick(-3600)
        run(connection._recv(package(1)))
        clock.tick(0.9)
        run(connection._recv(package(2)))
        assert not calls
        clock.tick(0.2)
        run(connection._recv(package(3)))
        assert len(calls) == 1

    def test_claimed_pending(self, run, clock, connection):
        connection.local_sequence = Sqn(5)
        connection._pending_acks[5] = time.time()
        clock.tick(0.1)
        run(connection._recv(package(1, 5)))
        assert not connection._pending_acks
        assert connection.latency == pytest.approx(0.01, abs=1e-6)

    @pytest.mark.ours
    def test_raising_callback(self, run, connection, socket, calls):
        """Raised after all others were called; PyGaSe raises it with every package from then on."""
        calls = calls()

        def bad():
            raise KeyError("callback")

        connection.dispatch_event(Event("a"), bad)
        connection.dispatch_event(Event("b"), calls)
        run(connection._send_next_package(socket))
        with pytest.raises(KeyError, match="callback"):
            run(connection._recv(package(1, 1, events=[Event("c")])))
        run(connection._recv(package(2, 1)))
        assert len(calls) == 1
        assert not connection._incoming_event_queue.empty()

    def test_subclass_hooks(self, run, handler, socket, clock):
        """What a subclass overrides is what a received package calls, and may do without."""
        calls = []

        class Watching(Connection):
            def _set_status(self, status):
                calls.append(("status", status))
                super()._set_status(status)

            def _update_remote_info(self, received_sequence):
                calls.append(("remote", received_sequence))
                super()._update_remote_info(received_sequence)

            def _update_latency(self, rtt):
                calls.append(("latency", round(rtt, 3)))

        connection = Watching(ADDRESS, handler)
        run(connection._send_next_package(socket))
        run(connection._send_next_package(socket))
        clock.tick(0.5)
        run(connection._recv(package(1, 2, "1")))
        assert calls == [("status", "Connected"), ("remote", 1), ("latency", 0.5), ("latency", 0.5)]
        assert (status(connection), connection.latency) == ("Connected", 0.0)
        run(connection._recv(package(4)))
        run(connection._recv(package(3)))
        assert calls[-2:] == [("remote", 4), ("remote", 3)]
        assert (connection.remote_sequence, connection.ack_bitfield[0]) == (4, "1")

    def test_instance_hooks(self, run, handler, socket, clock):
        connection = Connection(ADDRESS, handler)
        seen = []
        connection._update_latency = seen.append
        run(connection._send_next_package(socket))
        clock.tick(0.25)
        run(connection._recv(package(1, 1)))
        assert [round(rtt, 3) for rtt in seen] == [0.25]
        assert connection.latency == 0.0

    def test_client(self, run, handler, socket):
        connection = ClientConnection(ADDRESS, handler)
        run(connection._send_next_package(socket))
        run(connection._recv(ServerPackage(header(1, 1), GameStateUpdate(5, x=1, d={"a": 1}))))
        run(connection._recv(ServerPackage(header(3, 1), GameStateUpdate(4, x=7))))
        with connection.game_state_context as state:
            assert (state.time_order, state.x, state.d) == (5, 1, {"a": 1})
        run(connection._recv(ServerPackage(header(2, 1), GameStateUpdate(8, x=9))))
        with connection.game_state_context as state:
            assert (state.time_order, state.x, state.d) == (8, 9, {"a": 1})
        assert connection._create_next_package().time_order == 8

    def test_server(self, run, handler, socket):
        store = GameStateStore(GameState(time_order=3, x=1))
        connection = ServerConnection(ADDRESS, handler, store, Sqn(0))
        run(connection._send_next_package(socket))
        run(connection._recv(ClientPackage(header(1, 1), 3)))
        assert connection.last_client_time_order == 3
        assert connection._create_next_package().game_state_update == GameStateUpdate(3)
        store.push_update(GameStateUpdate(4, y=2))
        assert connection._create_next_package().game_state_update == GameStateUpdate(4, y=2)

    def test_refused_packages_change_nothing(self, run, handler, is_original):
        connection = ClientConnection(ADDRESS, handler)
        with pytest.raises(AttributeError):
            run(connection._recv(package(1)))
        expected = (1, "Connected") if is_original else (0, "Disconnected")
        assert (connection.remote_sequence, status(connection)) == expected

    def test_client_with_another_state(self, handler, is_original):
        store = GameStateStore(GameState(time_order=3, x=1))
        store.push_update(GameStateUpdate(4, y=2))
        store.push_update(GameStateUpdate(5, z=3))
        connection = ServerConnection(ADDRESS, handler, store, Sqn(4))
        rest = {} if is_original else {"x": 1, "y": 2, "game_status": 0}
        assert connection._create_next_package().game_state_update == GameStateUpdate(5, z=3, **rest)

    def test_wrong_kind(self, run, handler):
        with pytest.raises(AttributeError, match="game_state_update"):
            run(ClientConnection(ADDRESS, handler)._recv(package(1)))
        with pytest.raises(AttributeError, match="time_order"):
            run(ServerConnection(ADDRESS, handler, GameStateStore(), Sqn(0))._recv(package(1)))


class TestHandle:
    def test_handler(self, run, connection, handler, calls):
        calls = calls()

        async def slow(*args, **kwargs):
            calls(*args, **kwargs)

        handler.register_event_handler("a", calls)
        handler.register_event_handler("b", slow)
        run(connection._recv(package(1, events=[Event("a", 1, x=2), Event("none"), Event("b", 3)])))
        assert not calls
        for _ in range(3):
            assert not connection._incoming_event_queue.empty()
            run(connection._handle_next_event())
        assert connection._incoming_event_queue.empty()
        assert [(call.args, call.kwargs) for call in calls] == [((1,), {"x": 2}), ((3,), {})]

    def test_raising_handler(self, run, connection, handler, calls):
        calls = calls()

        def bad():
            raise KeyError("handler")

        handler.register_event_handler("bad", bad)
        handler.register_event_handler("a", calls)
        run(connection._recv(package(1, events=[Event("bad"), Event("a")])))
        with pytest.raises(KeyError, match="handler"):
            run(connection._handle_next_event())
        run(connection._handle_next_event())
        assert len(calls) == 1

    def test_wire(self, run, handler):
        order = []

        class Wire:
            async def _push_event(self, event):
                order.append(("wire", event.type))

        handler.register_event_handler("a", lambda: order.append(("handler", "a")))
        connection = Connection(ADDRESS, handler, Wire())
        run(connection._recv(package(1, events=[Event("a"), Event("b")])))
        for _ in range(2):
            run(connection._handle_next_event())
        assert sorted(order) == [("handler", "a"), ("wire", "a"), ("wire", "b")]

    @pytest.mark.ours
    def test_waits_under_a_frozen_clock(self, clock, connection, handler, calls):
        calls = calls()
        handler.register_event_handler("a", calls)

        async def both():
            waiting = asyncio.ensure_future(connection._handle_next_event())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            await connection._recv(package(1, events=[Event("a")]))
            await waiting

        asyncio.run(both())
        assert len(calls) == 1

    @pytest.mark.ours
    def test_waits_in_trio_and_curio(self, connection, handler, calls):
        trio, curio = pytest.importorskip("trio"), pytest.importorskip("curio")
        calls = calls()
        handler.register_event_handler("a", calls)

        async def in_trio():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection._handle_next_event)
                await trio.sleep(0.02)
                await connection._recv(package(1, events=[Event("a")]))

        async def in_curio():
            task = await curio.spawn(connection._handle_next_event())
            await curio.sleep(0.02)
            await connection._recv(package(2, events=[Event("a")]))
            await task.join()

        trio.run(in_trio)
        curio.run(in_curio)
        assert len(calls) == 2


def test_two_connections_talk(run, clock, calls):
    """A session by hand: every third package is lost, and each event is heard or known to be lost."""
    heard, acked, lost = [], calls(), calls()
    handler = UniversalEventHandler()
    handler.register_event_handler("a", heard.append)
    left, right = Connection(ADDRESS, handler), Connection(ADDRESS, handler)
    for turn in range(90):
        if turn < 30:
            left.dispatch_event(Event("a", turn), acked, lost)
        for sender, receiver in ((left, right), (right, left)):
            wire = Socket()
            run(sender._send_next_package(wire))
            clock.tick(0.0125)
            if sender is right or turn % 3:
                run(receiver._recv(Package.from_datagram(bytes(wire.last))))
    while not right._incoming_event_queue.empty():
        run(right._handle_next_event())
    assert heard == [turn for turn in range(30) if turn % 3]
    assert len(acked) + len(lost) == 30
    assert len(lost) >= 10


@pytest.mark.ours
class TestOwner:
    """A connection belongs to its steps or to the network, whichever touches it first."""

    def test_driven_by_the_network(self, live):
        with pytest.raises(RuntimeError, match="drives this connection"):
            live.client.connection._update_latency(1.0)

    def test_stepped(self, run, handler):
        connection = ClientConnection(ADDRESS, handler)
        run(connection._send_next_package(Socket()))
        with pytest.raises(RuntimeError, match="stepped by hand"):
            connection.loop()
