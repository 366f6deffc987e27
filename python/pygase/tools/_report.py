"""The report of `pygase load`: one HTML file with its plots in it, which loads nothing from anywhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

__all__ = ["Samples", "page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 220, 56, 28
_COLORS = ("#2563eb", "#d97706", "#dc2626")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
svg { width: 100%; height: auto } text { font: 12px system-ui, sans-serif; fill: #444 }
pre { background: #f4f4f5; padding: 1rem; overflow: auto } .line { fill: none; stroke-width: 2 }
"""


class Samples:
    """What a load reports from moment to moment, as rates and quantiles of each moment."""

    def __init__(self) -> None:
        #: Seconds, and packages per client and second.
        self.rates: list[tuple[float, float]] = []
        #: Seconds, and milliseconds, by quantile.
        self.round_trips: dict[str, list[tuple[float, float]]] = {"p50": [], "p95": [], "p99": []}
        self._before: dict[str, Any] = {"measured": 0.0, "packages": [], "rtt": {}}

    def add(self, report: dict[str, Any]) -> None:
        """Take note of a report.

        Args:
            report: What `Load.report` returned.
        """
        before, seconds = self._before, report["measured"] - self._before["measured"]
        if not report["packages"] or seconds < 0.2:
            return
        gained = sum(report["packages"]) - sum(before["packages"])
        self.rates.append((report["measured"], gained / seconds / len(report["packages"])))
        bars = [
            (tenths, count - before["rtt"].get(tenths, 0)) for tenths, count in sorted(report["rtt"].items())
        ]
        for name, points in self.round_trips.items():
            wanted, seen = int(name[1:]) / 100 * sum(count for _, count in bars), 0
            for tenths, count in bars:
                seen += count
                if count and seen >= wanted:
                    points.append((report["measured"], (tenths + 1) / 10))
                    break
        self._before = report


def page(title: str, text: str, samples: Samples, rounds: Sequence[dict[str, Any]]) -> str:
    """Return the report.

    Args:
        title: Its title.
        text: The result as it was printed.
        samples: The moments of the last load.
        rounds: The results of all loads, if there were several.
    """
    plots = [
        _plot("packages per second and client", "s", {"mean": samples.rates}),
        _plot("round trip time in ms", "s", samples.round_trips),
    ]
    if len(rounds) > 1:
        ordered = sorted(rounds, key=lambda result: result["clients"])
        rates = [(result["clients"], result["rate_p1"]) for result in ordered]
        times = [(result["clients"], (result["rtt_p95"] or 0.0) * 1e3) for result in ordered]
        plots.append(_plot("packages per second of the slowest percent, by clients", "", {"p1": rates}))
        plots.append(_plot("round trip time in ms, by clients", "", {"p95": times}))
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{name}</title>\n'
        f"<style>{_STYLE}</style>\n"
        f"<h1>{name}</h1>\n<pre>{html.escape(text.strip())}</pre>\n{''.join(plots)}</html>\n"
    )


def _plot(title: str, unit: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    points = [point for line in lines.values() for point in line]
    right = max((x for x, _ in points), default=0.0) or 1.0
    top = 1.1 * max((y for _, y in points), default=0.0) or 1.0
    across, up = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - 8

    def place(x: float, y: float) -> str:
        return f"{_LEFT + across * x / right:.1f},{8 + up * (1 - y / top):.1f}"

    drawn: list[str] = []
    for part in range(5):
        y = 8 + up * (1 - part / 4)
        drawn.append(f'<path d="M{_LEFT} {y:.0f}H{_WIDTH - 8}" stroke="#ddd"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{top * part / 4:.3g}</text>')
        x = _LEFT + across * part / 4
        drawn.append(
            f'<text x="{x:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{right * part / 4:.3g}{unit}</text>'
        )
    for (name, line), color in zip(lines.items(), _COLORS, strict=False):
        path = " ".join(place(x, y) for x, y in line)
        drawn.append(
            f'<polyline class="line" stroke="{color}" points="{path}"><title>{name}</title></polyline>'
        )
    legend = " ".join(
        f'<span style="color:{color}">{name}</span>' for name, color in zip(lines, _COLORS, strict=False)
    )
    return f'<h2>{title}</h2><p>{legend}</p>\n<svg viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(drawn)}</svg>\n'
