"""Collect the licences of the crates that are in the wheels, which have to go with them.

    python scripts/third_party.py [--check]

Writes THIRD-PARTY-LICENSES.txt, which wheels and source distribution contain; `--check` only says whether it
fits Cargo.lock. What runs while compiling alone, as macros do, is not in the wheels. Of a choice of licences
MIT is taken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "THIRD-PARTY-LICENSES.txt"
# Where .github/workflows/wheels.yml builds.
PLATFORMS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
HEAD = """\
pygase-rs is under the MIT licence, see LICENSE. Its wheels contain these crates, compiled, under the licences
below, and the standard library of Rust (https://www.rust-lang.org, MIT or Apache-2.0).
"""
LINE = "=" * 100


def run(*arguments: str) -> str:
    """Return what a command of cargo prints."""
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def linked() -> set[tuple[str, str]]:
    """Return name and version of each crate that is linked on any platform."""
    found = set()
    for platform in PLATFORMS:
        tree = run("tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--target", platform)
        for line in tree.splitlines():
            name, version, *_ = line.split()
            found.add((name, version.removeprefix("v")))
    return found - {crate for crate in found if crate[0] == "pygase"}


def crates() -> list[dict[str, object]]:
    """Return what cargo knows of the crates that are linked, by name."""
    wanted = linked()
    known = json.loads(run("metadata", "--format-version", "1"))["packages"]
    found = [crate for crate in known if (crate["name"], crate["version"]) in wanted]
    return sorted(found, key=lambda crate: (crate["name"], crate["version"]))


def text_of(crate: dict[str, object]) -> str:
    """Return the licence that comes with a crate, and its notices."""
    folder = Path(str(crate["manifest_path"])).parent
    files = sorted(
        path for path in folder.iterdir() if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))
    )
    chosen = [path for path in files if "MIT" in path.name.upper()] or files
    chosen += sorted(folder.glob("NOTICE*"))
    texts = [path.read_text(encoding="utf-8").strip() for path in chosen if path.is_file()]
    return "\n\n".join(texts)


def written() -> str:
    """Return the whole file: crates with the same text share it."""
    sharing: dict[str, list[str]] = {}
    for crate in crates():
        text = text_of(crate)
        if not text:
            sys.exit(f"{crate['name']} comes without a licence")
        sharing.setdefault(text, []).append(f"{crate['name']} {crate['version']} ({crate['license']})")
    parts = [f"{LINE}\n{', '.join(names)}\n{LINE}\n\n{text}\n" for text, names in sharing.items()]
    return "\n".join([HEAD, *parts])


def main() -> int:
    parser = argparse.ArgumentParser(description="collect the licences of the crates in the wheels")
    parser.add_argument("--check", action="store_true", help="only say whether the file is as it should be")
    check = parser.parse_args().check
    text = written()
    if check:
        if not FILE.is_file() or FILE.read_text(encoding="utf-8") != text:
            print(f"{FILE.name} does not fit Cargo.lock: make third-party", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
