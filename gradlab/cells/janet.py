"""JANET: an LSTM with nothing but its forget gate.

    s = V_f x_t + W_f h_{t-1} + b_f,  g = phi(V_g x_t + W_g h_{t-1} + b_g)
    h_t = sigmoid(s) h_{t-1} + (1 - sigmoid(s - beta)) g

Shapes: V (2, H, D), W (2, H, H), b (2, H), all for f, g; state h, which is the cell state c.
beta lets more of the input in than is forgotten; at 0 the two weights make 1 together. 1 - sigmoid(s - beta) is
(1 - f) / (1 - f + e^-beta f) by the gate's value f: a gate at 1 carries the state and the gradient unchanged.
Source: van der Westhuizen & Lasenby 2018, "The unreasonable effectiveness of the forget gate".
"""

import math
from dataclasses import dataclass

from ..arrays import Array, Namespace, require_number
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class Janet(Cell):
    """LSTM with a forget gate only."""

    beta: float = 1.0

    name = "janet"
    title = "JANET"
    gates = ("f", "g")
    roles = {"f": "forget", "g": "candidate"}
    candidate = "g"
    forget_gate = "f"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("beta", self.beta, "a number from -100 to 100", lambda beta: abs(beta) <= 100)

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """A sigmoid gate and the candidate's phi."""
        return (ACTIVATIONS["sigmoid"], self.activation)

    def step(self, xp: Namespace, f: Array, g: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (f * h + self._let_in(f) * g,)

    def partials(self, xp: Namespace, f: Array, g: Array, h: Array, h_new: Array) -> Partials:
        """What is let in falls with f by k / (1 - f + k f)^2, k = e^-beta."""
        k = math.exp(-self.beta)
        mixed = 1 - f + k * f
        return {("h", "f"): h - k / (mixed * mixed) * g, ("h", "g"): self._let_in(f)}, {("h", "h"): f}

    def _let_in(self, f: Array) -> Array:
        """1 - sigmoid(s - beta) from f = sigmoid(s)."""
        return (1 - f) / (1 - f + math.exp(-self.beta) * f)
