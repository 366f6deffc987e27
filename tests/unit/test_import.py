"""What `import pygase` loads, and what it leaves for later: every start of a game waits for it."""

from __future__ import annotations

import subprocess
import sys

#: Each takes long by itself, or brings many others; none is needed before something runs.
HEAVY = {
    "argparse",
    "asyncio",
    "email",
    "html",
    "http",
    "json",
    "multiprocessing",
    "rich",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "textual",
    "unittest",
    "urllib",
}


def loaded_by(code: str) -> set[str]:
    shown = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    return set(subprocess.check_output([sys.executable, "-c", shown], text=True).split())


def test_nothing_heavy_and_no_tool():
    modules = loaded_by("import pygase")
    tools = ("pygase.tools", "pygase.__main__", "pygase.aio")
    assert not {name for name in modules if name.startswith(tools)}
    assert not HEAVY & modules


def test_asyncio_comes_with_the_first_server():
    code = (
        "import sys, pygase; early = 'asyncio' in sys.modules;"
        " server = pygase.Server(pygase.GameStateStore());"
        " thread = server.run_in_thread(); server.shutdown(); thread.join();"
        " print(early, 'asyncio' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "True"]
