"""coRNN: coupled, damped and driven oscillators, in steps of size dt.

    z_t = z_{t-1} + dt (phi(W y_{t-1} + W_z z_{t-1} + V x_t + b) - gamma y_{t-1} - epsilon z_{t-1})
    y_t = y_{t-1} + dt z_t

Shapes: V (1, H, D), W and W_z side by side (1, H, 2 H) under the name W_hh, b (1, H); states y, the exposed one, and z.
The damping takes the old z, as the authors' code does; their analysis takes the new one (the two forms of eq. 3).
gamma, epsilon: squared frequency and damping; the defaults with dt are those of the published adding problem.
With g = ||W||, the largest absolute row sum, and slopes of at most 1, what a step multiplies the largest entry of a
tangent by is at most

    max(|1 - dt epsilon| + dt (gamma + g),  |1 - dt^2 gamma| + dt |1 - dt epsilon| + dt^2 g)  =  1 + O(dt)

Source: Rusch & Mishra 2021, "Coupled oscillatory recurrent neural network (coRNN)".
"""

import math
from dataclasses import dataclass

from ..arrays import Array, Namespace, not_negative, require_number
from .activations import Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class CoRNN(Cell):
    """Coupled oscillators: positions y, exposed, and velocities z, both seen by the recurrent weights."""

    dt: float = 0.06
    gamma: float = 66.0
    epsilon: float = 15.0

    name = "cornn"
    title = "coRNN"
    states = ("y", "z")
    reads = ("y", "z")
    gates = ("g",)
    candidate = "g"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("dt", self.dt, "a positive step size", lambda x: 0 < x < math.inf)
        require_number("gamma", self.gamma, "a squared frequency from 0 on", not_negative)
        require_number("epsilon", self.epsilon, "a damping from 0 on", not_negative)

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """phi."""
        return (self.activation,)

    def step(self, xp: Namespace, g: Array, y: Array, z: Array) -> tuple[Array, ...]:
        """The new y and z."""
        z_new = z + self.dt * (g - self.gamma * y - self.epsilon * z)
        return y + self.dt * z_new, z_new

    def partials(self, xp: Namespace, g: Array, y: Array, z: Array, y_new: Array, z_new: Array) -> Partials:
        """The y row is dt times the z row, and y itself."""
        z_row = {"g": self.dt, "y": -self.dt * self.gamma, "z": 1 - self.dt * self.epsilon}
        y_row = {name: self.dt * d for name, d in z_row.items()}
        y_row["y"] += 1
        return (
            {("y", "g"): y_row["g"], ("z", "g"): z_row["g"]},
            {(row, s): d[s] for row, d in (("y", y_row), ("z", z_row)) for s in ("y", "z")},
        )
