"""Grids of test cases of which only some come quickly; the rest is slow."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def thinned(first: Iterable, second: Iterable, one_in: int = 2) -> list[Any]:
    """Every pair as a parameter; quick is one pair in so many, each value with another one in turn."""
    pairs = product(enumerate(first), enumerate(second))
    return [pytest.param(a, b, marks=() if (i + j) % one_in == 0 else pytest.mark.slow) for (i, a), (j, b) in pairs]
