"""No sentence of a verdict, a diagnosis or a remedy contradicts a number beside it, whatever the run."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import xarray as xr

import gradlab
from gradlab.diagnosis import Diagnosis, diagnose

from .claims import check
from .random_runs import random_run

MANY, PARTS = 2000, 10
RERUN = 10  # of so many runs the remedies of one are run too


@pytest.mark.parametrize("seed", range(40))
def test_every_sentence_holds(seed: int) -> None:
    holds(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_sentence_of_many_runs_holds(part: int) -> None:
    for seed in range(40 + part, MANY, PARTS):
        holds(seed)


def holds(seed: int) -> None:
    """Check one random run."""
    ds = random_run(seed)
    check(ds, diagnose(ds, seed % RERUN == 1))


# that what does not hold is seen


def of_verdict(*texts: str) -> Callable[[Diagnosis], Diagnosis]:
    """Other words in the details of the verdict."""
    return lambda found: replace(found, verdict=replace(found.verdict, details=said(found.verdict.details, *texts)))


def of_cause(*texts: str) -> Callable[[Diagnosis], Diagnosis]:
    """Other words in the cause."""
    return lambda found: replace(found, cause=said([found.cause], *texts)[0])


def of_reason(*texts: str) -> Callable[[Diagnosis], Diagnosis]:
    """Other words in the reason for the first remedy."""
    return lambda found: replace(
        found, remedies=[replace(found.remedies[0], why=said([found.remedies[0].why], *texts)[0])]
    )


def said(lines: list[str], old: str, new: str) -> list[str]:
    assert any(old in line for line in lines), lines
    return [line.replace(old, new) for line in lines]


WRONG = {
    "a reach": ({}, of_verdict("left): 10 of", "left): 11 of")),
    "a half-life": ({}, of_verdict("every 1.5 steps", "every 1.6 steps")),
    "a verb": ({}, of_verdict("It halves", "It doubles")),
    "a share": ({}, of_verdict("10^-20", "10^-21")),
    "a number of steps": ({}, of_verdict("step 1 of 100", "step 1 of 99")),
    "a sentence that is unknown": ({}, of_verdict("It halves", "Half of it is lost")),
    "a slope": ({}, of_cause("is only 0.65", "is only 0.75")),
    "a source": ({}, of_cause("the input and the biases drive", "the state itself drives")),
    "a cause": ({}, of_cause("The slope of tanh is only 0.", "The slope of tanh is at most 0.")),
    "weights": ({"gain": 3.0}, of_cause("2.99 (weights)", "0.99 (weights)")),
    "an exponent": ({"gain": 3.0}, of_cause("leading exponent 0.229", "leading exponent -0.229")),
    "a doubling": ({"gain": 3.0}, of_cause("doubles every 3 steps", "doubles every 4 steps")),
    "a word": ({}, lambda found: replace(found, word="carried")),
    "an error": ({}, lambda found: replace(found, stderr=0.5)),
    "a sum": ({"cell": "lstm"}, of_cause("make less than 1 together", "make about 1 together")),
    "a gate": ({"cell": "lstm"}, of_cause("open to 0.50", "open to 0.60")),
    "a rate": ({}, lambda found: replace(found, verdict=replace(found.verdict, pieces=[{"log_rate": -0.2}]))),
    "a reason": ({"cell": "lstm"}, of_reason("now 0.50", "now 0.70")),
    "a plural": ({}, of_verdict("1.5 steps", "1 steps")),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_hold_is_found(kind: str) -> None:
    fields, change = WRONG[kind]
    ds, found = checked(**fields)
    with pytest.raises(AssertionError):
        check(ds, change(found))


@cache
def checked(**fields: Any) -> tuple[xr.Dataset, Diagnosis]:
    """A run and its diagnosis, of which all holds."""
    ds = gradlab.analyze(**fields)
    found = diagnose(ds, rerun=False)
    check(ds, found)
    return ds, found
