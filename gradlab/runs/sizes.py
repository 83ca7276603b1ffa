"""How many parameters a run has, counted from shapes alone, and runs of one size."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from ..cells import Cell
from ..config import RunConfig
from ..config.architecture import embeds, is_single, is_transformer
from ..config.labels import labels
from ..errors import about
from ..registry import unknown
from .architectures import network
from .build import cell_of, input_width, own_weights
from .network_input import vocabulary_size
from .own_network import own_size

EQUAL = ("hidden size", "parameters")  # what runs that are compared have in common
LARGEST = 2**20  # units that a run gets at most


def parameter_count(config: RunConfig) -> int:
    """How many numbers a run's network learns; nothing of that size is drawn. Raises InputError as `analyze` does."""
    if config.weights is not None and not is_single(config):
        return own_size(config)
    cell = own_weights(config)
    return _of_cell(cell) if cell else _count(config, _width(config), vocabulary_size(config))


def _width(config: RunConfig) -> int:
    """Features that come in at each step; those of the vectors of words."""
    return config.input_size if embeds(config) else input_width(config)


def _count(config: RunConfig, width: int, words: int | None) -> int:
    """The same for so many input features, and vectors of so many words."""
    if is_single(config):
        return _of_cell(cell_of(config, width))
    step = _step(config)
    first, linear, quadratic = _differences(config.replace(hidden_size=step), width, words)
    n = config.hidden_size // step - 1
    return first + n * linear + n * (n - 1) // 2 * quadratic


def _step(config: RunConfig) -> int:
    """What the hidden size is a multiple of: heads share it."""
    return config.heads if is_transformer(config) else 1


@lru_cache
def _differences(config: RunConfig, width: int, words: int | None) -> tuple[int, int, int]:
    """The number of parameters at one, two and three times a hidden size, as the first value and its differences.

    A matrix has as many numbers as the hidden size squared, or times another size, so these tell all numbers there are.
    """
    sizes = [config.replace(hidden_size=n * config.hidden_size) for n in (1, 2, 3)]
    one, two, three = (sum(p.size for p in network(size, width, words).init(0).values()) for size in sizes)
    return one, two - one, three - 2 * two + one


def _of_cell(cell: Cell) -> int:
    return sum(count * math.prod(shape) for count, shape in cell.shapes.values())


def matched(configs: Sequence[RunConfig], equal: str, names: Sequence[str] | None = None) -> list[RunConfig]:
    """The runs at one size. equal: "hidden size", which leaves them as they are, or "parameters".

    "parameters" gives every run the hidden size that comes nearest to the number of parameters of the first one; runs
    with weights from a file keep theirs. names: what messages call them, as `labels` does where none are given.
    Raises InputError for another word, and, with the run's name, as `analyze` does.
    """
    if equal not in EQUAL:
        raise unknown("equality", equal, list(EQUAL), "equal")
    if equal == "hidden size" or not configs:
        return list(configs)
    (name, first), *others = zip(labels(configs) if names is None else names, configs, strict=True)
    with about("configs", name):
        wanted = parameter_count(first)
    return [first, *(_nearest(config, wanted, name) for name, config in others)]


def _nearest(config: RunConfig, wanted: int, name: str) -> RunConfig:
    """The run with the hidden size whose number of parameters is nearest to the wanted one."""
    if config.weights is not None:
        return config
    with about("configs", name):
        width, words, step = _width(config), vocabulary_size(config), _step(config)

    def sized(multiple: int) -> RunConfig:
        return config.replace(hidden_size=multiple * step)

    def count(multiple: int) -> int:
        return _count(sized(multiple), width, words)

    enough = bisect_left(range(1, LARGEST), wanted, key=count) + 1
    near = (max(enough - 1, 1), enough)
    return sized(min(near, key=lambda multiple: abs(count(multiple) - wanted)))
