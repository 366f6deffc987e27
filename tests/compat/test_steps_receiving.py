"""Connections stepped by hand, under a clock that the test moves: what comes in, and its handlers."""

import asyncio
import time

import pytest
from stepping import ADDRESS, Socket, header, package, status

from pygase import GameState, GameStateStore
from pygase.connection import (
    ClientConnection,
    ClientPackage,
    Connection,
    DuplicateSequenceError,
    Package,
    ServerConnection,
    ServerPackage,
)
from pygase.event import Event, UniversalEventHandler
from pygase.gamestate import GameStateUpdate
from pygase.utils import Sqn


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
