"""Gaussian averages of an activation phi: all that mean-field theory asks of it.

    A(q) = E phi(a)^2,  B(q) = E phi'(a)^2,            a ~ N(0, q)
    E phi(u1) phi(u2),  E phi'(u1) phi'(u2),           u1, u2 ~ N(0, q) with correlation c

By Gauss-Legendre quadrature on panels that split at a = 0, +-1, +-2, +-4 ...: there lie the kinks of the registered
activations, and panels that grow like |a| resolve what varies over |a| ~ 1 even where sqrt(q) is large. Closed forms
stand in for it where they are exact for every q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np

from ..cells.activations import ACTIVATIONS, Activation

Function = Callable[[np.ndarray], np.ndarray]
Moments = tuple[Function, Function]  # of q: A, B
Correlated = Callable[[float, float], float]  # of q and c

REACH = 10.0  # standard deviations; beyond lies a share of 1e-23
GAUSS_BREAKS = np.arange(-REACH, REACH + 1, 2.0)  # panels on which the Gaussian density is easy
SPLITS = np.concatenate([-(2.0 ** np.arange(20, -1, -1)), [0.0], 2.0 ** np.arange(21)])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
SMALLEST = 1e-30  # stands for q -> 0, where a kink at 0 still has a slope on either side
LARGEST = 1e12  # a larger q counts as infinite
BLOCK = 512  # values of q at a time: what is computed for each stays near the cache


def find(activation: str | Activation) -> Activation:
    """The activation, looked up where it is a name; InputError for unknown names."""
    return activation if isinstance(activation, Activation) else ACTIVATIONS[activation]


def average(f: Function, q: Any, mean: Any = 0.0) -> np.ndarray:
    """E f(a) for a ~ N(mean, q); q and mean broadcast."""
    q, mean = np.broadcast_arrays(np.asarray(q, float), np.asarray(mean, float))
    return blockwise(lambda q, mean: _average(f, q, mean), q, mean)


def blockwise(f: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """An elementwise f on arrays of one shape, a block of elements at a time."""
    blocks = zip(*(np.array_split(x.ravel(), max(1, math.ceil(x.size / BLOCK))) for x in arrays), strict=True)
    return np.concatenate([f(*block) for block in blocks]).reshape(arrays[0].shape)


def _average(f: Function, q: np.ndarray, mean: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.maximum(q, SMALLEST))
    inside = SPLITS[np.abs(SPLITS) < np.abs(mean).max(initial=0) + REACH * spread.max(initial=0)]
    splits = np.clip((inside - mean[:, None]) / spread[:, None], -REACH, REACH)
    breaks = np.broadcast_to(GAUSS_BREAKS, (len(q), len(GAUSS_BREAKS)))
    edges = np.sort(np.concatenate([splits, breaks], axis=1), axis=1)
    half = 0.5 * np.diff(edges)[..., None]
    z = (edges[:, :-1, None] + half * (1 + NODES)).reshape(len(q), (edges.shape[1] - 1) * len(NODES))
    weights = (half * WEIGHTS).reshape(z.shape) * np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
    return np.einsum("ij,ij->i", weights, f(mean[:, None] + spread[:, None] * z))


def moments(phi: Activation) -> Moments:
    """A(q) and B(q) as functions: closed forms where there are some, else quadrature; B(0) is the limit q -> 0."""
    return CLOSED[phi.name]() if phi.name in CLOSED else quadrature(phi)


def quadrature(phi: Activation) -> Moments:
    """A(q) and B(q) by quadrature."""

    def mean_square(f: Callable[..., np.ndarray]) -> Function:
        return lambda q: average(lambda a: f(np, a) ** 2, q)

    return mean_square(phi.value), mean_square(phi.slope)


def correlations(phi: Activation) -> tuple[Correlated, Correlated]:
    """E phi(u1) phi(u2) and E phi'(u1) phi'(u2) as functions of q and c: closed forms for waves, else quadrature."""
    if phi.name in CLOSED_CORRELATED:
        return CLOSED_CORRELATED[phi.name]
    value, slope = (partial(correlated, partial(f, np)) for f in (phi.value, phi.slope))
    return value, slope


def correlated(f: Function, q: float, c: float) -> float:
    """E f(u1) f(u2) for u1, u2 ~ N(0, q) with correlation c, by quadrature within quadrature."""
    if abs(c) == 1:
        return float(average(lambda a: f(a) * f(c * a), q))
    return float(average(lambda a: f(a) * average(f, q * (1 - c * c), c * a.ravel()).reshape(a.shape), q))


# closed forms


def _linear_pieces(below: float) -> Moments:
    """phi(a) = a for a > 0, else below * a."""
    factor = 0.5 * (1 + below * below)
    return (lambda q: factor * q, lambda q: np.full_like(q, factor))


def _erf() -> Moments:
    def square(q: np.ndarray) -> np.ndarray:
        return 2 / math.pi * np.arcsin(q / (q + 2 / math.pi))

    return square, lambda q: 1 / np.sqrt(1 + math.pi * q)


def _sin() -> Moments:
    return (lambda q: -0.5 * np.expm1(-2 * q), lambda q: 0.5 * (1 + np.exp(-2 * q)))


def _hard_tanh() -> Moments:
    special: Any = import_module("scipy.special")

    def bound(q: np.ndarray) -> np.ndarray:
        """Where the cut stands, in units of sqrt(2 q)."""
        return 1 / np.sqrt(2 * np.maximum(q, SMALLEST))

    def square(q: np.ndarray) -> np.ndarray:
        z = bound(q)
        return special.erfc(z) + q * special.erf(z) - np.sqrt(2 / math.pi * q) * np.exp(-z * z)

    return square, lambda q: special.erf(bound(q))


CLOSED: dict[str, Callable[[], Moments]] = {
    "identity": lambda: _linear_pieces(1.0),
    "relu": lambda: _linear_pieces(0.0),
    "leaky_relu": lambda: _linear_pieces(0.01),
    "erf": _erf,
    "sin": _sin,
    "hard_tanh": _hard_tanh,
}


def _sines(q: float, c: float) -> float:
    """(exp(-q (1 - c)) - exp(-q (1 + c))) / 2, to full precision for small q."""
    return 0.5 * (math.expm1(-q * (1 - c)) - math.expm1(-q * (1 + c)))


def _cosines(q: float, c: float) -> float:
    return 0.5 * (math.exp(-q * (1 - c)) + math.exp(-q * (1 + c)))


# the panels do not follow the many waves of a large q
CLOSED_CORRELATED: dict[str, tuple[Correlated, Correlated]] = {"sin": (_sines, _cosines)}

# tables, for what needs A and B at very many q


@cache
def table(phi: Activation) -> tuple[np.ndarray, Any, Any]:
    """ln q from SMALLEST to LARGEST, and cubic splines of ln A and ln B over it."""
    spline = import_module("scipy.interpolate").CubicSpline
    log_q = np.linspace(math.log(SMALLEST), math.log(LARGEST), 801)
    square, slope_square = moments(phi)
    q = np.exp(log_q)
    return log_q, spline(log_q, np.log(square(q))), spline(log_q, np.log(slope_square(q)))
