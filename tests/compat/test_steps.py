"""Connections stepped by hand, under a clock that the test moves: what they note and what they send."""

import time

import pytest
from stepping import ADDRESS, ZEROS, Socket, header, package, sequences, status

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
from pygase.event import Event
from pygase.gamestate import GameStateUpdate
from pygase.utils import Sqn


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


def test_latency_follows_round_trips_slowly(connection):
    for round_trip, latency in ((1, 0.1), (0.5, 0.14), (0, 0.126)):
        connection._update_latency(round_trip)
        assert connection.latency == pytest.approx(latency)


@pytest.mark.parametrize("name", ["Connected", "Connecting", "Disconnected"])
def test_a_status_is_set_by_its_name(connection, name):
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
