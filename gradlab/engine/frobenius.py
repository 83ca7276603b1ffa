"""Frobenius norms of Jacobians E + D W without their matrices, right from the smallest to the largest normal number."""

from __future__ import annotations

from ..arrays import Array, empty, linear, over_largest, quiet, row_dots
from ..lazy import lazy
from .operator import Operator, Weights

DENSE = 1.5e9  # multiply-adds of the matrices whose norms a run may take
ROWS = {4: 20, 8: 100}  # log2 of how far the largest numbers of the weights' rows, and
MODERATE = {4: 2.0**40, 8: 2.0**600}  # how far squared norms may stray from 1 and lose no digit; by bytes of a number


def frobenius_norms(operator: Operator, products: RowProducts) -> Array:
    """||J||_F (C, *M, B); with a late gate by the matrices, NaN beyond the samples that DENSE allows.

    Where squares may have left the range of numbers they are taken again from numbers near 1. The factors between are
    powers of two, so that nothing else changes in any digit.
    """
    xp = operator.xp
    with quiet():
        if operator.late is not None:
            return _dense_norms(operator)
        squares = _squares(operator, products)
        limit = MODERATE[squares.dtype.itemsize]
        moderate = products.moderate and bool(((squares > 1 / limit) & (squares < limit)).all())
        if moderate or operator.is_zero:
            return xp.sqrt(xp.maximum(squares, 0.0))
        scaled, exponents = operator.near_one()
        return xp.ldexp(xp.sqrt(xp.maximum(_squares(scaled, products.near_one), 0.0)), exponents)


class RowProducts:
    """d -> sum_i sum_kl d_ki d_li (W_k W_l^T)_ii, from row products of the weights that are computed once."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    @lazy
    def grams(self) -> dict[tuple[int, int], Array]:
        """(W_k W_l^T)_ii (*M, 1, H) of each pair of gates, twice where they differ."""
        return {
            (k, m): ((wk * wm).sum(axis=-1) * (1 if k == m else 2))[..., None, :]
            for k, wk in self.weights.gates.items()
            for m, wm in self.weights.gates.items()
            if k <= m
        }

    @lazy
    def moderate(self) -> bool:
        """Whether every row is so near 1 that no square that matters can leave the range of numbers."""
        xp, gates = self.weights.xp, self.weights.gates
        return all(bool((xp.abs(e) < ROWS[gates[k].dtype.itemsize]).all()) for k, e in self.weights.exponents.items())

    @lazy
    def near_one(self) -> RowProducts:
        """The same of the weights with rows near 1."""
        return RowProducts(self.weights.near_one)

    def __call__(self, d: dict[int, Array]) -> Array:
        """d: gate -> (C, *M, B, H); returns (C, *M, B)."""
        xp, total = self.weights.xp, 0.0
        first = next(iter(d.values()))
        pair = empty(xp, first.shape, first.dtype)
        for (k, m), gram in self.grams.items():
            if k in d and m in d:
                xp.multiply(d[k], d[m], out=pair)
                total = total + linear(xp, pair, gram)
        return total[..., 0]  # type: ignore[index]


def _squares(operator: Operator, products: RowProducts) -> Array:
    total = operator.xp.zeros((len(operator), *operator.shape), dtype=operator.dtype)
    for row in range(len(operator.cell.states)):
        d = {k: array for (s, k), array in operator.gates.items() if s == row}
        if d:
            total += products(d)
        for (s, column), e in operator.carry.items():
            if s == row:
                total += _carry_squares(operator, e, column, d)
    return total


def _carry_squares(operator: Operator, e: Array, column: int, d: dict[int, Array]) -> Array:
    """One carry's share of its row: e^2, and the cross terms with the weights' diagonals where they meet."""
    xp, inner = operator.xp, e
    for read, columns in operator.reads:
        if read == column:
            for k, gate in d.items():
                w = operator.weights.gates[k][..., columns]
                inner = inner + 2 * gate * xp.diagonal(w, axis1=-2, axis2=-1)[..., None, :]
    return row_dots(xp, e, inner)


def _dense_norms(operator: Operator) -> Array:
    xp, side = operator.xp, len(operator.cell.states) * operator.cell.hidden_size
    count = max(1, int(DENSE / (operator.steps * side * operator.cell.hidden_size**2)))
    part, exponents = operator.of_samples(min(count, operator.shape[-1])).near_one()
    found = xp.full((len(operator), *operator.shape), xp.nan, dtype=operator.dtype)
    matrices = xp.empty((1, *part.shape, side, side), dtype=operator.dtype)
    for i in range(len(operator)):
        one, largest = over_largest(xp, part.step(operator.start + i).dense(matrices)[0], (-2, -1))
        norms = xp.sqrt((one * one).sum(axis=(-2, -1))) * largest[..., 0, 0]
        found[i, ..., : part.shape[-1]] = xp.ldexp(norms, exponents[i])
    return found
