"""What a bad line does, as people write it: `80ms`, `5%`, `256kbit`, or the name of a preset."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PRESETS", "Conditions", "duration", "rate", "share"]

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_BITS = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_MOST_SECONDS = 60.0
_LEAST_BITS, _MOST_BITS = 8, 8 * (2**32 - 1)


@dataclass(frozen=True)
class Conditions:
    """What a line does to datagrams, in each direction by itself."""

    latency: float = 0.0
    """One-way delay in seconds."""
    jitter: float = 0.0
    """Up to this much more, in seconds."""
    loss: float = 0.0
    """Share of the datagrams that never arrive, 0.0 to 1.0."""
    duplicate: float = 0.0
    """Share of the datagrams that arrive twice."""
    reorder: float = 0.0
    """Share of the datagrams that are held back for others to overtake them."""
    rate: int = 0
    """Bytes per second that get through; 0 for any number."""

    def __str__(self) -> str:
        """Return them as they are written on the command line."""
        parts = [
            f"{name} {value * 1e3:g}ms"
            for name, value in (("latency", self.latency), ("jitter", self.jitter))
            if value
        ]
        shares = (("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder))
        parts += [f"{name} {value * 100:g}%" for name, value in shares if value]
        if self.rate:
            mega = self.rate * 8 / 1e6
            parts.append(f"rate {mega:g}mbit" if mega >= 1 else f"rate {mega * 1e3:g}kbit")
        return ", ".join(parts) or "a perfect line"


#: Lines that players have, one way. Orders of magnitude, not measurements of a provider.
PRESETS = {
    "dsl": Conditions(latency=0.015, jitter=0.005, loss=0.002, rate=1_000_000 // 8),
    "4g": Conditions(latency=0.035, jitter=0.025, loss=0.01, reorder=0.005, rate=5_000_000 // 8),
    "wifi-cafe": Conditions(
        latency=0.02, jitter=0.06, loss=0.04, duplicate=0.005, reorder=0.02, rate=2_000_000 // 8
    ),
    "satellite": Conditions(latency=0.3, jitter=0.02, loss=0.01, rate=2_000_000 // 8),
}


def duration(name: str, text: str) -> float:
    """Return the seconds of `80ms`, `0.5s` or `900us`.

    Args:
        name: What it is, for the error.
        text: Number and unit.

    Raises:
        ValueError: It has no unit, another one, or is more than a minute.
    """
    value = _quantity(name, text, _SECONDS, "80ms or 0.5s")
    if value > _MOST_SECONDS:
        raise ValueError(f"{name} of {text}: at most {_MOST_SECONDS:g}s")
    return value


def share(name: str, text: str) -> float:
    """Return 0.05 for `5%`.

    Args:
        name: What it is, for the error.
        text: A percentage.

    Raises:
        ValueError: It has no percent sign or is more than 100%.
    """
    value = _quantity(name, text, {"%": 0.01}, "5%")
    if value > 1.0:
        raise ValueError(f"{name} of {text.removesuffix('%').strip()} %: at most 100%")
    return value


def rate(name: str, text: str) -> int:
    """Return the bytes per second of `256kbit` or `2mbit` (per second).

    Args:
        name: What it is, for the error.
        text: Number and unit.

    Raises:
        ValueError: It has no unit, another one, or is less than a byte or more than 34 gbit per second.
    """
    bits = _quantity(name, text, _BITS, "256kbit or 2mbit")
    if not _LEAST_BITS <= bits <= _MOST_BITS:
        raise ValueError(f"{name} of {text}: from {_LEAST_BITS}bit to 34gbit; leave it out for no limit")
    return round(bits / 8)


def _quantity(name: str, text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+) *(\D*)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{name} of {text!r}: not a number with a unit, such as {example}")
    number, unit = match[1], match[2].lower()
    if unit not in units:
        problem = f"no unit {match[2]!r}" if unit else "no unit"
        raise ValueError(f"{name} of {text!r}: {problem}; write it like {example}")
    return float(number) * units[unit]
