"""The backward sweep: adjoints of every state, in chunks of steps, exact at any magnitude.

    delta_t = D_t^T lambda_t
    lambda_{t-1} = E_t^T lambda_t + [reads] W^T delta_t + dL_{t-1}/dh_{t-1}

Adjoints are block floating point: mantissas times 2^exponent, one exponent per step and sample. Steps run in chunks at
a fixed exponent; a chunk in which any adjoint left the safe range is done again with rescaling at every step.
"""

from __future__ import annotations

from collections.abc import Callable

from .arrays import LN2, Array, Namespace, log_norm
from .trajectory import Linearization, Trajectory, exceeds

EMPTY = -(2**30)  # the exponent of nothing: below every exponent that occurs


def scale_range(array: Array) -> int:
    """log2 of how far an adjoint may stray from 1 before it is rescaled: its square stays a normal number."""
    return 500 if array.dtype.itemsize == 8 else 60


class AdjointSweep:
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
        if not exceeds(direct, 0.0):
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
            clipped = self.clip(self.mantissas[t], self.exponents[t])
            if self.traj.mask is not None and t > 0:  # beyond a sample's length nothing is complete yet
                clipped = self.xp.where(self.traj.mask[t - 1, ..., None], clipped, self.mantissas[t])
            self.mantissas[t] = clipped
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

    def log_norms(self) -> tuple[Array, Array]:
        """ln ||lambda|| per state after and before clipping, float64; NaN at masked steps."""
        xp, after = self.xp, self._log_norms()
        before = after if self.before is None else self.before
        if self.traj.mask is None:
            return after, before
        masked = xp.concatenate([xp.zeros_like(self.traj.mask[:1]), ~self.traj.mask])[:, None]
        nan = xp.full_like(after, xp.nan)
        return xp.where(masked, nan, after), xp.where(masked, nan, before)

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


def _pull_back(sweep: AdjointSweep, lin: Linearization) -> Callable[[int], None]:
    """lambda_t -> delta_t and lambda_{t-1} (without dL), with everything that does not depend on t prepared."""
    k, mask, mantissas, deltas = sweep.truncate, sweep.traj.mask, sweep.mantissas, sweep.deltas
    into_deltas, through_weights, carry = _into_deltas(sweep, lin), _through_weights(sweep), _carry(sweep, lin)

    def pull(t: int) -> None:
        i, above, below, delta = t - 1 - lin.start, mantissas[t], mantissas[t - 1], deltas[:, t - 1]
        into_deltas(i, above, delta)
        if k is not None and t > 1 and (t - 1) % k == 0:
            below[...] = 0 if mask is None else sweep.xp.where(mask[t - 1, ..., None], 0 * above, above)
        else:
            through_weights(delta, below)
            carry(i, above, below)

    return pull


def _into_deltas(sweep: AdjointSweep, lin: Linearization) -> Callable[[int, Array, Array], None]:
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


def _through_weights(sweep: AdjointSweep) -> Callable[[Array, Array], None]:
    """lambda of the states that the weights read = W^T delta."""
    xp, cell, weights, product = sweep.xp, sweep.cell, sweep.weights, sweep.product
    matmul, add, dot, h = xp.matmul, xp.add, xp.dot, sweep.cell.hidden_size
    fed = range(len(cell.gates))[cell.recurrent]
    columns = [(cell.states.index(name), slice(n * h, (n + 1) * h)) for n, name in enumerate(cell.reads)]

    def no_gate(delta: Array, below: Array) -> None:
        for s, _ in columns:
            below[s] = 0

    def one_gate(delta: Array, below: Array) -> None:
        dot(delta[fed.start], weights[0], out=below[columns[0][0]])

    def all_gates(delta: Array, below: Array) -> None:
        matmul(delta[fed.start : fed.stop], weights, out=product)
        total = product[0]
        for gate in product[1:]:
            add(total, gate, out=total)
        for s, column in columns:
            below[s] = total[..., column]

    if not len(fed):
        return no_gate
    return one_gate if product.ndim == 3 and len(fed) == 1 == len(columns) else all_gates


def _carry(sweep: AdjointSweep, lin: Linearization) -> Callable[[int, Array, Array], None]:
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
