"""Minimal gated unit: one gate both forgets and resets.

    f = sigmoid(V_f x_t + W_f h_{t-1} + b_f)
    n = phi(V_n x_t + W_n (f h_{t-1}) + b_n)
    h_t = (1 - f) h_{t-1} + f n

Shapes: V (2, H, D), W (2, H, H), b (2, H), in the order f, n; state h. f near 0 keeps the state, so that a negative
bias of f is what a positive one is for other cells' forget gates. Source: Zhou et al. 2016.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class MGU(Cell):
    """One gate that forgets and resets."""

    name = "mgu"
    title = "MGU"
    gates = ("f", "n")
    roles = {"f": "update", "n": "candidate"}
    candidate = "n"
    late = True

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """The candidate's is `activation`."""
        return (ACTIVATIONS["sigmoid"], self.activation)

    def middle(self, xp: Namespace, f: Array, h: Array) -> Array:
        """The state behind the gate."""
        return f * h

    def middle_partials(self, xp: Namespace, f: Array, h: Array) -> Mapping[str, Any]:
        """Of the product."""
        return {"f": h, "h": f}

    def step(self, xp: Namespace, f: Array, n: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (h + f * (n - h),)

    def partials(self, xp: Namespace, f: Array, n: Array, h: Array, h_new: Array) -> Partials:
        """f acts through the candidate, too."""
        return {("h", "f"): n - h, ("h", "n"): f}, {("h", "h"): 1 - f}
