"""What a bad line does, as people write it: `80ms`, `5%`, `256kbit`, or the name of a preset.

`Client`, `Server` and `Backend` take it as the option `conditions`, and the command `pygase simulate` on its
command line.

# Contents
- `Conditions`: what a line does to datagrams
- `PRESETS`: lines that players have
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["PRESETS", "Conditions"]

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_BITS = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_MOST_SECONDS = 60.0
_LEAST_BITS, _MOST_BITS = 8, 8 * (2**32 - 1)


@dataclass(frozen=True)
class Conditions:
    """What a line does to datagrams, in each direction by itself.

    Raises:
        ValueError: A value is out of range.

    Example:
        ```python
        assert Conditions.of({"latency": "80ms", "loss": "5%"}) == Conditions(latency=0.08, loss=0.05)
        assert Conditions.of("4g") == PRESETS["4g"]
        ```
    """

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
    """Bytes per second that get through; 0 for any number. 200 ms of them wait, the rest is dropped."""
    seed: int = 0
    """Decides what happens to which datagram."""

    def __post_init__(self) -> None:
        for name in ("latency", "jitter"):
            if not 0.0 <= getattr(self, name) <= _MOST_SECONDS:
                raise ValueError(f"{name} is {getattr(self, name)}, not from 0 to {_MOST_SECONDS:g} seconds")
        for name in ("loss", "duplicate", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, not a share from 0.0 to 1.0")
        if not 0 <= self.rate < 2**32:
            raise ValueError(f"rate is {self.rate}, not from 0 to {2**32 - 1} bytes per second")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed is {self.seed}, not from 0 to {2**64 - 1}")

    @classmethod
    def of(cls, value: Conditions | Mapping[str, Any] | str) -> Conditions:
        """Return conditions however they are written.

        Args:
            value: Conditions, the name of a preset, or a dict of values by name: numbers, or text such as
                `80ms`, `5%`, `256kbit`. With the key `preset`, the others change that preset.

        Raises:
            TypeError: It is none of these, or has an unknown name.
            ValueError: There is no such preset, a value has no unit or a wrong one, or is out of range.
        """
        if isinstance(value, Conditions):
            return value
        if isinstance(value, str):
            return _preset(value)
        if not isinstance(value, Mapping):
            kind = type(value).__name__
            raise TypeError(f"conditions must be a preset, a dict or Conditions, not {kind}")
        given = dict(value)
        conditions = _preset(given.pop("preset")) if "preset" in given else cls()
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"they are preset, {', '.join(known)}"
                raise TypeError(f"conditions have no {name!r}; {hint}")
        return replace(conditions, **{name: _value(name, given[name]) for name in given})

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


def _preset(name: str) -> Conditions:
    if name not in PRESETS:
        raise ValueError(f"there are no conditions {name!r}; the presets are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def _value(name: str, value: Any) -> Any:
    """Return a number as it is, and what text says."""
    if not isinstance(value, str):
        whole = name in ("rate", "seed")
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            wanted = "an int" if whole else "a number"
            raise TypeError(f"{name} must be {wanted} or text with a unit, not {value!r}")
        return value
    if name not in QUANTITIES:
        raise TypeError(f"{name} must be an int, not {value!r}")
    return QUANTITIES[name](name, value)


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


#: How the text for each value is read.
QUANTITIES: dict[str, Callable[[str, str], float]] = {
    "latency": duration,
    "jitter": duration,
    "loss": share,
    "duplicate": share,
    "reorder": share,
    "rate": rate,
}


def _quantity(name: str, text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    # Here, because it is slow to import and most games have no bad line.
    import re

    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+) *(\D*)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{name} of {text!r}: not a number with a unit, such as {example}")
    number, unit = match[1], match[2].lower()
    if unit not in units:
        problem = f"no unit {match[2]!r}" if unit else "no unit"
        raise ValueError(f"{name} of {text!r}: {problem}; write it like {example}")
    return float(number) * units[unit]
