"""Rates and shares from two readings of the figures of a game.

# Contents
- `View`: what is known of a game at one moment
- `Rates`: makes views of readings
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Rates", "Row", "View"]

#: Seconds over which rates are taken.
WINDOW = 5.0
#: How many values a sparkline remembers.
MEMORY = 60

Row = dict[str, Any]

#: Counters of what was not taken or not sent, by where they stand.
DROPS = {
    "server": (
        "oversize",
        "send_buffer_full",
        "send_failed",
        "receive_failed",
        "malformed",
        "evicted",
        "wrong_acks",
        "silenced",
        "over_limit",
        "over_source",
        "over_rate",
        "implausible",
        "banned",
        "bans_refused",
        "wrong_tokens",
        "shutdown_refused",
    ),
    "clients": ("malformed", "implausible", "queue_full", "over_rate", "late", "duplicate"),
    "game_loop": ("events_dropped", "overruns"),
    "errors": ("user_error", "wrong_arguments", "unknown_event"),
    "relay": ("refused", "unsent"),
}


@dataclass
class View:
    """What is known of a game at one moment. Rates are per second, times in seconds."""

    figures: dict[str, Any]
    #: A row for each client.
    rows: list[Row]
    #: What is known of the game as a whole.
    totals: dict[str, float]
    #: How often something was dropped, and how often in a second, by reason; without what never was.
    drops: dict[str, tuple[int, float]]
    #: The last values of the totals.
    history: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


class Rates:
    """Makes views of readings that come one after the other."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, dict[str, Any]]] = deque()
        self._history: dict[str, deque[float]] = {}

    def view(self, now: float, figures: dict[str, Any]) -> View:
        """Return the view that a reading gives, with those before it.

        Args:
            now: When it was read, in seconds.
            figures: The reading.
        """
        readings = self._readings
        readings.append((now, figures))
        while len(readings) > 2 and now - readings[1][0] >= WINDOW:
            readings.popleft()
        view = _between(readings[0], readings[-1])
        if len(readings) > 1:
            latest = _between(readings[-2], readings[-1]).totals
            for name, value in latest.items():
                self._history.setdefault(name, deque(maxlen=MEMORY)).append(value)
        view.history = {name: list(values) for name, values in self._history.items()}
        return view


def _between(before: tuple[float, dict[str, Any]], after: tuple[float, dict[str, Any]]) -> View:
    seconds = max(after[0] - before[0], 1e-9)
    old, new = before[1], after[1]
    is_relay = "relay" in new
    rows: list[Row] = []
    for name, gauges in new.get("clients", {}).items():
        earlier = old.get("clients", {}).get(name)
        row = (_line_row if is_relay else _client_row)(earlier or gauges, gauges, seconds)
        rows.append({"client": name, **row})
    totals: dict[str, float] = {
        "clients": len(rows),
        "away": sum(row.get("status", "connected") != "connected" for row in rows),
        **{key: sum(row[key] for row in rows) for key in ("in", "out", "bytes_in", "bytes_out")},
    }
    round_trips = [row["rtt"] for row in rows if row["rtt"]]
    totals["rtt"] = statistics.median(round_trips) if round_trips else 0.0
    if "game_loop" in new:
        loop, was = new["game_loop"], old.get("game_loop", {})
        ticks = loop["ticks"] - was.get("ticks", 0)
        totals["tick_rate"] = ticks / seconds
        busy = loop["tick_seconds"] - was.get("tick_seconds", 0.0)
        totals["tick_time"] = busy / ticks if ticks > 0 else loop["tick_time"]
    if "state" in new:
        totals["state_size"] = new["state"]["size"]
        # Numbers of updates wrap from 65535 to 1.
        totals["updates"] = (new["state"]["time_order"] - old["state"]["time_order"]) % 65535 / seconds
    return View(new, rows, totals, _drops(old, new, seconds))


def _client_row(old: Row, new: Row, seconds: float) -> Row:
    def gained(key: str) -> float:
        return float(new[key] - old[key])

    lost = max(0.0, gained("lost") - gained("acknowledged_late"))
    settled = gained("acknowledged") + gained("lost")
    is_here = new["status"] == "connected"
    return {
        "rtt": new["round_trip_time"] if is_here else None,
        "jitter": new["jitter"],
        "loss": lost / settled if settled > 0 else 0.0,
        "in": gained("received") / seconds,
        "out": gained("sent") / seconds,
        "bytes_in": gained("bytes_received") / seconds,
        "bytes_out": gained("bytes_sent") / seconds,
        "queue": new["events_to_send"] + new["events_to_handle"],
        "status": new["status"],
    }


def _line_row(old: Row, new: Row, seconds: float) -> Row:
    row: Row = {
        "rtt": new["up"]["round_trip"] + new["down"]["round_trip"],
        "rtt_server": new["up"]["round_trip"],
        "rtt_client": new["down"]["round_trip"],
    }
    for way, rate, size in (("up", "in", "bytes_in"), ("down", "out", "bytes_out")):
        gained = {key: new[way][key] - old[way][key] for key in ("packages", "bytes", "missing", "lost")}
        row[rate] = gained["packages"] / seconds
        row[size] = gained["bytes"] / seconds
        sent = gained["packages"] + max(0, gained["missing"])
        row[f"loss_{way}"] = max(0, gained["missing"] + gained["lost"]) / sent if sent > 0 else 0.0
    return row


def _drops(old: dict[str, Any], new: dict[str, Any], seconds: float) -> dict[str, tuple[int, float]]:
    drops: dict[str, tuple[int, float]] = {}
    for place, reasons in DROPS.items():
        for reason in reasons:
            count, before = (_count(figures, place, reason) for figures in (new, old))
            if count:
                known, rate = drops.get(reason, (0, 0.0))
                # A client that has left has taken its counts along.
                drops[reason] = (known + count, rate + max(0, count - before) / seconds)
    return drops


def _count(figures: dict[str, Any], place: str, reason: str) -> int:
    found = figures.get(place, {})
    if place != "clients":
        return int(found.get(reason, 0))
    return sum(gauges.get(reason, 0) for gauges in found.values())
