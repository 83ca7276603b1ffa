"""No sentence of a verdict, a diagnosis or a remedy contradicts a number beside it, whatever the run."""

import pytest

from gradlab.diagnosis import diagnose

from .claims import check
from .random_runs import random_run

MANY = 2000
RERUN = 10  # of so many one with remedies that are run


@pytest.mark.parametrize("seed", range(60))
def test_every_sentence_holds(seed: int) -> None:
    holds(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_every_sentence_of_many_runs_holds(part: int) -> None:
    for seed in range(60 + part, MANY, 10):
        holds(seed)


def holds(seed: int) -> None:
    """Check one random run."""
    ds = random_run(seed)
    check(ds, diagnose(ds, seed % RERUN == 1))
