"""No lock of the core is held where Python code may run: who waited for it would hold the GIL for ever."""

from __future__ import annotations

import subprocess
import sys

#: A sequence number becomes an object of `pygase.utils.Sqn`, which the core imports at the first one. What is
#: asked of the connection meanwhile takes its lock.
RUN = """
import sys, types
import pygase.connection, pygase.event, pygase.utils

class Utils(types.ModuleType):
    def __getattr__(self, name):
        asked.append(int(connection.status))
        return getattr(utils, name)

asked, utils = [], pygase.utils
store = pygase.GameStateStore()
handler = pygase.event.UniversalEventHandler()
connection = pygase.connection.ServerConnection(("127.0.0.1", 1), handler, store, 5)
sys.modules["pygase.utils"] = Utils("pygase.utils")
print(int(connection.last_client_time_order), len(asked) > 0)
"""


def test_a_time_order_becomes_an_object_without_the_lock_of_its_connection():
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == ["5", "True"]
