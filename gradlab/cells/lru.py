"""Linear recurrent unit: one complex number per unit is turned and shrunk by lambda, and the input is added.

    s_t = lambda s_{t-1} + gamma phi(B x_t + b),  lambda = exp(-exp(nu) + i exp(theta)),  s = h + i k

Shapes: B (2, H, D) for its real and imaginary part, under the name W_xh; b (2, H); p (3, H) for nu, theta, ln gamma;
W_hh (0, H, H) is empty; states h = Re s, which is exposed, and k = Im s. phi acts on both parts; it is the identity in
the source, and no Jacobian depends on it.
J_t is |lambda| times a rotation of each unit's (h, k): every singular value over n steps is |lambda|^n.
The source reads Re(C s) with a complex C. A unit's own phase can be taken into B, so h and a real C lose only that
outputs see one unit at different phases.
nu and theta are drawn so that lambda is uniform on the ring r_min <= |lambda| <= r_max with phases up to max_phase, and
gamma, which is learned, starts at sqrt(1 - |lambda|^2): white noise then gives every unit a state of one scale.
Source: Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Namespace, namespace, require_number
from ..errors import InputError
from .activations import Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class LRU(Cell):
    """Linear recurrent unit: a complex diagonal recurrence, its two parts as the states h, exposed, and k."""

    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = 2 * math.pi

    name = "lru"
    title = "LRU"
    states = ("h", "k")
    gates = ("a", "c")
    roles = {"a": "real input", "c": "imaginary input"}
    recurrent = slice(0, 0)
    elementwise = ("re", "im", "gamma")
    candidate = "a"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("r_min", self.r_min, "a radius in [0, 1)", lambda r: 0 <= r < 1)
        require_number("r_max", self.r_max, "a radius in (0, 1]", lambda r: 0 < r <= 1)
        require_number("max_phase", self.max_phase, "an angle in (0, 2 pi]", lambda x: 0 < x <= 2 * math.pi)
        if not self.r_min < self.r_max:
            raise InputError(f"r_min: expected less than r_max = {self.r_max:g}, got {self.r_min:g}", "r_min")

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """phi of both parts."""
        return (self.activation, self.activation)

    def step(
        self, xp: Namespace, a: Array, c: Array, h: Array, k: Array, re: Array, im: Array, gamma: Array
    ) -> tuple[Array, ...]:
        """The new h and k."""
        return re * h - im * k + gamma * a, im * h + re * k + gamma * c

    def partials(self, xp: Namespace, *arrays: Array) -> Partials:
        """lambda's two parts, gamma, and what they multiply."""
        a, c, h, k, _, _, re, im, gamma = arrays
        return (
            {("h", "a"): gamma, ("k", "c"): gamma},
            {("h", "h"): re, ("h", "k"): -im, ("k", "h"): im, ("k", "k"): re},
            {("h", "re"): h, ("h", "im"): -k, ("h", "gamma"): a, ("k", "re"): k, ("k", "im"): h, ("k", "gamma"): c},
        )

    def weights(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """lambda's real and imaginary part and gamma in place of nu, theta and ln gamma."""
        return {**params, "p": _stacked(*_made(params["p"]))}

    def pull_back(self, params: Mapping[str, Array], grads: Mapping[str, Array]) -> dict[str, Array]:
        """By nu it is -exp(nu) lambda, by theta i exp(theta) lambda, by ln gamma gamma."""
        p, (by_re, by_im, by_gamma) = params["p"], grads["p"]
        xp, (re, im, gamma) = namespace(p), _made(p)
        by_nu = -xp.exp(p[0]) * (re * by_re + im * by_im)
        by_theta = xp.exp(p[1]) * (re * by_im - im * by_re)
        return {**grads, "p": _stacked(by_nu, by_theta, gamma * by_gamma)}

    @classmethod
    def drawn_by(cls) -> tuple[str, ...]:
        """None: the ring is the cell's own."""
        return ()

    def draw_elementwise(self, rng: np.random.Generator, shape: tuple[int, ...], gain: float) -> np.ndarray:
        """nu, theta and ln gamma (3, *M, H); both ends of the ring are left out, where one of them is infinite."""
        square, turn = (1 - rng.uniform(size=(2, *shape[1:]))) * (1 - 1e-9)
        square = self.r_min**2 + square * (self.r_max**2 - self.r_min**2)
        return np.stack(
            [np.log(-0.5 * np.log(square)), np.log(self.max_phase * turn), 0.5 * np.log1p(-square)],
        )

    def multipliers(self, weights: Mapping[str, Array]) -> Array:
        """lambda, complex."""
        re, im, _ = weights["p"]
        return re + 1j * im


def _made(p: Array) -> tuple[Array, Array, Array]:
    """lambda's real and imaginary part, and gamma."""
    xp = namespace(p)
    modulus, phase = xp.exp(-xp.exp(p[0])), xp.exp(p[1])
    return modulus * xp.cos(phase), modulus * xp.sin(phase), xp.exp(p[2])


def _stacked(*rows: Array) -> Array:
    return namespace(rows[0]).stack(rows)
