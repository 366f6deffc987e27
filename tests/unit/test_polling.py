"""Games that own their main loop: `start`, `poll`, `snapshot` and `interpolated`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

import pygase
from pygase._snapshots import Snapshots
from pygase.gamestate import TO_DELETE, GameStateUpdate


@pytest.fixture
def joined(serve, wait_for):
    server = serve(players={1: {"position": [0.0, 0.0], "name": "Anna"}}, x=1)
    client = pygase.Client()
    client.start(server.port)
    wait_for(lambda: client.snapshot().time_order > 0 and server.connections)
    yield server, client
    client.disconnect()


def poll_until(client, condition, timeout=10.0):
    end = time.monotonic() + timeout
    count = 0
    while not condition():
        assert time.monotonic() < end
        count += client.poll()
        time.sleep(0.002)
    return count


class TestPoll:
    def test_handlers_and_callbacks_run_in_the_caller_and_nowhere_else(self, joined, wait_for):
        server, client = joined
        threads = []
        client.register_event_handler("NEWS", lambda: threads.append(threading.get_ident()))
        server.register_event_handler("A", lambda client_address: None)
        server.dispatch_event("NEWS", retries=3)
        client.dispatch_event("A", ack_callback=lambda: threads.append(threading.get_ident()))
        time.sleep(0.3)
        assert not threads
        assert poll_until(client, lambda: len(threads) >= 2) >= 2
        assert set(threads) == {threading.get_ident()}

    def test_no_more_than_asked_for(self, joined):
        server, client = joined
        got = []
        client.register_event_handler("NEWS", got.append)
        for number in range(10):
            server.dispatch_event("NEWS", number)
        time.sleep(0.5)
        assert client.poll(max_events=3) == 3
        assert got == [0, 1, 2]
        assert client.poll(max_events=0) == 0
        poll_until(client, lambda: len(got) == 10)
        assert got == list(range(10))

    def test_no_longer_than_asked_for(self, joined):
        server, client = joined
        client.register_event_handler("SLOW", lambda: time.sleep(0.02))
        for _ in range(10):
            server.dispatch_event("SLOW")
        time.sleep(0.5)
        assert client.poll(max_ms=0) == 0
        assert 1 <= client.poll(max_ms=30) <= 2

    def test_coroutines_go_on_from_call_to_call(self, joined):
        server, client = joined
        steps = []

        async def handler():
            steps.append("begun")
            await asyncio.sleep(0.05)
            steps.append("ended")

        client.register_event_handler("NEWS", handler)
        server.dispatch_event("NEWS", retries=3)
        poll_until(client, lambda: steps == ["begun", "ended"])

    def test_an_exception_stops_only_its_call(self, joined, caplog):
        server, client = joined
        got = []
        client.register_event_handler("BAD", lambda: 1 / 0)
        client.register_event_handler("GOOD", lambda: got.append(1))
        server.dispatch_event("BAD", retries=3)
        server.dispatch_event("GOOD", retries=3)
        poll_until(client, lambda: got)
        assert any(record.exc_info for record in caplog.records)

    def test_mistakes(self, joined):
        server, client = joined
        with pytest.raises(RuntimeError, match="not connected"):
            pygase.Client().poll()
        with pytest.raises(ValueError, match="max_events must not be negative"):
            client.poll(-1)
        with pytest.raises(TypeError, match="max_ms must be a number"):
            client.poll(max_ms="1")
        with pytest.raises(RuntimeError, match="already connected"):
            client.start(server.port)
        errors = []

        def handler():
            try:
                client.poll()
            except RuntimeError as error:
                errors.append(str(error))

        client.register_event_handler("NEWS", handler)
        server.dispatch_event("NEWS", retries=3)
        poll_until(client, lambda: errors)
        assert "running already" in errors[0]

        async def main():
            client.poll()

        with pytest.raises(RuntimeError, match=r"await Client.connect"):
            asyncio.run(main())

    def test_only_after_start(self, serve):
        client = pygase.Client()
        thread = client.connect_in_thread(serve(x=1).port)
        with pytest.raises(RuntimeError, match=r"start\(\)"):
            client.poll()
        assert client.snapshot() is not None
        client.disconnect()
        thread.join(10)

    def test_what_did_not_arrive_is_told_after_the_end(self, joined, wait_for):
        _, client = joined
        lost = []
        client.connection.dispatch_event(pygase.event.Event("A"), None, lambda: lost.append(1))
        client.disconnect()
        assert not lost
        client.poll()
        assert lost == [1]
        assert client.poll() == 0
        with pytest.raises(RuntimeError, match="not connected"):
            client.dispatch_event("A")

    def test_it_starts_no_python_thread_and_can_start_again(self, serve, wait_for):
        server = serve(x=1)
        before = threading.active_count()
        client = pygase.Client()
        for _ in range(3):
            client.start(server.port)
            assert threading.active_count() == before
            wait_for(lambda: client.snapshot().time_order > 0)
            client.disconnect()

    def test_the_process_may_end_at_any_time(self):
        code = """
import pygase, time
server = pygase.Server(pygase.GameStateStore(pygase.GameState(1, x=1)))
server.run_in_thread()
client = pygase.Client()
client.start(server.port)
while not (client.snapshot().time_order and server.connections): time.sleep(0.01)
async def handler():
    import asyncio
    await asyncio.sleep(99)
client.register_event_handler("A", handler)
server.dispatch_event("A")
while not client.poll(): time.sleep(0.01)
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "dev", "-c", code],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


class TestSnapshot:
    def test_it_stays_as_it_is(self, joined, wait_for):
        server, client = joined
        first = client.snapshot()
        assert client.snapshot() is first
        server.game_state_store.push_update(GameStateUpdate(2, players={1: {"name": "Bob"}, 2: {}}, y=5))
        second = wait_for(lambda: client.snapshot() if client.snapshot() is not first else None)
        assert first.players == {1: {"position": [0.0, 0.0], "name": "Anna"}}
        assert second.players == {1: {"position": [0.0, 0.0], "name": "Bob"}, 2: {}}
        assert (second.y, second.time_order > first.time_order) == (5, True)
        server.game_state_store.push_update(GameStateUpdate(2000, players={1: TO_DELETE}))
        wait_for(lambda: list(client.snapshot().players) == [2])
        assert 1 in second.players

    def test_it_does_not_wait_for_those_who_hold_the_state(self, joined, wait_for):
        server, client = joined
        with client.access_game_state() as held:
            server.game_state_store.push_update(GameStateUpdate(2, x=7))
            began = time.monotonic()
            wait_for(lambda: client.snapshot().x == 7)
            assert time.monotonic() - began < 5
            assert held.x == 1
        with client.access_game_state() as held:
            assert held.x == 7

    def test_both_readers_see_deletions(self, joined, wait_for):
        server, client = joined
        store = server.game_state_store
        with client.access_game_state() as state:
            assert state.x == 1
        store.push_update(GameStateUpdate(2, x=TO_DELETE))
        wait_for(lambda: not hasattr(client.snapshot(), "x"))
        with client.access_game_state() as state:
            assert not hasattr(state, "x")
        assert state == client.snapshot()

    def test_before_connecting(self):
        with pytest.raises(RuntimeError, match="not connected"):
            pygase.Client().snapshot()


class Script:
    """A connection that says what it is told, at the time it is told."""

    def __init__(self, clock):
        self.clock, self.next = clock, None
        self.time_order = 0

    def say(self, changes, fresh=False):
        self.time_order += 1
        self.next = (fresh or self.time_order == 1, self.time_order, changes, 0.0)

    def _pull_snapshot(self):
        pulled, self.next = self.next, None
        return pulled


class TestInterpolated:
    @pytest.fixture
    def film(self, monkeypatch):
        """Play a script: at each moment what came; then ask."""
        clock = [100.0]
        monkeypatch.setattr("pygase._snapshots.time.monotonic", lambda: clock[0])
        script = Script(clock)
        snapshots = Snapshots(script)
        script.say({"x": 0.0})
        snapshots.interpolated(("x",), 0.1)

        def play(*scenes, **options):
            for moment, changes in scenes:
                clock[0] = 100.0 + moment
                script.say(changes, **options)
                snapshots.newest()

        def at(moment, path="x", delay=0.1):
            clock[0] = 100.0 + moment
            return snapshots.interpolated((path,) if isinstance(path, str) else path, delay)

        return play, at

    def test_on_the_line_between_two_updates(self, film):
        play, at = film
        play((0.02, {"x": 2.0}), (0.04, {"x": 6.0}), (0.06, {"x": 6.0}))
        assert at(0.11) == pytest.approx(1.0)
        assert at(0.12) == pytest.approx(2.0)
        assert at(0.13) == pytest.approx(4.0)
        assert at(0.14) == pytest.approx(6.0)

    def test_never_beyond_the_newest(self, film):
        play, at = film
        play((0.02, {"x": 2.0}))
        assert at(9.0) == 2.0

    def test_rest_and_then_move_at_a_gap(self, film):
        play, at = film
        play((5.0, {"x": 10.0}))
        assert at(5.0) == pytest.approx(0.0)
        assert at(5.05) == pytest.approx(5.0)
        assert at(5.1) == pytest.approx(10.0)

    def test_vectors_and_what_is_neither(self, film):
        play, at = film
        play((0.02, {"p": [0, 0], "s": "a", "b": False}), (0.04, {"p": [2, 4], "s": "b", "b": True}))
        assert at(0.13, "p") == pytest.approx([1, 2])
        assert (at(0.13, "s"), at(0.13, "b")) == ("a", False)
        assert (at(0.15, "s"), at(0.15, "b")) == ("b", True)
        play((0.16, {"p": [1, 2, 3]}))
        assert at(0.2, "p") == [2, 4]

    def test_new_and_gone(self, film):
        play, at = film
        play((0.02, {"new": 1.0}))
        assert at(0.05, "new") == 1.0
        play((0.06, {"new": TO_DELETE}))
        with pytest.raises(KeyError):
            at(0.07, "new")

    def test_another_world(self, film):
        play, at = film
        play((0.02, {"x": 50.0}), fresh=True)
        assert at(0.03) == 50.0

    def test_no_delay(self, film):
        play, at = film
        play((0.02, {"x": 2.0}))
        assert at(0.02, delay=0.0) == 2.0

    def test_only_what_is_needed_is_kept(self, film):
        play, at = film
        play(*((n / 100, {"x": float(n)}) for n in range(1000)))
        assert at(9.99) == pytest.approx(989.0)

    def test_paths_and_mistakes(self, joined):
        _, client = joined
        assert client.interpolated("x") == 1
        assert client.interpolated(("players", 1, "position")) == [0.0, 0.0]
        assert client.interpolated(["players", 1, "position", 0]) == 0.0
        for path in ("nothing", "players.1", ("players", 7), ("players", 1, "position", 9)):
            with pytest.raises(KeyError):
                client.interpolated(path)
        with pytest.raises(ValueError, match="empty"):
            client.interpolated("")
        with pytest.raises(TypeError, match="path"):
            client.interpolated(5)
        with pytest.raises(ValueError, match=r"from 0 to 5.0 seconds, not 6"):
            client.interpolated("x", delay=6)
        with pytest.raises(TypeError, match="delay"):
            client.interpolated("x", delay="1")
