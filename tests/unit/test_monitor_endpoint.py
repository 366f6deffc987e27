"""`Server(monitor=...)`: figures for the same user of the same machine, and for nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
import sys
import time

import pytest

import pygase
from pygase._monitor import socket_path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a TCP port serves instead")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@contextlib.contextmanager
def serving(**settings):
    server = pygase.Server(pygase.GameStateStore(pygase.GameState(x=1)), **settings)
    thread = server.run_in_thread(port=0)
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


def ask(place, path, host="localhost", method="GET"):
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with socket.socket(family) as asking:
        asking.settimeout(5)
        asking.connect(place)
        asking.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: asking.recv(4096), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def a_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def a_client_of(server):
    client = pygase.Client()
    client.connect_in_thread(port=server.port)
    while not server.connections:
        time.sleep(0.01)
    return client


def test_serves_what_stats_returns_to_this_user_only():
    with serving(monitor=True) as server:
        path = socket_path(server.port)
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        client = a_client_of(server)
        status, body = ask(path, "/stats")
        client.disconnect()
        figures = json.loads(body)
        (address,) = figures["clients"]
        assert (status, set(figures)) == (200, set(server.stats()))
        assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
    assert not os.path.exists(path)


def test_nothing_is_opened_unless_asked():
    with serving() as server:
        assert not os.path.exists(socket_path(server.port))


def test_prometheus_reads_every_figure_once():
    with serving(monitor=a_free_port()) as server:
        client = a_client_of(server)
        place = ("127.0.0.1", server.options.monitor)
        status, body = ask(place, "/metrics", host=f"localhost:{place[1]}")
        client.disconnect()
    assert status == 200
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", body, re.M))
    samples = re.findall(r"^(\w+)(\{\w+=\"[^\"]*\"\})? (\S+)$", body, re.M)
    assert len(types) + len(samples) == body.count("\n")
    assert {name for name, _, _ in samples} == set(types)
    assert len({(name, labels) for name, labels, _ in samples}) == len(samples)
    assert types["pygase_server_datagrams_sent_total"] == "counter"
    assert types["pygase_server_connections"] == "gauge"
    values = {(name, labels.partition("=")[0]): float(value) for name, labels, value in samples}
    assert values["pygase_server_connections", ""] == 1
    assert values["pygase_client_sent_total", "{client"] > 0
    assert values["pygase_client_round_trip_time_seconds", "{client"] >= 0


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/stats", "host": "evil.example"}, 403),
        ({"path": "/stats", "host": "localhost.evil.example"}, 403),
        ({"path": "/stats", "method": "POST"}, 405),
        ({"path": "/"}, 404),
    ],
)
def test_other_requests_are_refused(request_, status):
    with serving(monitor=True) as server:
        assert ask(socket_path(server.port), **request_)[0] == status


def test_noise_and_silence_keep_nobody_from_the_figures():
    with serving(monitor=True) as server, contextlib.ExitStack() as stack:
        path = socket_path(server.port)
        for noise in (b"", b"\xff" * 100, b"x" * 10_000):
            talker = stack.enter_context(socket.socket(socket.AF_UNIX))
            talker.connect(path)
            talker.sendall(noise)
        assert ask(path, "/stats")[0] == 200


def test_a_socket_left_behind_is_replaced():
    with serving() as server:
        port = server.port
    path = socket_path(port)
    os.makedirs(os.path.dirname(path), mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    server = pygase.Server(pygase.GameStateStore(), monitor=True)
    thread = server.run_in_thread(port=port)
    assert ask(path, "/stats")[0] == 200
    server.shutdown()
    thread.join()


def test_a_folder_open_to_others_is_not_used():
    os.makedirs(os.path.dirname(socket_path(1)))
    os.chmod(os.path.dirname(socket_path(1)), 0o755)
    server = pygase.Server(pygase.GameStateStore(), monitor=True)
    with pytest.raises(OSError, match="is not for this user only: remove it, or set TMPDIR"):
        server.run_in_thread(port=0)
    assert server.port is None


def test_a_taken_port_is_said_and_the_server_can_run_again():
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        port = taker.getsockname()[1]
        server = pygase.Server(pygase.GameStateStore(), monitor=port)
        with pytest.raises(OSError, match=rf"cannot serve the figures of the server at 127.0.0.1:{port}"):
            server.run_in_thread(port=0)
    thread = server.run_in_thread(port=0)
    assert ask(("127.0.0.1", port), "/stats")[0] == 200
    server.shutdown()
    thread.join()


@pytest.mark.parametrize(("value", "error"), [("yes", TypeError), (0, ValueError), (65536, ValueError)])
def test_anything_but_a_port_is_a_mistake(value, error):
    with pytest.raises(error, match="option monitor of ServerOptions must be"):
        pygase.ServerOptions(monitor=value)
