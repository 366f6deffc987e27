"""Count the instructions that a package pair costs the server endpoint, and fail when they grow.

    python scripts/instructions.py [--record]

Runs `benches/pairs.rs` under callgrind. The count hardly depends on the machine or on what else
runs, but on the compiler: what is recorded in benches/instructions.json is compared where compiler and
architecture are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benches" / "instructions.json"
#: How much more than recorded is a failure.
MARGIN = 0.05
CARGO = os.environ.get("CARGO", "cargo")
BUILD = "bench --locked --quiet --no-default-features --profile dev-fast --bench pairs --no-run"


def build() -> str:
    """Return the path of the program."""
    command = [CARGO, *BUILD.split(), "--message-format=json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    paths = [json.loads(line).get("executable") for line in output.splitlines()]
    return str(next(path for path in paths if path))


def count(valgrind: str, program: str) -> float:
    """Return the instructions of a package pair."""
    options = "--tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=pairs::measured*"
    result = subprocess.run([valgrind, *options.split(), program], check=True, capture_output=True, text=True)
    pairs = re.search(r"(\d+) pairs", result.stdout)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if not pairs or not collected or not int(collected[1]):
        raise SystemExit(f"callgrind said something else than usual:\n{result.stdout}{result.stderr}")
    return int(collected[1]) / int(pairs[1])


def skip(reason: str) -> int:
    """Say that nothing was compared, in a form that the summary of `make test` repeats."""
    print(f"\n===== instructions skipped: {reason} =====\n")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="record the count instead of comparing it")
    record = parser.parse_args().record
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return skip("no valgrind here, so nobody has seen whether a package pair costs more than recorded")
    version = subprocess.run(["rustc", "-V"], check=True, stdout=subprocess.PIPE, text=True).stdout
    here = {"machine": platform.machine(), "rustc": version.split()[1]}
    measured = round(count(valgrind, build()))
    if record:
        RECORD.write_text(json.dumps({**here, "instructions_per_pair": measured}, indent=2) + "\n")
        print(f"{measured} instructions for each package pair, recorded")
        return 0
    recorded = json.loads(RECORD.read_text())
    expected = recorded.pop("instructions_per_pair")
    if recorded != here:
        return skip(f"{measured} for each package pair with {here}, {expected} recorded with {recorded}")
    change = measured / expected - 1
    print(f"{measured} instructions for each package pair, {expected} recorded: {change:+.1%}")
    if change > MARGIN:
        print(f"more than {MARGIN:.0%} above: find out why, or run scripts/instructions.py --record")
        return 1
    if change < -MARGIN:
        print("far below: run scripts/instructions.py --record, so that it stays")
    return 0


if __name__ == "__main__":
    sys.exit(main())
