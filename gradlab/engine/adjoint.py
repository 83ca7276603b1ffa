"""The backward sweep: adjoints of every state, in chunks of steps, exact at any magnitude.

    delta_t = D_t^T lambda_t
    lambda_{t-1} = E_t^T lambda_t + [reads] W^T delta_t + dL_{t-1}/dh_{t-1}

Adjoints are block floating point: mantissas times 2^exponent, one exponent per step and sample. Steps run in chunks at
a fixed exponent; where an adjoint leaves the safe range, they go on from the last one within it at another exponent. A
few steps that cannot share one are rescaled one by one.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arrays import LN2, Array, empty, log_norm, row_dots
from .step_product import StepProduct
from .trajectory import Linearization, Plan, Trajectory, Views, by_step, exceeds

PEEK = 16  # steps after which a chunk at one exponent is given up where it is lost
FEW = 8  # steps that are rescaled one by one where they cannot share an exponent
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
        self.mantissas = empty(xp, shape, traj.states.dtype)
        self.mantissas[-1] = 0
        self.exponents = xp.zeros((shape[0], *shape[2:-1]), dtype=xp.int32)
        columns = len(self.cell.gates) + len(self.cell.elementwise)
        self.deltas = empty(xp, (columns, traj.steps, *shape[2:]), traj.states.dtype)
        self.squares = xp.empty(shape[:-1], dtype=traj.states.dtype)
        self.before = None if clip is None else xp.empty(shape[:-1], dtype=xp.float64)
        weights = traj.params["W_hh"]
        self.products = empty(xp, (*weights.shape[:-2], shape[-2], weights.shape[-1]), traj.states.dtype)
        self.alone = len(weights) == len(self.cell.reads) == 1  # then the product is the adjoint
        self.product = StepProduct(xp, shape[-2], weights[0] if self.alone else weights)
        self.scratch = empty(xp, (columns, *shape[2:]), traj.states.dtype)
        self.range = scale_range(traj.states)
        self.together = 2 * self.range // 3  # how many steps are tried at one exponent; a gradient often halves at each
        self.complete: int | None = None  # the t whose adjoint holds dL_t already, left by steps that were not all safe

    def chunk(self, lin: Linearization) -> None:
        """Steps lin.stop ... lin.start+1: as many at one exponent as is safe, one by one where hardly any is.

        Where each is clipped, all are rescaled.
        """
        if self.clip is not None:
            self._steps(lin, [], self._inject_rescaling)
            return
        stop = lin.stop
        while stop > lin.start:
            part = lin.part(max(lin.start, stop - self.together), stop)
            lowest = self._at_one_exponent(part)
            self.together = self.together + FEW if lowest == part.start else max(FEW, stop - lowest)
            if lowest > max(part.start, stop - 2):
                part = lin.part(max(lin.start, lowest - FEW), lowest)
                self._steps(part, [], self._inject_rescaling)
                lowest = part.start
            stop = lowest

    def _at_one_exponent(self, lin: Linearization) -> int:
        """Run the steps at the exponent of the last; the lowest t down to which that was safe, lin.stop if nowhere."""
        if not self._moderate(lin.stop):
            self._normalise(lin.stop)
        top = self.mantissas[lin.stop].copy()
        reached = self._steps(lin, self._add_direct(lin), None)
        lowest = self._lowest_safe(reached, lin.stop)
        if lowest == lin.stop:
            self.mantissas[lin.stop] = top
        elif lowest > reached:
            self.complete = lowest
        return lowest

    def _steps(self, lin: Linearization, add_direct: Plan, inject: Callable[[int], None] | None) -> int:
        """Run the steps lin.stop ... lin.start+1, or as many as stay in the safe range by and large; the lowest t."""
        reached, k = lin.start, self.truncate
        into_deltas, into_states = _plans(self, lin)
        into_deltas = add_direct + into_deltas
        for t in range(lin.stop, lin.start, -1):
            if inject is not None:
                inject(t)
            i = t - 1 - lin.start
            for function, left, right, out in into_deltas:
                function(left[i], right[i], out=out[i])
            if k is not None and t > 1 and (t - 1) % k == 0:
                self._cut(t)
                continue
            for function, left, right, out in into_states:
                function(left[i], right[i], out=out[i])
            if inject is None and i and i % PEEK == 0 and self._lost(t - 1):
                reached = t - 1
                break
        if lin.start == 0:
            self._finish(0)
        span = slice(reached, lin.stop + 1)
        self.squares[span] = row_dots(self.xp, self.mantissas[span], self.mantissas[span])
        return reached

    def _lost(self, t: int) -> bool:
        """Whether the adjoints of step t, all samples together, are beyond the safe range; 0 may be a true zero."""
        flat, limit = self.mantissas[t].reshape(-1), 4.0**self.range
        square = float(self.xp.dot(flat, flat))
        return not (square == 0 or 1 / limit < square < limit)

    def _lowest_safe(self, start: int, stop: int) -> int:
        """The lowest t so that the adjoints of t ... stop are all in the safe range, or exactly zero from above on."""
        span, limit = slice(start, stop + 1), 4.0**self.range
        joint = self.squares[span].sum(axis=1)
        if _between(joint, limit):
            return start
        xp = self.xp
        zero = xp.max(xp.abs(self.mantissas[span]), axis=(1, -1)) == 0
        bad = ~(((joint > 1 / limit) & (joint < limit)) | zero)
        fell = zero[:-1] & ~zero[1:]
        if self.truncate is not None and start > 0 and start % self.truncate == 0:
            fell[0] = False  # the lowest was cut off and has no loss yet
        bad[:-1] |= fell
        steps = bad.reshape(len(bad), -1).any(axis=1).nonzero()[0]
        return min(start + int(steps[-1]) + 1, stop) if len(steps) else start

    def _cut(self, t: int) -> None:
        """Step t passes nothing back, except where it lies beyond the sample's length."""
        above, below, mask = self.mantissas[t], self.mantissas[t - 1], self.traj.mask
        below[...] = 0 if mask is None else self.xp.where(mask[t - 1, ..., None], 0 * above, above)

    def _add_direct(self, lin: Linearization) -> Plan:
        """Adds dL_t, but where it is in already, at the exponent of the upper edge, which all these steps share."""
        xp, steps = self.xp, slice(lin.start, lin.stop)
        e = self.exponents[lin.stop]
        self.exponents[steps] = e
        direct = self.direct[steps]
        if not exceeds(direct, 0.0):
            return []
        scaled = list(xp.ldexp(direct, -e[None, ..., None]) if bool(e.any()) else direct)
        if lin.stop == self.complete:
            scaled[-1] = 0.0
        exposed = list(self.mantissas[lin.start + 1 : lin.stop + 1, 0])
        return [(xp.add, exposed, scaled, exposed)]

    def _inject_rescaling(self, t: int) -> None:
        """Normalises, adds dL_t at the larger of both exponents where it is not in yet, and clips."""
        xp, direct = self.xp, self.direct[t - 1]
        if t == self.complete:
            direct = xp.zeros_like(direct)
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
        if t == self.traj.steps:  # without a gradient of the last state there is nothing yet
            return not exceeds(self.mantissas[t], 0.0)
        return _between(self.squares[t].sum(axis=0), 2.0 ** (self.range / 2))

    def _normalise(self, t: int) -> None:
        """Brings each sample's largest adjoint of step t to [0.5, 1); zero stays as it is."""
        xp = self.xp
        largest = xp.max(xp.abs(self.mantissas[t]), axis=(0, -1))
        shift = xp.where(largest > 0, xp.frexp(largest)[1], xp.zeros(largest.shape, dtype=xp.int32))
        self.mantissas[t] = xp.ldexp(self.mantissas[t], -shift[None, ..., None])
        self.exponents[t] = xp.where(largest > 0, self.exponents[t] + shift, shift)  # zero has no scale

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


def _between(squares: Array, limit: float) -> bool:
    """Whether all lie between the limit and its inverse."""
    return float(squares.min()) > 1 / limit and float(squares.max()) < limit


def _masked_direct(traj: Trajectory, dL_dh: Array) -> Array:
    """dL_dh without the steps beyond each sample's length."""
    if traj.mask is None:
        return dL_dh
    return traj.xp.where(traj.mask[..., None], dL_dh, traj.xp.zeros((), dtype=dL_dh.dtype))


def _plans(sweep: AdjointSweep, lin: Linearization) -> tuple[Plan, Plan]:
    """lambda_t -> delta_t, and delta_t -> lambda_{t-1} without dL, with everything prepared for the whole chunk."""
    times = [list(sweep.mantissas[lin.start : lin.stop + 1, s]) for s in range(len(sweep.cell.states))]
    above, below = [at[1:] for at in times], [at[:-1] for at in times]
    into_states = _through_weights(sweep, lin, below)
    written = {sweep.cell.states.index(name) for name in sweep.cell.reads if into_states}
    into_states += _carry(sweep, lin, above, below, written)
    for s in set(range(len(below))) - written:
        sweep.mantissas[lin.start : lin.stop, s] = 0
    return _into_deltas(sweep, lin, above), into_states


def _into_deltas(sweep: AdjointSweep, lin: Linearization, above: list[Views]) -> Plan:
    """delta = D^T lambda."""
    xp, scratch, steps = sweep.xp, sweep.scratch, lin.stop - lin.start
    deltas = sweep.deltas[:, lin.start : lin.stop]
    gates = sorted(lin.gates.items(), key=lambda item: -item[1][1].shape[0])
    plan: Plan = []
    if gates and gates[0][1][1].shape[0] == deltas.shape[0]:
        s, (_, d) = gates.pop(0)
        plan.append((xp.multiply, by_step(d), above[s], by_step(deltas)))
    else:
        deltas[...] = 0
    for s, (span, d) in gates:
        target, product = by_step(deltas[span]), by_step(scratch[span, None]) * steps
        plan += [(xp.multiply, by_step(d), above[s], product), (xp.add, target, product, target)]
    return plan


def _through_weights(sweep: AdjointSweep, lin: Linearization, below: list[Views]) -> Plan:
    """lambda of the states that the weights read = W^T delta, summed over the recurrent gates."""
    add, cell, product, span = sweep.xp.add, sweep.cell, sweep.product, slice(lin.start, lin.stop)
    deltas = sweep.deltas[: len(cell.gates), span][cell.recurrent]
    reads, steps = [cell.states.index(name) for name in cell.reads], lin.stop - lin.start
    if not len(deltas):
        return []
    out = [product.target(sweep.products)] * steps
    if sweep.alone:
        out = list(product.target(sweep.mantissas[span, reads[0]]))
    plan: Plan = [(product.multiply, by_step(product.factor(deltas)), [product.weights] * steps, out)]
    if sweep.alone:
        return plan
    for n, s in enumerate(reads):
        first, *rest = sweep.products[..., n * cell.hidden_size : (n + 1) * cell.hidden_size]
        plan.append((add, [first] * steps, [rest.pop(0) if rest else 0.0] * steps, below[s]))
        plan += [(add, below[s], [gate] * steps, below[s]) for gate in rest]
    return plan


def _carry(sweep: AdjointSweep, lin: Linearization, above: list[Views], below: list[Views], written: set[int]) -> Plan:
    """lambda += E^T lambda; what it writes first joins `written`."""
    multiply, add, product = sweep.xp.multiply, sweep.xp.add, [sweep.scratch[0]] * (lin.stop - lin.start)
    plan: Plan = []
    for (row, column), e in lin.carry.items():
        if column in written:
            plan += [(multiply, list(e), above[row], product), (add, below[column], product, below[column])]
        else:
            plan.append((multiply, list(e), above[row], below[column]))
            written.add(column)
    return plan
