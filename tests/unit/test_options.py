"""Settings of clients and servers: one home, checked by name, type and range, and in force in the core."""

from __future__ import annotations

import dataclasses
import inspect
import time

import pytest
from support.raw import RawClient, RawServer

import pygase
from pygase import ClientOptions, ServerOptions
from pygase.options import ClientSettings, ServerSettings

OWNERS = {
    "Client": lambda **settings: pygase.Client(**settings),
    "Server": lambda **settings: pygase.Server(pygase.GameStateStore(), **settings),
    "Backend": lambda **settings: pygase.Backend(pygase.GameState(), lambda game_state, dt: {}, **settings),
}


@pytest.mark.parametrize("owner", OWNERS)
class TestMistakes:
    def test_wrong_name(self, owner):
        with pytest.raises(
            TypeError, match=r"has no option 'conection_timeout'; did you mean 'connection_timeout'"
        ):
            OWNERS[owner](conection_timeout=1.0)

    @pytest.mark.parametrize("value", ["1", None, True, [1.0]])
    def test_wrong_type(self, owner, value):
        with pytest.raises(
            TypeError, match=r"option connection_timeout of .*Options must be a number of seconds"
        ):
            OWNERS[owner](connection_timeout=value)

    @pytest.mark.parametrize("value", [0, -1.0, 3600.1, float("nan"), float("inf")])
    def test_out_of_range(self, owner, value):
        with pytest.raises(ValueError, match=r"connection_timeout of .* from 0.1 to 3600.0 seconds, not "):
            OWNERS[owner](connection_timeout=value)

    def test_counts_are_whole(self, owner):
        with pytest.raises(TypeError, match=r"max_waiting_events of .* must be an int, not 1.5"):
            OWNERS[owner](max_waiting_events=1.5)

    def test_two_that_contradict(self, owner):
        with pytest.raises(ValueError, match=r"interval_good is 0.2 and interval_bad is 0.05"):
            OWNERS[owner](interval_good=0.2)

    def test_wrong_object(self, owner):
        with pytest.raises(TypeError, match=r"options must be .*Options, not dict"):
            OWNERS[owner](options={})

    def test_both_ways(self, owner):
        made = OWNERS[owner](connection_timeout=2, interval_bad=0.1)
        options = made.server.options if owner == "Backend" else made.options
        assert (options.connection_timeout, options.interval_bad) == (2, 0.1)
        again = OWNERS[owner](options=options, interval_bad=0.2)
        options = again.server.options if owner == "Backend" else again.options
        assert (options.connection_timeout, options.interval_bad) == (2, 0.2)


@pytest.mark.parametrize(
    ("kind", "settings"), [(ClientOptions, ClientSettings), (ServerOptions, ServerSettings)]
)
def test_every_option_has_a_type_and_a_line(kind, settings):
    names = [field.name for field in dataclasses.fields(kind)]
    assert list(settings.__annotations__) == names or set(settings.__annotations__) == set(names)
    for name in names:
        assert f"{name}: " in inspect.getdoc(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().connection_timeout = 1.0


def test_methods_have_none():
    for method in (pygase.Client.connect, pygase.Server.run, pygase.Backend.run):
        assert not {"options", "settings"} & set(inspect.signature(method).parameters)


@pytest.fixture
def pair(wait_for):
    """Run a server and a client with options."""
    running = []

    def start(server=None, client=None):
        server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, a=1)), **(server or {}))
        running.append((server, server.run_in_thread()))
        client = pygase.Client(**(client or {}))
        running.append((client, client.connect_in_thread(server.port)))
        client.wait_until(lambda state: state.time_order > 0, timeout=10)
        return server, client

    yield start
    for runner, thread in running[::-1]:
        runner.disconnect() if isinstance(runner, pygase.Client) else runner.shutdown()
        thread.join(10)


def test_intervals_are_in_force(pair):
    server, client = pair({"interval_good": 0.1, "interval_bad": 0.1}, {"interval_good": 0.005})
    (connection,) = server.connections.values()
    before, began = (connection.stats(), client.connection.stats()), time.monotonic()
    time.sleep(1.0)
    took = time.monotonic() - began
    sent = connection.stats()["sent"] - before[0]["sent"]
    assert 5 <= sent <= 10 * took + 2
    assert client.connection.stats()["sent"] - before[1]["sent"] > 100


def test_timeouts_are_in_force(pair, wait_for):
    server, client = pair({"connection_timeout": 0.3, "idle_removal": 1.0})
    client.disconnect()
    (connection,) = server.connections.values()
    wait_for(lambda: connection.status == 0, timeout=2.0)
    wait_for(lambda: not server.connections, timeout=5.0)


def test_there_are_no_more_clients_than_allowed(pair, wait_for):
    server, _ = pair({"max_connections": 1})
    second = pygase.Client()
    second.start(server.port)
    wait_for(lambda: server._session._udp.stats()["over_limit"])
    assert len(server.connections) == 1
    second.disconnect()


def test_queues_are_as_short_as_said(pair):
    _, client = pair(client={"max_waiting_events": 3})
    refused = []
    for _ in range(100):
        client.dispatch_event("A", retries=0)
    refused = client.connection.stats()["queue_full"]
    assert refused >= 90


@pytest.mark.parametrize("size", [256, 1200, 2048])
def test_packages_of_a_server_are_as_large_as_said(size, serve):
    class Measuring(RawClient):
        sizes = []

        @staticmethod
        def parse(data):
            Measuring.sizes.append(len(data))
            return RawClient.parse(data)

    state = pygase.GameState(1, things={number: number for number in range(3000)})
    server = serve(pygase.Server(pygase.GameStateStore(state), package_size=size))
    with Measuring(server.port) as client:
        client.join()
        client.talk(lambda: max(Measuring.sizes) > size - 40)
    assert size - 40 < max(Measuring.sizes) <= size


def test_packages_of_a_client_are_as_large_as_said():
    client = pygase.Client(package_size=300)
    with RawServer() as server:
        client.start(server.port)
        for _ in range(40):
            client.dispatch_event("A", "x" * 90)
        assert server.talk(lambda: sum(len(datagram.events) for datagram in server.received) == 40)
        assert {len(datagram.events) for datagram in server.received} <= {0, 1, 2}
        client.disconnect()


def test_options_win_over_class_attributes(pair, monkeypatch):
    monkeypatch.setattr(pygase.connection.Connection, "_package_intervals", {"good": 0.2, "bad": 0.3})
    server, client = pair({"interval_good": 0.03}, {"interval_good": 0.04})
    (connection,) = server.connections.values()
    assert connection._package_interval == pytest.approx(0.03)
    assert client.connection._package_interval == pytest.approx(0.04)
    for each in (connection, client.connection):
        each.latency = 1.0
        poll_bad(each)
        assert each._package_interval == pytest.approx(0.3)


def poll_bad(connection):
    """Wait until a connection has noticed its latency."""
    deadline = time.monotonic() + 5
    while connection.quality == "good":
        connection.latency = 1.0
        assert time.monotonic() < deadline
        time.sleep(0.001)


class TestShares:
    @pytest.mark.parametrize("name", ["max_connections_per_source", "max_new_per_source"])
    def test_none_is_a_value(self, name):
        assert getattr(ServerOptions(), name) is None
        assert getattr(ServerOptions(**{name: 3}), name) == 3
        with pytest.raises(ValueError, match=rf"{name} of ServerOptions must be from 1 to 1000000 or None"):
            ServerOptions(**{name: 0})
        with pytest.raises(TypeError, match=rf"{name} of ServerOptions must be an int"):
            ServerOptions(**{name: 1.5})

    @pytest.mark.timeout(60)
    def test_set_it_holds_for_this_machine_too(self, serve, wait_for):
        server = serve(pygase.Server(pygase.GameStateStore(), max_connections_per_source=2))
        clients = [pygase.Client() for _ in range(3)]
        for client in clients:
            client.start(server.port)
        wait_for(lambda: server._session._udp.stats()["over_source"])
        assert len(server.connections) == 2
        for client in clients:
            client.disconnect()

    @pytest.mark.parametrize("value", [1, None, "yes"])
    def test_yes_or_no(self, value):
        with pytest.raises(TypeError, match=r"host_shutdown of ServerOptions must be True or False"):
            ServerOptions(host_shutdown=value)


@pytest.mark.timeout(60)
def test_a_server_that_does_not_allow_it_is_not_shut_down(serve, wait_for):
    server = serve(pygase.Server(pygase.GameStateStore(), host_shutdown=False))
    client = pygase.Client()
    client.start(server.port)
    wait_for(lambda: server.host_client)
    client.disconnect(shutdown_server=True)
    wait_for(lambda: server._session._udp.stats()["shutdown_refused"] == 3)
    time.sleep(0.5)
    assert server.port is not None
