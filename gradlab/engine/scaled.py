"""Numbers of any magnitude: mantissas times powers of two, where blocks of numbers share an exponent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ..arrays import LN2, Array, Namespace, log_norm, namespace, quiet, require_type, row_dots
from ..errors import InputError

EMPTY = -(2**30)  # the exponent of nothing: below every exponent that occurs
Axes = int | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scaled:
    """mantissas * 2^exponents; exponents (int32) have as many axes, of length 1 where numbers share one.

    Zeros may have any exponent; an exponent in the depths of EMPTY means zero, whatever the mantissa.
    """

    mantissas: Array
    exponents: Array

    @classmethod
    def of(cls, x: Array | Scaled, axes: Axes = ()) -> Scaled:
        """Plain or scaled numbers; the largest along `axes`, which share an exponent, has a mantissa in [0.5, 1).

        Without axes, as they are.
        """
        if not isinstance(x, Scaled):
            x = cls(x, namespace(x).zeros((1,) * x.ndim, dtype=namespace(x).int32))
        if axes == ():
            return x
        e = x.sizes(axes)
        return cls(x.over(e), e)

    @property
    def xp(self) -> Namespace:
        """The array namespace."""
        return namespace(self.mantissas)

    def __getitem__(self, key: int | slice | None) -> Scaled:
        """A part along the first axis, or all with another one before it."""
        shared = len(self.exponents) == 1
        return Scaled(self.mantissas[key], self.exponents if shared and isinstance(key, slice) else self.exponents[key])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the numbers."""
        return tuple(self.mantissas.shape)

    def __add__(self, other: Scaled) -> Scaled:
        """The sum, row by row at the larger exponent where plain numbers would leave the moderate range."""
        if self.is_plain and other.is_plain:
            total = Scaled(self.mantissas + other.mantissas, self.exponents)
            if are_exact(total):
                return total
        e = self.xp.maximum(self.sizes(-1), other.sizes(-1))
        return Scaled(self.over(e) + other.over(e), e)

    @property
    def is_plain(self) -> bool:
        """Whether the mantissas are the numbers."""
        return not bool(self.exponents.any())

    @property
    def strays(self) -> Array:
        """Which rows, along the last axis, are not of a moderate size, so that the squares are normal numbers."""
        squares, limit = row_dots(self.xp, self.mantissas, self.mantissas), 4.0 ** scale_range(self.mantissas)
        return ~((squares > 1 / limit) & (squares < limit))

    def is_zero_at(self, rows: Array) -> bool:
        """Whether these rows are exactly zero."""
        return not bool(self.mantissas[rows].any())

    def map(self, function: Any) -> Scaled:
        """A function of the mantissas that is linear within each block that shares an exponent."""
        return Scaled(function(self.mantissas), self.exponents)

    def sizes(self, axes: Axes) -> Array:
        """The exponents of the largest numbers along `axes`, which stay with length 1; EMPTY where all are zero."""
        xp, largest = self.xp, self.xp.abs(self.mantissas)
        shared = tuple(a for a in _axes(axes, largest.ndim) if self.exponents.shape[a] == 1)
        if shared:
            largest = xp.max(largest, axis=shared, keepdims=True)
        sizes = xp.where((largest > 0) & (self.exponents > EMPTY // 2), xp.frexp(largest)[1] + self.exponents, EMPTY)
        return xp.max(sizes, axis=axes, keepdims=True)

    def over(self, exponents: Array) -> Array:
        """The numbers over 2^exponents; what is far below one flushes to zero."""
        with quiet():
            return self.xp.ldexp(self.mantissas, self.exponents - exponents)

    def plain(self) -> Array:
        """The numbers as they are, which may under- or overflow; the mantissas themselves where these are plain."""
        return self.mantissas if self.is_plain else self.over(self.xp.int32(0))

    def log_norm(self, axes: Axes) -> Array:
        """ln of the Euclidean norm along `axes`, float64; -inf where all are exactly zero."""
        same = Scaled.of(self, axes)
        return log_norm(self.xp, same.mantissas, axes) + LN2 * self.xp.squeeze(same.exponents, axis=axes)


def scale_range(array: Array) -> int:
    """log2 of how far a number may stray from 1 before it is rescaled: its square stays a normal number."""
    return 500 if array.dtype.itemsize == 8 else 60


def map_rows(function: Callable[..., Array], x: Scaled, *factors: tuple[Array, Axes]) -> Scaled:
    """function(x, *arrays), linear in each of them, of every row (along the last axis) of x by itself.

    A row of the result that is no longer moderate may have lost digits; then all is done again with the largest
    number of each row in [0.5, 1), and of each factor along its axes. Rows that are still zero were so rightly.
    """
    y = x.map(lambda mantissas: function(mantissas, *(array for array, _ in factors)))
    if y.mantissas is x.mantissas or are_exact(y, x):
        return y
    strays = y.strays
    x, *scaled = Scaled.of(x, -1), *(Scaled.of(array, axes) for array, axes in factors)
    exponents = sum((f.exponents for f in scaled), x.exponents)
    again = Scaled(function(x.mantissas, *(f.mantissas for f in scaled)), exponents)
    return y if again.is_zero_at(strays) else Scaled.of(again, -1)


def are_exact(y: Scaled, *x: Scaled) -> bool:
    """Whether every row of y, a sum of products with rows of x, is moderate, or zero as those are."""
    strays = y.strays
    return not bool(strays.any()) or all(rows.is_zero_at(strays) for rows in (y, *x))


def sum_products(product: Callable[[Array, Array], Array], a: Scaled, b: Array) -> Scaled:
    """product(a, b), linear in both, which sums over the steps and samples of a (T, *M, B, n) and b (T, *M, B, k).

    The result is (*M, ...), with one exponent for each model.
    """
    if a.is_plain:
        total = product(a.mantissas, b)
        if _is_exact(total, a.mantissas, b):
            return Scaled.of(total)
    a = Scaled.of(a, -1)
    weighted = Scaled.of(Scaled(b, a.exponents), (0, -2, -1))  # so that what flushes to zero is small in the sum
    total, models = product(a.mantissas, weighted.mantissas), a.shape[1:-2]
    return Scaled(total, weighted.exponents.reshape(*models, *(1,) * (total.ndim - len(models))))


def sum_rows(a: Scaled) -> Scaled:
    """The sum over steps and samples (*M, n) of a (T, *M, B, n), with one exponent for each model."""
    if a.is_plain and _is_exact(total := a.mantissas.sum(axis=(0, -2)), a.mantissas):
        return Scaled.of(total)
    a = Scaled.of(a, (0, -2, -1))
    return Scaled(a.mantissas.sum(axis=(0, -2)), a.exponents[0, ..., 0])


def _is_exact(total: Array, *factors: Array) -> bool:
    """Whether each model's largest number is moderate, or zero because all of a factor (T, *M, B, n) is."""
    models, limit = factors[0].ndim - 3, 2.0 ** scale_range(total)
    sizes = largest_by_model(total, models, 0)
    moderate = (sizes > 1 / limit) & (sizes < limit)
    if not bool(moderate.all()):
        for factor in factors:
            moderate = moderate | (largest_by_model(factor, models) == 0)
    return bool(moderate.all())


def largest_by_model(array: Array, models: int, before: int = 1) -> Array:
    """Each model's largest absolute value (*M,), 0 without entries; `before` axes are before those of the models."""
    xp = namespace(array)
    if 0 in array.shape:
        return xp.zeros(array.shape[before : before + models], dtype=array.dtype)
    axes = (*range(before), *range(before + models, array.ndim))
    return xp.maximum(xp.max(array, axis=axes), -xp.min(array, axis=axes))


def side_by_side(*parts: Scaled) -> Scaled:
    """Numbers beside each other along the last axis, each row at the largest exponent of its parts."""
    join = parts[0].xp.concatenate
    if all(x.is_plain for x in parts):
        return Scaled(join([x.mantissas for x in parts], axis=-1), parts[0].exponents)
    e = reduce(parts[0].xp.maximum, [x.sizes(-1) for x in parts])
    return Scaled(join([x.over(e) for x in parts], axis=-1), e)


def stacked(blocks: Sequence[Scaled]) -> Scaled:
    """Blocks of numbers of one shape on a new first axis, at the largest of their exponents."""
    e = reduce(blocks[0].xp.maximum, [x.exponents for x in blocks])
    return Scaled(blocks[0].xp.stack([x.over(e) for x in blocks]), e[None])


def require_exponents(name: str, x: Scaled, axes: Axes) -> None:
    """Raise InputError, by name, unless the exponents are whole numbers that all numbers along `axes` share."""
    shared, got = _axes(axes, x.mantissas.ndim), tuple(x.exponents.shape)
    require_type(f"{name}: exponents", x.exponents, "i", "whole numbers")
    expected = tuple(1 if axis in shared else n for axis, n in enumerate(x.shape))
    if len(got) != len(expected) or not all(e in (1, n) for e, n in zip(got, expected, strict=True)):
        raise InputError(f"{name}: expected exponents of shape {expected}, or 1 where shared, got {got}", name)


def size_exponents(xp: Namespace, x: Array, axes: Axes, nothing: int = EMPTY) -> Array:
    """The exponents (int32) of the largest entries along `axes`, which are left out; `nothing` where all are zero."""
    largest = xp.max(xp.abs(x), axis=axes)
    return xp.where(largest > 0, xp.frexp(largest)[1], xp.full(largest.shape, nothing, dtype=xp.int32))


def bring_near_one(xp: Namespace, x: Array, axes: Axes) -> Array:
    """Divide x in place by powers of two, so that the largest along `axes` lies in [0.5, 1); the exponents, 0 of zeros.

    The exponents lack the axes.
    """
    exponents = size_exponents(xp, x, axes, nothing=0)
    xp.ldexp(x, -xp.expand_dims(exponents, axes), out=x)
    return exponents


def powers_of_two(xp: Namespace, exponents: Array, dtype: Any) -> Array:
    """2^exponents."""
    return xp.ldexp(xp.ones(exponents.shape, dtype=dtype), exponents)


def _axes(axes: Axes, ndim: int) -> tuple[int, ...]:
    return tuple(a % ndim for a in ((axes,) if isinstance(axes, int) else axes))
