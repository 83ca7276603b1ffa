"""Clipping of the parameter gradients before the weight update: one class per mode, of a step or of a whole training.

Gradients are flat dicts name -> array, all of them clipped together; NumPy or CuPy. They may be given over
2^exponent, so that what is beyond the floating-point range is clipped exactly.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array, is_whole, namespace, quiet, require_number
from ..engine.scaled import Scaled
from ..engine.step_clipping import STEP_MODES
from ..errors import InputError, echo
from ..lazy import lazy
from ..registry import Registry
from .norms import Norm, angle, flatten, largest, row_norms, times_power

AGC_FLOOR = 1e-3  # weights of a smaller norm count as this, or those that start at zero could never leave it


@dataclass(frozen=True)
class ClippedUpdate:
    """What clipping did to one update: the gradients after it, ln of the norm before and after, the angle in radians.

    Norms are natural logarithms because a gradient may be far beyond the floating-point range and still be clipped.
    Where nothing was clipped, the gradients are the very arrays that came, unless they had an exponent; so it is
    where one of them is not finite.
    """

    grads: dict[str, Array]
    log_norm_before: float
    log_norm_after: float
    angle: float
    clipped: bool

    @property
    def finite(self) -> bool:
        """Whether every gradient was a finite number."""
        return self.log_norm_before < math.inf

    @property
    def norm_before(self) -> float:
        """The norm before clipping; inf where it overflows."""
        return _exp(self.log_norm_before)

    @property
    def norm_after(self) -> float:
        """The norm after clipping."""
        return _exp(self.log_norm_after)


def _exp(x: float) -> float:
    with quiet():
        return float(np.exp(x))


class Gradient:
    """One gradient: arrays over 2^exponent, and the same as one float64 vector."""

    def __init__(self, arrays: Mapping[str, Array], exponent: int) -> None:
        self.arrays, self.exponent = arrays, exponent
        self.vector = flatten(list(arrays.values()))
        self.norm = Norm.of(self.vector)  # without the exponent
        self.whole = Norm(self.norm.mantissa, self.norm.exponent + exponent)
        self.log_norm = self.whole.log

    @lazy
    def plain(self) -> Array:
        """The vector without an exponent; may under- or overflow."""
        with quiet():
            return times_power(self.vector, self.exponent)

    def split(self, vector: Array) -> dict[str, Array]:
        """A vector as arrays of the gradient's names and shapes, float64."""
        found, start = {}, 0
        for name, g in self.arrays.items():
            found[name] = vector[start : start + g.size].reshape(g.shape)
            start += g.size
        return found


class Clipper(ABC):
    """Clips the gradients of one update after the other; `state`, host arrays by name, is what it remembers."""

    default: ClassVar[float]  # the threshold where none is given
    turns = True  # whether it may change the gradient's direction

    def __init__(self, threshold: float) -> None:
        self.threshold = require_number("clip_threshold", threshold, "a positive number", lambda x: x > 0)
        self.state: dict[str, Array] = {}

    def clip(self, params: Mapping[str, Array], grads: Mapping[str, Array], exponent: int = 0) -> ClippedUpdate:
        """Clip `grads` * 2^exponent, the gradients of `params`. Raises InputError for no whole exponent."""
        if not is_whole(exponent):
            raise InputError(f"exponent: expected a whole number, a power of 2, got {echo(exponent)}", "exponent")
        before = Gradient(grads, exponent)
        after = self._clip(params, before) if before.log_norm < math.inf else None
        if after is None:
            same = before.split(before.plain) if exponent else grads
            return ClippedUpdate(_cast(same, grads), before.log_norm, before.log_norm, 0.0, clipped=False)
        norm = Norm.of(after)
        turned = angle(before.vector, before.norm, after, norm) if self.turns else 0.0
        return ClippedUpdate(_cast(before.split(after), grads), before.log_norm, norm.log, turned, clipped=True)

    @abstractmethod
    def _clip(self, params: Mapping[str, Array], gradient: Gradient) -> Array | None:
        """The clipped gradient as one vector, None where there is nothing to clip."""


def _cast(arrays: Mapping[str, Array], like: Mapping[str, Array]) -> dict[str, Array]:
    return {name: a.astype(like[name].dtype, copy=False) for name, a in arrays.items()}


UPDATE_MODES: Registry[type[Clipper]] = Registry("update clipping", "clip")  # those that need nothing but one gradient
CLIPPERS: Registry[type[Clipper]] = Registry("update clipping", "clip")


@CLIPPERS.register("off")
class Off(Clipper):
    """Nothing is clipped."""

    default = math.inf

    def _clip(self, params: Mapping[str, Array], gradient: Gradient) -> None:
        return None


@CLIPPERS.register("norm")
@UPDATE_MODES.register("norm")
class ByNorm(Clipper):
    """Scale all gradients by one factor so that their joint norm is at most the threshold (Pascanu et al. 2013)."""

    default = 1.0
    turns = False

    def _clip(self, params: Mapping[str, Array], gradient: Gradient) -> Array | None:
        inside = gradient.whole.is_at_most(self.threshold)
        return None if inside else gradient.norm.scale(gradient.vector, self.threshold)


@CLIPPERS.register("value")
@UPDATE_MODES.register("value")
class ByValue(Clipper):
    """Cut every entry to [-threshold, threshold]; turns the gradient."""

    default = 1.0

    def _clip(self, params: Mapping[str, Array], gradient: Gradient) -> Array | None:
        if largest(gradient.plain) <= self.threshold:
            return None
        xp = namespace(gradient.vector)
        return xp.minimum(xp.maximum(gradient.plain, -self.threshold), self.threshold)


@CLIPPERS.register("agc")
class Adaptive(Clipper):
    """Scale each output unit's gradient to at most the threshold times the norm of its weights (Brock et al. 2021).

    Adaptive gradient clipping, https://arxiv.org/abs/2102.06171, eq. 3. The weights of one unit lie along the last
    axis: (G, *M, H, R) has one norm per gate, model and unit. A bias is one vector per gate, as in the authors' code.
    """

    default = 0.01

    def _clip(self, params: Mapping[str, Array], gradient: Gradient) -> Array | None:
        plain = gradient.split(gradient.plain)
        with quiet():
            parts = gradient.split(gradient.vector).items()
            after = [self._one(params[name], g, gradient.exponent, plain[name]) for name, g in parts]
        changed = any(new is not old for new, old in zip(after, plain.values(), strict=True))
        return flatten(after) if changed else None

    def _one(self, weights: Array, mantissas: Array, exponent: int, plain: Array) -> Array:
        """`plain`, the mantissas times 2^exponent, with every unit inside its limit; itself where all are."""
        xp = namespace(mantissas)
        limits = self.threshold * xp.maximum(row_norms(weights.astype(xp.float64, copy=False)), AGC_FLOOR)
        scaled = Scaled.of(mantissas, -1)  # by powers of two, so that a norm at its limit is not above it
        norms = row_norms(scaled.mantissas)
        over = norms > xp.ldexp(limits, -(scaled.exponents + exponent))
        return xp.where(over, scaled.mantissas / norms * limits, plain) if bool(over.any()) else plain


@CLIPPERS.register("autoclip")
class AutoClip(Clipper):
    """Clip by norm at a percentile, the threshold, of all norms so far, this one included (Seetharaman et al. 2020).

    AutoClip, https://arxiv.org/abs/2007.14469, algorithm 1; the percentile is interpolated linearly. So the first
    update is never clipped. Gradients that are not finite leave the history, state["norms"] ascending, as it is.
    """

    default = 10.0
    turns = False

    def __init__(self, threshold: float) -> None:
        super().__init__(threshold)
        if threshold > 100:
            text = f"autoclip expected a percentile of at most 100, got {threshold}"
            raise InputError(f"clip_threshold: {text}", "clip_threshold")
        self.state["norms"] = np.empty(0)

    def _clip(self, params: Mapping[str, Array], gradient: Gradient) -> Array | None:
        with quiet():
            norm = float(times_power(np.float64(gradient.whole.mantissa), gradient.whole.exponent))
        norm = min(norm, np.finfo(float).max)
        norms, place = self.state["norms"], np.searchsorted(self.state["norms"], norm)
        self.state["norms"] = np.concatenate([norms[:place], [norm], norms[place:]])
        threshold = self._percentile(self.state["norms"])
        return None if norm <= threshold else gradient.norm.scale(gradient.vector, threshold)

    def _percentile(self, norms: np.ndarray) -> float:
        place = self.threshold * (len(norms) - 1) / 100  # in this order whole where it should be
        low, high = norms[int(place)], norms[math.ceil(place)]
        return float(low + (high - low) * (place - int(place)))


def make_clipper(mode: str, threshold: float | None = None) -> Clipper:
    """A clipper for one training: off, norm, value, agc or autoclip, with the mode's own threshold by default.

    threshold: of the joint norm (norm), of each entry (value), the ratio to the weights (agc), the percentile
    (autoclip). norm and autoclip take all arrays as one model's. Raises InputError for an unknown mode and a
    threshold out of range.
    """
    clipper = CLIPPERS[mode]
    return clipper(clipper.default if threshold is None else threshold)


def clip_update(grads: Mapping[str, Array], mode: str, threshold: float, exponent: int = 0) -> ClippedUpdate:
    """Clip the parameter gradients `grads` * 2^exponent, all parameters together, by the update mode `norm` or `value`.

    Raises InputError for a threshold that is not positive, no whole exponent, or an unknown mode.
    """
    return UPDATE_MODES[mode](threshold).clip({}, grads, exponent)


CLIP_MODES = ("off", *UPDATE_MODES, *STEP_MODES)  # what one run can be analysed with
