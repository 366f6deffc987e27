"""A crowd that joins from one machine at once."""

import pygase
from pygase import _core

CLIENTS = 3000
#: Clients that begin in a second; how long the last of them takes is a matter of the machine.
JOINS = 2000.0


def test_three_thousand_join_from_loopback_with_default_limits(wait_for):
    backend = pygase.Backend(pygase.GameState(level=1), lambda game_state, dt: {}, {})
    backend.server.run_in_thread()
    load = _core.Load("127.0.0.1", backend.server.port, CLIENTS, 60.0, JOINS)
    try:
        wait_for(lambda: backend.server.stats()["server"]["connections"] == CLIENTS, timeout=50.0)
        counters = backend.server.stats()["server"]
    finally:
        load.stop()
        backend.server.shutdown()
    assert [counters[name] for name in ("over_limit", "over_source", "over_rate")] == [0, 0, 0]
