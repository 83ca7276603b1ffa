"""Layer normalisation over features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, namespace, require_number, require_size
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled, map_rows, sum_products, sum_rows
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

EPSILON = 1e-5  # PyTorch's default


@dataclass
class LayerNormTape:
    """The normalised input, 1 / s (..., 1), output, and the samples' lengths."""

    normalised: Array
    inverse_deviation: Array
    y: Array
    lengths: Lengths


@dataclass(frozen=True)
class LayerNorm(Layer):
    """y = gamma (x - mean) / s + beta with s^2 = var + epsilon over the features; gamma, beta (*M, F).

    Source: Ba et al. 2016.
    """

    size: int
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        require_size("size", self.size)
        require_number("epsilon", self.epsilon, "a number above 0", lambda epsilon: 0 < epsilon < math.inf)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """gamma 1, beta 0."""
        return {"gamma": np.ones((*models, self.size)), "beta": np.zeros((*models, self.size))}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, LayerNormTape]:
        """(..., F) -> (..., F)."""
        models = require_params(self, params, {"gamma": (self.size,), "beta": (self.size,)})
        x = require_input(x, models, self.size, params["gamma"])
        own = own_lengths(x, lengths, models)
        xp, x = namespace(x), own.keep(x)
        unit = xp.maximum(xp.max(xp.abs(x), axis=-1, keepdims=True), 1.0)  # as squares of large numbers overflow
        centred = x / unit
        centred = centred - centred.mean(axis=-1, keepdims=True)
        deviation = xp.hypot(xp.sqrt((centred * centred).mean(axis=-1, keepdims=True)), math.sqrt(self.epsilon) / unit)
        normalised = centred / deviation
        y = params["gamma"][..., None, :] * normalised + params["beta"][..., None, :]
        return y, LayerNormTape(normalised, 1 / (deviation * unit), y, own)

    def _backward(
        self, params: Mapping[str, Array], tape: LayerNormTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dx = (u - mean u - n mean(u n)) / s with u = gamma dL/dy and n the normalised input."""
        require_gradient(dy, tape.y)
        dy, n = dy.map(tape.lengths.keep), tape.normalised

        def pull_back(m: Array, gamma: Array, inverse_deviation: Array) -> Array:
            u = m * gamma
            u = u - u.mean(axis=-1, keepdims=True) - n * (u * n).mean(axis=-1, keepdims=True)
            return u * inverse_deviation

        dx = map_rows(pull_back, dy, (params["gamma"][..., None, :], (-2, -1)), (tape.inverse_deviation, -1))
        dy, n_steps = as_steps(params["gamma"].ndim - 1, dy, n)
        gamma = sum_products(lambda m, n: (m * n).sum(axis=(0, -2)), dy, n_steps)
        return dx, {"gamma": gamma, "beta": sum_rows(dy)}
