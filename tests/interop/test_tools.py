"""The tools on games of the released PyGaSe: nothing of it is changed, and it notices nothing."""

from __future__ import annotations

import json
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


def test_a_server_is_loaded_and_gets_every_event(start_server, wait_for):
    server = start_server("theirs")
    options = "--clients 5 --seconds 2 --event HELLO 7 --event-rate 20 --clock ticks --clock-rate 50 --json"
    command = [sys.executable, "-m", "pygase", "load", f"localhost:{server.port}", *options.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    result = json.loads(done.stdout)
    assert (result["answered"], result["joined"], result["malformed"]) == (5, 5, 0)
    assert 0 < result["rate_mean"] < 41, "40 packages a second is all that a client is sent"
    assert 0 < result["sent"] <= 5 * 41 * result["measured"]
    assert result["sent"] * 14 <= result["bytes_out"] < result["sent"] * 300
    assert 0 < result["rtt_p50"] <= result["rtt_p99"] < 1.0
    assert 0 <= result["age_p50"] <= result["age_p99"] < 1.0
    assert 0 < result["events_sent"] <= 5 * 20 * result["measured"] + 5 * 5
    wait_for(lambda: server.value("len(got)") >= result["events_sent"])
    assert server.value("[event for event in got if event != [[7], {}]]") == []
