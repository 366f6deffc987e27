"""What every comparison shares: medians with spread, stolen time, and sections of docs/performance.md."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"


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
