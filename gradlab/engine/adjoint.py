"""The backward sweep: adjoints of every state, in chunks of steps, exact at any magnitude.

    lambda_{t-1} = J_t^T lambda_t + dL_{t-1}/dh_{t-1}

What J^T is, the operator knows; here are the exponents. Adjoints are block floating point: mantissas times 2^exponent,
one exponent per step and sample. As many steps run at one exponent as are safe: where an adjoint leaves the safe range,
the steps are done again in halves, and a few are rescaled one by one.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arrays import LN2, Array, empty, exceeds, log_norm, row_dots
from .linearize import Linearization
from .pull_back import PullBack
from .scaled import EMPTY, Scaled, scale_range, size_exponents
from .steps import Plan, carry_out
from .trajectory import Trajectory

FEW = 8  # steps that are rescaled one by one where they cannot share an exponent

Clip = Callable[[Array, Array], Array]  # (adjoint, exponents) -> clipped adjoint


class AdjointSweep:
    """The state of one backward pass: mantissas (T+1, S, *M, B, H) and exponents (T+1, *M, B) of the adjoints.

    squares (T+1, S, *M, B): of the mantissas' norms. before: ln of the norms before clipping, where it is clipped.
    """

    def __init__(self, traj: Trajectory, dL_dh: Scaled, truncate: int | None, clip: Clip | None) -> None:
        self.traj, self.xp, self.lengths = traj, traj.xp, traj.lengths
        self.direct = dL_dh.map(traj.lengths.keep)
        self.truncate, self.clip = truncate, clip
        xp, shape = self.xp, traj.states.shape
        self.mantissas = empty(xp, shape, traj.states.dtype)
        self.mantissas[-1] = 0
        self.exponents = xp.zeros((shape[0], *shape[2:-1]), dtype=xp.int32)
        self.squares = xp.empty(shape[:-1], dtype=traj.states.dtype)
        self.before = None if clip is None else xp.empty(shape[:-1], dtype=xp.float64)
        self.pull_back = PullBack(traj)
        self.range = scale_range(traj.states)
        self.together = 2 * self.range // 3  # how many steps are tried at one exponent; a gradient often halves at each

    def chunk(self, lin: Linearization) -> None:
        """Steps lin.stop ... lin.start+1: together where that is safe, else in halves, a few of them one by one.

        Where each is clipped, all are rescaled.
        """
        stop = lin.stop
        while stop > lin.start:
            part = lin.part(max(lin.start, stop - self.together), stop)
            few = part.stop - part.start <= FEW
            if self.clip is None and self._at_one_exponent(part):
                self._lengthen(part)
            elif self.clip is None and not few:
                self.together = max(FEW, (part.stop - part.start) // 2)
                continue
            else:
                self._steps(part, [], self._inject_rescaling)
            stop = part.start

    def _at_one_exponent(self, lin: Linearization) -> bool:
        """Run the steps at the exponent of the last; whether that was safe, else the last is as it was.

        Adjoints of moderate size keep their exponent, 0 for most, as factors without one are multiplied faster.
        """
        if lin.stop == self.traj.steps or not _between(self.squares[lin.stop].sum(axis=0), 2.0 ** (self.range / 2)):
            self._normalise(lin.stop)
        top = self.mantissas[lin.stop].copy()
        self._steps(lin, self._add_direct(lin), None)
        safe = self._is_safe(lin)
        if not safe:
            self.mantissas[lin.stop] = top
        return safe

    def _lengthen(self, lin: Linearization) -> None:
        """Try twice as many steps next, where the adjoints of these used less than half of the safe range."""
        if lin.stop - lin.start >= self.together:
            joint = self.squares[lin.start : lin.stop + 1].sum(axis=1)
            if _between(self.xp.where(joint > 0, joint, 1.0), 2.0**self.range):
                self.together *= 2

    def _steps(self, lin: Linearization, add_direct: Plan, inject: Callable[[int], None] | None) -> None:
        """Run the steps lin.stop ... lin.start+1; `inject` prepares each step's adjoint where no plan adds dL_t."""
        into_deltas, into_states = self.pull_back.plans(lin, self.mantissas)
        into_deltas, k = add_direct + into_deltas, self.truncate
        for t in range(lin.stop, lin.start, -1):
            if inject is not None:
                inject(t)
            carry_out(into_deltas, t - 1 - lin.start)
            if k is not None and t > 1 and (t - 1) % k == 0:
                self.mantissas[t - 1] = self._cut(t)
            else:
                carry_out(into_states, t - 1 - lin.start)
        if lin.start == 0:
            self._finish(0)
        span = slice(lin.start, lin.stop + 1)
        self.squares[span] = row_dots(self.xp, self.mantissas[span], self.mantissas[span])

    def _is_safe(self, lin: Linearization) -> bool:
        """Whether all adjoints of the steps are in the safe range, or exactly zero from above on."""
        span, limit, xp = slice(lin.start, lin.stop + 1), 4.0**self.range, self.xp
        joint = self.squares[span].sum(axis=1)
        if _between(joint, limit):
            return True
        zero = xp.max(xp.abs(self.mantissas[span]), axis=(1, -1)) == 0
        fell = zero[:-1] & ~zero[1:]
        if self.truncate is not None and lin.start > 0 and lin.start % self.truncate == 0:
            fell[0] = False  # the lowest was cut off and has no loss yet
        inside = ((joint > 1 / limit) & (joint < limit)) | zero
        return bool(inside.all()) and not bool(fell.any()) and not self._lost(lin, zero[1:])

    def _lost(self, lin: Linearization, zero: Array) -> bool:
        """Whether a scaled dL_t was too small to be told from zero at the exponent of the steps."""
        direct = self.direct[lin.steps]
        return not direct.is_plain and bool((zero & (direct.sizes(-1)[..., 0] > EMPTY)).any())

    def _cut(self, t: int) -> Array | float:
        """What step t passes back where it is cut off: nothing, except beyond a sample's length."""
        above = self.mantissas[t]
        return self.lengths[t - 1].keep(0 * above, above) if self.lengths.padded else 0.0

    def _add_direct(self, lin: Linearization) -> Plan:
        """Adds dL_t at the exponent of the upper edge, which all these steps share."""
        e = self.exponents[lin.stop]
        self.exponents[lin.steps] = e
        direct = self.direct[lin.steps]
        if not exceeds(direct.mantissas, 0.0):
            return []
        plain = direct.is_plain and not bool(e.any())
        scaled = list(direct.mantissas if plain else direct.over(e[None, ..., None]))
        exposed = list(self.mantissas[lin.start + 1 : lin.stop + 1, 0])
        return [(self.xp.add, exposed, scaled, exposed)]

    def _inject_rescaling(self, t: int) -> None:
        """Adds dL_t at the larger of both exponents, normalises, and clips."""
        xp, direct = self.xp, self.direct[t - 1 : t]
        self._normalise(t)
        e = xp.where(xp.max(xp.abs(self.mantissas[t]), axis=(0, -1)) > 0, self.exponents[t], EMPTY)
        shared = xp.maximum(e, direct.sizes(-1)[0, ..., 0])
        shared = xp.where(shared > EMPTY, shared, 0)
        self.mantissas[t] = Scaled(self.mantissas[t], e[None, ..., None]).over(shared[None, ..., None])
        self.mantissas[t, 0] += direct.over(shared[None, ..., None])[0]
        self.exponents[t] = shared
        self._finish(t)
        self.exponents[t - 1] = self.exponents[t]

    def _finish(self, t: int) -> None:
        """Clips the complete adjoint of step t, and normalises it for the next step."""
        if self.clip is not None and self.before is not None:
            self.before[t] = log_norm(self.xp, self.mantissas[t])
            self.before[t] += LN2 * self.exponents[t]
            clipped = self.clip(self.mantissas[t], self.exponents[t])
            # beyond a sample's length nothing is complete yet
            self.mantissas[t] = self.lengths.times[t].keep(clipped, self.mantissas[t])
            self._normalise(t)

    def _normalise(self, t: int) -> None:
        """Brings each sample's largest adjoint of step t to [0.5, 1); zero has no scale and gets the exponent 0."""
        sizes = size_exponents(self.xp, self.mantissas[t], (0, -1))
        self.mantissas[t] = self.xp.ldexp(self.mantissas[t], -sizes[None, ..., None])
        self.exponents[t] = self.xp.where(sizes > EMPTY, self.exponents[t] + sizes, 0)

    def log_norms(self) -> tuple[Array, Array]:
        """ln ||lambda|| per state after and before clipping, float64; NaN at masked steps."""
        after, times = self._log_norms(), self.lengths.times
        before = after if self.before is None else self.before
        return times.keep(after, self.xp.nan, states=1, units=0), times.keep(before, self.xp.nan, states=1, units=0)

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
