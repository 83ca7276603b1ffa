"""IndRNN: every unit has one recurrent weight, its own, so that units are independent within a layer.

    h_t = phi(V x_t + u h_{t-1} + b),  u elementwise

Shapes: V (1, H, D), b (1, H), p (1, H) for u; W_hh (0, H, H) is empty. J_t = diag(phi'(a_t) u): over n steps a unit's
gradient is u^n times its slopes, whatever the others do.
u is drawn from U(0, gain): the source takes gain = c^(1/T) for a unit that shall multiply by at most c in T steps.
Source: Li, Li, Cook, Zhu & Gao 2018, "Independently recurrent neural network (IndRNN)".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class IndRNN(Cell):
    """Independently recurrent net: h' = phi(V x + u h + b), u one weight per unit."""

    name = "indrnn"
    title = "IndRNN"
    gates = ("g",)
    recurrent = slice(0, 0)
    elementwise = ("u",)
    candidate = "g"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """u h joins before phi, so `step` applies phi."""
        return (ACTIVATIONS["identity"],)

    def step(self, xp: Namespace, g: Array, h: Array, u: Array) -> tuple[Array, ...]:
        """The new h."""
        return (self.activation.value(xp, g + u * h),)

    def partials(self, xp: Namespace, g: Array, h: Array, h_new: Array, u: Array) -> Partials:
        """All is the slope times what it multiplies."""
        slope = self.activation.slope(xp, g + u * h)
        return {("h", "g"): slope}, {("h", "h"): slope * u}, {("h", "u"): slope * h}

    def completed(
        self, xp: Namespace, g: Array, h: Array, h_new: Array, u: Array
    ) -> Mapping[str, tuple[Array, Activation]]:
        """The pre-activation with u h."""
        return {"g": (g + u * h, self.activation)}

    def draw_elementwise(self, rng: np.random.Generator, shape: tuple[int, ...], gain: float) -> np.ndarray:
        """u ~ U(0, gain)."""
        return gain * rng.uniform(size=shape)

    def multipliers(self, weights: Mapping[str, Array]) -> Array:
        """u."""
        return weights["p"][0]
