"""Made trees, of as many nodes as are wanted, by the shape that they have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import require_size
from ..registry import Registry
from .trees import ROOT, Trees

SHAPES: Registry[Callable[[int, np.random.Generator], np.ndarray]] = Registry("tree", "tree")
CHILDREN = 2  # that a node may have


@SHAPES.register("balanced")
def _balanced(nodes: int, rng: np.random.Generator) -> np.ndarray:
    """Two children for each node, level by level, as long as there are nodes: as deep as the nodes' logarithm."""
    return (np.arange(nodes) - 1) // CHILDREN


@SHAPES.register("random")
def _random(nodes: int, rng: np.random.Generator) -> np.ndarray:
    """Each node hangs at any of the places that are free, at most two below one: about as deep as a parse tree."""
    parents, free = np.full(nodes, ROOT), [0] * CHILDREN
    for node in range(1, nodes):
        parents[node] = free.pop(int(rng.integers(len(free))))
        free += [node] * CHILDREN
    return parents


@SHAPES.register("chain")
def _chain(nodes: int, rng: np.random.Generator) -> np.ndarray:
    """One child for each node: a sequence."""
    return np.arange(nodes) - 1


def grow(shape: str, nodes: int, samples: int, rng: np.random.Generator) -> Trees:
    """So many trees of so many nodes. Raises InputError for an unknown shape and for less than one of either."""
    for name, count in {"nodes": nodes, "samples": samples}.items():
        require_size(name, count)
    make = SHAPES[shape]
    return Trees.of([make(nodes, rng).tolist() for _ in range(samples)])
