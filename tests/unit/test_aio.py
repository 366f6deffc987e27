"""`pygase.aio` in every event loop, and its queue between loops and threads."""

import asyncio
import threading
import time

import pytest
import trio

from pygase import aio
from pygase._loops import running

try:
    import curio
except ImportError:  # it is not made for Python 3.12 and later
    curio = None

RUNNERS = {"asyncio": lambda main: asyncio.run(main()), "trio": trio.run}
if curio is not None:
    RUNNERS["curio"] = curio.run


@pytest.fixture(params=RUNNERS)
def run(request):
    return RUNNERS[request.param]


def test_run_takes_coroutines_and_their_functions():
    async def main(seconds, *args):
        await aio.sleep(seconds)
        return running().name, args

    assert aio.run(main, 0.001, 1) == ("asyncio", (1,))
    assert aio.run(main(0)) == ("asyncio", ())
    with pytest.raises(TypeError, match="is no coroutine function"):
        aio.run(lambda: 5)


def test_sleep_takes_its_time(run):
    then = time.monotonic()
    run(lambda: aio.sleep(0.05)) if run is not RUNNERS.get("curio") else run(aio.sleep(0.05))
    assert time.monotonic() - then >= 0.049


def test_tasks_are_joined_for_what_they_return(run):
    async def double(number):
        await aio.sleep(0.01)
        return 2 * number

    async def fails():
        raise KeyError("no")

    async def main():
        tasks = [await aio.spawn(double, number) for number in range(5)]
        assert [await task.join() for task in tasks] == [0, 2, 4, 6, 8]
        assert tasks[0].terminated
        assert await (await aio.spawn(double(7), daemon=True)).join() == 14
        task = await aio.spawn(fails)
        with pytest.raises(aio.TaskError, match="KeyError") as error:
            await task.join()
        assert isinstance(error.value.__cause__, KeyError)
        assert not task.cancelled

    run(main)


def test_a_task_that_is_cancelled_ends(run):
    seen = []

    async def waits():
        seen.append("begun")
        try:
            await aio.sleep(60)
        finally:
            seen.append("ended")

    async def main():
        task = await aio.spawn(waits)
        assert not task.terminated
        await task.cancel()
        assert task.terminated and task.cancelled
        await task.cancel()
        with pytest.raises(aio.TaskError):
            await task.join()
        task = await aio.spawn(waits)
        await task.cancel(blocking=False)
        await task.wait()
        assert task.cancelled

    run(main)
    assert seen == ["begun", "ended"] * 2


def test_awaitable_takes_the_function_that_fits(run):
    def plain(number):
        return number, None

    @aio.awaitable(plain)
    async def call(number):
        await aio.sleep(0)
        return number, running().name

    async def main():
        return await call(2)

    assert call(1) == (1, None)
    assert run(main) in [(2, name) for name in RUNNERS]


def test_sockets_send_and_receive(run):
    socket = aio.socket

    async def main():
        async with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            task = await aio.spawn(one.recvfrom, 2048)
            await aio.sleep(0.01)
            assert await other.sendto(b"hello", one.getsockname()) == 5
            assert await task.join() == (b"hello", other.getsockname())
            await one.connect(other.getsockname())
            await one.send(b"world")
            assert await other.recv(3) == b"wor"
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert one.fileno() == -1

    run(main)
    assert issubclass(socket.gaierror, OSError)


def test_queue_between_a_thread_and_a_loop(run):
    there, back = aio.UniversalQueue(maxsize=3), aio.UniversalQueue()

    def work():
        while (number := there.get()) is not None:
            back.put(2 * number)
            there.task_done()

    thread = threading.Thread(target=work)
    thread.start()

    async def main():
        for number in range(100):
            await there.put(number)
            assert there.qsize() <= 3
        got = [await back.get() for _ in range(100)]
        await there.join()
        await there.put(None)
        return got

    assert run(main) == [2 * number for number in range(100)]
    thread.join(10)
    assert not thread.is_alive()
    assert back.empty() and not back.full()


def test_queue_forgets_those_who_gave_up(run):
    async def main():
        queue = aio.UniversalQueue(maxsize=1)
        task = await aio.spawn(queue.get)
        await task.cancel()
        await queue.put(1)
        assert queue.full()
        task = await aio.spawn(queue.put, 2)
        await task.cancel()
        assert await queue.get() == 1
        assert queue.empty()
        await queue.task_done()
        await queue.join()
        with pytest.raises(ValueError, match="more often"):
            queue.task_done()

    run(main)


def test_nothing_without_a_loop():
    with pytest.raises(RuntimeError, match="no event loop"):
        aio.sleep(0).send(None)
