"""Numbers of any magnitude: mantissas times powers of two, where blocks of numbers share an exponent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import LN2, Array, Namespace, log_norm, namespace, quiet

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

    def __getitem__(self, key: int | slice) -> Scaled:
        """A part along the first axis."""
        shared = len(self.exponents) == 1
        return Scaled(self.mantissas[key], self.exponents if shared and isinstance(key, slice) else self.exponents[key])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the numbers."""
        return tuple(self.mantissas.shape)

    @property
    def is_plain(self) -> bool:
        """Whether the mantissas are the numbers."""
        return not bool(self.exponents.any())

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
        """The numbers as they are, which may under- or overflow."""
        return self.mantissas if self.is_plain else self.over(self.xp.int32(0))

    def log_norm(self, axes: Axes) -> Array:
        """ln of the Euclidean norm along `axes`, float64; -inf where all are exactly zero."""
        same = Scaled.of(self, axes)
        return log_norm(self.xp, same.mantissas, axes) + LN2 * self.xp.squeeze(same.exponents, axis=axes)


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
