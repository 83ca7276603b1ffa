"""Does a test notice when a line is wrong? `python -m tests.mutants [--number N] [--seed N] [FILE ...]`, run by hand.

Draws mutants of the files below, or of those that are named, runs the tests of their room on each in a copy of the
project until one fails, and lists the survivors: lines that no test needs, or changes that make no difference, as those
in README.md. First come the tests that noticed a mutant of the file before, then those that are called like it. A few
seconds for a mutant that is noticed, a minute for one that survives.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from .mutate import Mutant, mutants

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
PYTEST = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n", "0"]
PYTEST += ["-p", "no:cacheprovider", "-p", "tests.mutants.order"]
LIMIT = 300.0  # s; a mutant that takes longer has been noticed
FILES = {
    "gradlab/engine/*.py": "tests/engine",
    "gradlab/learning/clip*.py": "tests/learning",
    "gradlab/learning/optimizers.py": "tests/learning",
    "gradlab/training/checkpoint.py": "tests/training",
    "gradlab/diagnosis/*.py": "tests/diagnosis",
    "gradlab/config/links.py": "tests/config",
    "dashboard/form.py": "tests/dashboard/test_form.py",
}


class Case(NamedTuple):
    """A mutant of a file, and the tests that should notice it."""

    path: str
    tests: str
    mutant: Mutant


def cases(named: list[str]) -> Iterator[Case]:
    """Every mutant of the files."""
    for pattern, tests in FILES.items():
        for file in sorted(ROOT.glob(pattern)):
            path = str(file.relative_to(ROOT))
            if not named or path in named:
                yield from (Case(path, tests, mutant) for mutant in mutants(file.read_text("utf-8")))


class Room:
    """The copies of the project, and which tests have noticed a mutant: file -> test -> how many."""

    def __init__(self, scratch: Path) -> None:
        self.copies: SimpleQueue[Path] = SimpleQueue()
        self.noticed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for n in range(AT_ONCE):
            self.copies.put(copied(scratch / str(n)))

    def survives(self, case: Case) -> bool:
        """Whether all tests pass on a mutant."""
        copy = self.copies.get()
        original = (ROOT / case.path).read_text("utf-8")
        try:
            (copy / case.path).write_text(case.mutant.source, "utf-8")
            noticed = self.noticed[case.path]
            first = [*(test for test, _ in noticed.most_common()), f"test_{Path(case.path).stem}"]
            passed, failed = outcome(case.tests, copy, first)
            noticed.update([failed] if failed else [])
            return passed
        finally:
            (copy / case.path).write_text(original, "utf-8")
            self.copies.put(copy)

    def require_passes(self, tests: str) -> None:
        """Raise unless the tests pass on what is right, as they would notice everything."""
        copy = self.copies.get()
        passed, failed = outcome(tests, copy, [])
        self.copies.put(copy)
        if not passed:
            raise RuntimeError(f"{tests} fails without a change: {failed}")


def outcome(tests: str, copy: Path, first: list[str]) -> tuple[bool, str]:
    """Whether these tests pass there, and the first that fails, if it is known."""
    failed = copy / "failed"
    failed.write_text("", "utf-8")
    settings = os.environ | {"MUTANTS_FIRST": "\n".join(first), "MUTANTS_FAILED": str(failed)}
    try:
        code = subprocess.run([*PYTEST, tests], cwd=copy, env=settings, capture_output=True, timeout=LIMIT).returncode
    except subprocess.TimeoutExpired:
        return False, ""
    return code == 0, failed.read_text("utf-8")


def copied(folder: Path) -> Path:
    """The project's files in a folder of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def main() -> int:
    """Draw, run, and list the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("files", nargs="*")
    asked = parser.parse_args()
    found = [*cases(asked.files)]
    drawn = random.Random(asked.seed).sample(found, min(asked.number, len(found)))
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        room, left = Room(Path(scratch)), 0
        list(pool.map(room.require_passes, sorted({case.tests for case in drawn})))
        for case, survived in zip(drawn, pool.map(room.survives, drawn), strict=True):
            left += survived
            mark = "SURVIVES" if survived else "noticed "
            print(f"{mark} {case.path}:{case.mutant.line}  {case.mutant.text}", flush=True)
    print(f"{len(drawn) - left} of {len(drawn)} mutants were noticed ({len(found)} could be drawn)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
