"""Lines "this,that" of a file, letter by letter, and the fitting of a net to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.errors import InputError
from gradlab.layers import Layer
from gradlab.learning import LOSSES, OPTIMIZERS
from gradlab.learning.losses import step_weights

END = "\n"  # is behind the last letter of what is to be said
Batch = tuple[Any, np.ndarray, np.ndarray, Any]  # x, targets, how many of them count, the lengths of x


def pairs(path: Path) -> list[tuple[str, str]]:
    """What stands before and behind the first comma of every line that is not empty."""
    lines = [(n, line) for n, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()]
    for n, line in lines:
        if not all(part.strip() for part in line.partition(",")):
            raise InputError(f"{path}, line {n}: expected two texts with a comma between, got {line!r}")
    return [(left.strip(), right.strip()) for left, _, right in (line.partition(",") for _, line in lines)]


def numbered(texts: Sequence[str], letters: str) -> tuple[np.ndarray, np.ndarray]:
    """The number of each letter (T, B) among `letters`, 0 beyond the lengths (B,)."""
    lengths = np.array([len(text) for text in texts])
    table = np.zeros((lengths.max(), len(texts)), dtype=int)
    for b, text in enumerate(texts):
        table[: len(text), b] = [letters.index(letter) for letter in text]
    return table, lengths


def fit(
    net: Layer, params: dict[str, np.ndarray], batch: Callable[[np.random.Generator], Batch], updates: int
) -> Mapping[str, np.ndarray]:
    """Adam on the cross-entropy of the letters that count, with a rate that falls to zero; the loss is printed."""
    adam, rng = OPTIMIZERS["adam"](), np.random.default_rng(0)
    state = adam.init(params)
    for n in range(updates):
        x, targets, counts, lengths = batch(rng)
        outputs, tape = net.forward(params, x, lengths)
        loss, slope = LOSSES["cross_entropy"](outputs, targets, step_weights(counts, len(targets)))
        _, grads = net.backward(params, tape, slope)
        adam.step(params, grads, state, learning_rate=0.01 * (1 - n / updates))
        if (n + 1) % (updates // 5) == 0:
            print(f"update {n + 1:,}: {loss:.3f} nats per letter")
    return params
