"""Windows of one long sequence, whose end is held out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import InputError
from ..wording import counted
from .base import BLOCKS, Batch, Task

LEAST = 4  # values of a block


@dataclass(frozen=True)
class Windows(Task):
    """At every step of a window, what comes next is asked for. `share_held_out` of the sequence is its held-out end."""

    output = "every"
    foretells = True
    whole: ClassVar[str]  # what the sequence is called, and what it is made of
    unit: ClassVar[str]
    share_held_out: ClassVar[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        held = len(self.sequence) - self.cut
        if held <= self.steps:
            shorter = f"use {held - 1} or less, or a longer {self.whole}"
            raise InputError(
                f"steps: the held-out end of the {self.whole} has {counted(held, self.unit)}, too few for windows of "
                f"{counted(self.steps, 'step')} and the {self.unit} after; "
                f"{shorter if held > self.least_steps else f'learn from a longer {self.whole}'}",
                "steps",
            )

    @property
    @abstractmethod
    def sequence(self) -> np.ndarray:
        """(N, ...): all that there is."""

    @property
    @abstractmethod
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """What to learn from, and what is held out."""

    @property
    def cut(self) -> int:
        """Where the held-out end begins; never the longer part."""
        return len(self.sequence) - round(self.share_held_out * len(self.sequence))

    def windows(self, rng: np.random.Generator, batch_size: int, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
        """(T + 1, B, ...) from random starts, and these (B,)."""
        part = self.parts[held_out]
        starts = rng.integers(0, len(part) - self.steps, batch_size)
        return part[starts + np.arange(self.steps + 1)[:, None]], starts

    def blocks(self, batch: Batch) -> np.ndarray:
        """(T, B): by where in the held-out end an answer lies, as neighbours are not independent."""
        assert batch.starts is not None
        answers = len(self.parts[1]) - 1
        count = max(1, min(BLOCKS, answers // LEAST))
        return (batch.starts + np.arange(self.steps)[:, None]) * count // answers
