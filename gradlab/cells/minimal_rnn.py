"""MinimalRNN: one update gate between the old state and an input that is embedded without recurrence.

    z = phi(V_z x_t + b_z)
    u = sigmoid(W h_{t-1} + V_u x_t + b_u)
    h_t = u h_{t-1} + (1 - u) z

Shapes: V (2, H, D) for z, u; W (1, H, H) for u; b (2, H); state h.
In Chen's cell the gate u also sees z, through a matrix of its own; here it sees x directly, so that units mix in one
place only.
Source: Chen 2017, "MinimalRNN"; mean-field theory: Chen, Pennington & Schoenholz 2018.
"""

from dataclasses import dataclass

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class MinimalRNN(Cell):
    """MinimalRNN: one update gate between the state and the embedded input."""

    name = "minimal_rnn"
    title = "MinimalRNN"
    gates = ("z", "u")
    roles = {"z": "input", "u": "update"}
    recurrent = slice(1, 2)
    candidate = "z"
    forget_gate = "u"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """phi of the embedding and a sigmoid gate."""
        return (self.activation, ACTIVATIONS["sigmoid"])

    def step(self, xp: Namespace, z: Array, u: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (z + u * (h - z),)

    def partials(self, xp: Namespace, z: Array, u: Array, h: Array, h_new: Array) -> Partials:
        """The gate weighs state against input."""
        return {("h", "z"): 1 - u, ("h", "u"): h - z}, {("h", "h"): u}
