"""The game loop and what it does with a store, without a network."""

import asyncio
import copy
import threading
import time

import pytest

from pygase import GameState, GameStateMachine, GameStateStore, _machine
from pygase.event import Event
from pygase.gamestate import GameStateUpdate, GameStatus


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


def test_game_loop_in_thread_runs_when_the_call_returns(wait_for):
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
    assert len(warnings) == 3
    assert "UNKNOWN" in warnings[0]
    assert "wrong arguments for the handler for ARGS events" in warnings[1]
    assert "returned None" in warnings[2]


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
