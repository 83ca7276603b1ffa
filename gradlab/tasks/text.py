"""A character-level language model of any text."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ..data import input_text, text_codes
from ..lazy import lazy
from .base import Batch, register
from .windows import Windows

UNSEEN = {" ": "space", "\n": "newline", "\r": "return", "\t": "tab"}


@register
@dataclass(frozen=True)
class LanguageModel(Windows):
    """The next character of a text, at every step. Characters are bytes; the last tenth is held out.

    x (T, B, D) one-hot over the D characters that occur, targets (T, B).
    """

    path: str | os.PathLike[str] = ""

    name = "language_model"
    title = "Model a text"
    loss = "cross_entropy"
    metric = "nats per symbol"
    baseline_text = "symbol frequencies alone"
    other_nulls = {"memoryless": "pairs of symbols: what follows each, by frequency"}
    needs_file = True
    whole, unit, share_held_out = "text", "character", 0.1
    one_hot = True

    @lazy
    def codes(self) -> tuple[np.ndarray, bytes]:
        """(N,) number of each character, and the characters."""
        return text_codes(self.path)

    @property
    def said(self) -> str:
        """How the file was read."""
        return input_text(self.path)

    @property
    def sequence(self) -> np.ndarray:
        """(N,)."""
        return self.codes[0]

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes to learn from, and held-out ones."""
        return self.sequence[: self.cut], self.sequence[self.cut :]

    @property
    def input_size(self) -> int:
        """Characters that occur."""
        return len(self.codes[1])

    @property
    def output_size(self) -> int:
        """Characters that occur."""
        return len(self.codes[1])

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """The characters that occur, in words where they cannot be seen."""
        return [_shown(byte) for byte in self.codes[1]]

    class_names = feature_names

    @property
    def baseline(self) -> float:
        """Cross-entropy of the held-out text under the frequencies of the rest, one added to each."""
        return float(-np.log(self._shares)[self.parts[1]].mean())

    @lazy
    def _shares(self) -> np.ndarray:
        """(D,) of the text to learn from, one added to each count."""
        counts = np.bincount(self.parts[0], minlength=self.input_size) + 1.0
        return np.asarray(counts / counts.sum())

    @lazy
    def _pairs(self) -> np.ndarray:
        """(D, D) shares of what follows each symbol, to which `_shares` are added as if seen once more."""
        known, size = self.parts[0].astype(int), self.input_size
        counts = np.bincount(known[:-1] * size + known[1:], minlength=size * size).reshape(size, size) + self._shares
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (T, B)."""
        now, after = batch.x.argmax(axis=-1), batch.targets
        return {"baseline": -np.log(self._shares[after]), "memoryless": -np.log(self._pairs[now, after])}

    def sample_text(self, batch: Batch) -> str:
        """The first sample's characters."""
        return bytes(self.codes[1][k] for k in batch.x[:, 0].argmax(axis=-1)).decode("utf-8", "replace")

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Windows from random starts."""
        windows, starts = self.windows(rng, batch_size, held_out)
        return Batch(np.eye(self.input_size)[windows[:-1]], windows[1:].astype(int), starts=starts)


def _shown(byte: int) -> str:
    """A byte as a sign to read; one that is part of a longer character as its number."""
    sign = chr(byte)
    return UNSEEN.get(sign) or (sign if sign.isascii() and sign.isprintable() else f"0x{byte:02x}")
