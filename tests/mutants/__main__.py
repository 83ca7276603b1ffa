"""Does a test notice when a line is wrong? `python -m tests.mutants [--number N] [--seed N] [FILE ...]`, run by hand.

Draws mutants of the files below, or of those that are named, runs the tests of their room on each in a copy of the
project, and lists the survivors: lines that no test needs, or changes that make no difference. Half a minute each.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from .mutate import Mutant, mutants

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
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


def survives(case: Case, copies: "SimpleQueue[Path]") -> bool:
    """Whether all tests pass on a mutant: those that are called like the file first, then those of its room."""
    copy = copies.get()
    original = (ROOT / case.path).read_text("utf-8")
    try:
        (copy / case.path).write_text(case.mutant.source, "utf-8")
        own = sorted(map(str, (copy / "tests").rglob(f"test_{Path(case.path).stem}*.py")))
        return all(passes(tests, copy) for tests in (own, [case.tests]) if tests)
    finally:
        (copy / case.path).write_text(original, "utf-8")
        copies.put(copy)


def passes(tests: list[str], copy: Path) -> bool:
    """Whether these tests pass there."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
    try:
        return subprocess.run(command, cwd=copy, capture_output=True, timeout=LIMIT, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def copied(folder: Path) -> Path:
    """The project's files in a folder of their own."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
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
    copies: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        for n in range(AT_ONCE):
            copies.put(copied(Path(scratch) / str(n)))
        left = 0
        for case, survived in zip(drawn, pool.map(lambda case: survives(case, copies), drawn), strict=True):
            left += survived
            mark = "SURVIVES" if survived else "noticed "
            print(f"{mark} {case.path}:{case.mutant.line}  {case.mutant.text}", flush=True)
    print(f"{len(drawn) - left} of {len(drawn)} mutants were noticed ({len(found)} could be drawn)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
