"""Clipping of the adjoint inside backpropagation, at every step.

A mode maps the scaled joint adjoint (S, *M, B, H) and the threshold in the same scale, (*M, B), to the clipped adjoint.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arrays import Array, Namespace
from ..registry import Registry
from .scaled import size_exponents

STEP_MODES: Registry[Callable[[Namespace, Array, Array], Array]] = Registry("adjoint clipping", "clip")


@STEP_MODES.register("step_norm")
def step_by_norm(xp: Namespace, adjoint: Array, threshold: Array) -> Array:
    """Scale each sample's joint-state adjoint to at most the threshold, at every step."""
    size = xp.expand_dims(size_exponents(xp, adjoint, (0, -1), nothing=0), (0, -1))
    unit = xp.ldexp(adjoint, -size)  # by powers of two, so that a norm at the threshold is not above it
    norm = xp.sqrt(xp.sum(unit * unit, axis=(0, -1), keepdims=True))
    limit = xp.ldexp(threshold[None, ..., None], -size)
    return adjoint * xp.where(norm > limit, limit / norm, xp.ones_like(norm)).astype(adjoint.dtype)


@STEP_MODES.register("step_value")
def step_by_value(xp: Namespace, adjoint: Array, threshold: Array) -> Array:
    """Cut every entry of the adjoint to [-threshold, threshold], at every step."""
    limit = threshold[None, ..., None].astype(adjoint.dtype)
    return xp.minimum(xp.maximum(adjoint, -limit), limit)
