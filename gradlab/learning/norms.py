"""The norm of many arrays together, and the angle between two lists of arrays, at any magnitude."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays import LN2, Array, namespace, quiet, row_dots
from ..engine.scaled import Scaled, largest_by_model

SAFE = 2.0**900  # sums of squares between its inverse and this have lost no square that matters


@dataclass(frozen=True)
class Norm:
    """A Euclidean norm, mantissa * 2^exponent: a number even where the norm itself over- or underflows."""

    mantissa: float
    exponent: int = 0

    @classmethod
    def of(cls, vector: Array) -> Norm:
        """The norm of a float64 vector; NaN or inf where an entry is."""
        xp = namespace(vector)
        with quiet():
            squares = float(xp.dot(vector, vector))
            if 1 / SAFE < squares < SAFE:
                return cls(math.sqrt(squares))
            top = largest(vector)
            if top == 0 or not math.isfinite(top):
                return cls(top)
            unit = Scaled.of(vector, -1)
            return cls(math.sqrt(float(xp.dot(unit.mantissas, unit.mantissas))), int(unit.exponents[0]))

    @property
    def log(self) -> float:
        """ln of the norm; -inf means exactly zero."""
        return -math.inf if self.mantissa == 0 else math.log(self.mantissa) + self.exponent * LN2

    def is_at_most(self, length: float) -> bool:
        """Whether it is no longer than a positive `length`; exact, as a comparison of logarithms is not."""
        if self.mantissa == 0 or math.isinf(length):
            return True
        (own, power), (most, limit) = math.frexp(self.mantissa), math.frexp(length)
        return (power + self.exponent, own) <= (limit, most)

    def scale(self, vector: Array, length: float = 1.0) -> Array:
        """`vector` over this norm, times `length`."""
        return times_power(vector, -self.exponent) * (length / self.mantissa)


def times_power(vector: Array, exponent: int) -> Array:
    """`vector` times 2^exponent; itself for 0."""
    return Scaled(vector, namespace(vector).int32(exponent)).plain()


def flatten(arrays: Sequence[Array]) -> Array:
    """All entries of some arrays as one float64 vector."""
    xp = namespace(arrays[0])
    return xp.concatenate([a.reshape(-1) for a in arrays], dtype=xp.float64)


def largest(array: Array) -> float:
    """The largest absolute value, 0 without entries, NaN where one is."""
    return float(largest_by_model(array, 0, 0))


def row_norms(array: Array) -> Array:
    """Norms along the last axis, which stays as 1; no square under- or overflows."""
    xp, scaled = namespace(array), Scaled.of(array, -1)
    squares = row_dots(xp, scaled.mantissas, scaled.mantissas)
    return xp.ldexp(xp.sqrt(squares)[..., None], scaled.exponents)


def angle(a: Array, norm_a: Norm, b: Array, norm_b: Norm) -> float:
    """The angle in radians between two vectors of known norms, 0 where one of them is zero.

    From the chord of the unit vectors, not from the cosine, which cannot tell angles below 1e-8 from zero.
    """
    if norm_a.mantissa == 0 or norm_b.mantissa == 0:
        return 0.0
    chord = norm_a.scale(a)
    chord -= norm_b.scale(b)
    norm = Norm.of(chord)
    return 2 * math.asin(min(math.exp(norm.log) / 2, 1.0))


def angle_between(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The angle in radians between two lists of arrays, 0 where one of them is zero."""
    u, v = flatten(a), flatten(b)
    return angle(u, Norm.of(u), v, Norm.of(v))
