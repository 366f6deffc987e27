"""Check that each module of the core knows only the layers below it, and that what is sans-IO stays so.

The layers are folders of `src`. Reports what a file names of a layer it must not know, and of sockets,
threads, clocks, files and Python where there must be none, as `file:line: message`. Tests are free.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

#: What each layer may know besides itself.
BELOW = {
    "wire": set[str](),
    "connection": {"wire"},
    "state": {"wire"},
    "endpoint": {"wire", "connection", "state"},
    "netsim": set[str](),
    "net": {"wire", "connection", "state", "endpoint", "netsim"},
}
#: What only `net` and `python` have.
OUTSIDE = re.compile(
    r"\b(std::(thread|fs|io|process|env|os)\b|(Instant|SystemTime|UdpSocket|TcpStream|TcpListener)\b"
    r"|(tokio|socket2|rustix|quinn_udp|if_addrs)::)"
)
PYTHON = re.compile(r"\bpyo3::")
NAMED = re.compile(r"\bcrate::(\w+|\{)")
TESTS = re.compile(r"^#\[cfg\(test\)\]\nmod \w+ \{.*?^\}", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Check the folder given as argument, or `src`; return 1 if something was found."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "src"
    findings = [finding for file in sorted(source.rglob("*.rs")) for finding in check(file, source)]
    print("".join(f"{finding}\n" for finding in findings), end="")
    return 1 if findings else 0


def check(file: Path, source: Path) -> Iterator[str]:
    """Yield what is wrong with a file."""
    path = file.relative_to(source)
    layer = path.parts[0].removesuffix(".rs")
    if layer not in BELOW or "tests" in (part.removesuffix(".rs") for part in path.parts):
        return
    text = file.read_text(encoding="utf-8")
    # Blank lines for what does not count, so that line numbers stay.
    text = TESTS.sub(lambda tests: "\n" * tests[0].count("\n"), text)
    text = re.sub(r"//.*", "", text)
    for named in NAMED.finditer(text):
        for name in [named[1]] if named[1] != "{" else listed(text, named.end()):
            if name in BELOW and name != layer and name not in BELOW[layer]:
                yield f"{path}:{line_of(text, named)}: {layer} knows {name}, which is not below it"
    for pattern, free in ((OUTSIDE, layer == "net"), (PYTHON, False)):
        for found in () if free else pattern.finditer(text):
            yield f"{path}:{line_of(text, found)}: {layer} uses {found[0]}"


def listed(text: str, start: int) -> Iterator[str]:
    """Yield the first name of each entry of a list in braces that begins before `start`."""
    depth, fresh = 1, True
    for token in re.finditer(r"\w+|[{},]", text[start:]):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return
        if fresh and token[0].isidentifier():
            yield token[0]
        fresh = depth == 1 and token[0] == ","


def line_of(text: str, match: re.Match[str]) -> int:
    """Return the number of the line where a match begins."""
    return text.count("\n", 0, match.start()) + 1


if __name__ == "__main__":
    sys.exit(main())
