"""A skip connection around a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..engine.scaled import Scaled
from ..errors import InputError
from .base import GivenLengths, Layer, Pass, ScaledInput, ScaledParams


@dataclass
class ResidualTape:
    """The layer's tape; of a backward pass that is observed dL/dx on both ways, past the layer and through it."""

    layer: Any
    skip: Scaled | None = None
    branch: Scaled | None = None

    @property
    def children(self) -> dict[str, Any]:
        """The layer's tape, whose parameters have no prefix."""
        return {"": self.layer}


@dataclass(frozen=True)
class Residual(Layer):
    """y = x + layer(x); parameters are the layer's own (He et al. 2016)."""

    layer: Layer
    takes_trees = True

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise InputError(f"Residual: expected a layer such as Recurrent(cell), got {self.layer!r}", "layer")

    @property
    def children(self) -> dict[str, Layer]:
        """The layer, without a prefix."""
        return {"": self.layer}

    @property
    def stateful(self) -> bool:
        """Whether the layer is."""
        return self.layer.stateful

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The layer's."""
        return self.layer.draw(rng, models)

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, ResidualTape]:
        """The layer has to give what has x's shape."""
        y, tape = self.layer.forward(params, x, lengths, how)
        if y.shape != x.shape:
            raise InputError(
                f"Residual: expected a layer whose output has its input's shape {tuple(x.shape)}, got {tuple(y.shape)}",
                "layer",
            )
        return x + y, ResidualTape(tape)

    def _backward(
        self, params: Mapping[str, Array], tape: ResidualTape, dy: Scaled, how: Pass
    ) -> tuple[ScaledInput, ScaledParams]:
        """dL/dy reaches x on both ways."""
        dx, grads = self.layer._backward(params, tape.layer, dy, how)
        if how.observe is not None:
            tape.skip, tape.branch = dy, dx
        return None if dx is None else dy + dx, grads
