"""A fully connected layer y = g(W_hy x + b_y), with g the identity, softmax, or any activation of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..arrays import Array, Namespace, linear, namespace, outer_sum, require_size
from ..cells.activations import ACTIVATIONS
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled, map_rows, sum_products, sum_rows
from ..registry import Registry, unknown
from .base import (
    GivenLengths,
    Layer,
    Pass,
    ScaledParams,
    as_steps,
    own_lengths,
    require_gradient,
    require_input,
    require_params,
)


@dataclass(frozen=True)
class Output:
    """A map g of the last axis: its value at a, and dL/dy -> dL/da, which is linear, given a and y = g(a)."""

    value: Callable[[Namespace, Array], Array]
    pull_back: Callable[[Namespace, Array, Array, Array], Array]


def softmax(xp: Namespace, a: Array) -> Array:
    """exp(a) / sum exp(a) along the last axis, without overflow."""
    e = xp.exp(a - xp.max(a, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


OUTPUTS: Registry[Output] = Registry("output activation")
OUTPUTS.add("identity", Output(lambda xp, a: a, lambda xp, a, y, dy: dy))
OUTPUTS.add("softmax", Output(softmax, lambda xp, a, y, dy: y * (dy - (y * dy).sum(axis=-1, keepdims=True))))


def output(name: str) -> Output:
    """The map of that name: one of `OUTPUTS`, or an activation of cells. Raises UnknownName for others."""
    if name in OUTPUTS:
        return OUTPUTS[name]
    if name not in ACTIVATIONS:
        raise unknown("activation", name, [*OUTPUTS, *ACTIVATIONS])
    phi = ACTIVATIONS[name]
    return Output(phi.value, lambda xp, a, y, dy: dy * phi.slope(xp, a))


@dataclass
class DenseTape:
    """Input, pre-activation, output, and the samples' lengths."""

    x: Array
    pre: Array
    y: Array
    lengths: Lengths


@dataclass(frozen=True)
class Dense(Layer):
    """y = g(W_hy x + b_y), at every step or of single vectors; W_hy (*M, O, D), b_y (*M, O), or no bias.

    Losses take the identity's output (logits); sigmoid and softmax are for probabilities, others for hidden layers.
    """

    input_size: int
    output_size: int
    activation: str = "identity"
    bias: bool = True

    def __post_init__(self) -> None:
        require_size("input_size", self.input_size)
        require_size("output_size", self.output_size)
        output(self.activation)  # the name is known

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters, without model axes."""
        shapes: dict[str, tuple[int, ...]] = {"W_hy": (self.output_size, self.input_size)}
        return shapes | ({"b_y": (self.output_size,)} if self.bias else {})

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """W_hy from N(0, 1/D), no bias."""
        w = rng.normal(0, self.input_size**-0.5, (*models, *self.shapes["W_hy"]))
        return {"W_hy": w} | ({"b_y": np.zeros((*models, self.output_size))} if self.bias else {})

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, DenseTape]:
        """(..., D) -> (..., O)."""
        models = require_params(self, params, self.shapes)
        x = require_input(x, models, self.input_size, params["W_hy"])
        own = own_lengths(x, lengths, models)
        x, xp = own.keep(x), namespace(x)
        pre = linear(xp, x, params["W_hy"])
        if self.bias:
            pre += params["b_y"][..., None, :]
        y = output(self.activation).value(xp, pre)
        return y, DenseTape(x, pre, y, own)

    def _backward(
        self, params: Mapping[str, Array], tape: DenseTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dx = W_hy^T dL/da, dL/dW_hy = sum dL/da x^T, dL/db_y = sum dL/da."""
        xp = require_gradient(dy, tape.y)
        w, g = params["W_hy"], output(self.activation)
        da = map_rows(lambda m: g.pull_back(xp, tape.pre, tape.y, m), dy.map(tape.lengths.keep))
        dx = map_rows(partial(linear, xp), da, (xp.swapaxes(w, -1, -2), (-2, -1)))
        da, x = as_steps(w.ndim - 2, da, tape.x)
        grads = {"W_hy": sum_products(partial(outer_sum, xp), da, x)}
        return dx, grads | ({"b_y": sum_rows(da)} if self.bias else {})
