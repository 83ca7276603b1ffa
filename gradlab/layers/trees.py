"""A batch of trees: who is whose parent. It goes to a network where the lengths of sequences go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array, require_shape, require_type, to_numpy
from ..errors import InputError, echo
from ..lazy import lazy
from ..wording import counted
from .tree_levels import Levels
from .tree_text import read_tree

ROOT = -1  # in place of a parent, and wherever a tree has no node


class Trees:
    """B trees over T places: a tree's nodes stand at its first places, children before parents, so its root last.

    parents (T, B): the place of each node's parent, -1 at the root and beyond the tree's own nodes. lengths (B,): how
    many nodes it has. order (T, B): which of the nodes that were given stands at a place, -1 beyond. A node's children
    are the first, the second ... in the order of their places. All this is in host memory, wherever a network computes.
    """

    def __init__(self, parents: Array, lengths: Array | None = None) -> None:
        """From parents of nodes that stand in order; what is beyond `lengths` (B,) may be anything.

        Raises InputError that names the node for what is no tree, or not in order: `Trees.of` takes any order.
        """
        require_type("parents", parents, "iu", "whole numbers")
        if parents.ndim != 2 or 0 in parents.shape:
            raise InputError(f"parents: expected shape (T, B), nodes first, got {tuple(parents.shape)}", "parents")
        steps, samples = (int(n) for n in parents.shape)
        self.lengths = _checked_lengths(lengths, steps, samples)
        self.own = np.arange(steps)[:, None] < self.lengths
        self.parents = np.where(self.own, to_numpy(parents).astype(np.int64), ROOT)
        self.order = np.where(self.own, np.arange(steps)[:, None], ROOT)
        for b, length in enumerate(self.lengths):
            _require_one_root(self.parents[:length, b], b)
            _require_order(self.parents[:length, b], b)

    @classmethod
    def of(cls, parents: Sequence[Any]) -> Trees:
        """From a list of parents for each tree, nodes in any order, siblings in theirs: they are sorted, see `order`.

        `arrange` brings what belongs to the nodes into the same order. Raises InputError that names the node.
        """
        if isinstance(parents, str) or not isinstance(parents, Sequence) or not parents:
            raise InputError(
                f"parents: expected a list for each tree such as [[2, 2, -1]], got {echo(parents)}", "parents"
            )
        given = [_parents_of(own, b) for b, own in enumerate(parents)]
        orders = [_post_order(own, b) for b, own in enumerate(given)]
        sizes = np.array([len(own) for own in given])
        table, order = (np.full((int(sizes.max()), len(given)), ROOT) for _ in range(2))
        for b, (own, nodes) in enumerate(zip(given, orders, strict=True)):
            places = np.append(np.argsort(nodes), ROOT)  # the last one is that of the root's parent
            table[: len(own), b], order[: len(own), b] = places[own[nodes]], nodes
        trees = cls(table, sizes)
        trees.order = order
        return trees

    @classmethod
    def parse(cls, texts: Sequence[str]) -> tuple[Trees, list[list[str]]]:
        """From a text in brackets for each tree, and its nodes' words, "" where a node has none.

        In "(3 (2 It) (4 works))" the first word in brackets is the label of a node, and what follows are its children;
        a word that is not the first is a leaf. `tree_text` has the grammar. Raises InputError with tree and character.
        """
        if isinstance(texts, str) or not isinstance(texts, Sequence):
            raise InputError(f"texts: expected a list of texts such as ['(a (b c))'], got {echo(texts)}", "texts")
        read = [read_tree(text, f"tree {b}") for b, text in enumerate(texts)]
        return cls.of([parents for parents, _ in read]), [words for _, words in read]

    def __repr__(self) -> str:
        return f"Trees({counted(self.samples, 'tree')}, {counted(int(self.lengths.sum()), 'node')})"

    def of_samples(self, samples: slice) -> Trees:
        """Some of the trees, over as many places."""
        some = Trees(self.parents[:, samples], self.lengths[samples])
        some.order = self.order[:, samples]
        return some

    @property
    def steps(self) -> int:
        """T."""
        return len(self.parents)

    @property
    def samples(self) -> int:
        """B."""
        return len(self.lengths)

    @lazy
    def heights(self) -> np.ndarray:
        """How many steps each node is above the lowest leaf under it (T, B), -1 beyond a tree's own nodes."""
        heights = np.where(self.own, 0, ROOT)
        for t in range(self.steps):
            (b,) = np.nonzero(self.parents[t] != ROOT)
            above = self.parents[t, b]
            heights[above, b] = np.maximum(heights[above, b], heights[t, b] + 1)
        return heights

    @lazy
    def depths(self) -> np.ndarray:
        """How many steps each node is below its root (T, B), -1 beyond a tree's own nodes."""
        depths = np.where(self.own, 0, ROOT)
        for t in reversed(range(self.steps)):
            (b,) = np.nonzero(self.parents[t] != ROOT)
            depths[t, b] = depths[self.parents[t, b], b] + 1
        return depths

    @lazy
    def children(self) -> np.ndarray:
        """How many children each node has (T, B)."""
        return self._family[0]

    @lazy
    def levels(self) -> Levels:
        """The nodes by height: in what order, and how many together, they are computed."""
        return Levels.of(self.parents, self.heights, *self._family)

    @lazy
    def _family(self) -> tuple[np.ndarray, np.ndarray]:
        """How many children each node has, and how many siblings stand before it (T, B)."""
        counts, before = np.zeros_like(self.parents), np.zeros_like(self.parents)
        for t, above in enumerate(self.parents):
            (b,) = np.nonzero(above != ROOT)
            before[t, b] = counts[above[b], b]
            counts[above[b], b] += 1
        return counts, before

    def arrange(self, features: Sequence[Any]) -> np.ndarray:
        """What belongs to each tree's nodes as they were given, (nodes, ...) each -> (T, B, ...), zeros beyond.

        Raises InputError for a tree with more or fewer of them than nodes, or of another shape than the first one's.
        """
        if len(features) != self.samples:
            raise InputError(f"features: expected those of {self.samples} trees, got {len(features)}", "features")
        given = [np.asarray(own) for own in features]
        out = np.zeros((self.steps, self.samples, *given[0].shape[1:]), np.result_type(*given))
        for b, (own, length) in enumerate(zip(given, self.lengths, strict=True)):
            require_shape(f"features of tree {b}", own, (int(length), *out.shape[2:]))
            out[:length, b] = own[self.order[:length, b]]
        return out


def _checked_lengths(lengths: Array | None, steps: int, samples: int) -> np.ndarray:
    """The number of each tree's nodes (B,), all places by default."""
    if lengths is None:
        return np.full(samples, steps)
    require_type("lengths", lengths, "iu", "whole numbers")
    require_shape("lengths", lengths, (samples,))
    found = to_numpy(lengths).astype(np.int64)
    for b in np.flatnonzero((found < 1) | (found > steps)):
        raise InputError(
            f"lengths: tree {b} has {found[b]} nodes; expected 1 to T={steps}, as no tree is empty", "lengths"
        )
    return found


def _parents_of(own: Any, b: int) -> np.ndarray:
    """The parents of one tree's nodes, which are whole numbers within it, and one root."""
    parents = np.asarray(own)
    if parents.shape == (0,):
        raise InputError(f"parents: tree {b} is empty; a tree has one node at least: [-1]", "parents")
    if parents.ndim != 1 or parents.dtype.kind not in "iu":
        raise InputError(f"parents: tree {b}: expected a list of whole numbers, got {echo(own)}", "parents")
    _require_one_root(parents, b)
    return parents


def _require_one_root(parents: np.ndarray, b: int) -> None:
    """Raise InputError unless all parents are nodes of the tree, but for one."""
    nodes = len(parents)
    for node in np.flatnonzero((parents < ROOT) | (parents >= nodes)):
        raise InputError(
            f"parents: node {node} of tree {b} has the parent {parents[node]}; expected 0 to {nodes - 1}, or -1 at the "
            "root",
            "parents",
        )
    roots = np.flatnonzero(parents == ROOT)
    if len(roots) > 1:
        raise InputError(
            f"parents: tree {b} has two roots, nodes {roots[0]} and {roots[1]}; expected -1 at one node", "parents"
        )
    if not len(roots):
        raise InputError(f"parents: tree {b} has no root: {_cycle(parents, 0)}; expected -1 at one node", "parents")


def _require_order(parents: np.ndarray, b: int) -> None:
    """Raise InputError unless each node stands before its parent."""
    for node in np.flatnonzero((parents != ROOT) & (parents <= np.arange(len(parents)))):
        raise InputError(
            f"parents: node {node} of tree {b} does not stand before its parent {parents[node]}; children come before "
            "parents, which Trees.of([...]) sees to",
            "parents",
        )


def _post_order(parents: np.ndarray, b: int) -> np.ndarray:
    """The nodes of a tree, each right behind all that is below it, siblings in their order."""
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent != ROOT:
            children[parent].append(node)
    waiting, found = np.flatnonzero(parents == ROOT).tolist(), []
    while waiting:
        found.append(waiting.pop())
        waiting += children[found[-1]]
    if len(found) < len(parents):
        lost = min(set(range(len(parents))) - set(found))
        raise InputError(f"parents: tree {b} has a cycle: {_cycle(parents, lost)}", "parents")
    return np.array(found[::-1])


def _cycle(parents: np.ndarray, node: int) -> str:
    """The cycle that a node leads to, which has no root above it."""
    way = {node: 0}  # node -> how many steps it takes to come there
    while (node := int(parents[node])) not in way:
        way[node] = len(way)
    return " -> ".join(f"node {n}" for n in [*list(way)[way[node] :], node])
