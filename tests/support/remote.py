"""A Python interpreter in a process of its own, steered line by line: `Remote` here, the other end below.

Every line is JSON. Requests: `{"run": "statements"}` or `{"value": "expression"}`; answers: `{"ok": ...}`
or `{"error": "traceback"}`. The other end needs nothing but the standard library, so that it runs in the
environment of the released PyGaSe as well. What the game prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time


class RemoteError(AssertionError):
    """What went wrong over there."""


class Remote:
    """The steering end."""

    def __init__(self, python=sys.executable, isolated=False, cwd=None):
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        if isolated:
            # The path of the build under test must not get in front of the other environment's pygase.
            for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
                environment.pop(name, None)
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        self.process = subprocess.Popen(
            [python, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
            cwd=cwd,
        )

    def ask(self, request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RemoteError(f"the process ended with {self.process.wait(10)}:\n{self.errors()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(answer["error"] + "\n" + self.errors())
        return answer["ok"]

    def run(self, code):
        """Run statements over there."""
        self.ask({"run": textwrap.dedent(code)})

    def start(self, code):
        """Begin to run statements over there, and do not wait for the answer; `finish` does."""
        self.process.stdin.write(json.dumps({"run": textwrap.dedent(code)}) + "\n")
        self.process.stdin.flush()

    def finish(self):
        """Wait for what was started."""
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RemoteError(answer["error"] + "\n" + self.errors())

    def value(self, expression):
        """Evaluate an expression over there; what JSON does not know comes as its `repr`."""
        return self.ask({"value": expression})

    def wait(self, expression, timeout=15.0):
        """Evaluate an expression until it is true."""
        end = time.monotonic() + timeout
        while True:
            value = self.value(expression)
            if value:
                return value
            if time.monotonic() > end:
                raise RemoteError(f"still not true after {timeout} s: {expression}\n{self.errors()}")
            time.sleep(0.02)

    def errors(self):
        """What it wrote to stderr."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def close(self):
        """End it, whatever it does."""
        try:
            self.process.stdin.close()
            self.process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    """Serve requests until stdin ends."""
    import traceback

    # The folder of this file must not be on the path: its module names are no package's.
    sys.path[0] = ""
    answers, sys.stdout = sys.stdout, sys.stderr
    namespace = {"__name__": "remote"}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "run" in request:
                exec(compile(request["run"], "<remote>", "exec"), namespace)
                answer = {"ok": None}
            else:
                answer = {"ok": eval(request["value"], namespace)}
            text = json.dumps(answer, default=repr)
        except BaseException:
            text = json.dumps({"error": traceback.format_exc()})
        answers.write(text + "\n")
        answers.flush()
    # Whatever still runs is of no interest.
    os._exit(0)


if __name__ == "__main__":
    main()
