"""Schemes for the recurrent weights; one registered block each.

A scheme takes a NumPy generator and the number of units and returns one (H, H) float64 matrix of its own scale;
the gain multiplies it afterwards. For `gaussian` the gain therefore is sigma_w, a standard deviation times sqrt(H).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import InputError
from ..registry import Registry

Scheme = Callable[[np.random.Generator, int], np.ndarray]
INITIALIZERS: Registry[Scheme] = Registry("recurrent initializer", "recurrent_init")
SPARSE_IN_DEGREE = 15


@INITIALIZERS.register("gaussian")
def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent N(0, 1/H); the gain is sigma_w of mean-field theory."""
    return rng.normal(0, 1 / np.sqrt(n), (n, n))


@INITIALIZERS.register("uniform")
def uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent U(-1/sqrt(H), 1/sqrt(H)), PyTorch's default; std * sqrt(H) = 0.577."""
    return rng.uniform(-1 / np.sqrt(n), 1 / np.sqrt(n), (n, n))


@INITIALIZERS.register("glorot_uniform")
def glorot_uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent U(-sqrt(3/H), sqrt(3/H)) (Glorot & Bengio 2010, fan in = fan out = H)."""
    return rng.uniform(-np.sqrt(3 / n), np.sqrt(3 / n), (n, n))


@INITIALIZERS.register("glorot_normal")
def glorot_normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent N(0, 2/(H + H)) (Glorot & Bengio 2010)."""
    return rng.normal(0, np.sqrt(2 / (n + n)), (n, n))


@INITIALIZERS.register("he")
def he(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent N(0, 2/H), which keeps the mean square through ReLU (He et al. 2015)."""
    return rng.normal(0, np.sqrt(2 / n), (n, n))


@INITIALIZERS.register("orthogonal")
def orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random orthogonal matrix, uniform over the group (Saxe et al. 2014)."""
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


@INITIALIZERS.register("identity")
def identity(rng: np.random.Generator, n: int) -> np.ndarray:
    """The identity matrix; with ReLU this is the IRNN (Le, Jaitly & Hinton 2015)."""
    return np.eye(n)


@INITIALIZERS.register("sparse")
def sparse(rng: np.random.Generator, n: int) -> np.ndarray:
    """15 entries per row from N(0, 1/15), the others zero (Martens 2010; Pascanu et al. 2013)."""
    k = min(SPARSE_IN_DEGREE, n)
    columns = np.argsort(rng.random((n, n)), axis=1)[:, :k]
    w = np.zeros((n, n))
    np.put_along_axis(w, columns, rng.normal(0, 1 / np.sqrt(k), (n, k)), axis=1)
    return w


@INITIALIZERS.register("antisymmetric")
def antisymmetric(rng: np.random.Generator, n: int) -> np.ndarray:
    """M - M^T with M from N(0, 1/H): imaginary eigenvalues (Chang et al. 2019)."""
    m = gaussian(rng, n)
    return m - m.T


def rescale(w: np.ndarray, radius: float) -> np.ndarray:
    """`w` (H, H) scaled to the spectral radius `radius`; InputError for a nilpotent matrix."""
    rho = np.abs(np.linalg.eigvals(w)).max()
    if rho == 0:
        text = "the drawn matrix has spectral radius 0 and cannot be rescaled"
        raise InputError(f"spectral_radius: {text}", "spectral_radius")
    return w * (radius / rho)
