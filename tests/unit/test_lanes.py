"""Dual calls, lanes, and what is logged of errors in user code."""

import asyncio
import logging
import threading
from collections import deque

import pytest

from pygase import _user_errors
from pygase._dual import check_port, dual, has_own_loop, run_in_thread
from pygase._lane import Lane
from pygase._life import Hooks
from pygase._loops import running
from pygase._user_errors import UserErrors


def run_lane(*functions, droppable=False, limit=1024):
    async def main():
        ready = deque()
        tasks = running().tasks()
        lane = Lane(UserErrors(), ready.append, tasks.start, limit=limit)
        for number, function in enumerate(functions):
            lane.add(f"call {number}", function, droppable=droppable)
        while ready:
            ready.popleft().step()
            await tasks.end(10)
        return lane

    return asyncio.run(main())


@dual
async def slow_double(number):
    await asyncio.sleep(0)
    return 2 * number, has_own_loop()


@dual
def double(number):
    return 2 * number, threading.get_ident()


def test_dual_coroutine_function():
    async def main():
        return await slow_double(2)

    assert slow_double(2) == (4, True)
    assert asyncio.run(main()) == (4, False)


def test_dual_function_is_called_by_another_thread_of_a_running_loop():
    async def main():
        return await double(2)

    assert double(2) == (4, threading.get_ident())
    assert asyncio.run(main())[0] == 4
    assert asyncio.run(main())[1] != threading.get_ident()


def test_dual_function_is_under_way_before_it_is_awaited():
    done = threading.Event()

    async def main():
        dual(done.set)()
        assert done.wait(5)

    asyncio.run(main())


def test_dual_function_that_is_done_at_once():
    async def main():
        future = dual(lambda: threading.get_ident(), at_once=True)()
        assert future.done()
        return await future

    assert asyncio.run(main()) == threading.get_ident()


def test_dual_keeps_the_signature():
    assert slow_double.__name__ == "slow_double"


def test_run_in_thread():
    seen = []

    async def main():
        seen.append((threading.current_thread().name, threading.current_thread().daemon))

    run_in_thread(main(), "worker", daemon=True, give_up=seen.clear).join()
    assert seen == [("worker", True)]


def test_lane_keeps_the_order():
    seen = []

    async def slow(name):
        await asyncio.sleep(0.01)
        seen.append(name)

    run_lane(
        lambda: seen.append(1),
        lambda: slow(2),
        lambda: seen.append(3),
        lambda: slow(4),
        lambda: slow(5),
        lambda: seen.append(6),
    )
    assert seen == [1, 2, 3, 4, 5, 6]


def test_lane_goes_on_after_exceptions(caplog):
    async def fails():
        raise ValueError("slow")

    def raises():
        raise KeyError("quick")

    seen = []
    lane = run_lane(raises, fails, raises, lambda: seen.append(1))
    assert seen == [1]
    assert lane.counters == {"user_error": 3}
    assert [record.name for record in caplog.records] == ["PyGaSe"] * 3
    assert all(record.exc_info is not None for record in caplog.records)


def test_lane_is_bounded(caplog):
    seen = []
    functions = [lambda n=n: seen.append(n) for n in range(5)]
    lane = run_lane(*functions, droppable=True, limit=2)
    assert seen == [0, 1]
    assert lane.counters == {"queue_full": 3}
    assert len(caplog.records) == 1
    assert run_lane(*functions).counters == {}


def test_lane_is_ready_once_and_not_while_a_coroutine_runs():
    async def main():
        ready = []
        go_on = asyncio.Event()
        tasks = running().tasks()
        lane = Lane(UserErrors(), ready.append, tasks.start)
        lane.add("coroutine", go_on.wait)
        lane.add("function", lambda: None)
        assert ready == [lane]
        ready.pop().step()
        assert ready == []
        go_on.set()
        await tasks.end(10)
        assert ready == [lane]

    asyncio.run(main())


def test_comings_and_goings_that_wait_are_bounded_and_end_as_it_is():
    async def main():
        ready, told = [], []
        tasks = running().tasks()
        lane = Lane(UserErrors(), ready.append, tasks.start, limit=6)
        hooks, connection = Hooks(), type("Connection", (), {})()
        for name in ("first", "second"):
            hooks.add(lambda name=name: told.append(name), ended=False)
            hooks.add(lambda reason: told.append(reason), ended=True)
        for _ in range(100):
            hooks.tell(lambda _: lane, connection, None)
            hooks.tell(lambda _: lane, connection, "timeout")
        hooks.tell(lambda _: lane, connection, None)
        assert lane.waiting == 6
        # Of 201 changes three are told, to two functions each.
        assert lane.counters == {"queue_full": 2 * 198}
        while ready:
            ready.pop().step()
        assert told == ["first", "second", "timeout", "timeout", "first", "second"]

    asyncio.run(main())


def test_done_futures_take_no_task():
    async def main():
        ready = []
        tasks = running().tasks()
        lane = Lane(UserErrors(), ready.append, tasks.start)
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        lane.add("future", lambda: future)
        ready.pop().step()
        assert not lane.is_busy

    asyncio.run(main())


def test_errors_of_a_kind_are_logged_once_in_a_while(monkeypatch, caplog):
    errors = UserErrors()
    now = [0.0]
    monkeypatch.setattr(_user_errors.time, "monotonic", lambda: now[0])
    for _ in range(3):
        errors.report("handler for A events", ValueError("no"))
    errors.report("handler for B events", ValueError("no"))
    errors.report("handler for A events", KeyError("no"))
    assert len(caplog.records) == 3
    now[0] = _user_errors.REPORT_INTERVAL
    errors.report("handler for A events", ValueError("no"))
    assert "2 more since the last report" in caplog.messages[-1]
    assert caplog.records[-1].levelno == logging.ERROR


def test_warnings_are_logged_once_in_a_while(monkeypatch, caplog):
    errors = UserErrors()
    now = [0.0]
    monkeypatch.setattr(_user_errors.time, "monotonic", lambda: now[0])
    for detail in ("a", "b", "c"):
        errors.warn("wrong", detail)
    now[0] = _user_errors.REPORT_INTERVAL
    errors.warn("wrong", "d")
    assert caplog.messages == ["wrong: a", "wrong: d (2 more since the last report)"]


@pytest.mark.parametrize("port", ["1", 1.0, None, True, b"1"])
def test_ports_are_ints(port):
    with pytest.raises(TypeError, match="port must be an int, not"):
        check_port(port)


@pytest.mark.parametrize("port", [-1, 65536, 10**20])
def test_ports_have_a_range(port):
    with pytest.raises(ValueError, match=rf"port {port} is not in the range 0\.\.65535"):
        check_port(port)


def test_ports_that_are_fine():
    for port in (0, 1, 65535):
        check_port(port)
    with pytest.raises(ValueError, match=r"port 0 is not in the range 1\.\.65535"):
        check_port(0, lowest=1)
