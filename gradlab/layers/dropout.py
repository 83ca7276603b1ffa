"""Dropout: inputs set to zero at random while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, namespace, require_namespace, require_shape, require_type
from ..engine.scaled import Scaled, map_rows
from ..errors import InputError, echo
from .base import GivenLengths, Layer, Pass, ScaledParams


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
        if not (isinstance(self.rate, int | float | np.number) and 0 <= self.rate < 1):
            raise InputError(f"rate: expected a probability in [0, 1), got {echo(self.rate)}", "rate")

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """No parameters."""
        return {}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, DropoutTape]:
        """x times a factor that is drawn by NumPy from how.rng, then moved; x may lack model axes or have them as 1."""
        xp = namespace(x)
        require_type("x", x, "f", "float32 or float64")
        if how.rng is None or self.rate == 0:
            return x, DropoutTape(x, None)
        kept = how.rng.random(tuple(x.shape), dtype=np.float32) >= self.rate
        factor = xp.asarray((kept / (1 - self.rate)).astype(x.dtype))
        y = x * factor
        return y, DropoutTape(y, factor)

    def _backward(
        self, params: Mapping[str, Array], tape: DropoutTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy times the same factor, for each model where dy has model axes that x lacked."""
        shape = tuple(tape.y.shape)
        shape = (*shape[:1], *(1,) * (dy.mantissas.ndim - len(shape)), *shape[1:])
        require_namespace(namespace(tape.y), dy=dy.mantissas)
        require_shape("dy", dy.mantissas, (*("M" if n == 1 else n for n in shape[:-2]), *shape[-2:]))
        if tape.factor is None:
            return dy, {}
        factor = tape.factor.reshape(shape)
        return map_rows(lambda m: m * factor, dy), {}
