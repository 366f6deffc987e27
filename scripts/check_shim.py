"""Check that the Python part of PyGaSe opens no socket and packs no bytes: that is the core's job.

Reads every module below `python/pygase` and reports imports of socket, struct, ctypes and msgpack modules,
and calls of `pack`, `unpack` and integer `to_bytes` / `from_bytes`, as `file:line: message`.

`ALLOWED` are the exceptions: `pygase.aio.socket` is nothing but a socket for users of the step API, and none
that PyGaSe itself uses.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

BANNED_MODULES = {
    "_ctypes",
    "_socket",
    "_struct",
    "cffi",
    "ctypes",
    "msgpack",
    "msgspec",
    "ormsgpack",
    "socket",
    "socketserver",
    "struct",
    "umsgpack",
}
BANNED_CALLS = {
    "create_datagram_endpoint",
    "iter_unpack",
    "pack",
    "pack_into",
    "sock_recvfrom",
    "sock_sendto",
    "unpack",
    "unpack_from",
}
ALLOWED = {("pygase/_aio_socket.py", "imports socket")}


def main() -> int:
    """Check the folders given as arguments, or `python/pygase`; return how many findings there were."""
    root = Path(__file__).resolve().parent.parent
    folders = [Path(argument) for argument in sys.argv[1:]] or [root / "python" / "pygase"]
    findings = 0
    files = [
        file for folder in folders for file in sorted(folder.rglob("*.py*")) if file.suffix in (".py", ".pyi")
    ]
    if not files:
        print(f"no Python files in {', '.join(map(str, folders))}", file=sys.stderr)
        return 1
    for file in files:
        for line, message in check(ast.parse(file.read_text(encoding="utf-8"), str(file))):
            if ("/".join(file.parts[-2:]), message) not in ALLOWED:
                print(f"{file}:{line}: {message}")
                findings += 1
    return min(findings, 100)


def check(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and message of each finding in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _imports(node.lineno, [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from _imports(node.lineno, [node.module or ""])
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _imports(line: int, names: list[str]) -> Iterator[tuple[int, str]]:
    for name in names:
        if name.partition(".")[0] in BANNED_MODULES:
            yield line, f"imports {name}"


def _call(call: ast.Call) -> Iterator[tuple[int, str]]:
    if isinstance(call.func, ast.Name):
        name, owner = call.func.id, None
    elif isinstance(call.func, ast.Attribute):
        name, owner = call.func.attr, call.func.value
    else:
        return
    if name in BANNED_CALLS:
        yield call.lineno, f"calls {name}"
    elif name in ("__import__", "import_module") and call.args and isinstance(call.args[0], ast.Constant):
        yield from _imports(call.lineno, [str(call.args[0].value)])
    elif name in ("to_bytes", "from_bytes") and _packs_an_int(call, owner):
        yield call.lineno, f"calls int.{name}"


def _packs_an_int(call: ast.Call, owner: ast.expr | None) -> bool:
    """`x.to_bytes()` of a Sendable takes nothing, `from_bytes` only bytes; an int asks for size and order."""
    if isinstance(owner, ast.Name) and owner.id == "int":
        return True
    if isinstance(owner, ast.Constant) and isinstance(owner.value, int):
        return True
    arguments = len(call.args) + len(call.keywords)
    sendable = 0 if isinstance(call.func, ast.Attribute) and call.func.attr == "to_bytes" else 1
    return arguments > sendable


if __name__ == "__main__":
    sys.exit(main())
