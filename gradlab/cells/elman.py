"""Elman's simple recurrent network, the vanilla RNN.

    a_t = V x_t + W h_{t-1} + b
    h_t = (1 - leak) h_{t-1} + leak phi(a_t)

Shapes: V (1, H, D), W (1, H, H), b (1, H). leak = 1 is nn.RNN; a smaller one is a leaky integrator.
J_t = (1 - leak) I + leak diag(phi'(a_t)) W.
Source: Elman 1990, "Finding structure in time"; leak: Jaeger et al. 2007.
"""

from dataclasses import dataclass

from ..arrays import Array, Namespace, require_number
from .activations import Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class Elman(Cell):
    """Vanilla RNN: h' = phi(V x + W h + b), with an optional leak."""

    leak: float = 1.0

    name = "elman"
    title = "Elman"
    gates = ("g",)
    candidate = "g"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("leak", self.leak, "a number in (0, 1]", lambda x: 0 < x <= 1)

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """phi."""
        return (self.activation,)

    @property
    def state_is_gate(self) -> bool:
        """Without a leak."""
        return self.leak == 1

    def step(self, xp: Namespace, g: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (g,) if self.leak == 1 else ((1 - self.leak) * h + self.leak * g,)

    def partials(self, xp: Namespace, g: Array, h: Array, h_new: Array) -> Partials:
        """The gate enters with weight leak, the state with 1 - leak."""
        return {("h", "g"): self.leak}, {("h", "h"): 1 - self.leak} if self.leak < 1 else {}
