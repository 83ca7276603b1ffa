"""Gated recurrent unit as it was published: the reset gate acts before the recurrent product.

    r, z = sigmoid(V x_t + W h_{t-1} + b)
    n = phi(V_n x_t + W_n (r h_{t-1}) + b_n)
    h_t = (1 - z) n + z h_{t-1}

Shapes: V (3, H, D), W (3, H, H), b (3, H), in the order r, z, n; state h. z near 1 keeps the state.
Source: Cho et al. 2014, version 1 of arXiv 1406.1078, as Keras has it with reset_after=False.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class GRUv1(Cell):
    """Gated recurrent unit (reset before the product, as published)."""

    name = "gru_v1"
    title = "GRU v1"
    gates = ("r", "z", "n")
    roles = {"r": "reset", "z": "update", "n": "candidate"}
    candidate = "n"
    forget_gate = "z"
    late = True

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """The candidate's is `activation`."""
        return (ACTIVATIONS["sigmoid"], ACTIVATIONS["sigmoid"], self.activation)

    def middle(self, xp: Namespace, r: Array, z: Array, h: Array) -> Array:
        """The state behind the reset gate."""
        return r * h

    def middle_partials(self, xp: Namespace, r: Array, z: Array, h: Array) -> Mapping[str, Any]:
        """Of the product."""
        return {"r": h, "h": r}

    def step(self, xp: Namespace, r: Array, z: Array, n: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (n + z * (h - n),)

    def partials(self, xp: Namespace, r: Array, z: Array, n: Array, h: Array, h_new: Array) -> Partials:
        """r acts through the candidate alone."""
        return {("h", "z"): h - n, ("h", "n"): 1 - z}, {("h", "h"): z}
