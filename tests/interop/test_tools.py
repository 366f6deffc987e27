"""The tools on games of the released PyGaSe: nothing of it is changed, and it notices nothing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.raw import RawServer

from pygase.tools._recording import Story


@pytest.fixture
def record(tmp_path):
    """Record a server until told to stop; gives what happened."""
    processes = []

    def start(*arguments):
        path = tmp_path / "game.pgr"
        command = [sys.executable, "-m", "pygase", "record", *arguments[:1], str(path), *arguments[1:]]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert "Ctrl-C ends it" in process.stdout.readline()

        def stop():
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            story = Story(path)
            return story, list(story)

        return stop

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_is_recorded_by_a_client_of_its_own(start_server, record, wait_for):
    server = start_server("theirs")
    stop = record(f"localhost:{server.port}")
    server.wait("statuses() == ['Connected']")
    before = server.value("store.get_game_state().ticks")
    server.wait(f"store.get_game_state().ticks > {before + 100}")
    story, happened = stop()
    assert (story.recording.source, story.missing) == ("client", 0)
    state = happened[-1].state
    assert (state.world, state.doomed) == ({"size": [3, 0.5]}, {"a": 1, "b": 2})
    assert [it.tick for it in happened] == sorted(it.tick for it in happened)


def test_server_and_client_are_recorded_from_between(start_server, start_client, record):
    server = start_server("theirs")
    with RawServer() as free:
        port = free.port
    stop = record(f"localhost:{server.port}", "--via", f"127.0.0.1:{port}")
    client = start_client("theirs", port)
    client.run("client.dispatch_event('HELLO', 1, key='a', retries=3)")
    server.wait("got")
    ticks = client.value("state('ticks')")
    client.wait(f"state('ticks') > {ticks}")
    story, happened = stop()
    assert story.recording.source == "relay"
    events = [it.event for it in happened if it.event and it.is_up]
    assert [(it.type, it.handler_args, it.handler_kwargs) for it in events[:1]] == [
        ("HELLO", [1], {"key": "a"})
    ]
    assert happened[-1].state.ticks >= ticks
