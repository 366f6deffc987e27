"""Event loops that look alike, and a server with a game loop to run in them."""

import asyncio
import threading
import time
from contextlib import contextmanager

import trio
import uvloop

import pygase
from pygase import _foreign

try:
    import curio
except ImportError:  # it is not made for Python 3.12 and later
    curio = None

DEADLINE = 10.0


class Asyncio:
    """What the tests need of an event loop, with asyncio's."""

    name = "asyncio"
    sleep = staticmethod(asyncio.sleep)
    cancelled = asyncio.CancelledError

    def run(self, main):
        return asyncio.run(main())

    async def spawn(self, function, *args):
        async def call():
            return await function(*args)

        return asyncio.create_task(call())

    async def join(self, task):
        await asyncio.wait_for(asyncio.shield(task), DEADLINE)

    async def cancel(self, task):
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.cancelled()


class Uvloop(Asyncio):
    """uvloop is an asyncio loop, too."""

    def run(self, main):
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()


class Trio:
    """The same with trio: tasks live in a nursery around the test."""

    name = "trio"
    sleep = staticmethod(trio.sleep)
    cancelled = trio.Cancelled

    def run(self, main):
        async def inside():
            with trio.fail_after(3 * DEADLINE):
                async with trio.open_nursery() as self.nursery:
                    result = await main()
                    self.nursery.cancel_scope.cancel()
                    return result

        return trio.run(inside)

    async def spawn(self, function, *args):
        scope, done = trio.CancelScope(), trio.Event()

        async def call():
            with scope:
                await function(*args)
            done.set()

        self.nursery.start_soon(call)
        return scope, done

    async def join(self, task):
        with trio.fail_after(DEADLINE):
            await task[1].wait()

    async def cancel(self, task):
        task[0].cancel()
        await self.join(task)
        assert task[0].cancelled_caught


class Curio:
    """The same with curio."""

    name = "curio"
    sleep = staticmethod(getattr(curio, "sleep", None))
    cancelled = getattr(curio, "CancelledError", None)

    def run(self, main):
        return curio.run(main)

    async def spawn(self, function, *args):
        return await curio.spawn(function, *args)

    async def join(self, task):
        async with curio.timeout_after(DEADLINE):
            await task.join()

    async def cancel(self, task):
        async with curio.timeout_after(DEADLINE):
            await task.cancel()
        assert task.cancelled


LOOPS = {"asyncio": Asyncio, "uvloop": Uvloop, "trio": Trio, **({"curio": Curio} if curio else {})}


@contextmanager
def no_thread_stays():
    """Wait until no thread of pygase is left that was not there before."""
    before = set(threading.enumerate())
    yield
    if _foreign._users:
        return
    end = time.monotonic() + DEADLINE
    # The thread of all clients stays with the process; what else runs has to end.
    while left := {
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.name.startswith("pygase")
    }:
        assert time.monotonic() < end, left
        time.sleep(0.01)


def step(game_state, dt):
    return {"ticks": game_state.ticks + 1}


def make(time_step=step, **attributes):
    store = pygase.GameStateStore(pygase.GameState(game_status=1, ticks=0, **attributes))
    machine = pygase.GameStateMachine(store)
    machine.time_step = time_step
    return pygase.Server(store), machine


def ticks(client):
    with client.access_game_state() as game_state:
        return getattr(game_state, "ticks", 0)


async def until(condition, sleep):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        await sleep(0.005)
