"""Long expressive memory: two states on time scales that the input and the state choose.

    s, r = dt sigmoid(V x_t + W y_{t-1} + b)
    z_t = (1 - s) z_{t-1} + s phi(V_g x_t + W_g y_{t-1} + b_g)
    y_t = (1 - r) y_{t-1} + r phi(V_n x_t + W_n z_t + b_n)

Shapes: V (4, H, D), W (4, H, H), b (4, H), in the order s, r, g, n; states y (exposed) and z.
dt, at most 1, is the longest step. Source: Rusch et al. 2022; its adding problem has dt = 0.0242.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, Namespace, require_number
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class LEM(Cell):
    """Two states, each with a time scale that is gated."""

    dt: float = 1.0

    name = "lem"
    title = "LEM"
    states = ("y", "z")
    reads = ("y",)
    gates = ("s", "r", "g", "n")
    roles = {"s": "step of z", "r": "step of y", "g": "candidate of z", "n": "candidate of y"}
    candidate = "n"
    late = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("dt", self.dt, "a number above 0 and at most 1", lambda dt: 0 < dt <= 1)

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """Both candidates have `activation`."""
        sigmoid = ACTIVATIONS["sigmoid"]
        return (sigmoid, sigmoid, self.activation, self.activation)

    def middle(self, xp: Namespace, s: Array, r: Array, g: Array, y: Array, z: Array) -> Array:
        """The new z."""
        return z + self.dt * s * (g - z)

    def middle_partials(self, xp: Namespace, s: Array, r: Array, g: Array, y: Array, z: Array) -> Mapping[str, Any]:
        """Of a leaky average."""
        return {"s": self.dt * (g - z), "g": self.dt * s, "z": 1 - self.dt * s}

    def step(self, xp: Namespace, s: Array, r: Array, g: Array, n: Array, y: Array, z: Array) -> tuple[Array, ...]:
        """The new y and z."""
        return y + self.dt * r * (n - y), z + self.dt * s * (g - z)

    def partials(
        self, xp: Namespace, s: Array, r: Array, g: Array, n: Array, y: Array, z: Array, y_new: Array, z_new: Array
    ) -> Partials:
        """Of two leaky averages."""
        gates = {("y", "r"): self.dt * (n - y), ("y", "n"): self.dt * r}
        gates |= {("z", "s"): self.dt * (g - z), ("z", "g"): self.dt * s}
        return gates, {("y", "y"): 1 - self.dt * r, ("z", "z"): 1 - self.dt * s}
