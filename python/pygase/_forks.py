"""Ends in the child of a fork what ran in its parent, because its threads are missing there."""

from __future__ import annotations

import os
import weakref
from typing import Any

from pygase import _core

__all__ = ["runs_in_this_process"]

_runners: weakref.WeakSet[Any] = weakref.WeakSet()


def runs_in_this_process(runner: Any) -> None:
    """Have the `_leave_behind` of an object called in the child of a fork, where its threads are missing.

    Args:
        runner: The object.
    """
    _runners.add(runner)


def _leave_all_behind() -> None:
    for runner in list(_runners):
        runner._leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core.fork_is_near,
        after_in_parent=_core.fork_is_over,
        after_in_child=_core.fork_is_over,
    )
    os.register_at_fork(after_in_child=_leave_all_behind)
