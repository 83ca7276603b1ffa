"""Arithmetic: the value of an expression, which is a tree as well as a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..layers import Trees
from ..lazy import lazy
from .base import Batch, Task, register

DIGITS = 10
SIGNS = "+-*"
LARGEST = 20  # of any part's value, either way: what would go beyond is not drawn
SECOND = DIGITS + len(SIGNS)  # the feature of a second operand
MEASURED, MEASURE_SEED = 4000, 0  # expressions whose values say what is standardised


@register
@dataclass(frozen=True)
class ArithmeticTrees(Task):
    """The value of an expression of digits such as (+ (* 3 4) (- 2 7)), of at most T digits and signs.

    To a tree net it is a tree, to others a sequence, every sign behind its operands: 3 4 * 2 7 - +. x (T, B, 14): the
    digit or the sign, one-hot, and whether it is, or makes, a second operand: what tells 2 - 7 from 7 - 2 to nets that
    sum over the children of a node. lengths: `Trees`. targets (B, 1): the value, standardised; that of no part is
    beyond 20.
    """

    name = "arithmetic_trees"
    title = "Arithmetic"
    loss = "mse"
    metric = "mean squared error"
    unit_text = "1 is the variance of the values"
    baseline_text = "always the mean"
    other_nulls = {"memoryless": "the last sign alone: the mean of what it makes"}
    solved_below = 0.02
    form = "tree"
    least_steps = 3
    sizes = (SECOND + 1, 1)
    feature_names = (*map(str, range(DIGITS)), *SIGNS, "second")

    @property
    def length(self) -> int:
        """T or T - 1: an expression has a sign less than digits."""
        return self.steps - (self.steps + 1) % 2

    @property
    def baseline(self) -> float:
        """1."""
        return 1.0

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Squared errors (B,)."""
        answers, signs = batch.targets[:, 0], batch.x[..., DIGITS:SECOND]
        last = signs[batch.lengths.lengths - 1, np.arange(batch.samples)].argmax(axis=-1)
        return {"baseline": answers**2, "memoryless": (answers - self._means[last]) ** 2}

    @lazy
    def _measured(self) -> tuple[np.ndarray, Trees, np.ndarray]:
        return self.expressions(np.random.default_rng(MEASURE_SEED), MEASURED)

    @lazy
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the values."""
        values = self._measured[2]
        return float(values.mean()), float(values.std())

    @lazy
    def _means(self) -> np.ndarray:
        """(3,) the mean standardised value of expressions with each sign last."""
        (shown, trees, values), (mean, spread) = self._measured, self.scale
        last = shown[trees.lengths - 1, np.arange(MEASURED)] - DIGITS
        return np.array([(values[last == k].mean() - mean) / spread for k in range(len(SIGNS))])

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        shown, trees, values = self.expressions(rng, batch_size)
        x = np.eye(self.input_size)[shown] * trees.own[..., None]
        x[..., SECOND] = _second(trees)
        mean, spread = self.scale
        return Batch(x, ((values - mean) / spread)[:, None], trees)

    def sample_text(self, batch: Batch) -> str:
        """The first expression in brackets."""
        texts: list[str] = []
        for k in batch.x[batch.lengths.own[:, 0], 0, :SECOND].argmax(axis=-1).tolist():
            if k >= DIGITS:
                second, first = texts.pop(), texts.pop()
            texts.append(f"({SIGNS[k - DIGITS]} {first} {second})" if k >= DIGITS else str(k))
        return texts[0]

    def answer_text(self, batch: Batch) -> str:
        """Its value, as it is."""
        mean, spread = self.scale
        return f"{round(mean + spread * float(batch.targets[0, 0]))}"

    def expressions(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, Trees, np.ndarray]:
        """Digits and signs (T, B), a sign's number after those of the digits; the trees; the values (B,).

        An expression is made as it is read, with what waits for its sign on a stack: a digit is put on top, or a sign
        takes the upper two.
        """
        digits = rng.integers(2, (self.length + 1) // 2 + 1, count)
        stack, made = _Stack(count, self.length), np.zeros(count, dtype=int)
        shown, parents = np.zeros((self.length, count), dtype=int), np.full((self.length, count), -1)
        for t in range(self.length):
            going = t < 2 * digits - 1
            joins = going & (stack.height > 1) & ((made == digits) | (rng.random(count) < 0.5))
            digit, sign = rng.integers(0, DIGITS, count), stack.sign(rng)
            shown[t] = np.where(joins, DIGITS + sign, digit)
            stack.join(joins, sign, t, parents)
            stack.push(going & ~joins, digit, t)
            made += going & ~joins
        return shown, Trees(parents, 2 * digits - 1), stack.values[0]


class _Stack:
    """Values (most, B) that wait for a sign, the nodes that made them, and how many there are of each sample."""

    def __init__(self, samples: int, most: int) -> None:
        self.values, self.nodes = np.zeros((most, samples), dtype=int), np.zeros((most, samples), dtype=int)
        self.height, self._all = np.zeros(samples, dtype=int), np.arange(samples)

    def _upper(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The upper two; of a sample with fewer, anything."""
        a, b = (np.maximum(self.height - n, 0) for n in (2, 1))
        return table[a, self._all], table[b, self._all]

    def _results(self) -> np.ndarray:
        """What each sign would make of the upper two (3, B)."""
        a, b = self._upper(self.values)
        return np.stack([a + b, a - b, a * b])

    def sign(self, rng: np.random.Generator) -> np.ndarray:
        """A sign for each sample, any of those whose result is not too large: one of + and - always is."""
        allowed = abs(self._results()) <= LARGEST
        return np.asarray((rng.random(allowed.shape) * allowed).argmax(axis=0))

    def join(self, chosen: np.ndarray, sign: np.ndarray, node: int, parents: np.ndarray) -> None:
        """In some samples, a node with a sign in the place of the upper two, whose parent it becomes."""
        result, where = self._results()[sign, self._all], np.flatnonzero(chosen)
        for children in self._upper(self.nodes):
            parents[children[where], where] = node
        self.height[where] -= 2
        self.push(chosen, result, node)

    def push(self, chosen: np.ndarray, values: np.ndarray, node: int) -> None:
        """In some samples, a value on top."""
        where = np.flatnonzero(chosen)
        self.values[self.height[where], where], self.nodes[self.height[where], where] = values[where], node
        self.height[where] += 1


def _second(trees: Trees) -> np.ndarray:
    """Whether each node (T, B) is the second child of its parent: the one that stands right before it."""
    after = np.arange(1, trees.steps + 1)[:, None]
    return np.asarray(trees.parents == after)
