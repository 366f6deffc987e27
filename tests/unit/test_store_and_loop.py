"""The game state store and the game loop, without a network."""

import asyncio
import copy
import sys
import threading
import time
import tracemalloc

import pytest

from pygase import Backend, GameState, GameStateMachine, GameStateStore, Server, _machine
from pygase.event import Event
from pygase.gamestate import TO_DELETE, GameStateUpdate, GameStatus


class Machine(GameStateMachine):
    """Counts its steps, and stops after some."""

    def __init__(self, store, steps=3):
        super().__init__(store)
        self.steps, self.seen = steps, []

    def time_step(self, game_state, dt):
        self.seen.append((dt, game_state.is_paused(), self.game_time))
        return {
            "n": len(self.seen),
            **({"game_status": GameStatus.PAUSED} if len(self.seen) == self.steps else {}),
        }


def wait_for(condition, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_store_begins_with_a_state():
    state = GameState(3, a=1)
    assert GameStateStore(state).get_game_state() is state
    assert GameStateStore().get_game_state() == GameState()
    with pytest.raises(TypeError, match=r"^'initial_game_state' should be of type 'GameState', not 'int'\.$"):
        GameStateStore(5)
    with pytest.raises(TypeError, match="players"):
        GameStateStore(GameState(players={1: {1, 2}}))


def test_store_merges_updates():
    store = GameStateStore(GameState(a=1, b={"x": 1}))
    state = store.get_game_state()
    store.push_update(GameStateUpdate(5, a=TO_DELETE, b={"y": 2}))
    assert store.get_game_state() is state
    assert state == GameState(5, b={"x": 1, "y": 2})
    store.push_update(GameStateUpdate(5, a=1))
    store.push_update(GameStateUpdate(4, a=1))
    assert state == GameState(5, b={"x": 1, "y": 2})
    assert [update.time_order for update in store.get_update_cache()] == [0, 5, 5, 4]


def test_store_cache_is_bounded():
    store = GameStateStore()
    store._update_cache_size = 3
    for number in range(1, 10):
        store.push_update(GameStateUpdate(number))
    assert [update.time_order for update in store.get_update_cache()] == [7, 8, 9]
    store.get_update_cache().clear()
    assert len(store.get_update_cache()) == 3


def test_store_refuses_what_cannot_be_sent():
    store = GameStateStore(GameState(a=1))
    with pytest.raises(TypeError, match="not 'int'"):
        store.push_update(5)
    with pytest.raises(TypeError, match=r"players\[3\]\.name"):
        store.push_update(GameStateUpdate(1, a=2, players={3: {"name": {1}}}))
    with pytest.raises(OverflowError, match="speed"):
        store.push_update(GameStateUpdate(1, a=2, speed=1e300))
    assert store.get_game_state() == GameState(a=1)
    assert len(store.get_update_cache()) == 1


def test_store_merges_the_rest_when_a_value_is_too_large():
    store = GameStateStore(GameState(a=1))
    with pytest.raises(OverflowError, match=r"map.*\d+ bytes.*at most \d+"):
        store.push_update(GameStateUpdate(1, a=2, map="x" * 3000))
    assert store.get_game_state().a == 2
    assert store.get_game_state().time_order == 1


def test_store_follows_the_number_that_the_server_goes_on_to():
    store = GameStateStore(GameState(3))
    store._mirror.push(6, {})
    store.push_update(GameStateUpdate(4, a=1))
    assert store.get_game_state() == GameState(7, a=1)
    store._mirror.push(9, {})
    assert store.get_game_state().time_order == 9


@pytest.mark.parametrize("leaves", [100, 200_000])
def test_reading_and_pushing_cost_what_changed(leaves):
    store = GameStateStore(GameState(1, units=dict.fromkeys(range(leaves), "somewhere")))
    update = GameStateUpdate(2, units=dict.fromkeys([3, 20, 33, 64, 99], "elsewhere"))
    visited, calls = store._mirror.visited, []
    tracemalloc.start()
    sys.setprofile(lambda frame, kind, argument: calls.append(kind))
    try:
        state = store.get_game_state()
        store.push_update(update)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert state.units[99] == "elsewhere"
    assert store._mirror.visited - visited == 5
    assert len(calls) < 200
    assert peak < 50_000, "something was copied"


def test_step_and_handlers_share_a_dict_and_no_operand_changes():
    store = GameStateStore(GameState(0, units={1: {"at": [0], "hp": 9}}))
    machine, same, results = GameStateMachine(store), {"units": {1: {"at": [1]}}}, []

    def keep(result):
        results.append((result, copy.deepcopy(result)))
        return result

    def time_step(game_state, dt):
        game_state.units[1]["hp"] -= 1  # behind the back of the store
        if game_state.units[1]["hp"] == 6:
            return {"game_status": GameStatus.PAUSED}
        return keep(same)

    machine.time_step = time_step
    machine.register_event_handler("HIT", lambda **_: keep({"units": {1: {"hit": {"by": 2}}}}))
    machine.register_event_handler("NEW", lambda **_: keep({"units": {1: {"hit": {"at": 3}}, 2: {}}}))
    machine.register_event_handler("SAME", lambda game_state, **_: {"units": game_state.units})
    for name in ("HIT", "NEW", "SAME"):
        machine._push_event(Event(name))
    machine.run_game_loop(0.001)
    units = {1: {"at": [1], "hp": 6, "hit": {"by": 2, "at": 3}}, 2: {}}
    assert store.get_game_state().units == units
    assert len(results) == 4
    assert all(result == before for result, before in results)
    shared = GameStateStore(GameState(units={}))
    for update in store.get_update_cache():
        shared.push_update(GameStateUpdate(shared.get_game_state().time_order + 1, **vars(update)))
    assert shared.get_game_state().units[1]["hit"] == {"by": 2, "at": 3}


def test_game_loop_runs_until_the_game_is_paused():
    store = GameStateStore(GameState(n=0))
    machine = Machine(store)
    machine.run_game_loop(interval=0.01)
    state = store.get_game_state()
    assert (state.n, state.is_paused()) == (3, True)
    assert [paused for _, paused, _ in machine.seen] == [False] * 3
    assert machine.seen[0][0] == 0.01
    assert machine.seen[1][2] == 0.01
    assert machine.game_time == pytest.approx(sum(dt for dt, _, _ in machine.seen))


def test_game_loop_can_be_awaited():
    async def main():
        machine = Machine(GameStateStore())
        await machine.run_game_loop(interval=0.01)
        assert await machine.stop() is True
        return machine

    assert len(asyncio.run(main()).seen) == 3


def test_game_loop_goes_on_where_it_was():
    machine = Machine(GameStateStore(), steps=2)
    machine.run_game_loop(interval=0.01)
    before = machine.game_time
    machine.steps = 4
    machine.run_game_loop(interval=0.01)
    assert len(machine.seen) == 4
    assert machine.seen[2][2] == before


def test_game_loop_in_thread_runs_when_the_call_returns():
    store = GameStateStore()
    machine = Machine(store, steps=0)
    thread = machine.run_game_loop_in_thread(interval=0.005)
    try:
        assert not thread.daemon
        assert not store.get_game_state().is_paused()
        with pytest.raises(RuntimeError, match=r"already running; call stop\(\) first"):
            machine.run_game_loop_in_thread()
        with pytest.raises(RuntimeError, match="already running"):
            machine.run_game_loop()
        wait_for(lambda: len(machine.seen) > 3)
    finally:
        assert machine.stop(timeout=2) is True
    assert store.get_game_state().is_paused()
    thread.join(2)
    assert not thread.is_alive()
    assert machine.stop() is True


def test_game_loop_keeps_its_interval():
    machine = Machine(GameStateStore(), steps=50)
    start = time.monotonic()
    machine.run_game_loop(interval=0.02)
    # Never faster; how much slower is up to the machine.
    assert time.monotonic() - start > 0.95


def test_the_second_step_comes_an_interval_after_the_first():
    machine = Machine(GameStateStore(), steps=3)
    moments = []
    step = machine.time_step

    def time_step(game_state, dt):
        moments.append(time.monotonic())
        return step(game_state, dt)

    machine.time_step = time_step
    machine.run_game_loop(0.2)
    assert moments[1] - moments[0] > 0.1


def test_stop_gives_up_in_time_and_works_from_inside():
    store = GameStateStore()
    machine = GameStateMachine(store)
    go = threading.Event()

    begun = threading.Event()

    def time_step(game_state, dt):
        begun.set()
        go.wait(5)
        stopped.append(machine.stop())
        return {"n": 1}

    stopped = []
    machine.time_step = time_step
    thread = machine.run_game_loop_in_thread(interval=0.01)
    assert begun.wait(5)
    assert machine.stop(timeout=0.05) is False
    go.set()
    thread.join(5)
    assert store.get_game_state() == GameState(3, n=1)
    assert machine.stop() is True


def test_game_loop_needs_a_time_step_and_an_interval():
    machine = GameStateMachine(GameStateStore())
    with pytest.raises(NotImplementedError):
        machine.time_step(GameState(), 1.0)
    with pytest.raises(NotImplementedError, match="time_step"):
        machine.run_game_loop()
    machine.time_step = lambda game_state, dt: {}
    for interval in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="not a positive number of seconds"):
            machine.run_game_loop(interval)
    assert machine._game_state_store.get_game_state().is_paused()


def test_handlers_come_after_the_step_in_order_and_merge_deeply():
    store = GameStateStore(GameState(players={}))
    machine = Machine(store, steps=1)
    seen = []

    def join(name, *, game_state, dt, client_address):
        seen.append((name, dict(game_state.players), dt, client_address))
        return {"players": {name: {"at": client_address}}}

    async def rename(name, **kwargs):
        await asyncio.sleep(0)
        return {"players": {name: {"name": name.upper()}}}

    machine.register_event_handler("JOIN", join)
    machine.register_event_handler("NAME", rename)
    machine.register_event_handler("NOTHING", lambda **kwargs: None)
    machine._push_event(Event("JOIN", "a", client_address=1))
    machine._push_event(Event("JOIN", "b", client_address=2))
    asyncio.run(push(machine, Event("NAME", "a")))
    machine._push_event(Event("NOTHING"))
    machine.run_game_loop(interval=0.5)
    assert seen == [("a", {}, 0.5, 1), ("b", {}, 0.5, 2)]
    assert store.get_game_state().players == {"a": {"at": 1, "name": "A"}, "b": {"at": 2}}
    assert store.get_game_state().time_order == 2


async def push(machine, event):
    await machine._push_event(event)


def test_errors_in_the_game_do_not_end_its_loop(caplog):
    store = GameStateStore()
    machine = GameStateMachine(store)
    results = iter([ValueError(), [1], {5: 1}, {"a": {1}}, {"a": 1, "time_order": 9}, None])

    def time_step(game_state, dt):
        result = next(results, {"game_status": GameStatus.PAUSED})
        if isinstance(result, Exception):
            raise result
        return result

    def fails(**kwargs):
        raise LookupError("here")

    machine.time_step = time_step
    machine.register_event_handler("FAILS", fails)
    machine.register_event_handler("ARGS", lambda *, game_state, dt: {})
    for event in (Event("FAILS"), Event("UNKNOWN"), Event("UNKNOWN"), Event("ARGS", 1), Event("ARGS", 2)):
        machine._push_event(event)
    machine.run_game_loop(interval=0.01)
    assert store.get_game_state().a == 1
    errors = [(r.getMessage(), r.exc_info[0]) for r in caplog.records if r.exc_info]
    assert errors == [
        ("exception in the time_step", ValueError),
        ("exception in the handler for FAILS events", LookupError),
        ("exception in the time_step", TypeError),
        ("exception in the update returned by the time_step", TypeError),
    ]
    warnings = [r.getMessage() for r in caplog.records if not r.exc_info]
    assert len(warnings) == 2
    assert "UNKNOWN" in warnings[0]
    assert "wrong arguments for the handler for ARGS events" in warnings[1]


def test_what_cannot_be_sent_takes_nothing_else_with_it(caplog):
    store = GameStateStore(GameState(n=0))
    machine = Machine(store, steps=2)
    machine.register_event_handler("BAD", lambda **_: {"bad": object()})
    machine.register_event_handler("GOOD", lambda **_: {"good": 1})
    machine._push_event(Event("BAD"))
    machine._push_event(Event("GOOD"))
    machine.run_game_loop(0.001)
    state = store.get_game_state()
    assert (state.n, state.good) == (2, 1)
    assert not hasattr(state, "bad")
    assert "update returned by the handler for BAD events" in caplog.text


def test_a_wrong_interval_leaves_the_machine_as_it_was():
    machine = Machine(GameStateStore())
    for interval, error in ((float("inf"), ValueError), (0, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="interval"):
            machine.run_game_loop(interval)
    assert machine.stop()
    machine.run_game_loop(0.001)
    assert len(machine.seen) == 3


def test_a_backend_needs_a_function():
    with pytest.raises(TypeError, match="time_step_function must be callable, not NoneType"):
        Backend(GameState(), None)


def test_events_do_not_eat_the_time_steps():
    machine = Machine(GameStateStore(), steps=5)
    machine.register_event_handler("SLOW", lambda **kwargs: time.sleep(0.03))
    for _ in range(20):
        machine._push_event(Event("SLOW"))
    machine.run_game_loop(interval=0.02)
    assert len(machine.seen) == 5
    assert len(machine._event_queue) == 15


def test_waiting_events_are_bounded(monkeypatch, caplog):
    monkeypatch.setattr(_machine, "EVENT_LIMIT", 2)
    machine = GameStateMachine(GameStateStore())
    for _ in range(5):
        machine._push_event(Event("A"))
    assert len(machine._event_queue) == 2
    assert machine.events_dropped == 3
    assert len(caplog.records) == 1


def test_any_object_with_the_methods_is_a_store():
    class Store:
        def __init__(self):
            self.state, self.updates = GameState(), []

        def get_gamestate(self):
            return self.state

        def get_update_cache(self):
            return self.updates

        def push_update(self, update):
            self.updates.append(update)
            self.state += update

    store = Store()
    machine = Machine(store)
    machine.run_game_loop(interval=0.01)
    assert store.state.n == 3
    assert store.state.is_paused()


def test_errors_of_a_store_do_not_end_the_game_loop(caplog):
    class Store(GameStateStore):
        failures = 2

        def get_game_state(self):
            if not state.is_paused() and self.failures:
                self.failures -= 1
                raise LookupError("lost")
            return state

    state = GameState()
    store = Store(state)
    machine = Machine(store)
    machine.run_game_loop(interval=0.01)
    assert len(machine.seen) == 3
    assert caplog.messages == ["exception in the game state store"]


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
    with pytest.raises(TypeError, match=r"^'int' object is not callable\.$"):
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
