"""Norms of a product of Jacobians while it grows: Frobenius exactly, the spectral norm of small ones exactly, too.

That of large ones is followed from step to step.
"""

from __future__ import annotations

import numpy as np

from ..arrays import LN2, Array, Namespace, quiet
from ..engine.lanczos import Operator, largest_singular_values, leading_triplet
from ..engine.scaled import EMPTY, powers_of_two
from .scaled_vectors import ScaledVectors

DENSE, EXACT = 64, 32  # sides of matrices whose spectral norm is exact where it is not proven; in any case
PROVEN = 1.9  # ||A||_F^2 over sigma^2, below which no other singular value can be larger, with a residual up to TOL
ROUNDINGS = 16  # units in the last place, as the residual of an exact value
TOL = 1e-2  # of the relative residual; within it there is a singular value, which is then about its square away
NOISE = 0.02  # share of a random direction in every start, so that a value that overtakes the leading one is noticed
FIRST = {
    1: TOL,
    2: TOL / 5,
    4: TOL / 5,
    8: TOL,
}  # Golub-Kahan steps from the neighbour's vector -> residual that will do
LATER, CYCLES = {8: TOL}, 6  # the same where that is too few, and how often
RIVAL, UNSEEN = 0.5, 0.01  # a row with that share of sigma^2, and less than that of the singular vector, joins in


class Growth:
    """Norms of matrices whose rows are scaled vectors (*M, B, K, N), noted each time `record` is called."""

    def __init__(self, product: ScaledVectors, spectral: bool) -> None:
        self.product, self.xp = product, product.xp
        self.exponents: Array | None = None  # those that tops and scales belong to
        self.tops: list[Array] = []
        self.squares: list[Array] = []
        self.leading = _Leading(product) if spectral else None

    def record(self) -> None:
        """Note the norms as they are now."""
        if self.product.exponents is not self.exponents:
            self.top, self.scales = row_scales(self.product)
            self.weights = self.scales.astype(self.xp.float64) ** 2
            self.exponents = self.product.exponents
        rows = self.product.squares * self.weights
        self.tops.append(self.top)
        self.squares.append(rows.sum(axis=-1))
        if self.leading is not None:
            self.leading.record(self.scales, rows)

    def frobenius(self) -> Array:
        """ln ||.||_F (recorded, *M, B)."""
        return self._log(self.squares) * 0.5 + LN2 * self.xp.stack(self.tops)

    def spectral(self) -> tuple[Array, Array] | tuple[None, None]:
        """ln ||.||_2 and its relative residual (recorded, *M, B); None if it was not followed."""
        if self.leading is None:
            return None, None
        return self._log(self.leading.sigmas) + LN2 * self.xp.stack(self.tops), self.xp.stack(self.leading.residuals)

    def _log(self, values: list[Array]) -> Array:
        with quiet():
            return self.xp.log(self.xp.stack(values))


def row_scales(product: ScaledVectors) -> tuple[Array, Array]:
    """The largest exponent of each matrix's rows (*M, B), and 2^(a row's exponent less that one) (*M, B, K)."""
    xp = product.xp
    exponents = xp.where(product.alive, product.exponents, EMPTY)
    top = xp.max(exponents, axis=-1)
    return top, powers_of_two(xp, exponents - top[..., None], product.mantissas.dtype)


class _Leading:
    """The leading singular value and left singular vector, found each time from the vector before.

    A singular value lies within the residual, and what is found is never above the largest. That it is the largest is
    proven by ||A||_F^2 = sum of sigma_i^2 where sigma^2 is more than half of it. Where it is not, matrices up to DENSE
    are decomposed; of larger ones it is very likely (of 32,000 products of saturated random nets, 2 were off by more
    than 1 %) and not certain.
    """

    def __init__(self, product: ScaledVectors) -> None:
        self.product, self.xp = product, product.xp
        self.side = max(product.mantissas.shape[-2:])
        self.sigmas: list[Array] = []
        self.residuals: list[Array] = []
        random = np.random.default_rng(0).normal(size=(2, *product.mantissas.shape[:-1]))
        unit = self.xp.asarray(random / np.linalg.norm(random, axis=-1, keepdims=True), dtype=product.mantissas.dtype)
        self.left, self.noise = unit[0], NOISE * unit[1]

    def record(self, scales: Array, rows: Array) -> None:
        """Note sigma, in the scale of the largest row, and its residual; rows: the squared norms of the rows."""
        xp, matrix = self.xp, self.product.mantissas
        if self.side <= EXACT:
            sigma, residual = _decomposed(xp, matrix, scales)
        else:
            sigma, residual = (a.astype(xp.float64) for a in self._found(*_operators(xp, matrix, scales), rows))
            unproven = rows.sum(axis=-1) > PROVEN * sigma * sigma
            if self.side <= DENSE and bool(unproven.any()):
                sigma[unproven], residual[unproven] = _decomposed(xp, matrix[unproven], scales[unproven])
        self.sigmas.append(sigma)
        self.residuals.append(residual)

    def _found(self, apply: Operator, apply_transpose: Operator, rows: Array) -> tuple[Array, Array]:
        xp, tolerances = self.xp, FIRST
        for _ in range(CYCLES):
            start = apply_transpose(self.left + self.noise)
            sigma, self.left, residual = leading_triplet(xp, apply, apply_transpose, start, tolerances)
            rivals = self._rivals(rows, sigma) if tolerances is FIRST else None
            if rivals is None and bool((residual <= TOL).all()):
                return sigma[..., 0], residual[..., 0]
            self.left, tolerances = self.left if rivals is None else self.left + rivals, LATER
        return largest_singular_values(xp, apply, apply_transpose, start, (-1,), TOL)

    def _rivals(self, rows: Array, sigma: Array) -> Array | None:
        """1 for each row that is nearly as long as sigma and hardly part of the singular vector; None without any."""
        level = RIVAL * sigma * sigma
        if not bool((self.xp.max(rows, axis=-1) > level[..., 0]).any()):
            return None
        rivals = (rows > level) & (self.left * self.left < UNSEEN)
        return rivals.astype(self.left.dtype) if bool(rivals.any()) else None


def _decomposed(xp: Namespace, matrix: Array, scales: Array) -> tuple[Array, Array]:
    """The largest singular value (*M, B) of diag(scales) matrix, and what rounding may have made of it."""
    whole = scales[..., None].astype(xp.float64) * matrix
    sigma = xp.linalg.svd(whole, compute_uv=False)[..., 0]
    return sigma, xp.where(sigma > 0, ROUNDINGS * float(np.finfo(matrix.dtype).eps), 0.0)


def _operators(xp: Namespace, matrix: Array, scales: Array) -> tuple[Operator, Operator]:
    """v -> A v and u -> A^T u for A = diag(scales) matrix."""

    def apply(v: Array) -> Array:
        return scales * xp.matmul(matrix, v[..., None])[..., 0]

    def apply_transpose(u: Array) -> Array:
        return xp.matmul((scales * u)[..., None, :], matrix)[..., 0, :]

    return apply, apply_transpose
