"""Matrices whose singular values span any range, and those values, each to its own digits.

A product of many Jacobians stretches its directions at different rates, so that after some hundred steps all its rows
are parallel in floating point. Kept as columns with an exponent each, orthonormalised from the other side on the way,
nothing is lost, and one-sided Jacobi rotations find the singular values to high relative accuracy.
Source: Stewart 1997 (graded products); Demmel & Veselic 1992 (accuracy of Jacobi's method).
"""

from __future__ import annotations

from ..arrays import LN2, Array, Namespace, quiet, row_dots

EMPTY = -(2**30)  # the exponent of a column of zeros
RESOLVED = 20  # bits: a narrower range of the wanted singular values is left to the library's SVD
NEGLIGIBLE = 40  # bits: columns so far below the last wanted one do not change it
SWEEPS = 20  # of rotations at most; a few are enough
ORTHOGONAL = 1e-12  # cosine between two columns that counts as none


class GradedMatrix:
    """Columns with an exponent each: column j is rows[j] times 2^exponents[j]; rows (..., n, N), float64."""

    def __init__(self, xp: Namespace, columns: Array) -> None:
        self.xp, self.rows = xp, columns
        self.exponents = xp.zeros(columns.shape[:-1], dtype=xp.int32)
        self._normalise()

    def multiply(self, r: Array, exponents: Array) -> None:
        """Multiply by (r diag(2^exponents))^T, r (..., n, n) upper triangular, from the right."""
        xp = self.xp
        own = xp.maximum(self.exponents + exponents, EMPTY)[..., None, :]
        sizes = xp.where(r != 0, xp.frexp(r)[1] + own, EMPTY)
        self.exponents = xp.max(sizes, axis=-1)
        self.rows = xp.matmul(xp.ldexp(r, own - self.exponents[..., None]), self.rows)
        self._normalise()

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

    def _normalise(self) -> None:
        """Bring each column's largest entry to [0.5, 1)."""
        self.rows, self.exponents = _normalised(self.xp, self.rows, self.exponents)


def _by_library(xp: Namespace, rows: Array, exponents: Array, k: int) -> tuple[Array, Array]:
    """The singular values as the library finds them, to digits of the largest."""
    top = exponents[..., :1]
    _, sigma, lefts = xp.linalg.svd(xp.ldexp(rows, (exponents - top)[..., None]))
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
        self.rows, self.exponents = _normalised(self.xp, self.rows, self.exponents)
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
        delta2 = xp.ldexp(xp.ones(shift.shape, dtype=x.dtype), 2 * xp.maximum(shift, -600))
        a, b, g = (row_dots(xp, left, right) for left, right in ((x, x), (y, y), (x, y)))
        z = (a - delta2 * b) / (2 * xp.where(g != 0, g, 1.0))
        tau = xp.where(z < 0, -1.0, 1.0) / (xp.abs(z) + xp.sqrt(delta2 + z * z))
        tau = xp.where(g != 0, tau, 0.0)
        c = (1 / xp.sqrt(1 + tau * tau * delta2))[..., None]
        new_x, new_y = c * (x + (tau * delta2)[..., None] * y), c * (y - tau[..., None] * x)
        self.rows[..., :half, :], self.rows[..., half:, :] = xp.where(swap, new_y, new_x), xp.where(swap, new_x, new_y)
        return float(xp.max(xp.abs(g) / xp.sqrt(xp.where(a * b > 0, a * b, 1.0))))


def _normalised(xp: Namespace, rows: Array, exponents: Array) -> tuple[Array, Array]:
    """Rows with their largest entry in [0.5, 1), and their exponents."""
    largest = xp.max(xp.abs(rows), axis=-1)
    shift = xp.frexp(largest)[1]
    return xp.ldexp(rows, -shift[..., None]), xp.where(largest > 0, exponents + shift, EMPTY)


def _seats(half: int) -> list[int]:
    """Who sits where next at a round table, opposite each other i and half + i, if seat 0 stays and all others move."""
    ring = [*range(1, half), *range(2 * half - 1, half - 1, -1)]
    ring = ring[-1:] + ring[:-1]
    return [0, *ring[: half - 1], *reversed(ring[half - 1 :])]
