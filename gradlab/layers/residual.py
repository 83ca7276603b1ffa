"""A skip connection around a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import InputError
from .base import Clip, Layer, Lengths, Params, require_stateful


@dataclass(frozen=True)
class Residual(Layer):
    """y = x + layer(x); parameters and tape are the layer's own (He et al. 2016)."""

    layer: Layer

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise InputError(f"Residual: expected a layer such as Recurrent(cell), got {self.layer!r}")

    @property
    def stateful(self) -> bool:
        """Whether the layer is."""
        return self.layer.stateful

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The layer's."""
        return self.layer.draw(rng, models)

    def forward(
        self,
        params: Mapping[str, Array],
        x: Array,
        lengths: Lengths = None,
        *,
        rng: np.random.Generator | None = None,
        initial_state: Array | None = None,
    ) -> tuple[Array, Any]:
        """The layer has to give what has x's shape."""
        require_stateful(self, initial_state=initial_state)
        own: dict[str, Any] = {"initial_state": initial_state} if self.stateful else {}
        y, tape = self.layer.forward(params, x, lengths, rng=rng, **own)
        if y.shape != x.shape:
            raise InputError(
                f"Residual: expected a layer whose output has its input's shape {tuple(x.shape)}, got {tuple(y.shape)}"
            )
        return x + y, tape

    def backward(
        self,
        params: Mapping[str, Array],
        tape: Any,
        dy: Array,
        *,
        clip: Clip = None,
        record: bool = False,
        dL_dfinal: Array | None = None,
    ) -> tuple[Array | None, Params]:
        """dL/dy reaches x on both ways."""
        require_stateful(self, dL_dfinal=dL_dfinal)
        own: dict[str, Any] = {"dL_dfinal": dL_dfinal} if self.stateful else {}
        dx, grads = self.layer.backward(params, tape, dy, clip=clip, record=record, **own)
        return None if dx is None else dy + dx, grads
