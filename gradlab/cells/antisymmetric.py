"""AntisymmetricRNN: Euler's method on a differential equation whose Jacobian has eigenvalues near the imaginary axis.

    h_t = h_{t-1} + epsilon phi(W h_{t-1} + V x_t + b),  W = M - M^T - gamma I

Shapes: V (1, H, D), M (1, H, H) under the name W_hh, b (1, H). J_t = I + epsilon diag(phi'(a_t)) W.
gamma damps what a finite step amplifies: where phi' = 1, an eigenvalue i w of M - M^T becomes one of J_t with
|.|^2 = (1 - epsilon gamma)^2 + (epsilon w)^2.
Source: Chang, Chen, Haber & Chi 2019, "AntisymmetricRNN".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..arrays import Array, Namespace, namespace, not_negative, require_number
from .activations import Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class Antisymmetric(Cell):
    """AntisymmetricRNN: steps of size epsilon along phi((M - M^T - gamma I) h + V x + b)."""

    epsilon: float = 0.01
    gamma: float = 0.01

    name = "antisymmetric"
    title = "AntisymmetricRNN"
    gates = ("g",)
    candidate = "g"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("epsilon", self.epsilon, "a positive step size", lambda x: 0 < x < math.inf)
        require_number("gamma", self.gamma, "a diffusion from 0 on", not_negative)

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """phi."""
        return (self.activation,)

    def step(self, xp: Namespace, g: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (h + self.epsilon * g,)

    def partials(self, xp: Namespace, g: Array, h: Array, h_new: Array) -> Partials:
        """The gate enters with weight epsilon, the state stays whole."""
        return {("h", "g"): self.epsilon}, {("h", "h"): 1}

    def weights(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """M - M^T - gamma I in place of M."""
        m = params["W_hh"]
        xp = namespace(m)
        damping = self.gamma * xp.eye(self.hidden_size, dtype=m.dtype)
        return {**params, "W_hh": m - xp.swapaxes(m, -1, -2) - damping}

    def pull_back(self, params: Mapping[str, Array], grads: Mapping[str, Array]) -> dict[str, Array]:
        """dM = dW - dW^T."""
        g = grads["W_hh"]
        return {**grads, "W_hh": g - namespace(g).swapaxes(g, -1, -2)}
