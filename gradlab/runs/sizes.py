"""How many parameters a run has, counted from shapes alone, and runs of one size."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from ..cells import Cell
from ..config import RunConfig
from ..registry import unknown
from .build import cell_of, input_width, own_weights

EQUAL = ("hidden size", "parameters")  # what runs that are compared have in common
LARGEST = 2**20  # units that a run gets at most


def parameter_count(config: RunConfig) -> int:
    """How many numbers a run's network learns; none of them is drawn. Raises InputError as `analyze` does."""
    return _count(own_weights(config) or cell_of(config, input_width(config)))


def _count(cell: Cell) -> int:
    return sum(count * math.prod(shape) for count, shape in cell.shapes.values())


def matched(configs: Sequence[RunConfig], equal: str) -> list[RunConfig]:
    """The runs at one size. equal: "hidden size", which leaves them as they are, or "parameters".

    "parameters" gives every run the hidden size that comes nearest to the number of parameters of the first one; runs
    with weights from a file keep theirs. Raises InputError for another word, and as `analyze` does.
    """
    if equal not in EQUAL:
        raise unknown("equality", equal, list(EQUAL), "equal")
    if equal == "hidden size" or not configs:
        return list(configs)
    wanted = parameter_count(configs[0])
    return [configs[0], *(_nearest(config, wanted) for config in configs[1:])]


def _nearest(config: RunConfig, wanted: int) -> RunConfig:
    """The run with the hidden size whose number of parameters is nearest to the wanted one."""
    if config.weights is not None:
        return config
    width = input_width(config)

    def count(hidden: int) -> int:
        return _count(cell_of(config.replace(hidden_size=hidden), width))

    enough = bisect_left(range(1, LARGEST), wanted, key=count) + 1
    sizes = (max(enough - 1, 1), enough)
    return config.replace(hidden_size=min(sizes, key=lambda hidden: abs(count(hidden) - wanted)))
