"""Break the code in known ways and see that the tests notice.

    python scripts/mutants.py [NAME ...]

Every `tests/mutants/NAME.patch` begins with lines that say what it breaks and which tests are to notice,
then comes a unified diff (paths from the top folder, with a/ and b/):

    # about: the acknowledged number is written before the sequence number
    # test: cargo test --no-default-features wire::header

Each patch is applied to a scratch copy of the project in `.cache/mutants`, never to the project itself. A
`test` line is a `cargo test` or a `pytest` command; for `pytest` the extension module is built from the copy
when the patch touches Rust. A mutant is caught when one of its tests fails. The script fails when a mutant
survives, does not apply or does not build, or when the tests fail without any mutant.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATCHES = ROOT / "tests" / "mutants"
COPY = ROOT / ".cache" / "mutants"
# Not the project's own target folder: cargo names what it builds alike wherever a package lies, and would
# take what was built from a mutant for a build of the project.
TARGET = ROOT / ".cache" / "mutants-target"
TIMEOUT = 300.0  # seconds a test may take; a mutant that makes it hang is caught, too
# How pytest and cargo test name a test that failed.
FAILED_TEST = re.compile(r"^FAILED (\S+)|^---- (\S+) stdout ----", re.MULTILINE)
TESTS_FAILED = {"cargo": {101}, "pytest": {1}}


class Broken(Exception):
    """Something that makes the answer worthless: no survivor, but no catch either."""


@dataclasses.dataclass
class Mutant:
    """One patch and what is to catch it."""

    name: str
    about: str
    tests: list[list[str]]
    patch: Path

    @classmethod
    def read(cls, patch: Path) -> Mutant:
        """Read the head of a patch file."""
        about, tests = "", []
        for line in patch.read_text(encoding="utf-8").splitlines():
            if line.startswith("# about:"):
                about = line.removeprefix("# about:").strip()
            elif line.startswith("# test:"):
                tests.append(shlex.split(line.removeprefix("# test:")))
            elif line.startswith(("--- ", "diff ")):
                break
        known = all(test and test[0] in TESTS_FAILED for test in tests)
        if not about or not tests or not known:
            raise Broken(
                f"{patch.name}: needs '# about:' and '# test: cargo test ...' or '# test: pytest ...'"
            )
        return cls(patch.stem, about, tests, patch)

    def files(self) -> list[str]:
        """Return the files that the patch changes."""
        lines = self.patch.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix("+++ b/").split("\t")[0] for line in lines if line.startswith("+++ b/")]


class Copy:
    """The scratch copy. It stays between runs, so that only what changed is compiled again."""

    def __init__(self, folder: Path) -> None:
        """Bring `folder` up to the state of the project."""
        self.folder = folder
        self.core_built_for: str | None = None
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        output = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        wanted = {name for name in output.split("\0") if name and (ROOT / name).is_file()}
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            if str(path.relative_to(folder)) not in wanted:
                path.unlink()
        for name in sorted(wanted):
            self.restore(name)

    def restore(self, name: str) -> None:
        """Make one file what it is in the project; untouched when it is so already (for cargo's sake)."""
        source, target = ROOT / name, self.folder / name
        if not target.exists() or source.read_bytes() != target.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)  # with the time of now: cargo has to see it

    def apply(self, mutant: Mutant) -> None:
        """Apply a patch, all of it or nothing."""
        # A folder that git takes for a part of the project would make it skip the patch silently.
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        command = ["git", "apply", "--whitespace=nowarn", str(mutant.patch)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise Broken(f"{mutant.name} does not apply: {done.stderr.strip()}")
        same = [
            name for name in mutant.files() if (ROOT / name).read_bytes() == (self.folder / name).read_bytes()
        ]
        if same or not mutant.files():
            raise Broken(f"{mutant.name} changes nothing in {', '.join(same) or 'any file'}")
        now = time.time()
        for name in mutant.files():
            os.utime(self.folder / name, (now, now))

    def test(self, command: list[str], label: str, touches_rust: bool) -> tuple[bool, str]:
        """Run one test command; return whether it passed, and its output."""
        if command[0] == "cargo":
            self.run(["cargo", *with_option(command[1:], "--no-run")], f"{label} does not build")
            return self.judge("cargo", ["cargo", *with_option(command[1:], "--quiet")], label)
        self.build_core(label if touches_rust else "")
        python = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        return self.judge("pytest", [*python, *command[1:]], label)

    def build_core(self, variant: str) -> None:
        """Put an extension module beside the copy's Python files; built anew for each change in Rust."""
        if self.core_built_for == variant:
            return
        package = self.folder / "python" / "pygase"
        for old in package.glob("_core*.so"):
            old.unlink()
        self.run(
            ["cargo", "build", "--locked", "--quiet", "--lib"], f"{variant or 'the project'} does not build"
        )
        built = TARGET / "debug" / "libpygase.so"
        shutil.copyfile(built, package / "_core.so")
        self.core_built_for = variant

    def environment(self) -> dict[str, str]:
        """Return the environment for all commands: a target folder for mutants, the copy's package."""
        return {
            **os.environ,
            "CARGO_TARGET_DIR": str(TARGET),
            "PYO3_BUILD_EXTENSION_MODULE": "1",
            "PYTHONPATH": str(self.folder / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, command: list[str], complaint: str) -> None:
        """Run a command that has to succeed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True
        )
        if done.returncode:
            raise Broken(f"{complaint}: {' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def judge(self, kind: str, command: list[str], label: str) -> tuple[bool, str]:
        """Run a test runner, and tell failing tests from a runner that could not do its work."""
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return False, "timed out"
        if done.returncode and done.returncode not in TESTS_FAILED[kind]:
            raise Broken(f"{label}: {' '.join(command)} ended with {done.returncode}\n{done.stdout[-3000:]}")
        return done.returncode == 0, done.stdout + done.stderr


def with_option(arguments: list[str], option: str) -> list[str]:
    """Return the arguments of `cargo test` with options added before the filter of `--`."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:place], "--locked", option, *arguments[place:]]


def check_unharmed(copy: Copy, mutants: list[Mutant]) -> None:
    """See that all tests named by the mutants pass without a mutant, and that they exist."""
    for command in sorted({tuple(test) for mutant in mutants for test in mutant.tests}):
        passed, output = copy.test(list(command), "the project", touches_rust=False)
        if not passed:
            raise Broken(f"fails without any mutant: {' '.join(command)}\n{output[-3000:]}")


def try_mutant(copy: Copy, mutant: Mutant) -> str | None:
    """Return the test that caught a mutant, or None when it survived."""
    try:
        copy.apply(mutant)
        touches_rust = any(name.startswith("src/") for name in mutant.files())
        for command in mutant.tests:
            passed, output = copy.test(command, mutant.name, touches_rust)
            if not passed:
                failed = FAILED_TEST.search(output)
                name = (failed[1] or failed[2]) if failed else output.strip()[-200:]
                return f"{name} ({' '.join(command)})"
        return None
    finally:
        for name in mutant.files():
            copy.restore(name)


def main() -> int:
    parser = argparse.ArgumentParser(description="see that the tests notice known mistakes")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    names = parser.parse_args().names
    try:
        mutants = [Mutant.read(patch) for patch in sorted(PATCHES.glob("*.patch"))]
        unknown = set(names) - {mutant.name for mutant in mutants}
        if unknown or not mutants:
            raise Broken(f"no such mutant: {', '.join(sorted(unknown)) or 'there are none at all'}")
        mutants = [mutant for mutant in mutants if not names or mutant.name in names]
        copy = Copy(COPY)
        start = time.monotonic()
        check_unharmed(copy, mutants)
        print(f"the tests pass without a mutant ({time.monotonic() - start:.1f} s)", flush=True)
    except Broken as error:
        print(error, file=sys.stderr)
        return 1
    bad = 0
    for mutant in mutants:
        start = time.monotonic()
        try:
            caught = try_mutant(copy, mutant)
            verdict = (
                f"caught by {caught}" if caught else "SURVIVED " + "; ".join(map(" ".join, mutant.tests))
            )
        except Broken as error:
            caught, verdict = None, f"BROKEN: {error}"
        bad += caught is None
        print(f"{mutant.name}: {mutant.about}\n    {verdict} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{len(mutants) - bad} of {len(mutants)} mutants caught")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
