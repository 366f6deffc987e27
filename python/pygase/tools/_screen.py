"""The figures of a game as text, for the live screen and for what is left of it in the end.

# Contents
- `Column`, `columns_of`: the table of clients
- `heading`: what is known of the game as a whole
- `sparkline`: a row of bars
- `plain`: all of it, to be printed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pygase.tools._rates import Row, View

__all__ = ["WIDTH", "Column", "columns_of", "heading", "in_order", "plain", "sparkline"]

#: Columns of the narrowest terminal that all of it fits into.
WIDTH = 80
_BARS = "▁▂▃▄▅▆▇█"
#: Where the sparklines begin, and how long they are.
_LEFT, _BAR_COUNT = 44, 36


@dataclass(frozen=True)
class Column:
    """A column of the table of clients."""

    key: str
    title: str
    width: int
    #: Writes a value.
    write: Callable[[Any], str]


def columns_of(view: View) -> tuple[Column, ...]:
    """Return the columns that fit a view.

    Args:
        view: The view.
    """
    return _RELAY if "relay" in view.figures else _CLIENT


def in_order(view: View, key: str, is_reversed: bool) -> list[Row]:
    """Return the rows of a view in order of a column: names from A to Z, numbers from the largest.

    Args:
        view: The view.
        key: Which column.
        is_reversed: Whether it is the other way round.
    """
    return sorted(view.rows, key=lambda row: row[key] or 0, reverse=(key != "client") != is_reversed)


def sparkline(values: Sequence[float], width: int) -> str:
    """Return a row of bars, the newest at the right; the tallest stands for the largest value.

    Args:
        values: What to show; not negative.
        width: How many of them at most.
    """
    shown = list(values)[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(7, int(8 * value / most))] for value in shown)


def heading(view: View, width: int = WIDTH) -> list[str]:
    """Return lines about the game as a whole, with sparklines.

    Args:
        view: The view.
        width: Columns of the screen.
    """
    totals = view.totals
    away = f", {totals['away']:.0f} of them away" if totals["away"] else ""
    lines = [f"clients      {totals['clients']:.0f}{away}{_state(view)}"]
    lines += _spark(view, "round trip", f"{_milliseconds(totals['rtt'])} ms (median)", "rtt", width)
    ways = ("up", "down") if "relay" in view.figures else ("in", "out")
    for name, keys in (("packages/s", ("in", "out")), ("bytes/s", ("bytes_in", "bytes_out"))):
        text = ", ".join(f"{_amount(totals[key])} {way}" for key, way in zip(keys, ways, strict=True))
        lines += _spark(view, name, text, keys[1], width)
    loop = view.figures.get("game_loop")
    if loop is not None:
        longest = _milliseconds(loop["longest_tick"])
        tick = f"{totals['tick_rate']:.1f}/s, {_milliseconds(totals['tick_time'])} ms (max {longest})"
        lines += _spark(view, "ticks", tick, "tick_time", width)
        queues = {"game loop": loop["events_waiting"], **_queues(view)}
        lines.append("queues       " + ", ".join(f"{name} {count}" for name, count in queues.items()))
    elif "updates" in totals:
        lines += _spark(view, "updates", f"{totals['updates']:.1f}/s", "updates", width)
    drops = ", ".join(
        f"{reason} {count}" + (f" ({rate:.1f}/s)" if rate else "")
        for reason, (count, rate) in view.drops.items()
    )
    lines.append(f"drops        {drops or 'none'}"[:width])
    return lines


def plain(view: View, title: str, key: str, is_reversed: bool = False) -> str:
    """Return everything as text to print.

    Args:
        view: The view.
        title: The first line.
        key: The column that clients are sorted by.
        is_reversed: Whether the other way round.
    """
    columns = columns_of(view)
    table = ["".join(_cell(column, column.title) for column in columns)]
    for row in in_order(view, key, is_reversed):
        table.append("".join(_cell(column, column.write(row[column.key])) for column in columns))
    return "\n".join(line.rstrip() for line in [title, *heading(view), "", *table])


def _cell(column: Column, text: str) -> str:
    if column.key == "client":
        return f"{text[: column.width]:<{column.width}}"
    return f"{text:>{column.width}}"


def _spark(view: View, name: str, text: str, key: str, width: int) -> list[str]:
    bars = sparkline(view.history.get(key, []), max(_BAR_COUNT, width - _LEFT))
    return [f"{name:<13}{text:<{_LEFT - 13}}{bars}"]


def _state(view: View) -> str:
    state = view.figures.get("state")
    return (
        "" if state is None else f"; state {_amount(state['size'])} bytes, {_amount(state['values'])} values"
    )


def _queues(view: View) -> dict[str, Any]:
    clients = view.figures["clients"].values()
    handlers = sum(gauges["events_to_handle"] for gauges in clients)
    return {"handlers": handlers, "to send": sum(gauges["events_to_send"] for gauges in clients)}


def _milliseconds(seconds: float | None) -> str:
    """Return a time in milliseconds, with three figures; `-` where there is none yet."""
    if seconds is None:  # and never will be
        return "away"
    value = seconds * 1e3
    if not value:
        return "-"
    decimals = 2 if value < 1 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def _amount(value: float) -> str:
    """Return a number as one reads it at a glance: 950, 1.2k, 3.4M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"


def _percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{share:.1%}"


_CLIENT = (
    Column("client", "client", 21, str),
    Column("rtt", "rtt ms", 8, _milliseconds),
    Column("jitter", "jitter", 7, _milliseconds),
    Column("loss", "loss", 7, _percent),
    Column("in", "in/s", 6, _amount),
    Column("out", "out/s", 6, _amount),
    Column("bytes_in", "B/s in", 8, _amount),
    Column("bytes_out", "B/s out", 8, _amount),
    Column("queue", "queue", 6, _amount),
)
_RELAY = (
    Column("client", "client", 21, str),
    Column("rtt_client", "rtt cl.", 8, _milliseconds),
    Column("rtt_server", "rtt srv", 8, _milliseconds),
    Column("loss_up", "loss up", 8, _percent),
    Column("loss_down", "down", 6, _percent),
    Column("in", "up/s", 6, _amount),
    Column("out", "down/s", 7, _amount),
    Column("bytes_in", "B/s up", 7, _amount),
    Column("bytes_out", "down", 6, _amount),
)
