"""Backward through time: Trajectory and loss gradients -> Gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ..arrays import (
    LN2,
    Array,
    Namespace,
    linear,
    log_norm,
    outer_sum,
    quiet,
    require_finite,
    require_namespace,
    require_number,
    require_shape,
    require_type,
)
from ..errors import InputError
from .adjoint import EMPTY, AdjointSweep, scale_range
from .forward import BATCH_FIRST
from .step_clipping import STEP_MODES
from .trajectory import Linearization, Trajectory, read

TINY = 1e-15  # below this, the largest entry of a gradient is computed again from scaled factors
FLUSHED = -1.5  # ranges below the largest exponent: subnormal numbers would slow the products down a hundredfold


@dataclass(frozen=True, repr=False)
class Gradients:
    """What `bptt` found, as mantissas and exponents; plain values are derived and may under- or overflow.

    mantissas (T+1, S, *M, B, H) with exponents (T+1, *M, B): the adjoints dL/dstate_t, index t belonging to state_t;
    for an LSTM's (h, c) the partial with the other state of the same step held.
    deltas (G + P, T, *M, B, H): dL_t/dpre_t, and dL/dp of each step, in the mantissas' scale.
    log_norms (T+1, S, *M, B): ln ||dL/dstate_t|| after clipping; -inf means exactly zero, NaN a masked step.
    log_norms_before: the same before clipping inside backpropagation. alive (T+1, *M, B): where it is neither
    zero nor masked.
    """

    traj: Trajectory
    mantissas: Array
    exponents: Array
    deltas: Array
    log_norms: Array
    log_norms_before: Array
    alive: Array

    def __repr__(self) -> str:
        return f"Gradients({self.traj.cell!r}, T={self.traj.steps}, B={self.mantissas.shape[-2]})"

    @cached_property
    def adjoints(self) -> Array:
        """dL/dstate_t as plain values (T+1, S, *M, B, H)."""
        with quiet():
            return self.traj.xp.ldexp(self.mantissas, self.exponents[:, None, ..., None])

    @property
    def param_exponent(self) -> Array:
        """(*M,): the exponent that all parameter gradients of a model share."""
        return self._parameters[0]

    @property
    def param_mantissas(self) -> dict[str, Array]:
        """Parameter gradients over 2^param_exponent: finite and exact where the plain values overflow."""
        return self._parameters[1]

    @cached_property
    def _parameters(self) -> tuple[Array, dict[str, Array]]:
        """Exponent and mantissas of the parameter gradients; factors far from 1 are brought there before they meet."""
        xp, traj = self.traj.xp, self.traj
        exponent = self._largest_exponent
        shift = xp.where(self.alive[1:], self.exponents[1:] - exponent[..., None], 0)
        r = xp.ascontiguousarray(read(traj.cell, traj.states[:-1]))
        x = xp.concatenate([traj.x, xp.ones_like(traj.x[..., :1])], axis=-1)  # the bias weighs a constant input
        with quiet():
            found = self._products(self.deltas, *self._weighted(shift, r, x))
            if all(_moderate(xp, g) for g in found.values()) and not self._flushed_much(found, shift, r, x):
                return exponent, found
            return self._balanced(exponent, shift, r, x)

    @property
    def _largest_exponent(self) -> Array:
        """(*M,): the largest exponent of each model's batch."""
        xp = self.traj.xp
        exponents = xp.where(self.alive[1:], self.exponents[1:], xp.full_like(self.exponents[1:], EMPTY))
        largest = xp.max(exponents, axis=(0, -1))
        return xp.where(largest > EMPTY, largest, xp.zeros_like(largest))

    def _weighted(self, shift: Array, r: Array, x: Array) -> tuple[Array, Array, Array]:
        """r, x and the elementwise parameters' deltas times 2^shift (T, *M, B), zero where that is far below 1."""
        xp, own = self.traj.xp, self.deltas[len(self.traj.cell.gates) :]
        if not bool(shift.any()):
            return r, x, own
        weight = xp.ldexp(xp.ones(shift.shape, dtype=r.dtype), shift)
        weight = xp.where(shift < self._flushed, xp.zeros_like(weight), weight)[..., None]
        return r * weight, x * weight, own * weight

    @property
    def _flushed(self) -> float:
        return FLUSHED * scale_range(self.deltas)

    def _flushed_much(self, found: dict[str, Array], shift: Array, r: Array, x: Array) -> bool:
        """Whether what was taken for zero may be more than the last digit of a sum, as where the states are huge."""
        xp = self.traj.xp
        if not bool((shift < self._flushed).any()):
            return False
        size = _largest(xp, self.deltas) * max(_largest(xp, r), _largest(xp, x), 1.0) * shift.size
        digits = float(xp.finfo(r.dtype).eps)
        return any(size * 2.0**self._flushed > digits * _largest(xp, g) for g in found.values() if g.size)

    def _balanced(self, exponent: Array, shift: Array, r: Array, x: Array) -> tuple[Array, dict[str, Array]]:
        """The same with every factor brought near 1 before they meet: exact at any magnitude, and slower."""
        xp, own = self.traj.xp, self.deltas[len(self.traj.cell.gates) :]
        size = xp.max(xp.abs(self.deltas), axis=(0, -1))
        deltas = xp.ldexp(self.deltas, -xp.frexp(size)[1][..., None])
        shifted = xp.where(size > 0, shift + xp.frexp(size)[1], EMPTY)
        (r, kr), (x, kx) = (_near_one(xp, a, shifted) for a in (r, x))
        own, kp = _near_one(xp, own, shift) if len(own) else (own, kx)
        top = xp.maximum(xp.maximum(kr, kx), kp)
        top = xp.where(top > EMPTY, top, 0)
        powers = {"W_xh": kx - top, "W_hh": kr - top, "b_h": kx - top, "p": kp - top}
        found = {n: self._times(g, powers[n]) for n, g in self._products(deltas, r, x, own).items()}
        return exponent + top, found

    def _times(self, array: Array, power: Array) -> Array:
        """array (G, *M, ...) times 2^power (*M,)."""
        extra = (1,) * (array.ndim - 1 - power.ndim)
        return self.traj.xp.ldexp(array, power.reshape(*power.shape, *extra))

    def _products(self, deltas: Array, r: Array, x: Array, own: Array) -> dict[str, Array]:
        """sum_t delta_t r_{t-1}^T, sum_t delta_t (x_t, 1)^T, and the sums of `own`, the elementwise parameters'."""
        cell, xp = self.traj.cell, self.traj.xp
        gates = deltas[: len(cell.gates)]
        inputs = [outer_sum(xp, d, x) for d in gates]
        grads = {
            "W_xh": self._stacked("W_xh", [g[..., :-1] for g in inputs[cell.driven]]),
            "W_hh": self._stacked("W_hh", [outer_sum(xp, d, r) for d in gates[cell.recurrent]]),
            "b_h": xp.stack([g[..., -1] for g in inputs]),
        }
        return grads | ({"p": own.sum(axis=(1, -2))} if cell.elementwise else {})

    def _stacked(self, name: str, gates: list[Array]) -> Array:
        """One gradient per gate, side by side; a parameter without gates keeps its empty shape."""
        return self.traj.xp.stack(gates) if gates else self.traj.xp.zeros_like(self.traj.params[name])

    @cached_property
    def params(self) -> dict[str, Array]:
        """Parameter gradients as plain values, shaped as the parameters."""
        return {name: self._plain(name, g) for name, g in self.param_mantissas.items()}

    def _plain(self, name: str, mantissa: Array) -> Array:
        if not bool(self.param_exponent.any()):
            return mantissa.copy()
        with quiet():
            return self._times(mantissa, self.param_exponent)

    @cached_property
    def log_param_norms(self) -> dict[str, Array]:
        """ln of each parameter gradient's norm (*M,), exact where the gradient itself overflows."""
        xp, models = self.traj.xp, self.traj.models
        flat = {n: xp.moveaxis(g, 0, -1).reshape(*models, -1) for n, g in self.param_mantissas.items()}
        return {n: log_norm(xp, g) + LN2 * self.param_exponent for n, g in flat.items()}

    @cached_property
    def log_update_norm(self) -> Array:
        """ln of the norm of all parameter gradients together (*M,)."""
        xp = self.traj.xp
        logs = xp.stack(list(self.log_param_norms.values()))
        top = xp.max(logs, axis=0)
        with quiet():
            total = xp.log(xp.exp(2 * (logs - xp.where(top > -xp.inf, top, 0.0))).sum(axis=0))
            return xp.where(top > -xp.inf, top, 0.0) + 0.5 * total

    @cached_property
    def inputs(self) -> Array:
        """dL/dx_t as plain values (T, *M, B, D)."""
        traj, cell, xp = self.traj, self.traj.cell, self.traj.xp
        with quiet():
            deltas = self.deltas[: len(cell.gates)][cell.driven]
            weights = xp.swapaxes(traj.params["W_xh"], -1, -2)
            terms = [linear(xp, d, w) for d, w in zip(deltas, weights, strict=True)]
            if not terms:
                return xp.zeros((*self.deltas.shape[1:-1], cell.input_size), dtype=self.deltas.dtype)
            total = sum(terms[1:], terms[0])
            return xp.ldexp(total, self.exponents[1:, ..., None]) if bool(self.exponents.any()) else total


def bptt(
    traj: Trajectory,
    dL_dh: Array,
    dL_dfinal: Array | None = None,
    clip: tuple[str, float] | None = None,
    truncate: int | None = None,
    observe: Callable[[Linearization], None] | None = None,
) -> Gradients:
    """Gradients of a loss from its direct gradients dL_dh (T, *M, B, H), and dL_dfinal (S, *M, B, H) on the last state.

    dL_dh is ignored at steps beyond a sample's length. clip: ("step_norm" | "step_value", threshold), acting per sample
    on the joint-state adjoint after dL_t is added. truncate=k: blocks of k steps from t = 0, as detaching the state
    between them does. observe: called with the linearisation of each chunk of steps while it is in the cache,
    such as a `FrobeniusNorms`. Raises InputError for wrong shapes, by name, for non-finite trajectories and unknown
    clip modes.
    """
    check_gradients(traj, dL_dh, dL_dfinal)
    if truncate is not None and not (hasattr(truncate, "__index__") and truncate > 0):
        raise InputError(f"truncate: expected a positive whole number of steps, got {truncate}")
    sweep = AdjointSweep(traj, dL_dh, truncate, _step_clip(traj.xp, clip))
    if dL_dfinal is not None:
        sweep.mantissas[-1] = dL_dfinal
    with quiet():
        for lin in traj.linearizations():
            sweep.chunk(lin)
            if observe is not None:
                observe(lin)
        after, before = sweep.log_norms()
        if not bool(traj.xp.isfinite(sweep.squares.sum())):
            require_finite("dL_dh", dL_dh, traj.mask)
            require_finite("dL_dfinal", traj.xp.zeros(1) if dL_dfinal is None else dL_dfinal)
    alive = (after > -traj.xp.inf).any(axis=1)
    return Gradients(traj, sweep.mantissas, sweep.exponents, sweep.deltas, after, before, alive)


def _moderate(xp: Namespace, array: Array) -> bool:
    """Whether the largest entry is a number whose neighbours in size can still be told from zero."""
    return array.size == 0 or TINY < _largest(xp, array) < float("inf")


def _largest(xp: Namespace, array: Array) -> float:
    return max(float(array.max()), -float(array.min()))


def _near_one(xp: Namespace, array: Array, shift: Array) -> tuple[Array, Array]:
    """array * 2^(shift - k) with shift (T, *M, B), and the k (*M,) that brings the largest entries to [0.5, 1)."""
    size = xp.max(xp.abs(array), axis=-1)
    powers = xp.where(size > 0, shift + xp.frexp(size)[1], EMPTY)
    k = xp.max(powers, axis=(*range(powers.ndim - shift.ndim + 1), -1))
    return xp.ldexp(array, (shift - k[..., None])[..., None]), k


def check_gradients(traj: Trajectory, dL_dh: Array, dL_dfinal: Array | None) -> None:
    """Raise InputError for loss gradients that do not fit the trajectory, or a trajectory that overflowed."""
    require_namespace(traj.xp, dL_dh=dL_dh, dL_dfinal=dL_dfinal)
    expected = (traj.steps, *traj.states.shape[2:])
    if tuple(dL_dh.shape) == (*expected[1::-1], *expected[2:]) != expected:
        raise InputError(
            f"dL_dh: expected shape {expected}, got {tuple(dL_dh.shape)} ({BATCH_FIRST.replace('x,', 'dL_dh,')})"
        )
    require_shape("dL_dh", dL_dh, expected)
    require_type("dL_dh", dL_dh, "fiu", "real numbers")
    if dL_dfinal is not None:
        require_shape("dL_dfinal", dL_dfinal, traj.states.shape[1:])
    if overflow := traj.overflow:
        first = min(overflow, key=lambda o: o.step)
        raise InputError(
            f"the forward pass overflowed at step {first.step} (gate {first.gate}, sample {first.sample}); "
            f"unroll with lengths of at most {first.step - 1} for that sample, or use a smaller gain"
        )


def _step_clip(xp: Namespace, clip: tuple[str, float] | None) -> Callable[[Array, Array], Array] | None:
    """(adjoint, exponents) -> clipped adjoint, all in the mantissas' scale."""
    if clip is None:
        return None
    if not isinstance(clip, tuple) or len(clip) != 2:
        raise InputError(f"clip: expected (mode, threshold) such as ('step_norm', 1.0), got {clip!r}", "clip")
    mode = STEP_MODES[clip[0]]
    threshold = require_number("clip", clip[1], "a positive threshold", lambda x: 0 < x < math.inf)
    return lambda adjoint, e: mode(xp, adjoint, xp.ldexp(xp.full(e.shape, threshold, dtype=xp.float64), -e))
