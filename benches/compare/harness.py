"""What every comparison shares: servers and load on a processor each, figures, docs/performance.md."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLAYER = str(ROOT / "benches" / "compare" / "player.py")
GAME = str(ROOT / "benches" / "compare" / "game.py")
LIMIT = str(ROOT / "target" / "dev-fast" / "examples" / "limit_server")
ORIGINAL = str(ROOT / ".venv-original" / "bin" / "python")
#: Of the server, and of the load generator.
SERVER_PROCESSOR, LOAD_PROCESSOR = "0", "1"
#: Clients that start per second.
RAMP = 1000
#: Seconds until a load generator has started, and until a server that has all its clients is in its stride.
START, WARM_UP = 0.5, 1.0
#: The share of a processor that others may take, and the share of the machine that its host may, before a
#: measurement is made again; and how often it is made.
MOST_OTHERS, MOST_STOLEN, DISTURBED_TRIES = 0.1, 0.01, 4
TICKS = os.sysconf("SC_CLK_TCK")
PORTS = itertools.count(18_500)

#: The commands that start a server, without its port.
OURS = [sys.executable, GAME]
PACED = [ORIGINAL, GAME, "--paced"]
LIMITED = [LIMIT]


@dataclass
class Served:
    """A server that runs, and what it said when it ended."""

    pid: int
    port: int
    said: dict[str, Any] = field(default_factory=dict)

    def tick_rate(self, begin: float, end: float) -> float:
        """Return how many ticks a second a game had between two moments."""
        ticks = [tick for tick in self.said.get("ticks", ()) if begin <= tick <= end]
        return (len(ticks) - 1) / (ticks[-1] - ticks[0]) if len(ticks) > 1 else 0.0


@contextmanager
def serving(command: list[str]) -> Iterator[Served]:
    """Run a server on a processor of its own.

    Args:
        command: The command that starts it when the port is appended; it prints a line before it listens.

    Yields:
        The server.
    """
    port = next(PORTS)
    command = ["taskset", "-c", SERVER_PROCESSOR, *command, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            if not server.stdout.readline():
                raise RuntimeError(f"{' '.join(command)} did not start")
            time.sleep(0.5)
            served = Served(server.pid, port)
            yield served
            server.terminate()
            served.said = json.loads(server.communicate(timeout=10)[0] or "{}")
        finally:
            server.kill()


def processor_time(pid: int) -> tuple[float, float]:
    """Return the user and the system time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def busy() -> float:
    """Return the processor time that all processes of the machine have taken, in seconds."""
    user, nice, system, _, _, irq, softirq = Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICKS


def play(command: list[str], clients: int, seconds: float, *more: str) -> dict:
    """Start a server and put a load on it; again if others, or the host, took too much of the machine.

    Args:
        command: The command that starts it when the port is appended.
        clients: How many clients.
        seconds: How long to measure.
        *more: Options for `pygase load`.

    Returns:
        What `measure` returns, with the `tick_rate` of the game.
    """
    for _ in range(DISTURBED_TRIES):
        before = stolen()
        with serving(command) as served:
            result = measure(served, clients, seconds, *more)
        result["tick_rate"] = served.tick_rate(result["begin"], result["end"])
        if result["others"] <= MOST_OTHERS and share_stolen(before) <= MOST_STOLEN:
            break
    return result


def measure(served: Served, clients: int, seconds: float, *more: str) -> dict:
    """Put a load on a server.

    Args:
        served: The server.
        clients: How many clients.
        seconds: How long to measure.
        *more: Options for `pygase load`.

    Returns:
        What `pygase load` says, with the processor time of the server, `user` and `system`, in seconds a
        second and both together in microseconds a package pair (`pair`): while all clients play, not before.
        `kernel` is the share of it that perf found in the kernel, None without perf: how the kernel itself
        divides time into user's and system's depends on what happens to run at its ticks, and a grid of
        milliseconds keeps step with them. `others` is what everybody else took, as a share of a processor.
        `begin` and `end` are when that was, and `own_processor_share` is the generator's then.
    """
    pid, address = served.pid, f"127.0.0.1:{served.port}"
    command = ["taskset", "-c", LOAD_PROCESSOR, sys.executable, "-m", "pygase", "load", address]
    command += ["--json", "--ramp", str(RAMP), "--clients", str(clients), "--seconds", str(seconds), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as generator:
        time.sleep(START + clients / RAMP + WARM_UP)
        before, all_before, start = processor_time(pid), busy(), time.monotonic()
        own_before = processor_time(generator.pid)
        kernel = kernel_share(pid, max(seconds - WARM_UP - START, 0.5))
        after, all_after, took = processor_time(pid), busy(), time.monotonic() - start
        own = (sum(processor_time(generator.pid)) - sum(own_before)) / took
        output, _ = generator.communicate()
    result = json.loads(output)
    user, system = ((later - earlier) / took for earlier, later in zip(before, after, strict=True))
    pair = 1e6 * (user + system) / (result["rate_mean"] * clients or 1.0)
    others = (all_after - all_before) / took - own - user - system
    result |= {"user": user, "system": system, "pair": pair, "kernel": kernel, "others": others}
    result["own_processor_share"] = own
    return {**result, "begin": start, "end": start + took}


def kernel_share(pid: int, seconds: float) -> float | None:
    """Sample a process for a while; return which share of its processor time is the kernel's."""
    if not shutil.which("perf"):
        time.sleep(seconds)
        return None
    with tempfile.NamedTemporaryFile() as samples:
        # A rate that does not keep step with milliseconds.
        record = f"perf record --quiet -e cpu-clock -F 1777 -p {pid} -o {samples.name} -- sleep {seconds}"
        subprocess.run(record.split(), check=True, stderr=subprocess.DEVNULL)
        report = f"perf report --stdio -i {samples.name} --sort dso --field-separator ,"
        lines = subprocess.run(report.split(), check=True, capture_output=True, text=True).stdout.splitlines()
    shares = (line.split("%")[0] for line in lines if line.strip().endswith("[kernel.kallsyms]"))
    return sum(float(share) for share in shares) / 100


def noise(runs: list[dict], before: tuple[int, int]) -> str:
    """Say what others took of the machine during measurements, and its host since `before`."""
    others = max(run["others"] for run in runs)
    return f"""Others on the machine took {max(others, 0):.0%} of a processor at most, and
{share_stolen(before):.1%} of its processor time was stolen."""


def player(python: str, port: int, what: str, count: int, *options: str) -> list[float]:
    """Run `player.py` beside a server; return the milliseconds it measured."""
    command = ["taskset", "-c", LOAD_PROCESSOR, python, PLAYER, str(port), what, str(count), *options]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return [1000 * seconds for seconds in json.loads(output.stdout)]


def held(runs: list[dict]) -> str:
    """Return the least share of clients that were held."""
    return f"{min(run['held'] for run in runs):.1%}"


def rtt(runs: list[dict]) -> str:
    """Return the round trip that 99 % of the packages stayed below, in milliseconds."""
    return spread([1000 * (run["rtt_p99"] or 0) for run in runs], 1)


def busiest(runs: list[dict]) -> str:
    """Return the largest share of its processor that the load generator took."""
    return f"{max(run['own_processor_share'] for run in runs):.0%}"


def stolen() -> tuple[int, int]:
    """Return what another machine took of this one's processors, and all time, in ticks since the start."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


def share_stolen(before: tuple[int, int]) -> float:
    """Return the share of processor time that was stolen since `before`."""
    steal, total = stolen()
    return (steal - before[0]) / max(total - before[1], 1)


def spread(values: list[float], digits: int = 2) -> str:
    """Return the median, with the least and the largest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_section(title: str, text: str) -> None:
    """Write a section of the page, in place of the one with the same title if there is one."""
    page = PAGE.read_text() if PAGE.exists() else "# Performance\n"
    section = f"## {title}\n\n{text.strip()}\n\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    replaced, count = pattern.subn(lambda _: section, page)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text((replaced if count else f"{page.rstrip()}\n\n{section}").rstrip() + "\n")
