"""Whatever is killed, at whatever moment: nothing is torn, and done again it comes out bit for bit the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .kills import WORKS

ROOT = Path(__file__).parents[1]
KILLS = {"training": 10}  # among the ordinary tests


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize(
    ("work", "kills"),
    [*KILLS.items(), *(pytest.param(work, 20, marks=pytest.mark.slow) for work in WORKS)],
)
def test_killed_at_random_moments(work: str, kills: int, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.kills", work, str(kills), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (f"{kills} kills\n", "", 0)
