"""`pygase.GameStateMachine`: the game loop, its handlers and its pace."""

import threading
import time

import pytest

import pygase
from pygase.event import Event
from pygase.gamestate import TO_DELETE, GameState


class TestGameLoop:
    def test_attributes(self):
        machine = pygase.GameStateMachine(pygase.GameStateStore())
        assert machine.game_time == 0.0

    def test_time_step_must_be_given(self):
        with pytest.raises(NotImplementedError):
            pygase.GameStateMachine(pygase.GameStateStore()).time_step(GameState(), 0.1)

    def test_stop_before_start(self):
        assert pygase.GameStateMachine(pygase.GameStateStore()).stop() is True

    def test_handlers(self):
        machine = pygase.GameStateMachine(pygase.GameStateStore())
        machine.register_event_handler("a", print)
        with pytest.raises(TypeError) as error:
            machine.register_event_handler("b", 5)
        assert str(error.value) == "'int' object is not callable."

    def machine(self, step, **attributes):
        class Machine(pygase.GameStateMachine):
            def time_step(self, game_state, dt):
                time.sleep(0.002)
                return step(game_state, dt)

        attributes.setdefault("game_status", 1)
        return Machine(pygase.GameStateStore(GameState(**attributes)))

    def test_in_a_thread(self, wait_for):
        machine = self.machine(lambda state, dt: {"ticks": state.ticks + 1}, ticks=0)
        thread = machine.run_game_loop_in_thread(interval=0.01)
        assert isinstance(thread, threading.Thread)
        assert not thread.daemon
        store = machine._game_state_store
        wait_for(lambda: store.get_game_state().ticks > 10)
        assert machine.stop(timeout=5.0) is True
        thread.join(10)
        assert not thread.is_alive()
        ticks = store.get_game_state().ticks
        assert machine.game_time > 0
        assert store.get_game_state().ticks == ticks

    @pytest.mark.ours
    def test_stop_right_after_start(self):
        machine = self.machine(lambda state, dt: {})
        thread = machine.run_game_loop_in_thread()
        assert machine.stop(timeout=5.0) is True
        thread.join(10)
        assert not thread.is_alive()

    def test_blocking(self, wait_for):
        machine = self.machine(lambda state, dt: {"ticks": state.ticks + 1}, ticks=0)
        thread = threading.Thread(target=machine.run_game_loop, kwargs={"interval": 0.01})
        thread.start()
        wait_for(lambda: machine._game_state_store.get_game_state().ticks > 3)
        machine.stop()
        thread.join(10)
        assert not thread.is_alive()

    def test_the_first_dt_is_the_interval(self, wait_for):
        steps = []
        machine = self.machine(lambda state, dt: steps.append(dt) or {})
        thread = machine.run_game_loop_in_thread(interval=0.05)
        wait_for(lambda: len(steps) > 2)
        machine.stop()
        thread.join(10)
        assert steps[0] == 0.05

    @pytest.mark.ours
    def test_keeps_its_interval(self, wait_for):
        """0.3.1's loop never sleeps."""
        steps = []
        machine = self.machine(lambda state, dt: steps.append((time.monotonic(), dt)) or {})
        thread = machine.run_game_loop_in_thread(interval=0.02)
        wait_for(lambda: len(steps) > 50)
        machine.stop()
        thread.join(10)
        (start, _), (end, _) = steps[0], steps[50]
        assert end - start >= 0.95
        assert sum(dt for _, dt in steps[1:51]) == pytest.approx(end - start, abs=0.25)

    def test_updates_reach_the_state(self, wait_for):
        machine = self.machine(
            lambda state, dt: {"a": {"x": 1}, "gone": TO_DELETE} if hasattr(state, "gone") else {}, gone=1
        )
        store = machine._game_state_store
        thread = machine.run_game_loop_in_thread()
        wait_for(lambda: getattr(store.get_game_state(), "a", None) == {"x": 1})
        wait_for(lambda: not hasattr(store.get_game_state(), "gone"))
        machine.stop()
        thread.join(10)

    def test_pause(self, wait_for):
        steps = []

        def step(state, dt):
            steps.append(dt)
            return {"game_status": pygase.gamestate.GameStatus.get("Paused")} if len(steps) == 5 else {}

        machine = self.machine(step)
        thread = machine.run_game_loop_in_thread(interval=0.005)
        wait_for(lambda: machine._game_state_store.get_game_state().is_paused())
        thread.join(0.2)
        assert len(steps) <= 6
        machine.stop()
        thread.join(10)

    def test_handler_arguments_and_result(self, wait_for):
        seen = []

        def on_move(name, game_state, dt, **kwargs):
            seen.append((game_state, dt, kwargs))
            return {"players": {name: 1}}

        machine = self.machine(lambda state, dt: {}, players={})
        machine.register_event_handler("MOVE", on_move)
        thread = machine.run_game_loop_in_thread(interval=0.02)
        push(machine, Event("MOVE", "ada", client_address=("a", 1), far=True))
        store = machine._game_state_store
        wait_for(lambda: store.get_game_state().players == {"ada": 1})
        machine.stop()
        thread.join(10)
        state, dt, kwargs = seen[0]
        assert isinstance(state, GameState)
        assert dt > 0
        assert kwargs == {"client_address": ("a", 1), "far": True}

    def test_handlers_may_be_coroutine_functions(self, wait_for):
        async def on_a(game_state, dt, client_address):
            return {"a": 1}

        machine = self.machine(lambda state, dt: {})
        machine.register_event_handler("A", on_a)
        thread = machine.run_game_loop_in_thread(interval=0.02)
        push(machine, Event("A", client_address=("a", 1)))
        wait_for(lambda: getattr(machine._game_state_store.get_game_state(), "a", 0) == 1)
        machine.stop()
        thread.join(10)

    @pytest.mark.ours
    def test_handlers_may_return_nothing(self, wait_for):
        """0.3.1's game loop dies of it."""
        steps = []
        machine = self.machine(lambda state, dt: steps.append(dt) or {})
        machine.register_event_handler("B", lambda game_state, dt, client_address: None)
        thread = machine.run_game_loop_in_thread(interval=0.01)
        push(machine, Event("B", client_address=("a", 1)))
        count = len(steps)
        wait_for(lambda: len(steps) > count + 5)
        machine.stop()
        thread.join(10)

    @pytest.mark.ours
    def test_updates_of_one_tick_merge_deeply(self, wait_for):
        """0.3.1 lets the last handler of a tick overwrite the others' top-level keys."""
        machine = self.machine(lambda state, dt: {"players": {"step": 1}}, players={})
        machine.register_event_handler(
            "MOVE", lambda name, game_state, dt, client_address: {"players": {name: 1}}
        )
        for name in ("ada", "bob"):
            push(machine, Event("MOVE", name, client_address=("a", 1)))
        thread = machine.run_game_loop_in_thread(interval=0.02)
        wait_for(
            lambda: machine._game_state_store.get_game_state().players == {"step": 1, "ada": 1, "bob": 1}
        )
        machine.stop()
        thread.join(10)

    @pytest.mark.ours
    def test_exceptions_stop_nothing(self, wait_for, caplog):
        steps = []

        def step(state, dt):
            steps.append(dt)
            if len(steps) == 3:
                raise ZeroDivisionError("by design")
            return {}

        machine = self.machine(step)
        thread = machine.run_game_loop_in_thread(interval=0.01)
        wait_for(lambda: len(steps) > 10)
        machine.stop()
        thread.join(10)
        assert [record for record in caplog.records if record.name == "PyGaSe" and record.exc_info]


def push(machine, event):
    """Push from outside of any event loop: a plain call, or an awaitable in 0.3.1's way."""
    result = machine._push_event(event)
    if hasattr(result, "send"):
        with pytest.raises(StopIteration):
            result.send(None)
