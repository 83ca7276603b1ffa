"""Frobenius norms of Jacobians E + D W without their matrices, right from the smallest to the largest normal number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from ..arrays import Array, Namespace, empty, linear, over_largest, quiet, row_dots
from ..lazy import lazy
from .operator import Operator
from .scaled import EMPTY, size_exponents

DENSE = 1.5e9  # multiply-adds of the matrices whose norms a run may take
ROWS = {4: 20, 8: 100}  # log2 of how far the largest numbers of the weights' rows, and
MODERATE = {4: 2.0**40, 8: 2.0**600}  # how far squared norms may stray from 1 and lose no digit; by bytes of a number


def frobenius_norms(operator: Operator, products: RowProducts) -> Array:
    """||J||_F (C, *M, B); with a late gate by the matrices, NaN beyond the samples that DENSE allows.

    Where squares may have left the range of numbers they are taken again from numbers near 1. The factors between are
    powers of two, so that nothing else changes in any digit.
    """
    if operator.late is not None:
        return _dense_norms(operator)
    xp, terms = operator.xp, _Terms(operator.carry, operator.gates)
    with quiet():
        squares = _squares(operator, products, terms)
        limit = MODERATE[squares.dtype.itemsize]
        moderate = products.moderate and bool(((squares > 1 / limit) & (squares < limit)).all())
        if moderate or operator.is_zero:
            return xp.sqrt(xp.maximum(squares, 0.0))
        scaled, exponents = terms.near_one(xp, products)
        squares = _squares(operator, products.near_one, scaled)
        return xp.ldexp(xp.sqrt(xp.maximum(squares, 0.0)), exponents)


class RowProducts:
    """d -> sum_i sum_kl d_ki d_li (W_k W_l^T)_ii, from row products of the weights that are computed once."""

    def __init__(self, xp: Namespace, weights: dict[int, Array]) -> None:
        self.xp, self.weights = xp, weights

    @lazy
    def grams(self) -> dict[tuple[int, int], Array]:
        """(W_k W_l^T)_ii (*M, 1, H) of each pair of gates, twice where they differ."""
        return {
            (k, m): ((wk * wm).sum(axis=-1) * (1 if k == m else 2))[..., None, :]
            for k, wk in self.weights.items()
            for m, wm in self.weights.items()
            if k <= m
        }

    @lazy
    def exponents(self) -> dict[int, Array]:
        """Those of the largest numbers in the rows of each W_k (*M, 1, H), 0 where all are zero."""
        return {k: size_exponents(self.xp, w, -1, nothing=0)[..., None, :] for k, w in self.weights.items()}

    @lazy
    def moderate(self) -> bool:
        """Whether every row is so near 1 that no square that matters can leave the range of numbers."""
        return all(
            bool((self.xp.abs(e) < ROWS[self.weights[k].dtype.itemsize]).all()) for k, e in self.exponents.items()
        )

    @lazy
    def near_one(self) -> RowProducts:
        """The same of the weights over 2^exponents, row by row."""
        xp = self.xp
        return RowProducts(
            xp, {k: xp.ldexp(w, -xp.swapaxes(self.exponents[k], -1, -2)) for k, w in self.weights.items()}
        )

    def __call__(self, d: dict[int, Array]) -> Array:
        """d: gate -> (C, *M, B, H); returns (C, *M, B)."""
        xp, total = self.xp, 0.0
        first = next(iter(d.values()))
        pair = empty(xp, first.shape, first.dtype)
        for (k, m), gram in self.grams.items():
            if k in d and m in d:
                xp.multiply(d[k], d[m], out=pair)
                total = total + linear(xp, pair, gram)
        return total[..., 0]  # type: ignore[index]


@dataclass(frozen=True)
class _Terms:
    """E by (new state, state) and D by (new state, gate), (C, *M, B, H) each."""

    carry: dict[tuple[int, int], Array]
    gates: dict[tuple[int, int], Array]

    def near_one(self, xp: Namespace, products: RowProducts) -> tuple[_Terms, Array]:
        """E, and D times 2^(W's row exponents), over a power of two for each matrix; its exponent (C, *M, B)."""
        weighted = {key: (d, products.exponents[key[1]]) for key, d in self.gates.items()}
        terms = [*((e, xp.int32(0)) for e in self.carry.values()), *weighted.values()]
        sizes = [xp.max(xp.where(d != 0, xp.frexp(d)[1] + power, EMPTY), axis=-1) for d, power in terms]
        top = reduce(xp.maximum, sizes)
        top = xp.where(top > EMPTY, top, 0)
        carry = {key: xp.ldexp(e, -top[..., None]) for key, e in self.carry.items()}
        gates = {key: xp.ldexp(d, power - top[..., None]) for key, (d, power) in weighted.items()}
        return _Terms(carry, gates), top


def _squares(operator: Operator, products: RowProducts, terms: _Terms) -> Array:
    total = operator.xp.zeros((len(operator), *operator.shape), dtype=operator.dtype)
    for row in range(len(operator.cell.states)):
        d = {k: array for (s, k), array in terms.gates.items() if s == row}
        if d:
            total += products(d)
        for (s, column), e in terms.carry.items():
            if s == row:
                total += _carry_squares(operator, products, e, column, d)
    return total


def _carry_squares(operator: Operator, products: RowProducts, e: Array, column: int, d: dict[int, Array]) -> Array:
    """One carry's share of its row: e^2, and the cross terms with the weights' diagonals where they meet."""
    xp, inner = operator.xp, e
    for read, columns in operator.reads:
        if read == column:
            for k, gate in d.items():
                w = products.weights[k][..., columns]
                inner = inner + 2 * gate * xp.diagonal(w, axis1=-2, axis2=-1)[..., None, :]
    return row_dots(xp, e, inner)


def _dense_norms(operator: Operator) -> Array:
    xp, side = operator.xp, len(operator.cell.states) * operator.cell.hidden_size
    count = max(1, int(DENSE / (operator.steps * side * operator.cell.hidden_size**2)))
    part = operator.of_samples(min(count, operator.shape[-1]))
    found = xp.full((len(operator), *operator.shape), xp.nan, dtype=operator.dtype)
    matrices = xp.empty((1, *part.shape, side, side), dtype=operator.dtype)
    for i in range(len(operator)):
        unit, largest = over_largest(xp, part.step(operator.start + i).dense(matrices)[0], (-2, -1))
        found[i, ..., : part.shape[-1]] = xp.sqrt((unit * unit).sum(axis=(-2, -1))) * largest[..., 0, 0]
    return found
