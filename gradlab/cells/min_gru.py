"""minGRU: a GRU whose update gate and candidate see the input alone.

    z = sigmoid(V_z x_t + b_z),  n = phi(V_n x_t + b_n)
    h_t = (1 - z) n + z h_{t-1}

Shapes: V (2, H, D), b (2, H), both for n, z; W_hh (0, H, H) is empty; state h. J_t = diag(z).
z near 1 keeps the state, as in `gru`; the source swaps z and 1 - z. phi is the identity in the source.
Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?"; not in its logarithmic form.
"""

from dataclasses import dataclass

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class MinGRU(Cell):
    """GRU whose update gate and candidate see the input alone."""

    name = "min_gru"
    title = "minGRU"
    gates = ("n", "z")
    roles = {"n": "candidate", "z": "update"}
    recurrent = slice(0, 0)
    candidate = "n"
    forget_gate = "z"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """phi of the candidate and a sigmoid gate."""
        return (self.activation, ACTIVATIONS["sigmoid"])

    def step(self, xp: Namespace, n: Array, z: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (n + z * (h - n),)

    def partials(self, xp: Namespace, n: Array, z: Array, h: Array, h_new: Array) -> Partials:
        """The gate weighs state against candidate."""
        return {("h", "n"): 1 - z, ("h", "z"): h - n}, {("h", "h"): z}
