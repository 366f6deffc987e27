"""The script in the README runs as it is typed there, and is as short as promised."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
PORT = "8080"


def script():
    scripts = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(scripts) == 1
    return scripts[0]


def port_is_free():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", int(PORT)))
        except OSError:
            return False
    return True


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_it_is_twenty_lines():
    lines = [line for line in script().splitlines() if line.strip()]
    assert len(lines) <= 20


@pytest.mark.timeout(30)
def test_it_runs_as_typed(tmp_path):
    text = script()
    assert PORT in text
    if not port_is_free():  # somebody else's server: the rest of the script can still be tried
        text = text.replace(PORT, free_port())
    file = tmp_path / "counter.py"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=25, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    seen = re.findall(r"the client sees (\d+) after", done.stdout)
    assert seen == ["5", "10", "15"]
