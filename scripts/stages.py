"""Run make targets one after the other; show how long each took and what the test runners said last.

    python scripts/stages.py make rustfmt clippy ...

Stops at the first target that fails, and ends with its status.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

# The closing lines of cargo test and of pytest.
CLOSING = re.compile(r"^test result: .*|^=+ .*\b(passed|failed|error|errors|skipped|no tests ran)\b.* =+$")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(command: list[str]) -> tuple[int, list[str]]:
    """Run a command with its output passed on; return its status and the closing lines in it."""
    closing = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            plain = COLOURS.sub("", line).rstrip()
            # A binary without tests has nothing to say.
            if CLOSING.match(plain) and " 0 passed; 0 failed" not in plain:
                closing.append(plain)
    return process.returncode, closing


def main() -> int:
    make, *targets = sys.argv[1:]
    begin = time.monotonic()
    done: list[tuple[str, float, list[str]]] = []
    status = 0
    for target in targets:
        print(f"\n--- {target}", flush=True)
        start = time.monotonic()
        status, closing = run([*make.split(), "--no-print-directory", target])
        seconds = time.monotonic() - start
        done.append((target, seconds, closing))
        verdict = "ok" if status == 0 else f"FAILED (status {status})"
        print(f"--- {target}: {verdict}, {seconds:.1f} s", flush=True)
        if status:
            break
    print("\nstage            seconds")
    for number, (target, seconds, _) in enumerate(done, 1):
        failed = "  FAILED" if status and number == len(done) else ""
        print(f"  {target:<14} {seconds:7.1f}{failed}")
    for target in targets[len(done) :]:
        print(f"  {target:<14}       -  not run")
    print(f"  {'all':<14} {time.monotonic() - begin:7.1f}\n")
    for target, _, closing in done:
        for line in closing:
            print(f"{target}: {line}")
    print("all stages passed" if status == 0 else f"{done[-1][0]} failed", flush=True)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
