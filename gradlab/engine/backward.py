"""Backward through time: Trajectory and loss gradients -> Gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import add

from ..arrays import (
    BATCH_FIRST,
    LN2,
    Array,
    Namespace,
    is_whole,
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
from ..errors import InputError, about, echo
from ..lazy import lazy
from .adjoint import AdjointSweep
from .linearize import Linearization, linearizations
from .scaled import EMPTY, Scaled, are_exact, largest_by_model, map_rows, powers_of_two, require_exponents, scale_range
from .step_clipping import STEP_MODES
from .threads import few_threads, spare_threads
from .trajectory import Trajectory

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
    zero nor masked. direct, final: the dL_dh (T, *M, B, H) that it was given,
    and the dL_dfinal (S, *M, B, H).
    """

    traj: Trajectory
    direct: Scaled
    final: Scaled | None
    mantissas: Array
    exponents: Array
    deltas: Array
    log_norms: Array
    log_norms_before: Array
    alive: Array

    def __repr__(self) -> str:
        return f"Gradients({self.traj.cell!r}, T={self.traj.steps}, B={self.mantissas.shape[-2]})"

    @property
    def scaled(self) -> Scaled:
        """dL/dstate_t (T+1, S, *M, B, H) at any magnitude."""
        return Scaled(self.mantissas, self.exponents[:, None, ..., None])

    @lazy
    def adjoints(self) -> Array:
        """dL/dstate_t as plain values (T+1, S, *M, B, H)."""
        return self.scaled.over(self.traj.xp.int32(0))

    @property
    def param_exponent(self) -> Array:
        """(*M,): the exponent that all parameter gradients of a model share."""
        return self._parameters[0]

    @property
    def param_mantissas(self) -> dict[str, Array]:
        """Parameter gradients over 2^param_exponent: finite and exact where the plain values overflow."""
        return self._parameters[1]

    @lazy
    def _parameters(self) -> tuple[Array, dict[str, Array]]:
        """Exponent and mantissas of the parameter gradients; factors far from 1 are brought there before they meet."""
        xp, traj = self.traj.xp, self.traj
        exponents = xp.where(self.alive[1:], self.exponents[1:], EMPTY)
        top = xp.max(exponents, axis=(0, -1))
        top = xp.where(top > EMPTY, top, 0)
        shift = xp.where(self.alive[1:], exponents - top[..., None], 0)
        r = xp.ascontiguousarray(xp.concatenate([a for a in traj.seen(slice(None)) if a is not None], axis=-1))
        x = xp.concatenate([traj.x, xp.ones_like(traj.x[..., :1])], axis=-1)  # the bias weighs a constant input
        with quiet(), few_threads(traj.product_size):
            grads = self.products(self.deltas, *self._weighted(shift, r, x))
            if not self._are_exact(grads, shift, r, x):
                extra, grads = self._balanced(shift, r, x)
                top = top + extra
            return top, self.pull_back(grads)

    def _weighted(self, shift: Array, r: Array, x: Array) -> tuple[Array, Array, Array]:
        """r, x and the elementwise parameters' deltas times 2^shift (T, *M, B), zero where that is far below 1."""
        xp, own = self.traj.xp, self.deltas[len(self.traj.cell.gates) :]
        if not bool(shift.any()):
            return r, x, own
        weight = powers_of_two(xp, shift, r.dtype)
        weight = xp.where(shift < self._flushed, xp.zeros_like(weight), weight)[..., None]
        return r * weight, x * weight, own * weight

    @property
    def _flushed(self) -> float:
        return FLUSHED * scale_range(self.deltas)

    def _are_exact(self, grads: dict[str, Array], shift: Array, r: Array, x: Array) -> bool:
        """Whether no model's gradient is so small or so large that a part of it may have been lost.

        Its largest entry must be a number whose neighbours in size can be told from zero, or exactly zero because a
        factor is; and what was taken for zero must be below the last digit of the sum, even where the states are huge.
        """
        xp, models, gates = self.traj.xp, len(self.traj.models), self.traj.cell.gates
        sizes = {name: largest_by_model(g, models) for name, g in grads.items()}
        exact = {name: (size > TINY) & (size < xp.inf) for name, size in sizes.items()}
        flushed = bool((shift < self._flushed).any())
        if not flushed and all(bool(sure.all()) for sure in exact.values()):
            return True
        deltas, own = (
            largest_by_model(d, models, 2).astype(xp.float64) for d in (self.deltas, self.deltas[len(gates) :])
        )
        factors = {"W_hh": largest_by_model(r, models), "W_xh": largest_by_model(x[..., :-1], models)}
        factors |= {"b_h": xp.ones_like(deltas), "p": own}
        if any(bool((~exact[n] & (size + deltas * factors[n] != 0)).any()) for n, size in sizes.items()):
            return False
        share = shift.size * 2.0**self._flushed / float(xp.finfo(r.dtype).eps) if flushed else 0.0
        lost = share * deltas * reduce(xp.maximum, factors.values())
        return all(bool(((lost <= size) | (size == 0)).all()) for size in sizes.values())

    def _balanced(self, shift: Array, r: Array, x: Array) -> tuple[Array, dict[str, Array]]:
        """Exponent and mantissas with every factor brought near 1 before they meet: exact at any size, and slower."""
        xp, shift = self.traj.xp, shift[..., None]
        deltas = Scaled.of(Scaled(self.deltas, shift[None]), (0, -1))
        r, x = (Scaled.of(Scaled(a, deltas.exponents[0]), (0, -2, -1)) for a in (r, x))
        own, factors = Scaled(self.deltas[len(self.traj.cell.gates) :], shift[None]), {"W_hh": r, "W_xh": x, "b_h": x}
        if self.traj.cell.elementwise:
            own = factors["p"] = Scaled.of(own, (0, 1, -2, -1))
        powers = {name: factor.exponents.reshape(self.traj.models) for name, factor in factors.items()}
        top = xp.max(xp.stack(list(powers.values())), axis=0)
        top = xp.where(top > EMPTY, top, 0)
        grads = self.products(deltas.mantissas, r.mantissas, x.mantissas, own.mantissas)
        return top, {name: _times(xp, g, powers[name] - top) for name, g in grads.items()}

    def products(self, deltas: Array, r: Array, x: Array, own: Array) -> dict[str, Array]:
        """sum_t delta_t r_{t-1}^T, sum_t delta_t (x_t, 1)^T, and the sums of `own`, the elementwise parameters'.

        These are gradients by what the recurrence multiplies by.
        """
        cell, xp = self.traj.cell, self.traj.xp
        gates = deltas[: len(cell.gates)]
        inputs = [outer_sum(xp, d, x) for d in gates]
        grads = {
            "W_xh": self._stacked("W_xh", [g[..., :-1] for g in inputs[cell.driven]]),
            "W_hh": self._stacked("W_hh", self._by_weights(gates, r)),
            "b_h": xp.stack([g[..., -1] for g in inputs]),
        }
        return grads | ({"p": own.sum(axis=(1, -2))} if cell.elementwise else {})

    def _by_weights(self, gates: Array, r: Array) -> list[Array]:
        """sum_t delta_t r^T of each recurrent gate; r (T, *M, B, n): what weights see, then what a late gate's do."""
        cell, xp = self.traj.cell, self.traj.xp
        width = len(cell.reads) * cell.hidden_size
        found = [outer_sum(xp, d, r[..., :width]) for d in gates[cell.early]]
        return found + ([outer_sum(xp, gates[-1], r[..., width:])] if cell.late else [])

    def pull_back(self, grads: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients by what the recurrence multiplies by -> by the parameters, in the order of the cell's `shapes`."""
        pulled = self.traj.cell.pull_back(self.traj.params, grads)
        return {name: pulled[name] for name in self.traj.cell.shapes}

    def _stacked(self, name: str, gates: list[Array]) -> Array:
        """One gradient per gate, side by side; a parameter without gates keeps its empty shape."""
        return self.traj.xp.stack(gates) if gates else self.traj.xp.zeros_like(self.traj.weights[name])

    @property
    def scaled_params(self) -> dict[str, Scaled]:
        """Parameter gradients at any magnitude, shaped as the parameters."""
        return {name: Scaled(g, _beside(g, self.param_exponent)) for name, g in self.param_mantissas.items()}

    @lazy
    def params(self) -> dict[str, Array]:
        """Parameter gradients as plain values, shaped as the parameters."""
        with quiet():
            return {n: _times(self.traj.xp, g, self.param_exponent) for n, g in self.param_mantissas.items()}

    @lazy
    def log_param_norms(self) -> dict[str, Array]:
        """ln of each parameter gradient's norm (*M,), exact where the gradient itself overflows."""
        logs = model_log_norms(self.traj, self.param_mantissas)
        return {name: log + LN2 * self.param_exponent for name, log in logs.items()}

    @lazy
    def log_update_norm(self) -> Array:
        """ln of the norm of all parameter gradients together (*M,)."""
        xp = self.traj.xp
        logs = xp.stack(list(self.log_param_norms.values()))
        top = xp.max(logs, axis=0)
        with quiet():
            total = xp.log(xp.exp(2 * (logs - xp.where(top > -xp.inf, top, 0.0))).sum(axis=0))
            return xp.where(top > -xp.inf, top, 0.0) + 0.5 * total

    @property
    def inputs(self) -> Array:
        """dL/dx_t as plain values (T, *M, B, D)."""
        return self.scaled_inputs.plain()

    @lazy
    def scaled_inputs(self) -> Scaled:
        """dL/dx_t (T, *M, B, D) at any magnitude."""
        traj, cell, xp = self.traj, self.traj.cell, self.traj.xp
        deltas = [Scaled(d, self.exponents[1:, ..., None]) for d in self.deltas[: len(cell.gates)][cell.driven]]
        if not deltas:
            return Scaled.of(xp.zeros((*self.deltas.shape[1:-1], cell.input_size), dtype=self.deltas.dtype))
        weights = xp.swapaxes(traj.weights["W_xh"], -1, -2)
        with quiet(), few_threads(traj.product_size):
            terms = [linear(xp, d.mantissas, w) for d, w in zip(deltas, weights, strict=True)]
            total = Scaled(sum(terms[1:], terms[0]), deltas[0].exponents)
            if are_exact(total, *deltas):
                return total
            pairs = zip(deltas, weights, strict=True)
            return reduce(add, (map_rows(partial(linear, xp), d, (w, (-2, -1))) for d, w in pairs))


@spare_threads
def bptt(
    traj: Trajectory,
    dL_dh: Array | Scaled,
    dL_dfinal: Array | Scaled | None = None,
    clip: tuple[str, float] | None = None,
    truncate: int | None = None,
    observe: Callable[[Linearization], None] | None = None,
) -> Gradients:
    """Gradients of a loss from its direct gradients dL_dh (T, *M, B, H), and dL_dfinal (S, *M, B, H) on the last state.

    Both may be scaled numbers, with one exponent per step and sample, and per sample; dL_dh is ignored at steps beyond
    a sample's length.
    clip: ("step_norm" | "step_value", threshold), acting per sample on the joint-state adjoint after dL_t is added.
    truncate=k: blocks of k steps from t = 0, as detaching the state between them does. observe: called with the
    linearisation of each chunk of steps while it is in the cache, such as a `FrobeniusNorms`. Raises InputError for
    wrong shapes, by name, for non-finite trajectories and unknown clip modes.
    """
    with about("dL_dh", "dL_dh"):
        direct = Scaled.of(dL_dh)
    final = None if dL_dfinal is None else Scaled.of(dL_dfinal)
    check_gradients(traj, direct.mantissas, None if final is None else final.mantissas)
    require_exponents("dL_dh", direct, -1)
    direct = direct.map(lambda m: m.astype(traj.states.dtype, copy=False))
    if truncate is not None and not (is_whole(truncate) and truncate > 0):
        raise InputError(f"truncate: expected a positive whole number of steps, got {echo(truncate)}", "truncate")
    sweep = AdjointSweep(traj, direct, truncate, _step_clip(traj.xp, clip))
    if final is not None:
        require_exponents("dL_dfinal", final, (0, -1))
        sweep.mantissas[-1], sweep.exponents[-1] = final.mantissas, final.exponents[0, ..., 0]
    with quiet():
        for lin in linearizations(traj):
            sweep.chunk(lin)
            if observe is not None:
                observe(lin)
        after, before = sweep.log_norms()
        if not bool(traj.xp.isfinite(sweep.squares.sum())):
            require_finite("dL_dh", direct.mantissas, traj.lengths.inside)
            require_finite("dL_dfinal", traj.xp.zeros(1) if final is None else final.mantissas)
    alive = (after > -traj.xp.inf).any(axis=1)
    found = sweep.mantissas, sweep.exponents, sweep.pull_back.deltas
    return Gradients(traj, direct, final, *found, after, before, alive)


def model_log_norms(traj: Trajectory, grads: Mapping[str, Array]) -> dict[str, Array]:
    """ln of the norm (*M,) of each of the arrays shaped as parameters."""
    flat = {name: traj.xp.moveaxis(g, 0, -1).reshape(*traj.models, -1) for name, g in grads.items()}
    return {name: log_norm(traj.xp, g) for name, g in flat.items()}


def _times(xp: Namespace, array: Array, power: Array) -> Array:
    """array (G, *M, ...) times 2^power (*M,)."""
    return xp.ldexp(array, _beside(array, power))


def _beside(array: Array, power: Array) -> Array:
    """power (*M,) with axes of length 1 for all others of array (G, *M, ...)."""
    return power.reshape(1, *power.shape, *(1,) * (array.ndim - 1 - power.ndim))


def check_gradients(traj: Trajectory, dL_dh: Array, dL_dfinal: Array | None) -> None:
    """Raise InputError for loss gradients that do not fit the trajectory, or a trajectory that overflowed."""
    require_namespace(traj.xp, dL_dh=dL_dh, dL_dfinal=dL_dfinal)
    expected = (traj.steps, *traj.states.shape[2:])
    if tuple(dL_dh.shape) == (*expected[1::-1], *expected[2:]) != expected:
        raise InputError(
            f"dL_dh: expected shape {expected}, got {tuple(dL_dh.shape)} ({BATCH_FIRST.replace('x,', 'dL_dh,')})",
            "dL_dh",
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
        raise InputError(f"clip: expected (mode, threshold) such as ('step_norm', 1.0), got {echo(clip)}", "clip")
    mode = STEP_MODES[clip[0]]
    threshold = require_number("clip", clip[1], "a positive threshold", lambda x: 0 < x < math.inf)
    return lambda adjoint, e: mode(xp, adjoint, threshold * powers_of_two(xp, -e, xp.float64))
