"""Classification of what a file or a folder has labelled."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..data import Labelled as Rows
from ..data import labelled_rows, near_one
from ..errors import InputError
from ..lazy import lazy
from .base import Batch, Task, register

HELD_OUT = 0.2  # of each class
SPLIT_SEED = 0
LISTED = 3  # of the classes that are too small, in a message


@dataclass(frozen=True)
class Labelled(Task):
    """Samples of a file, each with a class. A fifth of each class is held out."""

    path: str | os.PathLike[str] = ""

    loss = "cross_entropy"
    metric = "error rate"
    baseline_text = "class frequencies alone"
    needs_file = True
    least_steps = 1
    counts_as: ClassVar[tuple[str, str]]  # what a class and a sample are called

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        if len(counts) < 2 or counts.min() < 2:
            kind, sample = self.counts_as
            plural = f"{kind}es" if kind.endswith("s") else f"{kind}s"
            raise InputError(
                f"expected two {plural} or more with two {sample}s each, got {len(counts)} "
                f"{kind if len(counts) == 1 else plural}{self._where}{_few(self.class_names, counts)}; {self._advice}",
                self._at_fault,
            )

    _where, _advice, _at_fault = "", "add some to the file", "input"

    @property
    def named(self) -> Sequence[str]:
        """The name of each sample's class."""
        raise NotImplementedError

    @lazy
    def _classes(self) -> tuple[np.ndarray, np.ndarray]:
        names, labels = np.unique(self.named, return_inverse=True)
        return names, labels

    @property
    def labels(self) -> np.ndarray:
        """(N,) the number of each sample's class."""
        return self._classes[1]

    @property
    def class_names(self) -> list[str]:  # type: ignore[override]
        """As the file spells them."""
        return [str(name) for name in self._classes[0]]

    @abstractmethod
    def shown(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x of some samples and their lengths."""

    @lazy
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices to learn from, and held-out ones; the same share of each class."""
        rng, held = np.random.default_rng(SPLIT_SEED), []
        for k in range(self.output_size):
            own = rng.permutation(np.flatnonzero(self.labels == k))
            held.append(own[: max(1, round(HELD_OUT * len(own)))])
        held_out = np.sort(np.concatenate(held))
        return np.setdiff1d(np.arange(len(self.labels)), held_out), held_out

    @property
    def output_size(self) -> int:
        """Classes."""
        return len(self.class_names)

    @property
    def baseline(self) -> float:
        """Cross-entropy of the held-out labels under the classes' frequencies."""
        known, held = (self.labels[part] for part in self.parts)
        return float(self._costs(known)[held].mean())

    def _costs(self, known: np.ndarray) -> np.ndarray:
        """Nats that each class costs (O,) where its frequency is all that is known."""
        counts = np.bincount(known, minlength=self.output_size)
        return np.asarray(-np.log(counts / counts.sum()))

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (B,)."""
        return {"baseline": self._costs(self.labels[self.parts[0]])[batch.targets]}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Samples drawn with replacement; when held out, each at most once."""
        chosen = drawn(rng, self.parts, batch_size, held_out)
        x, lengths = self.shown(chosen)
        return Batch(x, self.labels[chosen], lengths)


def drawn(
    rng: np.random.Generator, parts: tuple[np.ndarray, np.ndarray], batch_size: int, held_out: bool
) -> np.ndarray:
    """Indices of so many samples: of those to learn from with replacement, of the held-out ones each at most once."""
    if held_out:
        return np.asarray(rng.permutation(parts[1])[:batch_size])
    return np.asarray(rng.choice(parts[0], batch_size))


@register
@dataclass(frozen=True)
class Classification(Labelled):
    """The class of a sequence: a table with a line per sequence, a column `label` (or `column`), the rest its values.

    Empty cells at a line's end make a shorter sequence; sequences beyond `steps` are cut. A fifth of each class is held
    out; values are standardised by the others.
    """

    column: str = "label"

    name = "classification"
    title = "Classify a file"
    counts_as = ("class", "sequence")
    _advice, _at_fault = "name the column that holds the labels", "column"

    @property
    def _where(self) -> str:  # type: ignore[override]
        return f" in the column '{self.column}'"

    @lazy
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """values (N, T) of a size that can be squared, and lengths (N,)."""
        read = self._read
        return near_one(read.values[:, : self.steps], axis=None), np.minimum(read.lengths, self.steps)

    @lazy
    def _read(self) -> Rows:
        return labelled_rows(self.path, self.column)

    @property
    def said(self) -> str:
        """How the file was read."""
        return self._read.said

    @property
    def labels(self) -> np.ndarray:
        """(N,)."""
        return self._read.labels

    @property
    def length(self) -> int:
        """Of the longest sequence, at most `steps`."""
        return int(self.rows[1].max())

    @property
    def class_names(self) -> list[str]:  # type: ignore[override]
        """As the file spells them."""
        return self._read.classes

    @lazy
    def _scale(self) -> tuple[float, float]:
        """Mean and spread of the known values."""
        values, lengths = (of[self.parts[0]] for of in self.rows)
        inside = values[np.arange(values.shape[1]) < lengths[:, None]]
        return float(inside.mean()), float(inside.std()) or 1.0

    def shown(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised values (T, B, 1), zero beyond the lengths (B,)."""
        values, lengths = self.rows
        mean, spread = self._scale
        x = ((values[chosen] - mean) / spread).T[: self.length, :, None]
        inside = np.arange(self.length)[:, None] < lengths[chosen]
        return np.where(inside[..., None], x, 0.0), lengths[chosen]


def _few(names: Sequence[str], counts: np.ndarray) -> str:
    """The classes that are too small to be split, the first ones by name."""
    few = [f"'{name}' has {n}" for name, n in zip(names, counts, strict=True) if n < 2]
    more = len(few) - LISTED
    return f": {', '.join(few[:LISTED])}{f' and {more:,} more as few' if more > 0 else ''}" if few else ""
