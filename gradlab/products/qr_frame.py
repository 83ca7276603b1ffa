"""An orthonormal frame carried along a product of Jacobians, J_T ... J_1 Q_0 = Q_T R_T ... R_1, in log scale.

Column i of the frame loses its own direction at the rate at which R_ii grows more slowly than R_11, so the frame is
orthonormalised before the ratio of the R_ii eats up the digits. Source: Benettin et al. 1980; Eckmann & Ruelle 1985.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..arrays import Array, Namespace, log_norm, quiet, to_numpy
from ..errors import InputError

LIMITS = {4: 1e2, 8: 1e6}  # of max |R_ii| / min |R_ii|, by bytes of a number
MAGNITUDES = {4: 1e15, 8: 1e150}  # beyond them, and their inverses, squares may leave the range
SAFETY = 0.7  # share of the limit, in logarithms, that the next interval aims at
LONGEST = 256  # steps between two orthonormalisations, at most
CHOSEN = 16  # the same where nobody asked for more, so that short runs have parts to compare
ROUNDINGS = 16 * float(np.finfo(np.float64).eps)  # of a dependent column, times the number of its entries

Operator = Callable[[Array], Array]  # vectors (K, S, *M, B, H) -> J times each of them


class Frame:
    """K tangent vectors per sample, (K, S, *M, B, H), orthonormal again after every interval.

    every: the interval, shortened where it breaks the limit on R's diagonal; None chooses it as it goes.
    asked: the interval as it was given.
    dead: (K, *M, B), columns that a Jacobian made dependent on those before them; their exponents are -inf.
    """

    def __init__(self, xp: Namespace, shape: tuple[int, ...], dtype: np.dtype, k: int, every: int | None) -> None:
        self.xp, self.asked, self.every = xp, every, every and min(every, LONGEST)
        self.interval = self.every or 1
        self.size = shape[0] * shape[-1]  # exponents that there are
        self.limit, self.magnitude = LIMITS[dtype.itemsize], MAGNITUDES[dtype.itemsize]
        start = np.linalg.qr(np.random.default_rng(0).normal(size=(self.size, k)))[0].T
        spread = start.reshape(k, shape[0], *(1,) * (len(shape) - 2), shape[-1])
        self.vectors = xp.zeros((k, *shape), dtype=dtype) + xp.asarray(spread, dtype=dtype)
        self.dead = xp.zeros((k, *shape[1:-1]), dtype=xp.bool_)

    def carry(self, operators: Sequence[Operator], first_step: int) -> Iterator[tuple[int, Array]]:
        """Through the Jacobians of steps first_step, first_step + 1 ...; yields (steps, ln |R_ii| (K, *M, B))."""
        start = 0
        while start < len(operators):
            n = min(self.interval, len(operators) - start)
            with quiet():
                growth = self._through(operators[start : start + n], first_step + start)
            if growth is not None:
                start += n
                yield n, growth

    def revive(self) -> None:
        """Forget which columns were dependent, as what is counted begins anew."""
        self.dead[...] = False

    def _through(self, operators: Sequence[Operator], step: int) -> Array | None:
        """ln |R_ii| over these steps; None, and a shorter interval, where they are too many."""
        xp, n, moved = self.xp, len(operators), self.vectors
        for operator in operators:
            moved = operator(moved)
        if not bool(xp.isfinite(moved.sum())) and not bool(xp.isfinite(moved).all()):
            if n == 1:
                raise InputError(_not_finite(moved, step))
            self._shorten(n, math.inf)
            return None
        q, sizes = _orthonormal(xp, _columns(xp, moved))
        strain = self._strain(sizes)
        if not strain <= 1:
            if n > 1:
                self._shorten(n, strain)
                return None
            q, sizes = self._one_step(operators[0])
        self._lengthen(n, strain)
        self.vectors = _vectors(xp, q, moved.shape)
        return xp.where(self.dead, -xp.inf, xp.log(sizes.astype(xp.float64)))

    def _one_step(self, operator: Operator) -> tuple[Array, Array]:
        """Q and |R_ii| of a step that is ill-conditioned by itself, in double precision; finds dependent columns."""
        xp = self.xp
        columns = _columns(xp, operator(self.vectors.astype(xp.float64)))
        q, sizes = _orthonormal(xp, columns)
        lengths = xp.moveaxis(log_norm(xp, columns, axis=-2), -1, 0)
        self.dead = self.dead | (xp.log(sizes) <= math.log(ROUNDINGS * self.size) + lengths)
        return q.astype(self.vectors.dtype), sizes

    def _strain(self, sizes: Array) -> float:
        """How much of the allowed ratio and range, in logarithms, |R_ii| (K, *M, B) use up: at most 1 is good.

        The worst of all samples; dead columns do not count.
        """
        xp, alive = self.xp, ~self.dead
        logs = xp.log(sizes.astype(xp.float64))
        largest = xp.max(xp.where(alive, logs, -xp.inf), axis=0)
        smallest = xp.min(xp.where(alive, logs, xp.inf), axis=0)
        ratio = (largest - smallest) / math.log(self.limit)
        magnitude = xp.maximum(largest, -smallest) / math.log(self.magnitude)
        return float(xp.max(xp.where(alive.any(axis=0), xp.maximum(ratio, magnitude), 0.0)))

    def _fitting(self, n: int, strain: float) -> int:
        """How many steps use up SAFETY of what is allowed, if n of them use up `strain`."""
        return n // 2 if math.isinf(strain) else int(min(LONGEST, SAFETY * n / max(strain, 1e-9)))

    def _shorten(self, n: int, strain: float) -> None:
        self.interval = max(1, min(n - 1, self._fitting(n, strain)))
        if self.every is not None:
            self.every = self.interval

    def _lengthen(self, n: int, strain: float) -> None:
        if self.every is None:
            at_least = self.interval if n < self.interval else 1  # an interval cut short says little of a whole one
            self.interval = max(at_least, min(2 * n, CHOSEN, self._fitting(n, strain)))


def _orthonormal(xp: Namespace, columns: Array) -> tuple[Array, Array]:
    """Q (*M, B, S*H, K) and |R_ii| (K, *M, B) of columns = Q R."""
    q, r = xp.linalg.qr(columns)
    return q, xp.moveaxis(xp.abs(xp.diagonal(r, axis1=-2, axis2=-1)), -1, 0)


def _columns(xp: Namespace, vectors: Array) -> Array:
    """(K, S, *M, B, H) -> (*M, B, S*H, K)."""
    joint = xp.moveaxis(vectors, 1, -2)
    return xp.moveaxis(joint.reshape(*joint.shape[:-2], -1), 0, -1)


def _vectors(xp: Namespace, columns: Array, shape: tuple[int, ...]) -> Array:
    """(*M, B, S*H, K) -> (K, S, *M, B, H)."""
    joint = xp.moveaxis(columns, -1, 0)
    return xp.ascontiguousarray(xp.moveaxis(joint.reshape(*joint.shape[:-1], shape[1], shape[-1]), -2, 1))


def _not_finite(moved: Array, step: int) -> str:
    """Which sample's Jacobian is to blame."""
    bad = ~np.isfinite(to_numpy(moved)).all(axis=(0, 1, -1))
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    model = f" of model {at[:-1]}" if at[:-1] else ""
    return f"the Jacobian of step {step} is not finite in sample {at[-1]}{model}; its entries must be finite numbers"
