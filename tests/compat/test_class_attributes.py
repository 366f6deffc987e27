"""Class attributes that users change: read when a connection is made, and honoured whoever drives it."""

import time

import pytest

from pygase import GameState, GameStateStore
from pygase.connection import ClientConnection, ClientPackage, Connection, Header, Package, ServerConnection
from pygase.event import Event, UniversalEventHandler
from pygase.gamestate import GameStateUpdate
from pygase.utils import Sqn

ADDRESS = ("127.0.0.1", 8080)
HEADER = Header(1, 0, "0" * 32)


def make(kind, handler=None):
    if issubclass(kind, ServerConnection):
        return kind(ADDRESS, handler, GameStateStore(), Sqn(0))
    return kind(ADDRESS, handler)


@pytest.mark.parametrize("kind", [Connection, ClientConnection, ServerConnection])
def test_defaults_are_those_of_the_original(kind):
    assert kind._timeout == 5.0
    assert kind._package_intervals == {"good": 1 / 40, "bad": 1 / 20}
    assert kind._latency_threshold == 0.25
    assert (kind._min_throttle_time, kind._max_throttle_time) == (1.0, 60.0)
    assert (Package._timeout, Package._max_size) == (1.0, 2048)
    assert GameStateStore._update_cache_size == 100


@pytest.mark.parametrize("kind", [Connection, ClientConnection, ServerConnection])
def test_of_a_subclass(kind):
    class Lame(kind):
        _package_intervals = {"good": 0.1, "bad": 0.2}
        _latency_threshold = 0.5
        _min_throttle_time = 3.0
        _max_throttle_time = 5.0

    connection = make(Lame)
    assert connection._package_interval == pytest.approx(0.1)
    state = {"throttle_time": 3.0, "last_quality_change": 0, "last_good_quality_milestone": 0}
    connection.latency = 0.4
    connection._throttling_state_machine(1, state)
    assert connection.quality == "good"
    connection.latency = 0.6
    connection._throttling_state_machine(2, state)
    assert (connection.quality, connection._package_interval) == ("bad", pytest.approx(0.2))
    assert state["throttle_time"] == 5.0
    connection.latency = 0.1
    connection._throttling_state_machine(3, state)
    connection._throttling_state_machine(9, state)
    assert state["throttle_time"] == 3.0


def test_of_the_class(monkeypatch):
    monkeypatch.setattr(Connection, "_package_intervals", {"good": 1 / 10, "bad": 1 / 5})
    for kind in (Connection, ClientConnection, ServerConnection):
        assert make(kind)._package_interval == pytest.approx(0.1)


def test_the_update_cache_is_as_long_as_its_class_says():
    class Small(GameStateStore):
        _update_cache_size = 3

    store = Small(GameState())
    for number in range(1, 8):
        store.push_update(GameStateUpdate(number))
    assert [update.time_order for update in store.get_update_cache()] == [5, 6, 7]


@pytest.mark.parametrize("kind", [Package, lambda header: ClientPackage(header, 1)])
def test_size_of_a_package(kind, monkeypatch):
    monkeypatch.setattr(Package, "_max_size", 50)
    package = kind(HEADER)
    package.to_datagram()
    with pytest.raises(OverflowError, match="maximum size of 50 bytes"):
        package.add_event(Event("a", "x" * 30))


@pytest.mark.ours
def test_size_refused_at_the_call(monkeypatch):
    monkeypatch.setattr(Package, "_max_size", 100)
    for kind, limit in ((Connection, 86), (ClientConnection, 84), (ServerConnection, 69)):
        connection = make(kind, UniversalEventHandler())
        fixed = len(Event("a", b"").to_bytes())
        connection.dispatch_event(Event("a", b"x" * (limit - fixed)))
        with pytest.raises(OverflowError, match=f"at most {limit}"):
            connection.dispatch_event(Event("a", b"x" * (limit - fixed + 1)))


def packages_sent(connection, seconds):
    before = connection.local_sequence
    time.sleep(seconds)
    return connection.local_sequence - before


class TestDriven:
    """Connections that the network drives; a client's here, and the server's of it."""

    def test_package_interval(self, session, monkeypatch):
        monkeypatch.setattr(Connection, "_package_intervals", {"good": 0.1, "bad": 0.2})
        client = session.join()
        (other,) = session.server.connections.values()
        for connection in (client.connection, other):
            assert connection._package_interval == pytest.approx(0.1)
        for connection in (client.connection, other):
            begun = time.monotonic()
            sent = packages_sent(connection, 0.5)
            # However slow the machine is: never more than there are intervals, where there are 40 by default.
            assert 1 <= sent <= (time.monotonic() - begun) / 0.1 + 2

    def test_package_timeout(self, session, monkeypatch, calls, wait_for):
        """An event to a server that has gone is given up in time."""
        monkeypatch.setattr(Package, "_timeout", 0.2)
        client = session.join()
        assert packages_sent(client.connection, 0.5) > 0
        assert len(client.connection._pending_acks) < 20

    @pytest.mark.ours
    def test_timeout(self, session, monkeypatch, wait_for):
        monkeypatch.setattr(Connection, "_timeout", 0.3)
        client = session.join()
        session.server.shutdown()
        begun = time.monotonic()
        wait_for(lambda: client.connection.status == 0)
        assert time.monotonic() - begun < 2

    @pytest.mark.ours
    def test_latency_threshold(self, session, monkeypatch, wait_for):
        monkeypatch.setattr(Connection, "_latency_threshold", -1.0)
        monkeypatch.setattr(Connection, "_min_throttle_time", 0.1)
        client = session.join()
        (other,) = session.server.connections.values()
        for connection in (client.connection, other):
            wait_for(lambda connection=connection: connection.quality == "bad")
            assert connection._package_interval == pytest.approx(1 / 20)

    @pytest.mark.ours
    def test_largest_package(self, session, monkeypatch, calls, wait_for):
        monkeypatch.setattr(Package, "_max_size", 300)
        client = session.join()
        handled = calls()
        session.server.register_event_handler("a", handled)
        for number in range(6):
            client.dispatch_event("a", number, "x" * 200)
        wait_for(lambda: len(handled) == 6)
        stats = client.connection.stats()
        assert stats["bytes_sent"] < stats["sent"] * 300
        with pytest.raises(OverflowError, match="at most 284"):
            client.dispatch_event("a", "x" * 300)
