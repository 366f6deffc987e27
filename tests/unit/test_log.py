"""What the logger `PyGaSe` says at which level, and that it costs nothing when nobody listens."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from support.raw import RawClient

import pygase
from pygase import _core


@pytest.fixture
def session(serve, wait_for):
    server = serve(x=1)
    client = pygase.Client()
    thread = client.connect_in_thread(server.port)
    client.wait_until(lambda state: state.time_order > 0, timeout=10)
    wait_for(lambda: server.connections)
    yield server, client
    client.disconnect()
    thread.join(10)


def said(caplog, level, text):
    records = [record for record in caplog.records if record.name == "PyGaSe" and record.levelno == level]
    return [record for record in records if text in record.getMessage()]


class TestLevels:
    def test_info_for_start_stop_and_connections(self, caplog, serve, wait_for):
        caplog.set_level(logging.INFO, "PyGaSe")
        server = serve(x=1)
        client = pygase.Client()
        thread = client.connect_in_thread(server.port)
        wait_for(lambda: server.connections)
        client.disconnect()
        thread.join(10)
        server.shutdown()
        for text in (
            "Server successfully started",
            "Trying to connect",
            "New client connection",
            "Setting ('127.0.0.1'",
            "'Connected'",
            "Shutting down connection",
            "Shutting down server",
        ):
            assert said(caplog, logging.INFO, text), text
        assert not said(caplog, logging.DEBUG, "")

    def test_debug_for_each_package_and_event(self, caplog, wait_for, serve):
        caplog.set_level(logging.DEBUG, "PyGaSe")
        server = serve(x=1)
        client = pygase.Client()
        client.start(server.port)
        server.register_event_handler("MOVE", lambda client_address: None)
        wait_for(lambda: client.poll() or server.connections)
        before = client.connection.stats()
        client.dispatch_event("MOVE", retries=3)
        wait_for(lambda: said(caplog, logging.DEBUG, "event MOVE received from ('127.0.0.1'"))
        assert said(caplog, logging.DEBUG, "event MOVE goes to")
        wait_for(lambda: client.poll() or client.connection.stats()["sent"] > before["sent"] + 20)
        client.disconnect()
        client.poll()
        stats = client.connection.stats()
        to = f"sent to 127.0.0.1:{server.port}"
        origin = f"received from 127.0.0.1:{server.port}"
        assert len(said(caplog, logging.DEBUG, to)) == stats["sent"]
        # One may come in while the connection ends.
        assert 0 <= len(said(caplog, logging.DEBUG, origin)) - stats["received"] <= 1

    def test_a_level_that_changes_is_noticed(self, caplog, session, wait_for):
        server, client = session
        assert not said(caplog, logging.DEBUG, "package")
        caplog.set_level(logging.DEBUG, "PyGaSe")
        client.dispatch_event("A")
        wait_for(lambda: said(caplog, logging.DEBUG, "package"))
        caplog.set_level(logging.WARNING, "PyGaSe")
        client.dispatch_event("A")
        server.dispatch_event("A")
        time.sleep(0.3)
        caplog.clear()
        time.sleep(0.3)
        assert not said(caplog, logging.DEBUG, "")

    def test_warning_for_throttling(self, caplog, session):
        _, client = session
        pump = client.connection._session
        pump.take(_core.NOTICE_QUALITY, 0, "bad")
        assert said(caplog, logging.WARNING, "Throttling down connection to ('localhost'")

    def test_warning_for_timeouts_once_in_a_while(self, caplog, serve, wait_for):
        server = serve(x=1)
        with RawClient(server.port) as raw:
            raw.join()
            wait_for(lambda: said(caplog, logging.WARNING, "timed out"), timeout=15)
            time.sleep(1.2)  # longer than from one look at the counters to the next
        (record,) = said(caplog, logging.WARNING, "lost or dropped")
        assert "with 127.0.0.1:" in record.getMessage()

    def test_warning_for_what_was_dropped(self, caplog, serve, wait_for):
        server = serve(x=1)
        with RawClient(server.port) as raw:
            end = time.monotonic() + 10
            while not said(caplog, logging.WARNING, "malformed") and time.monotonic() < end:
                raw.socket.sendto(b"nonsense", ("127.0.0.1", server.port))
                time.sleep(0.05)
        (record,) = said(caplog, logging.WARNING, "malformed")
        assert "at the server in all" in record.getMessage()


class TestCost:
    def test_no_record_is_made_for_nobody(self, monkeypatch, session):
        """At the default level no notice of the log comes out of the core."""
        kinds = []
        original = pygase._pump.Pump._take_all

        def spy(pump):
            kinds.append(pump.inbox)
            original(pump)

        monkeypatch.setattr(pygase._pump.Pump, "_take_all", spy)
        time.sleep(0.5)
        # Some 40 packages went both ways, and none of them woke anybody.
        assert len(kinds) <= 10

    def test_records_that_nobody_takes_are_bounded(self, caplog, serve, wait_for):
        caplog.set_level(logging.DEBUG, "PyGaSe")
        rate = {"interval_good": 0.001, "interval_bad": 0.001}
        server = serve(pygase.Server(pygase.GameStateStore(), **rate, max_package_rate=1_000_000))
        client = pygase.Client(**rate)
        client.start(server.port)

        def packages():
            stats = client.connection.stats()
            return stats["sent"] + stats["received"]

        wait_for(lambda: packages() > 4200, timeout=30)
        rows = client.connection._session.inbox.take()
        records = [row for row in rows if row[0] == _core.NOTICE_LOG]
        assert len(records) == 4097
        assert "were dropped: too many waited" in records[-1][2]
        client.disconnect()


def test_debug_from_all_threads_never_deadlocks(caplog, serve, wait_for):
    """A handler of the log that itself waits for the locks of connections, in eight threads at once."""
    server = serve(x=1)
    clients = [pygase.Client() for _ in range(4)]

    class Nosy(logging.Handler):
        def emit(self, record):
            for client in clients:
                if client.connection is not None:
                    _ = client.connection.latency, client.connection.status
            for connection in list(server.connections.values()):
                connection.stats()

    handler, logger = Nosy(), logging.getLogger("PyGaSe")
    logger.addHandler(handler)
    caplog.set_level(logging.DEBUG, "PyGaSe")
    got = []
    try:
        threads = [client.connect_in_thread(server.port) for client in clients]
        server.register_event_handler("A", lambda n, client_address: server.dispatch_event("B", n))
        for client in clients:
            client.register_event_handler("B", got.append)

        def talk(client):
            for number in range(50):
                client.dispatch_event("A", number)
                with client.access_game_state():
                    client.connection.stats()
                time.sleep(0.005)

        talkers = [threading.Thread(target=talk, args=(client,)) for client in clients]
        for thread in talkers:
            thread.start()
        for thread in talkers:
            thread.join(20)
            assert not thread.is_alive()
        wait_for(lambda: len(got) > 50)
    finally:
        for client, thread in zip(clients, threads, strict=True):
            client.disconnect()
            thread.join(10)
            assert not thread.is_alive()
        logger.removeHandler(handler)
