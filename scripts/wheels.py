"""Build what a release consists of, check it, and test each wheel where nothing else of the project is.

    python scripts/wheels.py [3.10 ...] [--no-build] [--no-tests]

One wheel for each CPython of the project that this machine has. On Linux they are linked with zig against the
C library of manylinux2014, so that they run on systems as old as that. Checked are: what `auditwheel` finds
each wheel to be, `twine check --strict` on everything and what is in it, and that the source distribution
builds. Then each wheel is installed into a clean environment of its CPython, and the compatibility and
interoperation tests run on it. dist/ keeps the results; `--no-build` goes on with what is in there, after
tests that failed for reasons of their own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import all_pythons

ROOT = all_pythons.ROOT
DIST = ROOT / "dist"
CACHE = ROOT / ".cache" / "wheels"
PLATFORM = "manylinux2014"
ALIAS = "manylinux_2_17"  # what auditwheel calls it
TESTS = ("tests/compat", "tests/interop")
LICENCES = {"LICENSE", "THIRD-PARTY-LICENSES.txt"}
# What the source distribution has in its folder: enough to build, and to test the crate and the API.
PROJECT = {"Cargo.lock", "Cargo.toml", "PKG-INFO", "README.md", "CHANGELOG.md", "pyproject.toml"}
SOURCE = {"src", "python", "tests", "requirements-build.txt", "requirements-test.txt"} | PROJECT | LICENCES
TOOLS = Path(sys.executable).parent
# maturin looks for zig in the Python that it finds on PATH.
VARIABLES = {**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}"}


def build(interpreters: list[Path]) -> None:
    """Build the source distribution and the wheels into dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    maturin = TOOLS / "maturin"
    all_pythons.run([maturin, "sdist", "--out", DIST], VARIABLES)
    linked = ["--zig", "--compatibility", PLATFORM] if sys.platform == "linux" else []
    command = [maturin, "build", "--quiet", "--release", "--locked", *linked, "--out", DIST]
    all_pythons.run([*command, "--target-dir", "target/wheels", "--interpreter", *interpreters], VARIABLES)


def look_inside() -> None:
    """See that the files in dist/ have what they should, and nothing else; SystemExit says which has not."""
    for wheel in sorted(DIST.glob("*.whl")):
        names = set(zipfile.ZipFile(wheel).namelist())
        metadata = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
        wanted = {f"{metadata}/licenses/{name}" for name in LICENCES} | {
            "pygase/py.typed",
            "pygase/_core.pyi",
        }
        if not wanted <= names or {name.partition("/")[0] for name in names} != {"pygase", metadata}:
            sys.exit(f"{wheel.name} has not what it should: {', '.join(sorted(names))}")
    (source,) = DIST.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        found = {name.split("/")[1] for name in archive.getnames()}
    if found != SOURCE:
        sys.exit(f"{source.name} has not what it should: {', '.join(sorted(found ^ SOURCE))}")


def check() -> None:
    """Check the files in dist/; SystemExit says what is wrong with one."""
    look_inside()
    all_pythons.run([TOOLS / "twine", "check", "--strict", *sorted(DIST.iterdir())])
    if sys.platform != "linux":
        return
    for wheel in sorted(DIST.glob("*.whl")):
        command = [TOOLS / "auditwheel", "show", wheel]
        shown = subprocess.run(command, env=VARIABLES, capture_output=True, text=True, check=True).stdout
        found = re.search(r'consistent with the following platform tag: "(\w+)"', " ".join(shown.split()))
        if found is None or not found[1].startswith(ALIAS):
            sys.exit(f"{wheel.name} is no {PLATFORM} wheel:\n{shown}")
        print(f"{wheel.name}: {found[1]}", flush=True)


def build_from_source(interpreter: Path) -> None:
    """Build the source distribution as pip does, without optimisation."""
    (source,) = DIST.glob("*.tar.gz")
    variables = {
        **VARIABLES,
        "MATURIN_PEP517_ARGS": "--profile dev",
        "CARGO_TARGET_DIR": str(ROOT / "target"),
    }
    out = CACHE / "from-source"
    shutil.rmtree(out, ignore_errors=True)
    python = [interpreter, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source]
    all_pythons.run(python, variables)
    (wheel,) = out.glob("*.whl")
    print(f"{source.name} builds {wheel.name}", flush=True)


def try_out(interpreter: Path, version: str) -> str:
    """Test the wheel of a version in an environment that has just been made; return the verdict."""
    (wheel,) = DIST.glob(f"*-cp{version.replace('.', '')}-*.whl")
    folder = CACHE / version
    shutil.rmtree(folder, ignore_errors=True)
    python = all_pythons.environment(interpreter, folder)
    all_pythons.install(python, wheel)
    where = [str(python), "-c", "import pygase; print(pygase.__file__)"]
    found = subprocess.run(where, cwd=CACHE, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(found).is_relative_to(folder):
        return f"FAILED: pygase comes from {found}"
    failed = all_pythons.test(python, [], TESTS)
    return f"FAILED: {', '.join(failed)}" if failed else "passed"


def main() -> int:
    parser = argparse.ArgumentParser(description="build, check and test the distribution")
    parser.add_argument("versions", nargs="*", metavar="3.X", help="only these (default: all supported)")
    parser.add_argument("--no-build", action="store_true", help="take what is in dist/")
    parser.add_argument("--no-tests", action="store_true", help="build and check only")
    arguments = parser.parse_args()

    wanted = arguments.versions or all_pythons.supported()
    interpreters = {version: path for version in wanted if (path := all_pythons.find(version))}
    if not interpreters:
        print(f"none of Python {', '.join(wanted)} is on this machine", file=sys.stderr)
        return 1
    CACHE.mkdir(parents=True, exist_ok=True)
    if not arguments.no_build:
        build(list(interpreters.values()))
    check()
    if not arguments.no_build:
        build_from_source(next(iter(interpreters.values())))
    lines = []
    for version in wanted:
        start = time.monotonic()
        if version not in interpreters:
            verdict = "not on this machine"
        elif arguments.no_tests:
            verdict = "not tested"
        else:
            print(f"\n--- Python {version}", flush=True)
            verdict = try_out(interpreters[version], version)
        lines.append(f"Python {version:<5} {time.monotonic() - start:7.1f} s  {verdict}")
    print()
    for path in sorted(DIST.iterdir()):
        print(f"{path.stat().st_size / 1000:7.0f} kB  {path.name}")
    print("\n".join(lines))
    return int(any("FAILED" in line for line in lines))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
