"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Array
from ..engine.scaled import Scaled
from ..errors import InputError
from .base import GivenLengths, Layer, Params, Pass, ScaledInput, ScaledParams, parts, prefixed


@dataclass
class SequentialTape:
    """The input, and the layers' tapes by the prefix of their parameters.

    gradients: dL/d output of each layer, kept of a backward pass that is observed.
    """

    x: Any
    children: dict[str, Any]
    gradients: dict[str, Scaled] = field(default_factory=dict)


@dataclass(frozen=True, init=False)
class Sequential(Layer):
    """Each layer takes the previous one's output; parameters are named "0.W_hh", "1.W_hy", by position.

    Layers that are given by name, behind the others, lend it to their parameters: Sequential(norm=LayerNorm(8)) has
    "norm.gamma". Several recurrent layers make a deep stack.
    """

    layers: tuple[Layer, ...]
    names: tuple[str, ...]
    takes_trees = True

    def __init__(self, *layers: Layer, **named: Layer) -> None:
        given = (*layers, *named.values())
        if not given or not all(isinstance(layer, Layer) for layer in given):
            raise InputError(f"Sequential: expected layers such as Recurrent(cell), got {given or 'none'}", "layers")
        if wrong := [name for name in named if not name.isidentifier()]:
            raise InputError(f"Sequential: expected names such as norm, got {', '.join(map(repr, wrong))}", "layers")
        object.__setattr__(self, "layers", given)
        object.__setattr__(self, "names", (*map(str, range(len(layers))), *named))

    @property
    def children(self) -> dict[str, Layer]:
        """By their names."""
        return dict(zip(self.names, self.layers, strict=True))

    def lengths_within(self, lengths: GivenLengths) -> dict[str, GivenLengths]:
        """Each layer's are those that the one before has left."""
        found = {}
        for name, layer in self.children.items():
            found[name], lengths = lengths, layer.output_lengths(lengths)
        return found

    @property
    def stateful(self) -> bool:
        """Whether any layer is."""
        return bool(self._stateful)

    @property
    def _stateful(self) -> list[int]:
        return [i for i, layer in enumerate(self.layers) if layer.stateful]

    def _parts(self, params: Mapping[str, Array]) -> list[Params]:
        return parts(params, self.names)

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """Through all layers."""
        for layer in self.layers:
            lengths = layer.output_lengths(lengths)
        return lengths

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Each layer's in turn."""
        drawn: dict[str, np.ndarray] = {}
        for name, layer in self.children.items():
            drawn |= prefixed(name, layer.draw(rng, models))
        return drawn

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, SequentialTape]:
        """x through all layers; the initial state is the first recurrent layer's."""
        tape = SequentialTape(x, {})
        for i, (layer, own) in enumerate(zip(self.layers, self._parts(params), strict=True)):
            x, tape.children[self.names[i]] = layer.forward(
                own, x, lengths, how if i in self._stateful[:1] else how.stateless
            )
            lengths = layer.output_lengths(lengths)
        return x, tape

    def _backward(
        self, params: Mapping[str, Array], tape: SequentialTape, dy: Scaled, how: Pass
    ) -> tuple[ScaledInput, ScaledParams]:
        """dL/dy back through all layers; the gradient of the last state is the last recurrent layer's."""
        grads, own, last = ScaledParams(), self._parts(params), self._stateful[-1:]
        dx: ScaledInput = dy
        for i, layer in reversed(list(enumerate(self.layers))):
            inside = tape.children[self.names[i]]
            if how.observe is not None:
                tape.gradients[self.names[i]] = dx
            dx, found = layer._backward(own[i], inside, dx, how if i in last else how.stateless)
            grads |= prefixed(self.names[i], found)
            if dx is None:  # what is below has no parameters, as it gives whole numbers
                break
        return dx, grads
