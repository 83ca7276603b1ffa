"""Dropout: inputs set to zero at random while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, namespace
from ..errors import InputError
from .base import Clip, Layer, Lengths, Params, require_gradient


@dataclass
class DropoutTape:
    """Output, and what the input was multiplied by: 0 or 1 / (1 - rate); None outside training."""

    y: Array
    factor: Array | None


@dataclass(frozen=True)
class Dropout(Layer):
    """Each entry is zero with probability `rate`, else divided by 1 - rate; the identity outside training.

    Source: Srivastava et al. 2014, in its inverted form.
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise InputError(f"rate: expected a probability in [0, 1), got {self.rate!r}")

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """No parameters."""
        return {}

    def forward(
        self, params: Mapping[str, Array], x: Array, lengths: Lengths = None, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, DropoutTape]:
        """x times a factor that is drawn by NumPy from rng, then moved."""
        if rng is None or self.rate == 0:
            return x, DropoutTape(x, None)
        kept = rng.random(tuple(x.shape), dtype=np.float32) >= self.rate
        factor = namespace(x).asarray((kept / (1 - self.rate)).astype(x.dtype))
        y = x * factor
        return y, DropoutTape(y, factor)

    def backward(
        self, params: Mapping[str, Array], tape: DropoutTape, dy: Array, *, clip: Clip = None, record: bool = False
    ) -> tuple[Array, Params]:
        """dL/dy times the same factor."""
        require_gradient(dy, tape.y)
        return (dy if tape.factor is None else dy * tape.factor), {}
