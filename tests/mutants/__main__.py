"""Does a test notice when a line is wrong? `python -m tests.mutants [--number N] [--seed N] [FILE ...]`, run by hand.

Draws mutants of the files below, or of those that are named, runs the tests of their rooms on each until one fails, and
lists the survivors: lines that no test needs. Mutants that make no difference are not drawn: `declared/` has them.
Each is tried in a child of one process that has collected the tests, or, where code that is imported already cannot be
changed, in a process of its own. A few seconds each.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from .equivalent import declared
from .mutate import mutants
from .trials import AT_ONCE, LATE, NOTHING, ROOT, UNABLE, Case, Trials, case_text

PYTEST = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
FILES = {  # the rooms whose tests should notice what is wrong
    "gradlab/engine/*.py": ("tests/engine", "tests/cells", "tests/products"),
    "gradlab/learning/clip*.py": ("tests/learning",),
    "gradlab/learning/optimizers.py": ("tests/learning",),
    "gradlab/training/checkpoint.py": (
        "tests/training/test_checkpoint.py",
        "tests/training/test_checkpoint_damaged.py",
    ),
    "gradlab/diagnosis/*.py": ("tests/diagnosis",),
    "gradlab/config/links.py": ("tests/config",),
    "dashboard/form.py": ("tests/dashboard/test_form.py",),
}


def cases(named: list[str]) -> Iterator[Case]:
    """Every mutant of the files."""
    for pattern, rooms in FILES.items():
        for file in sorted(ROOT.glob(pattern)):
            path = str(file.relative_to(ROOT))
            if not named or path in named:
                yield from (Case(path, rooms, mutant) for mutant in mutants(file.read_text("utf-8")))


def tried_alone(case: Case, limit: float) -> str:
    """What becomes of the tests where the mutant is what is imported."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "mutant.py"
        source.write_text(case.mutant.source, "utf-8")
        settings = os.environ | {"MUTANT_OF": str(ROOT / case.path), "MUTANT": str(source)}
        command = [sys.executable, "-B", "-m", "pytest", *PYTEST, "-p", "tests.mutants.alone"]
        command += case.rooms
        try:
            done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            return LATE
    return "noticed" if done.returncode else NOTHING


def main() -> int:
    """Draw, run, and list the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("files", nargs="*")
    asked = parser.parse_args()
    known, everything = declared(), [*cases(asked.files)]
    found = [case for case in everything if not any(e.covers(case.path, case.mutant) for e in known)]
    drawn = random.Random(asked.seed).sample(found, min(asked.number, len(found)))
    trials = Trials(drawn)
    os.chdir(ROOT)
    if pytest.main([*PYTEST, "-s", *trials.rooms], plugins=[trials]) not in (0, 5):  # 5: as no test ran in this process
        return 1
    unable = [case for case, failed in trials.found.items() if failed == UNABLE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        trials.found.update(zip(unable, pool.map(partial(tried_alone, limit=trials.limit), unable), strict=True))
    left, late = ([case for case, failed in trials.found.items() if failed == what] for what in (NOTHING, LATE))
    print(*(f"SURVIVES {case_text(case)}" for case in left), *(f"NO END {case_text(case)}" for case in late), sep="\n")
    print(f"{len(drawn) - len(left)} of {len(drawn)} mutants were noticed, {len(late)} as tests had no end;", end=" ")
    print(f"{len(found)} can be drawn, and {len(everything) - len(found)} more are known to make no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
