"""A character-level language model of any text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..data import text_codes
from ..errors import InputError
from .base import Batch, Task, register

HELD_OUT = 0.1  # of a text: its end


@register
@dataclass(frozen=True)
class LanguageModel(Task):
    """The next character of a text, at every step. Characters are bytes; the last tenth is held out.

    x (T, B, D) one-hot over the D characters that occur, targets (T, B).
    """

    path: str | os.PathLike[str] = ""

    name = "language_model"
    title = "Model a text"
    loss = "cross_entropy"
    output = "every"
    metric = "nats per symbol"
    baseline_text = "how often each character occurs"
    needs_file = True

    def __post_init__(self) -> None:
        super().__post_init__()
        shortest = min(len(part) for part in self.parts)
        if shortest < self.steps + 1:
            raise InputError(
                f"steps: the held-out end of the text has {shortest} characters, too few for windows of {self.steps} "
                f"steps and the one after; use {max(1, shortest - 1)} or less, or a longer text"
            )

    @cached_property
    def codes(self) -> tuple[np.ndarray, bytes]:
        """(N,) number of each character, and the characters."""
        return text_codes(Path(self.path))

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes to learn from, and held-out ones."""
        codes, _ = self.codes
        cut = len(codes) - max(1, round(HELD_OUT * len(codes)))
        return codes[:cut], codes[cut:]

    @property
    def input_size(self) -> int:
        """Characters that occur."""
        return len(self.codes[1])

    @property
    def output_size(self) -> int:
        """Characters that occur."""
        return len(self.codes[1])

    @property
    def baseline(self) -> float:
        """Cross-entropy of the held-out text under the frequencies of the rest, one added to each."""
        known, held = self.parts
        counts = np.bincount(known, minlength=self.input_size) + 1.0
        return float(-np.log(counts / counts.sum())[held].mean())

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Windows from random starts."""
        part = self.parts[held_out]
        start = rng.integers(0, len(part) - self.steps, batch_size)
        windows = part[start + np.arange(self.steps + 1)[:, None]]
        return Batch(np.eye(self.input_size)[windows[:-1]], windows[1:].astype(int))
