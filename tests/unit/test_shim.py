"""The lint that keeps sockets and packing out of the Python part."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_shim.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_shim_is_clean():
    done = run()
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import socket", "imports socket"),
        ("from struct import Struct", "imports struct"),
        ("import asyncio, ctypes.util", "imports ctypes.util"),
        ("import umsgpack as x", "imports umsgpack"),
        ("m = __import__('socket')", "imports socket"),
        ("x = (5).to_bytes(2, 'big')", "calls int.to_bytes"),
        ("x = n.to_bytes(length=2)", "calls int.to_bytes"),
        ("x = int.from_bytes(b'ab')", "calls int.from_bytes"),
        ("x = Sqn.from_bytes(b'ab', 'big')", "calls int.from_bytes"),
        ("x = s.pack('>H', 5)", "calls pack"),
        ("x = unpack('>H', b)", "calls unpack"),
    ],
)
def test_findings_name_file_and_line(tmp_path, line, message):
    (tmp_path / "module.py").write_text(f'"""Nothing here."""\n\n{line}\n')
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stdout == f"{tmp_path / 'module.py'}:3: {message}\n"


def test_the_exception_is_for_one_file_and_one_module(tmp_path):
    folder = tmp_path / "pygase"
    folder.mkdir()
    (folder / "_aio_socket.py").write_text("import socket as _socket\n")
    assert run(tmp_path).returncode == 0
    (folder / "_aio_socket.py").write_text("import socket, struct\n")
    (folder / "aio.py").write_text("import socket\n")
    assert run(tmp_path).returncode == 2


def test_no_false_alarm_and_no_silent_miss(tmp_path):
    (tmp_path / "module.py").write_text("a = event.to_bytes()\nb = Event.from_bytes(data)\nimport asyncio\n")
    assert run(tmp_path).returncode == 0
    assert run(tmp_path / "nothing").returncode == 1
    assert callable(runpy.run_path(str(SCRIPT))["check"])
