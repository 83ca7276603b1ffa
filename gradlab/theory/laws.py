"""Exact laws: products of independent Gaussian matrices, Pascanu's bound, the memory of a chrono initialisation.

`WHERE` says where each holds and fails.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np

from ..arrays import Array, require_finite, require_whole, to_numpy
from ..cells.activations import Activation
from ..errors import InputError, echo
from .gaussian import find


def newman_exponents(n: int, scale: float) -> np.ndarray:
    """Lyapunov exponents (n,), largest first, of products of n x n matrices with independent N(0, scale^2 / n) entries.

    lambda_i = ln(scale / sqrt(n)) + 1/2 (ln 2 + psi((n - i + 1) / 2)), i = 1..n. Raises InputError for a size below 1
    or a scale that is not positive. Source: Newman 1986.
    """
    freedom = _freedom(n, scale)
    return math.log(scale / math.sqrt(n)) + 0.5 * (math.log(2) + _special().digamma(freedom / 2))


def newman_stderr(n: int, steps: int) -> np.ndarray:
    """Standard errors (n,) of the exponents measured over so many steps: sqrt(psi_1((n - i + 1) / 2) / (4 steps))."""
    return np.sqrt(_special().polygamma(1, _freedom(n, 1.0, steps) / 2) / (4 * steps))


def gaussian_growth(n: int, scale: float, steps: int = 1) -> tuple[float, float]:
    """Mean and variance of ln ||J_T ... J_1 v|| for a unit v and such matrices: a sum of independent ln chi_n.

    The mean of the squared norm, scale^(2 T), is much larger: a few products carry it.
    """
    freedom = _freedom(n, scale, steps)[0]
    mean = math.log(scale) + 0.5 * (math.log(2 / n) + _special().digamma(freedom / 2))
    return float(steps * mean), float(steps * _special().polygamma(1, freedom / 2) / 4)


def _freedom(n: int, scale: float, steps: int = 1) -> np.ndarray:
    """Degrees of freedom n, n-1 ... 1 of the chi-squared variables; InputError for what no product has."""
    require_whole(1, n=n, steps=steps)
    if not 0 < scale < math.inf:
        raise InputError(f"scale: expected a positive number, got {scale}", "scale")
    return np.arange(n, 0, -1)


def _special() -> Any:
    return import_module("scipy.special")


def pascanu_bound(activation: str | Activation, w: Array, steps: int = 1) -> np.ndarray:
    """ln of (gamma sigma_max)^steps (*M), which ||d h_T / d h_(T - steps)||_2 never exceeds; w is (*M, H, H).

    gamma: the activation's largest slope; sigma_max: the largest singular value of the recurrent weights of
    h' = phi(W h + V x + b). Below 0 is sufficient for vanishing, above 0 only necessary for exploding.
    Raises InputError for unknown names, weights that are not square or not finite, and steps that are no whole number
    from 0 on. Source: Pascanu, Mikolov & Bengio 2013, section 2.1.
    """
    require_whole(0, steps=steps)
    host = to_numpy(w).astype(float)
    if host.ndim < 2 or host.shape[-1] != host.shape[-2] or 0 in host.shape:
        raise InputError(f"w: expected shape (*M, H, H), got {host.shape}", "w")
    require_finite("w", host)
    largest = np.linalg.norm(host, 2, axis=(-2, -1))
    with np.errstate(divide="ignore"):
        return steps * (math.log(find(activation).max_slope) + np.log(largest)) if steps else 0 * largest


def chrono_memory(t_max: int, lag: Any = None) -> np.ndarray:
    """E f^lag, the expected share of a cell's content left after `lag` steps (t_max by default) at rest.

    f = sigmoid(b) with b = ln u, u uniform in [1, t_max - 1], so f = u / (1 + u): a unit forgets by e over about u
    steps. Raises InputError for t_max below 3 and negative lags. Source: Tallec & Ollivier 2018.
    """
    if not 3 <= t_max < math.inf:
        raise InputError(f"t_max: expected the longest lag expected, at least 3, got {echo(t_max)}", "t_max")
    lags = np.asarray(t_max if lag is None else lag, float)
    if not (lags >= 0).all():
        raise InputError(f"lag: expected numbers of steps from 0 on, got {lag}", "lag")
    edges = np.geomspace(1, t_max - 1, max(2, math.ceil(math.log2(t_max)) + 1))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = 0.5 * np.diff(edges)[:, None]
    u = edges[:-1, None] + half * (1 + nodes)
    shares = np.exp(-lags[..., None, None] * np.log1p(1 / u))
    return (half * weights * shares).sum(axis=(-2, -1)) / (t_max - 2)
