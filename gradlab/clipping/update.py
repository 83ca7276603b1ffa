"""Clipping: of the weight update, and of the adjoint inside backpropagation; one registered block each.

An update mode maps gradients over 2^exponent, a threshold and the exponent to the list of clipped gradients, or
None where there is nothing to clip. A step mode maps the scaled joint adjoint (S, *M, B, H) and the threshold in the
same scale, (*M, B), to the clipped adjoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import LN2, Array, Namespace, quiet
from .errors import InputError
from .registry import Registry

UpdateMode = Callable[[list[np.ndarray], float, int], list[np.ndarray] | None]

UPDATE_MODES: Registry[UpdateMode] = Registry("update clipping")
STEP_MODES: Registry[Callable[[Namespace, Array, Array], Array]] = Registry("adjoint clipping")


@UPDATE_MODES.register("norm")
def by_norm(grads: list[np.ndarray], threshold: float, exponent: int = 0) -> list[np.ndarray] | None:
    """Scale all gradients by one factor so that their joint norm is at most the threshold (Pascanu et al. 2013)."""
    norm = joint_norm(grads)
    if _log(norm) + exponent * LN2 <= np.log(threshold):
        return None
    return [g / norm * threshold for g in grads]


@UPDATE_MODES.register("value")
def by_value(grads: list[np.ndarray], threshold: float, exponent: int = 0) -> list[np.ndarray] | None:
    """Cut every entry to [-threshold, threshold]; turns the gradient."""
    plain = _plain(grads, exponent)
    if all((np.abs(g) <= threshold).all() for g in plain):
        return None
    return [np.clip(g, -threshold, threshold) for g in plain]


def _plain(grads: list[np.ndarray], exponent: int) -> list[np.ndarray]:
    with quiet():
        return [np.ldexp(g, exponent) for g in grads]


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
    """The Euclidean norm over all arrays together, without under- or overflow of the squares."""
    largest = max((float(np.abs(g).max(initial=0.0)) for g in grads), default=0.0)
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.sqrt(sum(float(np.square(g / largest, dtype=np.float64).sum()) for g in grads)))


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
    log_before = log_after = _log(joint_norm(before)) + exponent * LN2
    after, angle = UPDATE_MODES[mode](before, threshold, exponent), 0.0
    if after is not None:
        log_after, angle = _log(joint_norm(after)), angle_between(before, after)
    found = _plain(before, exponent) if after is None else after
    clipped = {name: g.astype(grads[name].dtype) for name, g in zip(grads, found, strict=True)}
    return ClippedUpdate(clipped, log_before, log_after, angle)


def _log(x: float) -> float:
    return float(np.log(x)) if x > 0 else -np.inf


def _exp(x: float) -> float:
    with quiet():
        return float(np.exp(x))


def angle_between(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """The angle between two lists of arrays in radians, 0 where one of them is zero.

    From the chord of the unit vectors, not from the cosine, which cannot tell angles below 1e-8 from zero.
    """
    na, nb = joint_norm(a), joint_norm(b)
    if na == 0 or nb == 0:
        return 0.0
    chord = joint_norm([p / na - q / nb for p, q in zip(a, b, strict=True)])
    return float(2 * np.arcsin(min(chord / 2, 1.0)))
