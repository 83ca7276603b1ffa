"""In what order the nodes of many trees are computed: level by level, all nodes of one height together.

Nodes stand in rows, by height and within one height by how many children they have, those with the most first; so the
nodes with a third child are the first few of their level, whichever trees they are of. Edges, from a node to its
children, stand by the level of the parent: the first children of all its nodes, then the second ones, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array, Namespace, namespace


@dataclass(frozen=True)
class Level:
    """The nodes of one height: their rows, and the edges to their children.

    runs: (c, n) for c children each of the level's first n nodes, one run after the other; the first is of all nodes.
    """

    nodes: slice
    edges: slice
    runs: tuple[tuple[int, int], ...]

    def gather(self, edges: Array, join: Callable[..., Array], total: Callable[..., Array]) -> Array:
        """What is at the level's edges (*M, edges, F) -> joined over each node's children (*M, nodes, F).

        join: of two arrays, such as add; total: along an axis, such as sum.
        """
        out, start = None, 0
        for children, nodes in self.runs:
            stop = start + children * nodes
            part = edges[..., start:stop, :].reshape(*edges.shape[:-2], children, nodes, edges.shape[-1])
            joined, start = total(part, axis=-3), stop
            if out is None:
                out = joined
            else:
                out[..., :nodes, :] = join(out[..., :nodes, :], joined)
        return out


@dataclass(frozen=True, eq=False)
class Levels:
    """All levels, the leaves first; N nodes and E edges of all trees together.

    places (N,): which place, counted through (T, B), is in each row. rows (T * B,): and back, N where no node is.
    children, parents (E,): the rows of the nodes that an edge connects. above (N,): the edge to a row's parent, E at
    roots. siblings (E,): how many children of the same node come before. within (E,): which node of its level the
    parent is.
    """

    levels: tuple[Level, ...]
    places: Array
    rows: Array
    children: Array
    parents: Array
    above: Array
    siblings: Array
    within: Array

    @classmethod
    def of(cls, parents: np.ndarray, heights: np.ndarray, counts: np.ndarray, siblings: np.ndarray) -> Levels:
        """From what is known of each place (T, B), parents and heights -1 where no node is."""
        samples = parents.shape[1]
        parents, heights, counts, siblings = (array.ravel() for array in (parents, heights, counts, siblings))
        places = np.flatnonzero(heights >= 0)
        places = places[np.lexsort((-counts[places], heights[places]))]
        rows = np.full(len(parents), len(places))
        rows[places] = np.arange(len(places))
        edges = np.flatnonzero(parents >= 0)  # each is known by the place of its child
        up = parents[edges] * samples + edges % samples
        edges = edges[np.lexsort((rows[up], siblings[edges], heights[up]))]
        up = parents[edges] * samples + edges % samples
        above = np.full(len(places), len(edges))
        above[rows[edges]] = np.arange(len(edges))
        levels = _levels(heights[places], counts[places])
        first = np.array([level.nodes.start for level in levels])
        within = rows[up] - first[heights[up]]
        return cls(levels, places, rows, rows[edges], rows[up], above, siblings[edges], within)

    def on(self, xp: Namespace) -> Levels:
        """The same with index arrays of a library."""
        names = ("places", "rows", "children", "parents", "above", "siblings", "within")
        return replace(self, **{name: xp.asarray(getattr(self, name)) for name in names})

    @property
    def branching(self) -> slice:
        """The rows of nodes with children."""
        return slice(self.levels[0].nodes.stop, None)

    def slots(self, level: Level, positions: int) -> Array:
        """Of a level's edges: which row of parents that have `positions` rows each, or one where that is 0."""
        within = self.within[level.edges]
        return within * positions + self.siblings[level.edges] if positions else within

    def to_rows(self, x: Array) -> Array:
        """x (T, *M, B, F) of all places -> (*M, N, F) of the nodes."""
        flat = namespace(x).moveaxis(x, 0, -3)
        return flat.reshape(*flat.shape[:-3], -1, flat.shape[-1])[..., self.places, :]

    def to_places(self, x: Array, steps: int) -> Array:
        """And back; zeros where no node is."""
        xp = namespace(x)
        with_none = xp.concatenate([x, xp.zeros_like(x[..., :1, :])], axis=-2)
        full = with_none[..., self.rows, :].reshape(*x.shape[:-2], steps, -1, x.shape[-1])
        return xp.moveaxis(full, -3, 0)


def _levels(heights: np.ndarray, counts: np.ndarray) -> tuple[Level, ...]:
    """The levels, from the heights of the rows and their numbers of children."""
    bounds = np.searchsorted(heights, np.arange(heights[-1] + 2))
    found, edge = [], 0
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        own = counts[start:stop]
        found.append(Level(slice(start, stop), slice(edge, edge + int(own.sum())), _runs(own)))
        edge = found[-1].edges.stop
    return tuple(found)


def _runs(counts: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(further children, nodes that have these) for each number of children that occurs."""
    several = np.unique(counts[counts > 0])
    further = np.diff(several, prepend=0)
    return tuple((int(n), int((counts >= c).sum())) for n, c in zip(further, several, strict=True))
