"""A backend and its server before they run."""

import pytest

from pygase import Backend, GameState, GameStateStore, Server
from pygase.event import Event


def test_a_backend_needs_a_function():
    with pytest.raises(TypeError, match="time_step_function must be callable, not NoneType"):
        Backend(GameState(), None)


def test_backend_is_assembled():
    state = GameState(a=1)
    parts = Backend(state, lambda game_state, dt: {}, {"A": lambda **kwargs: None})
    assert parts.game_state_store.get_game_state() is state
    assert parts.game_state_machine._universal_event_handler.has_event_type("A")
    assert parts.server.game_state_store is parts.game_state_store
    assert parts.shutdown() is None
    with pytest.raises(TypeError):
        Backend(state, lambda game_state, dt: {}, {"A": 5})


def test_server_that_does_not_run():
    server = Server(GameStateStore())
    assert (server.connections, server.host_client, server.hostname, server.port) == ({}, None, None, None)
    assert server.shutdown() is None
    server.dispatch_event("A", 1, b=2)
    with pytest.raises(TypeError, match=r"handler_args\[0\]"):
        server.dispatch_event("A", {1})
    with pytest.raises(KeyError):
        server.dispatch_event("A", target_client=("127.0.0.1", 1))
    with pytest.raises(TypeError, match=r"^'int' object is not callable\.($|\n)"):
        server.register_event_handler("A", 5)


def test_server_dispatches_to_anything_that_can():
    class Connection:
        def __init__(self):
            self.sent = []

        def dispatch_event(self, *args):
            self.sent.append(args)

    server, acked = Server(GameStateStore()), []
    one, two = server.connections["one"], server.connections["two"] = Connection(), Connection()
    server.dispatch_event("A", 1, b=2)
    assert one.sent == two.sent == [(Event("A", 1, b=2), None, None)]
    server.dispatch_event("B", target_client="two", retries=1, ack_callback=acked.append)
    assert len(one.sent) == 1
    event, ack, retry = two.sent[-1]
    ack()
    assert (event, acked) == (Event("B"), [two])
    retry()
    assert len(one.sent) == 1
    assert two.sent[-1][0] == Event("B")
    assert two.sent[-1][2] is None
