"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..engine.scaled import Scaled
from ..errors import InputError
from .base import GivenLengths, Layer, Params, Pass, ScaledInput, ScaledParams, parts, prefixed


@dataclass
class SequentialTape:
    """One tape per layer."""

    tapes: tuple[Any, ...]

    @property
    def children(self) -> dict[str, Any]:
        """The tapes by the prefix of their layer's parameters."""
        return {str(i): tape for i, tape in enumerate(self.tapes)}


@dataclass(frozen=True, init=False)
class Sequential(Layer):
    """Each layer takes the previous one's output; parameters are named "0.W_hh", "1.W_hy", by position.

    Several recurrent layers make a deep stack.
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        if not layers or not all(isinstance(layer, Layer) for layer in layers):
            raise InputError(f"Sequential: expected layers such as Recurrent(cell), got {layers or 'none'}", "layers")
        object.__setattr__(self, "layers", layers)

    @property
    def stateful(self) -> bool:
        """Whether any layer is."""
        return bool(self._stateful)

    @property
    def _stateful(self) -> list[int]:
        return [i for i, layer in enumerate(self.layers) if layer.stateful]

    def _parts(self, params: Mapping[str, Array]) -> list[Params]:
        return parts(params, [str(i) for i in range(len(self.layers))])

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """Through all layers."""
        for layer in self.layers:
            lengths = layer.output_lengths(lengths)
        return lengths

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Each layer's in turn."""
        drawn: dict[str, np.ndarray] = {}
        for i, layer in enumerate(self.layers):
            drawn |= prefixed(str(i), layer.draw(rng, models))
        return drawn

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, SequentialTape]:
        """x through all layers; the initial state is the first recurrent layer's."""
        tapes = []
        for i, (layer, own) in enumerate(zip(self.layers, self._parts(params), strict=True)):
            x, tape = layer.forward(own, x, lengths, how if i in self._stateful[:1] else how.stateless)
            lengths = layer.output_lengths(lengths)
            tapes.append(tape)
        return x, SequentialTape(tuple(tapes))

    def _backward(
        self, params: Mapping[str, Array], tape: SequentialTape, dy: Scaled, how: Pass
    ) -> tuple[ScaledInput, ScaledParams]:
        """dL/dy back through all layers; the gradient of the last state is the last recurrent layer's."""
        grads, own, last = ScaledParams(), self._parts(params), self._stateful[-1:]
        dx: ScaledInput = dy
        for i, layer in reversed(list(enumerate(self.layers))):
            dx, found = layer._backward(own[i], tape.tapes[i], dx, how if i in last else how.stateless)
            grads |= prefixed(str(i), found)
            if dx is None:  # what is below has no parameters, as it gives whole numbers
                break
        return dx, grads
