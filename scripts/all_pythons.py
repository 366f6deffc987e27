"""Run the Python tests on every CPython that the project supports and this machine has.

    python scripts/all_pythons.py [3.10 ...] [-- PYTEST ARGUMENTS]

An interpreter is found as `python3.X` on PATH, or where pyenv keeps its own. Each gets an environment and a
wheel with debug assertions under `.cache/pythons`; what is tested is the wheel, as a user would install it.
Versions that are not there are named and skipped; it fails when there are none, or when one of them does.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "pythons"
REQUIREMENTS = ROOT / "requirements-test.txt"
TESTS = ("tests/unit", "tests/compat", "tests/interop")
MATURIN = Path(sys.executable).with_name("maturin")


def supported() -> list[str]:
    """Return the versions that the package says it is for."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r"Python :: (3\.\d+)\"", text)


def candidates(version: str) -> Iterator[Path]:
    """Return where an interpreter of a version may be, the likeliest place first."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(folder or ".") / f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [path for path in pyenv.glob(f"{version}.*") if re.fullmatch(r"[\d.]+", path.name)]
    for path in sorted(found, key=lambda path: [int(part) for part in path.name.split(".")], reverse=True):
        yield path / "bin" / f"python{version}"


def find(version: str) -> Path | None:
    """Return an interpreter of a version; what pyenv puts on PATH may be there and not work."""
    check = "import platform, sys; print(platform.python_implementation(), '%d.%d' % sys.version_info[:2])"
    for path in candidates(version):
        if not path.is_file():
            continue
        done = subprocess.run([path, "-c", check], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.split() == ["CPython", version]:
            return path
    return None


def environment(interpreter: Path, folder: Path) -> Path:
    """Make an environment with what the tests need, unless it is there; return its interpreter."""
    python = folder / "bin" / "python"
    stamp = folder / "installed.txt"
    wanted = f"{interpreter}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        run([interpreter, "-m", "venv", folder])
        run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS])
        stamp.write_text(wanted, encoding="utf-8")
    return python


def install(python: Path, wheel: Path) -> None:
    """Put a wheel into an environment, instead of the one that may be there."""
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel])


def prepare(interpreter: Path, folder: Path) -> Path:
    """Make the environment for an interpreter, and install a wheel with debug assertions into it."""
    python = environment(interpreter, folder)
    wheels = folder / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    # One target folder for all: most of what is built does not know about Python.
    variables = {**os.environ, "PYO3_PYTHON": str(python), "CARGO_TARGET_DIR": str(CACHE / "target")}
    build = [MATURIN, "build", "--quiet", "--locked", "--profile", "dev", "--interpreter", python]
    run([*build, "--out", wheels], variables)
    (wheel,) = wheels.glob("*.whl")
    install(python, wheel)
    return python


def run(command: list[object], variables: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, env=variables, check=True)


def test(python: Path, arguments: list[str], folders: tuple[str, ...] = TESTS) -> list[str]:
    """Run the tests; return the folders in which one failed."""
    failed = []
    variables = {**os.environ, "VIRTUAL_ENV": str(python.parent.parent)}
    variables.pop("PYTHONPATH", None)
    for tests in folders:
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", tests, "-m", "not long", *arguments]
        if subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode:
            failed.append(tests)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description="run the Python tests on every CPython that is there")
    parser.add_argument("versions", nargs="*", metavar="3.X", help="only these (default: all supported)")
    own, more = sys.argv[1:], []
    if "--" in own:
        place = own.index("--")
        own, more = own[:place], own[place + 1 :]
    versions = parser.parse_args(own).versions or supported()
    results = []
    for version in versions:
        interpreter = find(version)
        print(f"\n--- Python {version}: {interpreter or 'not on this machine'}", flush=True)
        if interpreter is None:
            results.append((version, "skipped: not on this machine", 0.0))
            continue
        start = time.monotonic()
        try:
            failed = test(prepare(interpreter, CACHE / version), more)
            verdict = f"FAILED: {', '.join(failed)}" if failed else "passed"
        except subprocess.CalledProcessError as error:
            verdict = f"FAILED: {error}"
        results.append((version, verdict, time.monotonic() - start))
    print()
    for version, verdict, seconds in results:
        print(f"Python {version:<5} {seconds:7.1f} s  {verdict}")
    good = any(verdict == "passed" for _, verdict, _ in results)
    return 0 if good and not any("FAILED" in verdict for _, verdict, _ in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
