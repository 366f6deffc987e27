"""A program in a terminal of its own, as a person runs it: keys in, what is on the screen out."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|P.*?\x1b\\|[@-Z\\-_=>])")


class Terminal:
    """Runs a program in a pseudo-terminal; what it writes is kept without its escape sequences."""

    def __init__(self, command, columns=80, rows=24, **options):
        self._end, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", **options.pop("env", {})}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), inside)
        self.process = subprocess.Popen(
            command, **streams, env=environment, start_new_session=True, **options
        )
        os.close(inside)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._raw = ""

    @property
    def shown(self):
        """All that was written so far, as lines."""
        return _ESCAPES.sub("", self._raw).replace("\r\n", "\n")

    def until(self, text, seconds=20.0):
        """Wait until a text is written; return all that was written."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} is not there, but:\n{self.shown[-4000:]}")
        return self.shown

    def press(self, keys):
        """Press keys."""
        os.write(self._end, keys.encode())

    def wait(self, seconds=20.0):
        """Wait for the end; return the exit status."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._end)

    def _read(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._end], [], [], left)[0]:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:  # the other end is closed
            return False
        self._raw += self._decode(data)
        return bool(data)
