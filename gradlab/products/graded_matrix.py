"""Matrices whose singular values span any range, and those values, each to its own digits.

A product of many Jacobians stretches its directions at different rates, so that after some hundred steps all its rows
are parallel in floating point. Kept as columns with an exponent each, orthonormalised from the other side on the way,
nothing is lost, and one-sided Jacobi rotations find the singular values to high relative accuracy.
Source: Stewart 1997 (graded products); Demmel & Veselic 1992 (accuracy of Jacobi's method).
"""

from __future__ import annotations

from ..arrays import LN2, Array, Namespace, quiet, row_dots
from ..engine.scaled import EMPTY, Scaled, powers_of_two

RESOLVED = 20  # bits: a narrower range of the wanted singular values is left to the library's SVD
NEGLIGIBLE = 40  # bits: columns so far below the last wanted one do not change it
SWEEPS = 20  # of rotations at most; a few are enough
ORTHOGONAL = 1e-12  # cosine between two columns that counts as none


class GradedMatrix:
    """Columns with an exponent each: column j is rows[j] times 2^exponents[j]; rows (..., n, N), float64."""

    def __init__(self, xp: Namespace, columns: Scaled) -> None:
        self.xp = xp
        self._set(Scaled.of(columns, -1))

    def multiply(self, r: Array, exponents: Array) -> None:
        """Multiply by (r diag(2^exponents))^T, r (..., n, n) upper triangular, from the right."""
        factor = Scaled.of(Scaled(r, (self.exponents + exponents)[..., None, :]), -1)
        self._set(Scaled.of(Scaled(self.xp.matmul(factor.mantissas, self.rows), factor.exponents), -1))

    def singular_values(self, k: int) -> tuple[Array, Array]:
        """The k largest ln sigma_i (..., k), largest first, and their left singular vectors as rows (..., k, N)."""
        xp = self.xp
        order = xp.argsort(-self.exponents, axis=-1)
        rows = xp.take_along_axis(self.rows, order[..., None], axis=-2)
        exponents = xp.take_along_axis(self.exponents, order, axis=-1)
        below = exponents[..., k - 1 : k] - exponents  # how far a column lies below the k-th
        with quiet():
            if int(xp.max(exponents[..., 0] - exponents[..., k - 1])) <= RESOLVED:
                return _by_library(xp, rows, exponents, k)
            kept = int(xp.max((below <= NEGLIGIBLE).sum(axis=-1)))
            return _Rotations(xp, rows[..., :kept, :], exponents[..., :kept]).singular_values(k)

    def _set(self, columns: Scaled) -> None:
        self.rows, self.exponents = columns.mantissas, columns.exponents[..., 0]


def _by_library(xp: Namespace, rows: Array, exponents: Array, k: int) -> tuple[Array, Array]:
    """The singular values as the library finds them, to digits of the largest."""
    top = exponents[..., :1]
    _, sigma, lefts = xp.linalg.svd(Scaled(rows, exponents[..., None]).over(top[..., None]))
    return xp.log(sigma[..., :k]) + LN2 * top, lefts[..., :k, :]


class _Rotations:
    """One-sided Jacobi rotations of all pairs of columns, half of them at once."""

    def __init__(self, xp: Namespace, rows: Array, exponents: Array) -> None:
        self.xp, self.rows, self.exponents = xp, rows, exponents
        if rows.shape[-2] % 2:
            self.rows = xp.concatenate([rows, xp.zeros_like(rows[..., :1, :])], axis=-2)
            self.exponents = xp.concatenate([exponents, xp.full_like(exponents[..., :1], EMPTY)], axis=-1)

    def singular_values(self, k: int) -> tuple[Array, Array]:
        """As those of the matrix."""
        xp = self.xp
        for _ in range(SWEEPS):
            if self._sweep() <= ORTHOGONAL:
                break
        squares = row_dots(xp, self.rows, self.rows)
        logs = xp.where(squares > 0, 0.5 * xp.log(squares) + LN2 * self.exponents, -xp.inf)
        lefts = self.rows / xp.sqrt(xp.where(squares > 0, squares, 1.0))[..., None]
        order = xp.argsort(-logs, axis=-1)[..., :k]
        return xp.take_along_axis(logs, order, axis=-1), xp.take_along_axis(lefts, order[..., None], axis=-2)

    def _sweep(self) -> float:
        """Rotate each column with each other once; the largest cosine that was met."""
        half, worst = self.rows.shape[-2] // 2, 0.0
        seats = _seats(half)
        for _ in range(2 * half - 1):
            worst = max(worst, self._rotate(half))
            self.rows, self.exponents = self.rows[..., seats, :], self.exponents[..., seats]
        columns = Scaled.of(Scaled(self.rows, self.exponents[..., None]), -1)
        self.rows, self.exponents = columns.mantissas, columns.exponents[..., 0]
        return worst

    def _rotate(self, half: int) -> float:
        """Make column i orthogonal to column half + i, for every i; the largest cosine before.

        With delta = 2^(e_y - e_x) <= 1: x' = c (x + tau delta^2 y), y' = c (y - tau x), tau bounded for any delta.
        """
        xp = self.xp
        swap = (self.exponents[..., :half] < self.exponents[..., half:])[..., None]
        first, second = self.rows[..., :half, :], self.rows[..., half:, :]
        x, y = xp.where(swap, second, first), xp.where(swap, first, second)
        shift = -xp.abs(self.exponents[..., :half] - self.exponents[..., half:])
        delta2 = powers_of_two(xp, 2 * xp.maximum(shift, -600), x.dtype)
        a, b, g = (row_dots(xp, left, right) for left, right in ((x, x), (y, y), (x, y)))
        z = (a - delta2 * b) / (2 * xp.where(g != 0, g, 1.0))
        tau = xp.where(z < 0, -1.0, 1.0) / (xp.abs(z) + xp.sqrt(delta2 + z * z))
        tau = xp.where(g != 0, tau, 0.0)
        c = (1 / xp.sqrt(1 + tau * tau * delta2))[..., None]
        new_x, new_y = c * (x + (tau * delta2)[..., None] * y), c * (y - tau[..., None] * x)
        self.rows[..., :half, :], self.rows[..., half:, :] = xp.where(swap, new_y, new_x), xp.where(swap, new_x, new_y)
        return float(xp.max(xp.abs(g) / xp.sqrt(xp.where(a * b > 0, a * b, 1.0))))


def _seats(half: int) -> list[int]:
    """Who sits where next at a round table, opposite each other i and half + i, if seat 0 stays and all others move."""
    ring = [*range(1, half), *range(2 * half - 1, half - 1, -1)]
    ring = ring[-1:] + ring[:-1]
    return [0, *ring[: half - 1], *reversed(ring[half - 1 :])]
