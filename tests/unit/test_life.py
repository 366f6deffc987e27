"""Who is told that connections begin and end."""

import socket

import pytest
from support.raw import RawClient, RawServer
from support.wire import event

import pygase

GENEROUS = 20.0


@pytest.fixture
def server():
    server = pygase.Server(
        pygase.GameStateStore(pygase.GameState(level=1)), connection_timeout=0.5, idle_removal=1.0
    )
    yield server
    server.shutdown()


def run(server):
    """Run a server, and return what it is told: connections that begin, and why they end."""
    told = []
    server.on_connect(told.append)
    server.on_disconnect(lambda connection, reason: told.append(reason))
    server.run_in_thread()
    return told


def test_both_sides_are_told_once_of_each_change(server, client, wait_for):
    told = []

    @server.on_connect
    async def joined(connection):
        told.append(("joined", connection))

    server.on_disconnect(lambda connection, reason: told.append((reason, connection)))
    server.run_in_thread()
    heard = []
    client.on_connect(lambda: heard.append("there"))
    client.on_disconnect(heard.append)
    client.connect_in_thread(server.port)
    wait_for(lambda: heard == ["there"] and told)
    connection = next(iter(server.connections.values()))
    assert told == [("joined", connection)]
    client.disconnect()
    wait_for(lambda: len(told) == 2)
    assert heard == ["there", "left"]
    assert told[1] == ("timeout", connection)
    wait_for(lambda: not server.connections)
    server.shutdown()
    assert len(told) == 2, "it was gone already"


def test_shutdown_is_a_reason_and_the_client_says_that_it_lost_its_server(server, client, wait_for, caplog):
    reasons, heard = [], []
    server.on_disconnect(lambda connection, reason: reasons.append(reason))
    client.on_connect(lambda: heard.append("there"))
    client.on_disconnect(heard.append)
    server.run_in_thread()
    port = server.port
    client.connect_in_thread(port)
    wait_for(lambda: heard == ["there"])
    server.shutdown()
    wait_for(lambda: reasons == ["shutdown"])
    wait_for(lambda: heard == ["there", "shutdown"])
    assert "says: shutdown" in caplog.text
    known = dict(server.connections)
    assert "Lost the server" in caplog.text
    server.run_in_thread(port)
    wait_for(lambda: heard == ["there", "shutdown", "there"], timeout=GENEROUS)
    assert server.connections == known, "who comes back soon is the same"


def test_a_client_that_polls_is_told_in_poll(server, client, wait_for):
    heard = []
    client.on_connect(lambda: heard.append("there"))
    client.on_disconnect(heard.append)
    server.run_in_thread()
    client.start(server.port)
    wait_for(lambda: client.stats()["connection"]["status"] == "connected")
    assert heard == []
    wait_for(lambda: client.poll() and heard == ["there"])
    client.disconnect()
    client.poll()
    assert heard == ["there", "left"]


@pytest.mark.parametrize("polled", [False, True])
def test_a_server_that_does_not_answer_is_given_up(polled, wait_for, caplog):
    client = pygase.Client(reconnect_for=0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        if polled:
            client.start(port)
            wait_for(lambda: client.poll() or client.connection._is_closed)
        else:
            client.connect(port)  # returns by itself
    assert "Giving up" in caplog.text
    with pytest.raises(RuntimeError, match="not connected"):
        client.dispatch_event("TOO_LATE")


def test_a_connection_for_which_nothing_is_called_has_no_lane(server, client, wait_for):
    # There may be thousands of them.
    server.run_in_thread()
    client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    (connection,) = server.connections.values()
    wait_for(lambda: "_is_here" in vars(connection))
    assert "_lane" not in vars(connection)
    server.register_event_handler("HELLO", lambda **_: None)
    client.dispatch_event("HELLO")
    wait_for(lambda: "_lane" in vars(connection))


def test_what_raises_is_logged_and_the_rest_goes_on(server, client, wait_for, caplog):
    told = []

    @server.on_connect
    def broken(connection):
        raise ZeroDivisionError

    server.on_connect(told.append)
    server.run_in_thread()
    client.connect_in_thread(server.port)
    wait_for(lambda: told)
    assert "exception in the on_connect function" in caplog.text
    assert server.stats()["errors"]["user_error"] == 1


@pytest.mark.parametrize("name", ["on_connect", "on_disconnect"])
def test_only_functions_are_taken(server, client, name):
    for owner in (server, client):
        with pytest.raises(TypeError, match=name):
            getattr(owner, name)(1)


def test_a_client_that_is_kicked_comes_back_as_another(server, client, wait_for):
    reasons = []
    server.on_disconnect(lambda connection, reason: reasons.append(reason))
    server.run_in_thread()
    client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    [(address, connection)] = server.connections.items()
    heard = []
    client.on_disconnect(heard.append)
    server.kick(address, "cheated")
    wait_for(lambda: heard == ["cheated"])
    wait_for(lambda: reasons == ["cheated"] and address not in server.connections)
    wait_for(lambda: server.connections, timeout=GENEROUS)
    [(again, other)] = server.connections.items()
    assert again != address
    assert other is not connection
    with pytest.raises(KeyError):
        server.kick(address)


def test_a_banned_host_stays_out_over_all_runs_until_it_is_unbanned(server, client, wait_for):
    reasons = []
    server.on_disconnect(lambda connection, reason: reasons.append(reason))
    server.run_in_thread()
    port = server.port
    client.connect_in_thread(port)
    wait_for(lambda: server.connections)
    heard = []
    client.on_disconnect(heard.append)
    server.ban("127.0.0.1")
    wait_for(lambda: reasons == ["banned"] and not server.connections)
    wait_for(lambda: heard == ["banned"])
    server.shutdown()
    server.run_in_thread(port)
    wait_for(lambda: server.stats()["server"]["banned"] > 2)
    assert not server.connections
    assert server.stats()["server"]["answers"] == 0
    server.unban("127.0.0.1")
    wait_for(lambda: server.connections, timeout=GENEROUS)


@pytest.mark.parametrize("address", ["nowhere", ("127.0.0.1", 0), ("127.0.0.1", 65_536)])
def test_only_addresses_can_be_banned(server, address):
    with pytest.raises(ValueError):
        server.ban(address)


@pytest.mark.parametrize(
    "address", [None, 3, b"127.0.0.1", ("127.0.0.1",), ("127.0.0.1", "80"), ("127.0.0.1", 1.5), (1, 2)]
)
def test_what_is_no_address_at_all_is_said(server, address):
    for call in (server.ban, server.unban):
        with pytest.raises(TypeError, match="an address is a host or a pair of host and port, not"):
            call(address)


def test_a_client_is_told_that_there_is_no_room(client, wait_for):
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(level=1)), max_connections=1)
    server.run_in_thread()
    first, heard = pygase.Client(), []
    first.start(server.port)
    try:
        wait_for(lambda: server.connections)
        client.on_disconnect(heard.append)
        client.connect_in_thread(server.port)
        wait_for(lambda: heard == ["server full"])
        assert len(server.connections) == 1
        server.kick(next(iter(server.connections)))
        wait_for(lambda: client.stats()["state"]["values"], timeout=GENEROUS)
    finally:
        first.disconnect()
        server.shutdown()


def test_no_handler_sees_what_two_peers_of_pygase_rs_say_to_each_other(server, client, wait_for):
    seen, heard = [], []
    for owner in (server, client):
        for name in ("~token", "~farewell", "~"):
            owner.register_event_handler(name, lambda *args, **_: seen.append(args))
    client.on_disconnect(heard.append)
    server.run_in_thread()
    client.connect_in_thread(server.port)
    # With the token it comes back after the farewell, and shows it.
    wait_for(lambda: server.connections and client.stats()["connection"]["hello"])
    server.kick(next(iter(server.connections)), "for a while")
    wait_for(lambda: heard == ["for a while"])
    wait_for(lambda: server.connections, timeout=GENEROUS)
    client.dispatch_event("~token", "of another kind")
    wait_for(lambda: seen)
    assert seen == [("of another kind",)]
    assert heard == ["for a while"]


def test_no_game_says_what_two_peers_of_pygase_rs_say_to_each_other(server, client, wait_for):
    """A server that sends on what a player wrote, type included, does not send the others away."""
    heard = []
    client.on_disconnect(heard.append)
    server.run_in_thread()
    client.connect_in_thread(server.port)
    wait_for(lambda: client.stats()["connection"]["hello"])
    for owner in (server, client):
        for name, argument in (("~farewell", "go away"), ("~token", bytes(16))):
            with pytest.raises(ValueError, match="choose a type that does not begin with '~'"):
                owner.dispatch_event(name, argument, retries=3)
    client.register_event_handler("~farewell", lambda *args: heard.append(args))
    server.dispatch_event("~farewell", 1, retries=3)
    wait_for(lambda: heard)
    assert heard == [(1,)]


def test_a_client_that_says_farewell_is_not_believed(server, wait_for):
    server.run_in_thread()
    with RawClient(server.port) as raw:
        raw.send(bits=0x70677201)  # the hello
        raw.join()
        raw.send([event("~farewell", "from a client")])
        wait_for(lambda: [c["events_reserved"] for c in server.stats()["clients"].values()] == [1])


def test_what_an_original_says_that_looks_like_it_is_dropped_and_counted(server, wait_for):
    """Of the same name with other arguments it is an event like any other."""
    seen, ends = [], []
    for name in ("~token", "~farewell"):
        server.register_event_handler(name, lambda *args, client_address: seen.append(args))
    server.on_disconnect(lambda connection, reason: ends.append(reason))
    server.run_in_thread()
    with RawClient(server.port) as raw:
        raw.join()
        raw.send([event("~token", bytes(16)), event("~farewell", "shutdown")])
        wait_for(lambda: [c["events_reserved"] for c in server.stats()["clients"].values()] == [2])
        raw.send([event("~token", bytes(15)), event("~farewell", 7), event("~farewell", "a", "b")])
        wait_for(lambda: len(seen) == 3)
        assert seen == [(bytes(15),), (7,), ("a", "b")]
        assert not ends
        assert next(iter(server.stats()["clients"].values()))["status"] == "connected"


def test_an_original_server_cannot_send_a_client_away(client, wait_for):
    seen, heard = [], []
    client.register_event_handler("~farewell", lambda *args: seen.append(args))
    client.on_disconnect(heard.append)
    with RawServer() as raw:
        client.connect_in_thread(raw.port)
        wait_for(lambda: raw.drain() or raw.client)
        raw.talk(lambda: len(raw.received) > 3)
        raw.send([event("~token", bytes(16)), event("~farewell", "shutdown"), event("~farewell", 7)])
        wait_for(lambda: seen == [(7,)])
        assert client.stats()["connection"]["events_reserved"] == 2
        assert client.stats()["connection"]["status"] == "connected"
        assert not heard


@pytest.mark.parametrize(("reason", "error"), [(None, TypeError), (3, TypeError), ("\ud800", ValueError)])
def test_a_reason_that_cannot_be_told_kicks_nobody(server, client, wait_for, reason, error):
    ends = []
    server.on_disconnect(lambda connection, reason: ends.append(reason))
    server.run_in_thread()
    client.connect_in_thread(server.port)
    wait_for(lambda: server.connections and client.stats()["connection"]["hello"])
    with pytest.raises(error):
        server.kick(next(iter(server.connections)), reason)
    assert not ends and client.stats()["connection"]["status"] == "connected"
    server.shutdown()
    wait_for(lambda: ends)
    assert ends == ["shutdown"]


def test_a_kick_that_is_refused_leaves_no_reason_behind(wait_for):
    server = pygase.Server(pygase.GameStateStore(), max_bans=1, connection_timeout=0.5)
    ends = []
    server.on_disconnect(lambda connection, reason: ends.append(reason))
    server.run_in_thread()
    server.ban(("192.0.2.1", 1))
    with RawClient(server.port) as raw:
        raw.join()
        wait_for(lambda: server.connections)
        with pytest.raises(OverflowError):
            server.kick(next(iter(server.connections)), "no room for it")
        wait_for(lambda: ends)
    server.shutdown()
    assert ends == ["timeout"]


def test_a_reason_that_is_too_long_is_told_in_part(server, client, wait_for):
    heard = []
    client.on_disconnect(heard.append)
    server.run_in_thread()
    client.connect_in_thread(server.port)
    wait_for(lambda: server.connections)
    server.kick(next(iter(server.connections)), "because " * 1000)
    wait_for(lambda: heard)
    assert heard[0] == ("because " * 100)[:255]


def test_a_client_that_starts_anew_on_its_old_port_replaces_itself(server, wait_for):
    """As a program does that crashed, behind a router that gives it the same port again."""
    told = run(server)
    with RawClient(server.port) as raw:
        raw.join()
        wait_for(lambda: told)
        for number in (1, 2):
            # Nearer to the first numbers it might be a package that comes late.
            assert raw.talk(lambda: raw.sequence > 50)
            raw.start_anew()
            raw.join()
            wait_for(lambda number=number: len(told) == 1 + 2 * number)
        [connection] = server.connections.values()
        assert told == [connection, "replaced", connection, "replaced", connection]
        server.shutdown()
        assert told[5:] == ["shutdown"]


def test_a_client_that_is_silent_for_a_while_is_the_same_player(server, wait_for):
    """Within `idle_removal` it is the same `ServerConnection`, after that another one."""
    told = run(server)
    with RawClient(server.port) as raw:
        raw.join()
        wait_for(lambda: told[1:] == ["timeout"])
        [(address, connection)] = server.connections.items()
        raw.talk(lambda: len(told) == 3)
        assert told == [connection, "timeout", connection]
        assert server.connections == {address: connection}
        wait_for(lambda: not server.connections)
        assert told[3:] == ["timeout"]
        raw.talk(lambda: len(told) == 5)
        assert told[4] is not connection
