"""How punctual the game loop is: a histogram of the time between its steps, alone and beside a busy thread.

python benches/ticks.py [--rate 50] [--seconds 5]
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections import Counter

import pygase

#: Upper ends of the classes, in milliseconds off the interval.
CLASSES = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20)


def measure(rate: float, seconds: float) -> list[float]:
    """Return the time between steps, in seconds, of a loop that plays for a while."""
    moments: list[float] = []
    machine = pygase.GameStateMachine(pygase.GameStateStore())
    machine.time_step = lambda game_state, dt: moments.append(time.perf_counter()) or {}
    thread = machine.run_game_loop_in_thread(1 / rate)
    time.sleep(seconds)
    machine.stop()
    thread.join()
    return [after - before for before, after in itertools.pairwise(moments)]


def report(name: str, steps: list[float], rate: float) -> None:
    """Print the rate and the histogram."""
    off = [abs(step - 1 / rate) * 1000 for step in steps]
    counts = Counter(next((end for end in CLASSES if value <= end), None) for value in off)
    print(f"{name}: {len(steps) / sum(steps):.2f} steps/s, at most {max(off):.2f} ms off")
    for end in (*CLASSES, None):
        if counts[end]:
            label = f"<= {end} ms" if end is not None else "more"
            print(f"  {label:>10} {counts[end]:6} {'#' * round(50 * counts[end] / len(steps))}")


def main() -> None:
    """Measure twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=50.0, help="steps per second")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure each")
    arguments = parser.parse_args()
    report("alone", measure(arguments.rate, arguments.seconds), arguments.rate)
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [sum(range(2000)) for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        report("beside a busy thread", measure(arguments.rate, arguments.seconds), arguments.rate)
    finally:
        stop.set()
        busy.join()


if __name__ == "__main__":
    main()
