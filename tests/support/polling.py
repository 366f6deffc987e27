"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time


def poll(condition, timeout=10.0):
    """Wait until `condition()` is true and return its value; fail after the deadline."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"still not true after {timeout} s"
        time.sleep(0.005)
