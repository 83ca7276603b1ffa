"""Sequence to sequence: what an encoder has read, a decoder says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .base import Batch, Task, register
from .memory import ALPHABET, COPIED

BLANK, MARK = len(ALPHABET), len(ALPHABET) + 1


@register
@dataclass(frozen=True)
class CopyAttention(Task):
    """Ten symbols of eight and T blanks are read; then a second net says the symbols again, and may look back at them.

    The copy memory task for an encoder and a decoder. x: the pair of (T+10, B, 10), symbols and blanks, and of
    (10, B, 10), a mark and then the symbol before each that is to be said; one-hot: symbols 0..7, blank 8, mark 9.
    targets (10, B): the symbols. Sources: of the task Arjovsky, Shah & Bengio 2016, of the look back Bahdanau, Cho &
    Bengio 2015.
    """

    name = "copy_attention"
    title = "Copy with attention"
    loss = "cross_entropy"
    output = "every"
    metric = "error rate"
    baseline_text = "without memory: any of eight symbols"
    solved_below = 0.01
    form = "pair"
    target_steps = COPIED
    least_steps = 1
    sizes = (len(ALPHABET) + 2, len(ALPHABET))
    feature_names = (*ALPHABET, "blank", "mark")
    class_names = tuple(ALPHABET)
    one_hot = True

    @property
    def length(self) -> int:
        """T + 10, of the source."""
        return self.steps + COPIED

    @property
    def baseline(self) -> float:
        """ln 8."""
        return math.log(len(ALPHABET))

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (10, B)."""
        return {"baseline": np.full(batch.targets.shape, self.baseline)}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        symbols = rng.integers(0, BLANK, (COPIED, batch_size))
        source = np.full((self.length, batch_size), BLANK)
        source[:COPIED] = symbols
        before = np.concatenate([np.full((1, batch_size), MARK), symbols[:-1]])
        one_hot = np.eye(self.input_size)
        return Batch((one_hot[source], one_hot[before]), symbols)
