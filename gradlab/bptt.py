"""Backward through time: Trajectory and loss gradients -> Gradients, exact at any magnitude.

    delta_t = D_t^T lambda_t
    lambda_{t-1} = E_t^T lambda_t + [reads] W^T delta_t + dL_{t-1}/dh_{t-1}

Adjoints are block floating point: mantissas times 2^exponent, one exponent per step and sample. Steps run in chunks at
a fixed exponent; a chunk in which any adjoint left the safe range is done again with rescaling at every step.
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
FLUSHED = -1.5  # ranges below the largest exponent: subnormal numbers would slow the products down a hundredfold


def scale_range(array: Array) -> int:
    """log2 of how far an adjoint may stray from 1 before it is rescaled: its square stays a normal number."""
    return 500 if array.dtype.itemsize == 8 else 60


@dataclass(frozen=True, repr=False)
class Gradients:
    """What `bptt` found, as mantissas and exponents; plain values are derived and may under- or overflow.

    mantissas (T+1, S, *M, B, H) with exponents (T+1, *M, B): the adjoints dL/dstate_t, index t belonging to state_t;
    for an LSTM's (h, c) the partial with the other state of the same step held.
    deltas (G + P, T, *M, B, H): dL_t/dpre_t, and dL/dp of each step, in the mantissas' scale.
    log_norms (T+1, S, *M, B): ln ||dL/dstate_t|| after clipping; -inf means exactly zero, NaN a masked step.
    log_norms_before: the same before clipping inside backpropagation. alive (T+1, *M, B): where it is not zero.
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

    @cached_property
    def param_exponent(self) -> Array:
        """(*M,): the exponent that all parameter gradients of a model share, the largest of its batch."""
        xp = self.traj.xp
        exponents = xp.where(self.alive[1:], self.exponents[1:], xp.full_like(self.exponents[1:], EMPTY))
        largest = xp.max(exponents, axis=(0, -1))
        return xp.where(largest > EMPTY, largest, xp.zeros_like(largest))

    @cached_property
    def _scaled_deltas(self) -> Array:
        """deltas brought to the shared exponent; what lies far below the last digit of the sum becomes zero."""
        xp = self.traj.xp
        shift = xp.where(self.alive[1:], self.exponents[1:] - self.param_exponent[..., None], 0)
        if not bool(shift.any()):
            return self.deltas
        with quiet():
            factor = xp.ldexp(xp.ones(shift.shape, dtype=self.deltas.dtype), shift)
            factor = xp.where(shift < FLUSHED * scale_range(self.deltas), xp.zeros_like(factor), factor)
            return self.deltas * factor[None, ..., None]

    @cached_property
    def param_mantissas(self) -> dict[str, Array]:
        """Parameter gradients over 2^param_exponent: finite and exact where the plain values overflow."""
        traj, cell, xp = self.traj, self.traj.cell, self.traj.xp
        deltas = self._scaled_deltas
        gates = deltas[: len(cell.gates)]
        r = xp.ascontiguousarray(read(cell, traj.states[:-1]))
        x = xp.concatenate([traj.x, xp.ones_like(traj.x[..., :1])], axis=-1)  # the bias weighs a constant input
        with quiet():
            inputs = [outer_sum(xp, d, x) for d in gates]
            grads = {
                "W_xh": xp.stack([g[..., :-1] for g in inputs[cell.driven]]),
                "W_hh": xp.stack([outer_sum(xp, d, r) for d in gates[cell.recurrent]]),
                "b_h": xp.stack([g[..., -1] for g in inputs]),
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
            plain = self.deltas[: len(cell.gates)][cell.driven]
            if bool(self.exponents.any()):
                plain = xp.ldexp(plain, self.exponents[1:][None, ..., None])
            weights = xp.swapaxes(traj.params["W_xh"], -1, -2)
            terms = [linear(xp, d, w) for d, w in zip(plain, weights, strict=True)]
        return sum(terms[1:], terms[0])


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
    if truncate is not None and truncate < 1:
        raise InputError(f"truncate: expected a positive number of steps, got {truncate}")
    sweep = _Sweep(traj, dL_dh, truncate, _step_clip(traj.xp, clip))
    if dL_dfinal is not None:
        sweep.mantissas[-1] = dL_dfinal
    with quiet():
        for lin in traj.linearizations():
            sweep.chunk(lin)
            if observe is not None:
                observe(lin)
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
        self.mantissas = xp.empty(shape, dtype=traj.states.dtype)
        self.mantissas[-1] = 0
        self.exponents = xp.zeros((shape[0], *shape[2:-1]), dtype=xp.int32)
        columns = len(self.cell.gates) + len(self.cell.elementwise)
        self.deltas = xp.empty((columns, traj.steps, *shape[2:]), dtype=traj.states.dtype)
        self.squares = xp.empty(shape[:-1], dtype=traj.states.dtype)
        self.before = None if clip is None else xp.empty(shape[:-1], dtype=xp.float64)
        self.weights = xp.ascontiguousarray(traj.params["W_hh"])
        self.product = xp.empty((*self.weights.shape[:-2], shape[-2], self.weights.shape[-1]), dtype=traj.states.dtype)
        self.scratch = xp.empty((columns, *shape[2:]), dtype=traj.states.dtype)
        self.range = scale_range(traj.states)

    def chunk(self, lin: Linearization) -> None:
        """Steps lin.stop ... lin.start+1, at one exponent where that is safe, else rescaled at every step."""
        if not self._moderate(lin.stop):
            self._normalise(lin.stop)
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
        self.squares[bottom] = _squares(self.xp, self.mantissas[bottom])
        joint = self.squares[bottom].sum(axis=1)
        limit = 4.0**self.range
        inside = (joint > 1 / limit) & (joint < limit)
        return bool(inside.all()) or self._only_zeros(inside, bottom)

    def _only_zeros(self, inside: Array, bottom: slice) -> bool:
        """Whether what is outside the safe range is exactly zero, and was so before the chunk's first step."""
        zero = self.xp.max(self.xp.abs(self.mantissas[bottom]), axis=(1, -1)) == 0
        return bool((inside | zero).all()) and not bool((zero[:-1] & ~zero[1:]).any())

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
        self._normalise(t)
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
            self._normalise(t)

    def _moderate(self, t: int) -> bool:
        """Whether every adjoint of step t is far inside the safe range, so that its exponent may stay."""
        if t == self.traj.steps:
            self.squares[t] = _squares(self.xp, self.mantissas[t])
        joint = self.squares[t].sum(axis=0)
        return bool(((joint > 2.0**-self.range) & (joint < 2.0**self.range)).all())

    def _normalise(self, t: int) -> None:
        """Brings each sample's largest adjoint of step t to [0.5, 1); zero stays as it is."""
        xp = self.xp
        largest = xp.max(xp.abs(self.mantissas[t]), axis=(0, -1))
        shift = xp.where(largest > 0, xp.frexp(largest)[1], xp.zeros(largest.shape, dtype=xp.int32))
        self.mantissas[t] = xp.ldexp(self.mantissas[t], -shift[None, ..., None])
        self.exponents[t] += shift

    def result(self) -> Gradients:
        """The Gradients, with log norms in float64."""
        xp, after = self.xp, self._log_norms()
        before = after if self.before is None else self.before
        alive = xp.max(after, axis=1) > -xp.inf
        if self.traj.mask is not None:
            masked = xp.concatenate([xp.zeros_like(self.traj.mask[:1]), ~self.traj.mask])[:, None]
            after, before = (xp.where(masked, xp.full_like(a, xp.nan), a) for a in (after, before))
        return Gradients(self.traj, self.mantissas, self.exponents, self.deltas, after, before, alive)

    def _log_norms(self) -> Array:
        """ln ||lambda|| per state, from the squares where they are normal numbers."""
        xp = self.xp
        logs = 0.5 * xp.log(self.squares.astype(xp.float64)) + LN2 * self.exponents[:, None]
        unsafe = ~((self.squares > 4.0**-self.range) & (self.squares < 4.0**self.range))
        steps = unsafe.any(axis=tuple(range(1, unsafe.ndim)))
        if bool(steps.any()):
            logs[steps] = log_norm(xp, self.mantissas[steps]) + LN2 * self.exponents[steps][:, None]
        return logs


def _squares(xp: Namespace, x: Array) -> Array:
    """||x||^2 along the last axis."""
    return xp.einsum("...i,...i->...", x, x)


def _masked_direct(traj: Trajectory, dL_dh: Array) -> Array:
    """dL_dh without the steps beyond each sample's length."""
    if traj.mask is None:
        return dL_dh
    return traj.xp.where(traj.mask[..., None], dL_dh, traj.xp.zeros((), dtype=dL_dh.dtype))


def _pull_back(sweep: _Sweep, lin: Linearization) -> Callable[[int], None]:
    """lambda_t -> delta_t and lambda_{t-1} (without dL), with everything that does not depend on t prepared."""
    k, mantissas, deltas = sweep.truncate, sweep.mantissas, sweep.deltas
    into_deltas, through_weights, carry = _into_deltas(sweep, lin), _through_weights(sweep), _carry(sweep, lin)

    def pull(t: int) -> None:
        i, above, below, delta = t - 1 - lin.start, mantissas[t], mantissas[t - 1], deltas[:, t - 1]
        into_deltas(i, above, delta)
        if k is not None and t > 1 and (t - 1) % k == 0:
            below[...] = 0
        else:
            through_weights(delta, below)
            carry(i, above, below)

    return pull


def _into_deltas(sweep: _Sweep, lin: Linearization) -> Callable[[int, Array, Array], None]:
    """delta = D^T lambda."""
    multiply, add, scratch = sweep.xp.multiply, sweep.xp.add, sweep.scratch
    gates = sorted(lin.gates.items(), key=lambda item: -item[1][1].shape[0])
    covered = bool(gates) and gates[0][1][1].shape[0] == scratch.shape[0]
    first, rest = (gates[0], gates[1:]) if covered else (None, gates)

    def into_deltas(i: int, above: Array, delta: Array) -> None:
        if first is None:
            delta[...] = 0
        else:
            multiply(first[1][1][:, i], above[first[0]], out=delta)
        for s, (span, d) in rest:
            part = delta[span]
            multiply(d[:, i], above[s], out=scratch[span])
            add(part, scratch[span], out=part)

    return into_deltas


def _through_weights(sweep: _Sweep) -> Callable[[Array, Array], None]:
    """lambda of the states that the weights read = W^T delta."""
    xp, cell, weights, product = sweep.xp, sweep.cell, sweep.weights, sweep.product
    matmul, add, dot, h = xp.matmul, xp.add, xp.dot, sweep.cell.hidden_size
    fed = range(len(cell.gates))[cell.recurrent]
    columns = [(cell.states.index(name), slice(n * h, (n + 1) * h)) for n, name in enumerate(cell.reads)]

    def one_gate(delta: Array, below: Array) -> None:
        dot(delta[fed.start], weights[0], out=below[columns[0][0]])

    def all_gates(delta: Array, below: Array) -> None:
        matmul(delta[fed.start : fed.stop], weights, out=product)
        total = product[0]
        for gate in product[1:]:
            add(total, gate, out=total)
        for s, column in columns:
            below[s] = total[..., column]

    return one_gate if product.ndim == 3 and len(fed) == 1 == len(columns) else all_gates


def _carry(sweep: _Sweep, lin: Linearization) -> Callable[[int, Array, Array], None]:
    """lambda += E^T lambda, after the weights' part has been written."""
    multiply, add, scratch = sweep.xp.multiply, sweep.xp.add, sweep.scratch[0]
    written = {sweep.cell.states.index(name) for name in sweep.cell.reads}
    plan = []
    for (row, column), e in lin.carry.items():
        plan.append((row, column, e, column in written))
        written.add(column)
    untouched = [s for s in range(len(sweep.cell.states)) if s not in written]

    def carry(i: int, above: Array, below: Array) -> None:
        for s in untouched:
            below[s] = 0
        for row, column, e, added in plan:
            target = below[column]
            if added:
                multiply(e[i], above[row], out=scratch)
                add(target, scratch, out=target)
            else:
                multiply(e[i], above[row], out=target)

    return carry
