"""Tasks whose answer lies far back: adding, copying, temporal order, recall, XOR, parity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import quiet
from .base import LARGEST_ERROR, Batch, Task, register

ADDED_VARIANCE = (0.9 / 3 + 1 / 3) / 16  # of 0.5 + (X1 + X2) / 4, X uniform in [-1, 1]; X1 is 0 in a tenth of the cases
COPIED = 10  # symbols of the copy memory task
ALPHABET = "abcdefgh"


@register
@dataclass(frozen=True)
class Adding(Task):
    """Two of T numbers in [0, 1] are marked, one in either half; the answer is their sum.

    x (T, B, 2): numbers and marks. Source: Le, Jaitly & Hinton 2015; Arjovsky, Shah & Bengio 2016.
    """

    name = "adding"
    title = "Adding"
    loss = "mse"
    metric = "mean squared error"
    baseline_text = "without memory: always 1"
    other_nulls = {"memoryless": "the last step alone: its number, where it is marked"}
    solved_below = 0.02
    sizes = (2, 1)
    feature_names = ("number", "mark")

    @property
    def baseline(self) -> float:
        """The variance of a sum of two numbers in [0, 1]: 1/6."""
        return 1 / 6

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Squared errors (B,)."""
        answers, (number, mark) = batch.targets[:, 0], batch.x[-1].T
        return {"baseline": (answers - 1) ** 2, "memoryless": (answers - 1 - mark * (number - 0.5)) ** 2}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        half = self.steps // 2
        values = rng.uniform(0, 1, (self.steps, batch_size))
        first, second = rng.integers(0, half, batch_size), rng.integers(half, self.steps, batch_size)
        x, samples = np.stack([values, np.zeros_like(values)], axis=-1), np.arange(batch_size)
        x[first, samples, 1] = x[second, samples, 1] = 1
        return Batch(x, (values[first, samples] + values[second, samples])[:, None])


@register
@dataclass(frozen=True)
class AddingHS97(Task):
    """The adding problem as first published: numbers in [-1, 1], lengths of T to 1.1 T, the answer 0.5 + (X1 + X2) / 4.

    Marks are 1, and -1 at both ends. X1 is among the first ten steps, and 0 if at the very first; X2 is before step
    T/2 - 1. A sequence is right if the error is below 0.04; the task is solved when all are. Source: Hochreiter &
    Schmidhuber 1997, section 5.4.
    """

    name = "adding_hs97"
    title = "Adding (1997)"
    loss = "mse"
    metric = LARGEST_ERROR
    baseline_text = "without memory: always 0.5"
    solved_below = 0.04
    least_steps = 24
    sizes = (2, 1)
    feature_names = ("number", "mark")

    @property
    def length(self) -> int:
        """1.1 T."""
        return self.steps + self.steps // 10

    @property
    def baseline(self) -> float:
        """The variance of the answer."""
        return ADDED_VARIANCE

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Squared errors (B,)."""
        return {"baseline": (batch.targets[:, 0] - 0.5) ** 2}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        samples = np.arange(batch_size)
        lengths = rng.integers(self.steps, self.length + 1, batch_size)
        x = np.zeros((self.length, batch_size, 2))
        x[..., 0] = rng.uniform(-1, 1, x.shape[:2])
        first = rng.integers(0, 10, batch_size)
        second = rng.integers(0, self.steps // 2 - 2, batch_size)
        second += second >= first  # any of the first T/2 - 1 that is still unmarked
        x[0, :, 1] = -1
        x[lengths - 1, samples, 1] = -1
        x[first, samples, 1] = x[second, samples, 1] = 1
        x[0, first == 0, 0] = 0
        x[np.arange(self.length)[:, None] >= lengths] = 0
        targets = 0.5 + (x[first, samples, 0] + x[second, samples, 0]) / 4
        return Batch(x, targets[:, None], lengths)


@register
@dataclass(frozen=True)
class CopyMemory(Task):
    """Ten symbols of eight, T - 1 blanks, a mark; then the ten symbols are to be said again. T = `steps`.

    x (T+20, B, 10) one-hot: symbols 0..7, blank 8, mark 9. targets (T+20, B): blank (class 8) up to the mark, then the
    symbols. Source: Arjovsky, Shah & Bengio 2016.
    """

    name = "copy_memory"
    title = "Copy memory"
    loss = "cross_entropy"
    output = "every"
    metric = "nats per symbol"
    baseline_text = "without memory: blanks, then any of eight symbols"
    least_steps = 1
    sizes = (len(ALPHABET) + 2, len(ALPHABET) + 1)
    feature_names = (*ALPHABET, "blank", "mark")
    class_names = feature_names[:-1]
    one_hot = True

    @property
    def length(self) -> int:
        """T + 20."""
        return self.steps + 2 * COPIED

    @property
    def baseline(self) -> float:
        """10 ln 8 / (T + 20)."""
        return COPIED * math.log(len(ALPHABET)) / self.length

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (T+20, B)."""
        told = np.arange(self.length) >= self.length - COPIED
        return {"baseline": np.tile(told[:, None] * math.log(len(ALPHABET)), batch.samples)}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        blank = len(ALPHABET)
        symbols = rng.integers(0, blank, (COPIED, batch_size))
        shown = np.full((self.length, batch_size), blank)
        shown[:COPIED], shown[-COPIED - 1] = symbols, blank + 1
        targets = np.full_like(shown, blank)
        targets[-COPIED:] = symbols
        return Batch(np.eye(self.input_size)[shown], targets)


@register
@dataclass(frozen=True)
class TemporalOrder(Task):
    """Which of A and B came first and second, in the second and the sixth tenth of a sequence of c, d, e and f.

    x (T, B, 6) one-hot, targets (B,) of four classes, v0 + 2 v1. Source: Pascanu, Mikolov & Bengio 2013, as their
    published generator places the symbols.
    """

    name = "temporal_order"
    title = "Temporal order"
    loss = "cross_entropy"
    metric = "error rate"
    baseline_text = "without memory: any of four classes"
    solved_below = 0.01
    least_steps = 10
    sizes = (6, 4)
    feature_names = ("A", "B", "c", "d", "e", "f")
    class_names = ("A then A", "B then A", "A then B", "B then B")
    one_hot = True

    @property
    def baseline(self) -> float:
        """ln 4."""
        return math.log(4)

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (B,)."""
        return {"baseline": np.full(batch.samples, self.baseline)}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        tenth, samples = self.steps / 10, np.arange(batch_size)
        places = [rng.integers(int(k * tenth), int((k + 1) * tenth), batch_size) for k in (1, 5)]
        v0, v1 = rng.integers(0, 2, (2, batch_size))
        shown = rng.integers(2, 6, (self.steps, batch_size))
        shown[places[0], samples], shown[places[1], samples] = v0, v1
        return Batch(np.eye(6)[shown], v0 + 2 * v1)


@register
@dataclass(frozen=True)
class DelayedRecall(Task):
    """A marked bit in the first tenth of T random bits is to be recalled at the end.

    x (T, B, 2): bits as -1 and 1, and the mark. targets (B, 1): 0 or 1.
    """

    name = "delayed_recall"
    title = "Delayed recall"
    loss = "binary_cross_entropy"
    metric = "error rate"
    baseline_text = "without memory: either bit"
    solved_below = 0.01
    sizes = (2, 1)
    feature_names = ("bit", "mark")
    class_names = ("0", "1")
    marks = 1

    @property
    def baseline(self) -> float:
        """ln 2."""
        return math.log(2)

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (B,)."""
        return {"baseline": np.full(batch.samples, self.baseline)}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        samples, bits = np.arange(batch_size), rng.integers(0, 2, (self.steps, batch_size))
        x = np.stack([2.0 * bits - 1, np.zeros(bits.shape)], axis=-1)
        answer = np.zeros(batch_size, dtype=int)
        for k in range(self.marks):  # in the first tenth; further marks in the tenths that follow the middle
            start = (k * self.steps) // 2
            place = start + rng.integers(0, max(1, self.steps // 10), batch_size)
            x[place, samples, 1] = 1
            answer ^= bits[place, samples]
        return Batch(x, answer[:, None].astype(float))


@register
@dataclass(frozen=True)
class DelayedXOR(DelayedRecall):
    """Whether two marked bits, in the first tenth and in the sixth of T random bits, are different."""

    name = "delayed_xor"
    title = "Delayed XOR"
    class_names = ("same", "different")
    marks = 2


@register
@dataclass(frozen=True)
class Parity(Task):
    """Whether the number of ones so far is odd, at every step.

    x (T, B, 1): bits as -1 and 1. targets (T, B, 1): 0 or 1.
    """

    name = "parity"
    title = "Sequential parity"
    loss = "binary_cross_entropy"
    output = "every"
    metric = "error rate"
    baseline_text = "without memory: either answer"
    other_nulls = {"memoryless": "the bit alone: it is the answer at the first step"}
    solved_below = 0.01
    least_steps = 1
    feature_names = ("bit",)
    class_names = ("even", "odd")

    @property
    def baseline(self) -> float:
        """ln 2."""
        return math.log(2)

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (T, B)."""
        same = (batch.x > 0)[..., 0] == (batch.targets > 0)[..., 0]
        share = (1 + 1 / self.steps) / 2  # of the answers that are the bit; all of them where T is 1
        with quiet():
            alone = -np.log(np.where(same, share, 1 - share))
        return {"baseline": np.full(same.shape, self.baseline), "memoryless": alone}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        bits = rng.integers(0, 2, (self.steps, batch_size))
        return Batch(2.0 * bits[..., None] - 1, (bits.cumsum(axis=0) % 2)[..., None].astype(float))
