"""A game loop whose user code takes too long: ticks are left out and counted, not made up for in a burst."""

import asyncio
import threading
import time

import pytest

from pygase import GameState, GameStateMachine, GameStateStore
from pygase.event import Event

INTERVAL = 0.02
STALL = 0.5


@pytest.mark.parametrize("awaited", [False, True], ids=["blocking", "awaited"])
def test_a_sleeping_handler_costs_its_ticks(awaited):
    starts = []
    after = threading.Event()

    def time_step(game_state, dt):
        starts.append(time.monotonic())
        if len(stalled) and len(starts) >= stalled[0] + 5:
            after.set()
        return {}

    stalled = []

    def handler(**_):
        time.sleep(STALL)
        stalled.append(len(starts))

    machine = GameStateMachine(GameStateStore(GameState()))
    machine.time_step = time_step
    machine.register_event_handler("STALL", handler)
    assert machine.overruns == 0
    machine._push_event(Event("STALL"))
    if awaited:

        async def play():
            game = asyncio.ensure_future(machine.run_game_loop(INTERVAL))
            while not after.is_set():
                await asyncio.sleep(INTERVAL)
            await machine.stop(timeout=10)
            await game

        asyncio.run(play())
    else:
        thread = machine.run_game_loop_in_thread(INTERVAL)
        assert after.wait(20)
        assert machine.stop(timeout=10)
        thread.join(10)
    assert machine.overruns >= STALL / INTERVAL - 3
    # What was left out and what came fill the time, and no more: the one tick at once is the 2.
    assert len(starts) + machine.overruns <= (starts[-1] - starts[0]) / INTERVAL + 2
    before = machine.overruns
    if not awaited:
        thread = machine.run_game_loop_in_thread(INTERVAL)
        assert machine.stop(timeout=10)
        thread.join(10)
        assert machine.overruns >= before
