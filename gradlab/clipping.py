"""Clipping: of the weight update, and of the adjoint inside backpropagation; one registered block each.

An update mode maps a list of parameter gradients and a threshold to the clipped list. A step mode maps the scaled
joint adjoint (S, *M, B, H) and the threshold in the same scale, (*M, B), to the clipped adjoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import LN2, Array, Namespace, quiet
from .errors import InputError
from .registry import Registry

UPDATE_MODES: Registry[Callable[[list[np.ndarray], float], list[np.ndarray]]] = Registry("update clipping")
STEP_MODES: Registry[Callable[[Namespace, Array, Array], Array]] = Registry("adjoint clipping")


@UPDATE_MODES.register("norm")
def by_norm(grads: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    """Scale all gradients by one factor so that their joint norm is at most the threshold (Pascanu et al. 2013)."""
    norm = joint_norm(grads)
    return [g * (threshold / norm) for g in grads] if norm > threshold else list(grads)


@UPDATE_MODES.register("value")
def by_value(grads: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    """Cut every entry to [-threshold, threshold]; turns the gradient."""
    return [np.clip(g, -threshold, threshold) for g in grads]


@STEP_MODES.register("step_norm")
def step_by_norm(xp: Namespace, adjoint: Array, threshold: Array) -> Array:
    """Scale each sample's joint-state adjoint to at most the threshold, at every step."""
    largest = xp.max(xp.abs(adjoint), axis=(0, -1))
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    unit = adjoint / safe[None, ..., None]
    norm = safe * xp.sqrt(xp.sum(unit * unit, axis=(0, -1)))
    factor = xp.where(norm > threshold, threshold / norm, xp.ones_like(norm))
    return adjoint * factor[None, ..., None].astype(adjoint.dtype)


@STEP_MODES.register("step_value")
def step_by_value(xp: Namespace, adjoint: Array, threshold: Array) -> Array:
    """Cut every entry of the adjoint to [-threshold, threshold], at every step."""
    limit = threshold[None, ..., None].astype(adjoint.dtype)
    return xp.minimum(xp.maximum(adjoint, -limit), limit)


CLIP_MODES = ("off", *UPDATE_MODES, *STEP_MODES)


def joint_norm(grads: list[np.ndarray]) -> float:
    """The Euclidean norm over all arrays together."""
    return float(np.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in grads)))


@dataclass(frozen=True)
class ClippedUpdate:
    """What clipping did to one update: the gradients after it, ln of the norm before and after, the angle in radians.

    Norms are natural logarithms because a gradient may be far beyond the floating-point range and still be clipped.
    """

    grads: dict[str, np.ndarray]
    log_norm_before: float
    log_norm_after: float
    angle: float

    @property
    def norm_before(self) -> float:
        """The norm before clipping; inf where it overflows."""
        return _exp(self.log_norm_before)

    @property
    def norm_after(self) -> float:
        """The norm after clipping."""
        return _exp(self.log_norm_after)


def clip_update(grads: dict[str, np.ndarray], mode: str, threshold: float, exponent: int = 0) -> ClippedUpdate:
    """Clip the parameter gradients `grads` * 2^exponent, all parameters together, by the update mode `norm` or `value`.

    Raises InputError for a threshold that is not positive or an unknown mode.
    """
    if not threshold > 0:
        raise InputError(f"clip_threshold: expected a positive number, got {threshold}")
    before = [np.asarray(g, np.float64) for g in grads.values()]
    after = UPDATE_MODES[mode](before, _ldexp(threshold, -exponent))
    log_before, log_after = (_log(joint_norm(arrays)) + exponent * LN2 for arrays in (before, after))
    with quiet():
        plain = {name: np.ldexp(g, exponent).astype(grads[name].dtype) for name, g in zip(grads, after, strict=True)}
    return ClippedUpdate(plain, log_before, log_after, angle_between(before, after))


def _log(x: float) -> float:
    return float(np.log(x)) if x > 0 else -np.inf


def _exp(x: float) -> float:
    with quiet():
        return float(np.exp(x))


def _ldexp(x: float, exponent: int) -> float:
    with quiet():
        return float(np.ldexp(x, exponent))


def angle_between(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """The angle between two lists of arrays in radians, 0 where one of them is zero.

    From the chord of the unit vectors, not from the cosine, which cannot tell angles below 1e-8 from zero.
    """
    na, nb = joint_norm(a), joint_norm(b)
    if na == 0 or nb == 0:
        return 0.0
    chord = joint_norm([p / na - q / nb for p, q in zip(a, b, strict=True)])
    return float(2 * np.arcsin(min(chord / 2, 1.0)))
