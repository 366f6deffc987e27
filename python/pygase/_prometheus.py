"""Figures in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["exposition"]

#: What goes up and down; all other figures only grow.
GAUGES = {
    "bans",
    "bytes_to_send",
    "connections",
    "deletions",
    "events_to_handle",
    "events_to_send",
    "events_waiting",
    "game_time",
    "hello",
    "in_flight",
    "jitter",
    "longest_tick",
    "notices_waiting",
    "round_trip_time",
    "size",
    "tick_time",
    "time_order",
    "unproven_entries",
    "unproven_memory",
    "values",
}
#: Units that Prometheus wants to read in the name.
UNITS = {
    "game_time": "_seconds",
    "jitter": "_seconds",
    "longest_tick": "_seconds",
    "round_trip_time": "_seconds",
    "size": "_bytes",
    "tick_time": "_seconds",
}


def exposition(figures: dict[str, Any]) -> str:
    """Return figures as Prometheus reads them, such as `pygase_server_datagrams_sent_total 12`.

    Each client has a series of each of its figures, with its address as the label `client`.

    Args:
        figures: What `Server.stats` returns, with names for the clients.
    """
    series: dict[str, list[str]] = {}
    for name, labels, value in _walk("pygase", {key: it for key, it in figures.items() if key != "clients"}):
        series.setdefault(name, []).append(f"{name}{labels} {value}")
    for client, gauges in figures.get("clients", {}).items():
        label = client.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        for name, _, value in _walk("pygase_client", gauges):
            series.setdefault(name, []).append(f'{name}{{client="{label}"}} {value}')
    lines: list[str] = []
    for name, samples in series.items():
        lines += [f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", *samples]
    return "\n".join(lines) + "\n"


def _walk(prefix: str, figures: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    for key, value in figures.items():
        if key == "errors":  # by kind
            for kind, count in value.items():
                yield f"{prefix}_errors_total", f'{{kind="{kind}"}}', count
        elif isinstance(value, dict):
            yield from _walk(f"{prefix}_{key}", value)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, (bool, int, float)):
            unit = UNITS.get(key, "")
            yield f"{prefix}_{key}{unit}{'' if key in GAUGES else '_total'}", "", float(value)
