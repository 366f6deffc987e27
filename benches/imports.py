"""What `import pygase` takes: milliseconds over an interpreter that imports nothing, and the ratio.

python benches/imports.py [--repeats 40]

Bytecode is there, as after an installation by pip. The interpreters take turns, so that a machine that gets
slower meanwhile does it to both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

#: What is imported; asyncio for scale, as most of what would be felt.
PROGRAMS = {"nothing": "pass", "asyncio": "import asyncio", "pygase": "import pygase"}
#: Milliseconds that `import pygase` is to stay below.
GOAL = 50.0


def run(program: str, environment: dict[str, str]) -> float:
    """Return the milliseconds that an interpreter takes for a program."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40, help="interpreters to start of each kind")
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(repeats + 1):
            for name, program in PROGRAMS.items():
                taken = run(program, environment)
                if turn:  # the first one compiles
                    times[name].append(taken)
    bare = statistics.median(times["nothing"])
    print(f"median of {repeats} interpreters, and the middle half of them:")
    for name, measured in times.items():
        low, middle, high = statistics.quantiles(measured, n=4)
        line = f"{name:<8} {middle:6.1f} ms ({low:.1f} to {high:.1f}), {middle / bare:.2f} x nothing"
        print(line if name == "nothing" else f"{line}: the import takes {middle - bare:.1f} ms")
    verdict = "below" if statistics.median(times["pygase"]) - bare < GOAL else "NOT below"
    print(f"import pygase is {verdict} {GOAL:.0f} ms")


if __name__ == "__main__":
    main()
