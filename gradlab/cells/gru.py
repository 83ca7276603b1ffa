"""Gated recurrent unit, reset after the recurrent product, as PyTorch, Keras 3 and cuDNN have it.

    r, z = sigmoid(V x_t + W h_{t-1} + b)
    m = W_m h_{t-1} + b_m
    h_t = (1 - z) phi(V_n x_t + b_n + r m) + z h_{t-1}

Shapes: V (3, H, D) for n, r, z; W (3, H, H) for r, z, m; b (4, H) for n, r, z, m; state h.
n has no recurrent weight and m no input weight. z near 1 keeps the state (Cho et al. 2014 swap z and 1 - z).
Source: Cho et al. 2014; reset after: cuDNN.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class GRU(Cell):
    """Gated recurrent unit (reset after the product, as in PyTorch)."""

    name = "gru"
    title = "GRU"
    gates = ("n", "r", "z", "m")
    roles = {"n": "candidate", "r": "reset", "z": "update", "m": "state in n"}
    driven = slice(0, 3)
    recurrent = slice(1, 4)
    candidate = "n"
    forget_gate = "z"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """r m joins the candidate before phi, so `step` applies phi."""
        sigmoid, linear = ACTIVATIONS["sigmoid"], ACTIVATIONS["identity"]
        return (linear, sigmoid, sigmoid, linear)

    def step(self, xp: Namespace, n: Array, r: Array, z: Array, m: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        candidate = self.activation.value(xp, n + r * m)
        return (candidate + z * (h - candidate),)

    def partials(self, xp: Namespace, n: Array, r: Array, z: Array, m: Array, h: Array, h_new: Array) -> Partials:
        """d is dh_t by the candidate's pre-activation."""
        a = n + r * m
        d = (1 - z) * self.activation.slope(xp, a)
        gates = {("h", "n"): d, ("h", "r"): d * m, ("h", "z"): h - self.activation.value(xp, a), ("h", "m"): d * r}
        return gates, {("h", "h"): z}

    def completed(
        self, xp: Namespace, n: Array, r: Array, z: Array, m: Array, h: Array, h_new: Array
    ) -> Mapping[str, tuple[Array, Activation]]:
        """The candidate."""
        return {"n": (n + r * m, self.activation)}
