"""Backward through time: Trajectory and loss gradients -> Gradients, exact at any magnitude.

    delta_t = D_t^T lambda_t
    lambda_{t-1} = E_t^T lambda_t + [reads] W^T delta_t + dL_{t-1}/dh_{t-1}

Adjoints are block floating point: mantissas times 2^exponent, one exponent per step and sample. Steps run in chunks at a
fixed exponent; a chunk in which any adjoint left the safe range is done again with rescaling at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from .arrays import LN2, Array, Namespace, linear, log_norm, outer_sum, quiet, require_namespace, require_shape
from .clipping import STEP_MODES
from .errors import InputError
from .trajectory import Linearization, Trajectory, read

EMPTY = -(2**30)  # the exponent of nothing: below every exponent that occurs


@dataclass(frozen=True, repr=False)
class Gradients:
    """What `bptt` found, as mantissas and exponents; plain values are derived and may under- or overflow.

    mantissas (T+1, S, *M, B, H) with exponents (T+1, *M, B): the adjoints dL/dstate_t, index t belonging to state_t; for
    an LSTM's (h, c) the partial with the other state of the same step held.
    deltas (G + P, T, *M, B, H): dL_t/dpre_t, and dL/dp of each step, in the mantissas' scale.
    log_norms (T+1, S, *M, B): ln ||dL/dstate_t|| after clipping; -inf means exactly zero, NaN a masked step.
    log_norms_before: the same before clipping inside backpropagation.
    """

    traj: Trajectory
    mantissas: Array
    exponents: Array
    deltas: Array
    log_norms: Array
    log_norms_before: Array

    def __repr__(self) -> str:
        return f"Gradients({self.traj.cell!r}, T={self.traj.steps}, B={self.mantissas.shape[-2]})"

    @cached_property
    def adjoints(self) -> Array:
        """dL/dstate_t as plain values (T+1, S, *M, B, H)."""
        with quiet():
            return self.traj.xp.ldexp(self.mantissas, self.exponents[:, None, ..., None])

    @cached_property
    def param_exponent(self) -> Array:
        """(*M,): the exponent that all parameter gradients of a model share."""
        xp = self.traj.xp
        largest = xp.max(xp.abs(self.mantissas[1:]), axis=(1, -1))
        own = self.exponents[1:] + xp.frexp(largest)[1]
        return xp.max(xp.where(largest > 0, own, xp.full_like(own, EMPTY)), axis=(0, -1)) * 1

    @cached_property
    def _scaled_deltas(self) -> Array:
        """deltas brought to the largest exponent of each model's batch."""
        xp = self.traj.xp
        shift = self.exponents[1:] - self.param_exponent[..., None]
        if int(xp.abs(shift).max()) == 0:
            return self.deltas
        with quiet():
            return self.deltas * xp.ldexp(xp.ones(shift.shape, dtype=self.deltas.dtype), shift)[None, ..., None]

    @cached_property
    def param_mantissas(self) -> dict[str, Array]:
        """Parameter gradients over 2^param_exponent: finite and exact where the plain values overflow."""
        traj, cell, xp = self.traj, self.traj.cell, self.traj.xp
        deltas = self._scaled_deltas
        gates = deltas[: len(cell.gates)]
        r = xp.ascontiguousarray(read(cell, traj.states[:-1]))
        with quiet():
            grads = {
                "W_xh": xp.stack([outer_sum(xp, d, traj.x) for d in gates[cell.driven]]),
                "W_hh": xp.stack([outer_sum(xp, d, r) for d in gates[cell.recurrent]]),
                "b_h": gates.sum(axis=(1, -2)),
            }
        return grads | ({"p": deltas[len(cell.gates) :].sum(axis=(1, -2))} if cell.elementwise else {})

    @cached_property
    def params(self) -> dict[str, Array]:
        """Parameter gradients as plain values, shaped as the parameters."""
        return {name: self._plain(name, g) for name, g in self.param_mantissas.items()}

    def _plain(self, name: str, mantissa: Array) -> Array:
        extra = (1,) * (mantissa.ndim - 1 - self.param_exponent.ndim)
        with quiet():
            return self.traj.xp.ldexp(mantissa, self.param_exponent.reshape(*self.param_exponent.shape, *extra))

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
            plain = xp.ldexp(self.deltas[: len(cell.gates)][cell.driven], self.exponents[1:][None, ..., None])
            weights = xp.swapaxes(traj.params["W_xh"], -1, -2)
            terms = [linear(xp, d, w) for d, w in zip(plain, weights, strict=True)]
        return sum(terms[1:], terms[0])


def bptt(
    traj: Trajectory,
    dL_dh: Array,
    dL_dfinal: Array | None = None,
    clip: tuple[str, float] | None = None,
    truncate: int | None = None,
) -> Gradients:
    """Gradients of a loss from its direct gradients dL_dh (T, *M, B, H), and dL_dfinal (S, *M, B, H) on the last states.

    dL_dh is ignored at steps beyond a sample's length. clip: ("step_norm" | "step_value", threshold), acting per sample
    on the joint-state adjoint after dL_t is added. truncate=k: blocks of k steps from t = 0, as detaching the state
    between them does. Raises InputError for wrong shapes, by name, non-finite trajectories and unknown clip modes.
    """
    check_gradients(traj, dL_dh, dL_dfinal)
    if truncate is not None and truncate < 1:
        raise InputError(f"truncate: expected a positive number of steps, got {truncate}")
    sweep = _Sweep(traj, dL_dh, truncate, _step_clip(traj.xp, clip))
    if dL_dfinal is not None:
        sweep.mantissas[-1] = dL_dfinal
    with quiet():
        for lin in traj.linearizations():
            sweep.chunk(lin)
        return sweep.result()


def check_gradients(traj: Trajectory, dL_dh: Array, dL_dfinal: Array | None) -> None:
    """Raise InputError for loss gradients that do not fit the trajectory, or a trajectory that overflowed."""
    require_namespace(traj.xp, dL_dh=dL_dh, dL_dfinal=dL_dfinal)
    require_shape("dL_dh", dL_dh, (traj.steps, *traj.states.shape[2:]))
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
    mode, threshold = STEP_MODES[clip[0]], float(clip[1])
    if not threshold > 0:
        raise InputError(f"clip: expected a positive threshold, got {clip[1]}")
    return lambda adjoint, e: mode(xp, adjoint, xp.ldexp(xp.full(e.shape, threshold, dtype=xp.float64), -e))


class _Sweep:
    """The state of one backward pass."""

    def __init__(
        self, traj: Trajectory, dL_dh: Array, truncate: int | None, clip: Callable[[Array, Array], Array] | None
    ) -> None:
        self.traj, self.xp, self.cell = traj, traj.xp, traj.cell
        self.direct = _masked_direct(traj, dL_dh.astype(traj.states.dtype, copy=False))
        self.truncate, self.clip = truncate, clip
        xp, shape = self.xp, traj.states.shape
        self.mantissas = xp.zeros(shape, dtype=traj.states.dtype)
        self.exponents = xp.zeros((shape[0], *shape[2:-1]), dtype=xp.int32)
        columns = len(self.cell.gates) + len(self.cell.elementwise)
        self.deltas = xp.zeros((columns, traj.steps, *shape[2:]), dtype=traj.states.dtype)
        self.largest = xp.zeros(shape[:-1], dtype=traj.states.dtype)
        self.before = None if clip is None else xp.empty(shape[:-1], dtype=xp.float64)
        self.weights = xp.ascontiguousarray(traj.params["W_hh"])
        self.product = xp.empty((*self.weights.shape[:-2], shape[-2], self.weights.shape[-1]), dtype=traj.states.dtype)
        self.scratch = xp.empty((columns, *shape[2:]), dtype=traj.states.dtype)
        self.range = 500 if traj.states.dtype == xp.float64 else 60

    def chunk(self, lin: Linearization) -> None:
        """Steps lin.stop ... lin.start+1, at one exponent where that is safe, else rescaled at every step."""
        self._normalise(lin.stop, 2 ** (self.range // 2))
        top = self.mantissas[lin.stop].copy()
        if self.clip is None and self._steps(lin, self._inject_scaled(lin)):
            return
        self.mantissas[lin.stop] = top
        self._steps(lin, self._inject_rescaling)

    def _steps(self, lin: Linearization, inject: Callable[[int], None]) -> bool:
        """Run the chunk; whether every adjoint stayed within the safe range."""
        bottom = slice(lin.start, lin.stop + 1)
        pull = _pull_back(self, lin)
        for t in range(lin.stop, lin.start, -1):
            inject(t)
            pull(t)
        if lin.start == 0:
            self._finish(0)
        xp = self.xp
        self.largest[bottom] = xp.max(xp.abs(self.mantissas[bottom]), axis=-1)
        joint = xp.max(self.largest[bottom], axis=1)
        inside = (joint == 0) | ((joint > 2.0**-self.range) & (joint < 2.0**self.range))
        vanished = (joint[:-1] == 0) & (joint[1:] > 0)
        return bool((inside & xp.isfinite(joint)).all()) and not bool(vanished.any())

    def _inject_scaled(self, lin: Linearization) -> Callable[[int], None]:
        """Adds dL_t at the exponent of the chunk's upper edge, which all its steps share."""
        xp, steps = self.xp, slice(lin.start, lin.stop)
        e = self.exponents[lin.stop]
        self.exponents[lin.start : lin.stop] = e
        direct = self.direct[steps]
        if not bool(direct.any()):
            return lambda t: None
        scaled = xp.ldexp(direct, -e[None, ..., None]) if bool(e.any()) else direct

        def inject(t: int) -> None:
            xp.add(self.mantissas[t, 0], scaled[t - lin.start - 1], out=self.mantissas[t, 0])

        return inject

    def _inject_rescaling(self, t: int) -> None:
        """Adds dL_t at the larger of both exponents, clips, and brings the result to [0.5, 1)."""
        xp, direct = self.xp, self.direct[t - 1]
        size = xp.max(xp.abs(direct), axis=-1)
        own = xp.where(size > 0, xp.frexp(size)[1], xp.full(size.shape, EMPTY, dtype=xp.int32))
        self._normalise(t, 1.0)
        e = self.exponents[t]
        alive = xp.max(xp.abs(self.mantissas[t]), axis=(0, -1)) > 0
        shared = xp.where(alive, xp.maximum(e, own), xp.where(size > 0, own, xp.zeros_like(e)))
        self.mantissas[t] = xp.ldexp(self.mantissas[t], xp.where(alive, e - shared, xp.zeros_like(e))[None, ..., None])
        self.mantissas[t, 0] += xp.ldexp(direct, -shared[..., None])
        self.exponents[t] = shared
        self._finish(t)
        self.exponents[t - 1] = self.exponents[t]

    def _finish(self, t: int) -> None:
        """Clips the complete adjoint of step t, and normalises it for the next step."""
        if self.clip is not None and self.before is not None:
            self.before[t] = log_norm(self.xp, self.mantissas[t])
            self.before[t] += LN2 * self.exponents[t]
            self.mantissas[t] = self.clip(self.mantissas[t], self.exponents[t])
            self._normalise(t, 1.0)

    def _normalise(self, t: int, tolerated: float) -> None:
        """Brings samples whose largest adjoint is outside [1/tolerated, tolerated] to [0.5, 1)."""
        xp = self.xp
        largest = xp.max(xp.abs(self.mantissas[t]), axis=(0, -1))
        outside = (largest > 0) & ((largest < 1 / tolerated) | (largest > tolerated) | (tolerated == 1.0))
        if bool(outside.any()):
            shift = xp.where(outside, xp.frexp(largest)[1], xp.zeros(largest.shape, dtype=xp.int32))
            self.mantissas[t] = xp.ldexp(self.mantissas[t], -shift[None, ..., None])
            self.exponents[t] += shift

    def result(self) -> Gradients:
        """The Gradients, with log norms in float64."""
        xp = self.xp
        after = log_norm(xp, self.mantissas) + LN2 * self.exponents[:, None]
        before = after if self.before is None else self.before
        if self.traj.mask is not None:
            masked = xp.concatenate([xp.zeros_like(self.traj.mask[:1]), ~self.traj.mask])[:, None]
            after, before = (xp.where(masked, xp.full_like(a, xp.nan), a) for a in (after, before))
        return Gradients(self.traj, self.mantissas, self.exponents, self.deltas, after, before)


def _masked_direct(traj: Trajectory, dL_dh: Array) -> Array:
    """dL_dh without the steps beyond each sample's length."""
    if traj.mask is None:
        return dL_dh
    return traj.xp.where(traj.mask[..., None], dL_dh, traj.xp.zeros((), dtype=dL_dh.dtype))


def _pull_back(sweep: _Sweep, lin: Linearization) -> Callable[[int], None]:
    """lambda_t -> delta_t and lambda_{t-1} (without dL), with everything that does not depend on t prepared."""
    xp, cell, k = sweep.xp, sweep.cell, sweep.truncate
    multiply, add, matmul = xp.multiply, xp.add, xp.matmul
    mantissas, deltas, product, scratch = sweep.mantissas, sweep.deltas, sweep.product, sweep.scratch
    recurrent = range(len(cell.gates))[cell.recurrent]
    fed_gates = slice(recurrent.start, recurrent.stop)
    reads = [cell.states.index(name) for name in cell.reads]
    gates = sorted(lin.gates.items(), key=lambda item: -item[1][1].shape[0])
    first_covers_all = bool(gates) and gates[0][1][1].shape[0] == deltas.shape[0]
    in_place = len(recurrent) == 1 == len(reads)
    unread = [s for s in range(len(cell.states)) if s not in reads]

    def into_deltas(i: int, above: Array, delta: Array) -> None:
        if not first_covers_all:
            delta[...] = 0
        for n, (s, (span, d)) in enumerate(gates):
            if n == 0 and first_covers_all:
                multiply(d[:, i], above[s], out=delta)
            else:
                multiply(d[:, i], above[s], out=scratch[span])
                add(delta[span], scratch[span], out=delta[span])

    def through_weights(delta: Array, below: Array) -> None:
        if in_place:
            matmul(delta[fed_gates], sweep.weights, out=below[reads[0]][None])
            return
        matmul(delta[fed_gates], sweep.weights, out=product)
        for gate in product[1:]:
            add(product[0], gate, out=product[0])
        for column, s in enumerate(reads):
            below[s] = product[0][..., column * cell.hidden_size : (column + 1) * cell.hidden_size]

    def pull(t: int) -> None:
        i, above, below, delta = t - 1 - lin.start, mantissas[t], mantissas[t - 1], deltas[:, t - 1]
        into_deltas(i, above, delta)
        if k is not None and t > 1 and (t - 1) % k == 0:
            below[...] = 0
            return
        through_weights(delta, below)
        for s in unread:
            below[s] = 0
        for (row, column), e in lin.carry.items():
            multiply(e[i], above[row], out=scratch[0])
            add(below[column], scratch[0], out=below[column])

    return pull
