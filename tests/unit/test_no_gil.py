"""Where the interpreter says that it runs without a GIL, containers are copied before they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODEC = Path(__file__).with_name("test_codec.py")

#: No other answer of this interpreter can be had, so it is given for it: once, before the first value.
RUN = f"""
import sys
import pytest

asked = []

def enabled():
    asked.append(None)
    return False

sys._is_gil_enabled = enabled
from pygase._core import packb
before = len(asked)
assert packb([{{"a": 1}}]) == bytes.fromhex("9181a16101")
assert len(asked) == before + 1, asked
packb(1)
assert len(asked) == before + 1, asked
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {str(CODEC)!r}, "-k", "not random"]))
"""


def test_the_bytes_and_the_errors_are_the_same():
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
