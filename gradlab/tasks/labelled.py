"""Classification of labelled sequences from a file."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ..data import Labelled, labelled_rows, near_one
from ..errors import InputError
from ..lazy import lazy
from .base import Batch, Task, register

HELD_OUT = 0.2  # of each class
SPLIT_SEED = 0
LISTED = 3  # of the classes that are too small, in a message


@register
@dataclass(frozen=True)
class Classification(Task):
    """The class of a sequence: a table with a line per sequence, a column `label` (or `column`), the rest its values.

    Empty cells at a line's end make a shorter sequence; sequences beyond `steps` are cut. A fifth of each class is held
    out; values are standardised by the others.
    """

    path: str | os.PathLike[str] = ""
    column: str = "label"

    name = "classification"
    title = "Classify a file"
    loss = "cross_entropy"
    metric = "error rate"
    baseline_text = "class frequencies alone"
    needs_file = True
    least_steps = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _, _, labels, names = self.rows
        counts = np.bincount(labels, minlength=len(names))
        if len(names) < 2 or counts.min() < 2:
            raise InputError(
                f"expected two classes or more with two sequences each, got {len(names)} "
                f"class{'es' if len(names) != 1 else ''} in the column '{self.column}'{_few(names, counts)}; "
                "name the column that holds the labels",
                "column",
            )

    @lazy
    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
        """values (N, T) of a size that can be squared, lengths (N,), labels (N,) and the names of the classes."""
        read = self._read
        values = near_one(read.values[:, : self.steps], axis=None)
        return values, np.minimum(read.lengths, self.steps), read.labels, read.classes

    @lazy
    def _read(self) -> Labelled:
        return labelled_rows(self.path, self.column)

    @property
    def said(self) -> str:
        """How the file was read."""
        return self._read.said

    @lazy
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices to learn from, and held-out ones; the same share of each class."""
        _, _, labels, names = self.rows
        rng, held = np.random.default_rng(SPLIT_SEED), []
        for k in range(len(names)):
            own = rng.permutation(np.flatnonzero(labels == k))
            held.append(own[: max(1, round(HELD_OUT * len(own)))])
        held_out = np.sort(np.concatenate(held))
        return np.setdiff1d(np.arange(len(labels)), held_out), held_out

    @property
    def length(self) -> int:
        """Of the longest sequence, at most `steps`."""
        return int(self.rows[1].max())

    @property
    def output_size(self) -> int:
        """Classes."""
        return len(self.rows[3])

    @property
    def class_names(self) -> list[str]:  # type: ignore[override]
        """As the file spells them."""
        return self.rows[3]

    @property
    def baseline(self) -> float:
        """Cross-entropy of the held-out labels under the classes' frequencies."""
        known, held = (self.rows[2][part] for part in self.parts)
        counts = np.bincount(known, minlength=self.output_size)
        return float(-np.log(counts / counts.sum())[held].mean())

    @lazy
    def _scale(self) -> tuple[float, float]:
        """Mean and spread of the known values."""
        values, lengths = self.rows[0][self.parts[0]], self.rows[1][self.parts[0]]
        inside = values[np.arange(values.shape[1]) < lengths[:, None]]
        return float(inside.mean()), float(inside.std()) or 1.0

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Sequences drawn with replacement; when held out, each at most once."""
        part = self.parts[held_out]
        if held_out:
            chosen = rng.permutation(part)[:batch_size]
        else:
            chosen = rng.choice(part, batch_size)
        values, lengths, labels, _ = self.rows
        mean, spread = self._scale
        x = ((values[chosen] - mean) / spread).T[: self.length, :, None]
        inside = np.arange(self.length)[:, None] < lengths[chosen]
        return Batch(np.where(inside[..., None], x, 0.0), labels[chosen], lengths[chosen])


def _few(names: list[str], counts: np.ndarray) -> str:
    """The classes that are too small to be split, the first ones by name."""
    few = [f"'{name}' has {n}" for name, n in zip(names, counts, strict=True) if n < 2]
    more = len(few) - LISTED
    return f": {', '.join(few[:LISTED])}{f' and {more:,} more as few' if more > 0 else ''}" if few else ""
