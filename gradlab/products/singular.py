"""The singular values of long products of Jacobians, each to its own digits.

d state_t / d state_s = J_t J_{t-1} ... J_{s+1}. Logarithms are natural and float64; -inf means exactly zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..arrays import Array, Namespace, over_largest, quiet
from ..engine.jacobian import StateJacobian
from ..engine.threads import spare_threads
from ..errors import InputError, echo
from .graded_matrix import GradedMatrix
from .scaled_vectors import ScaledVectors
from .span import Progress, require_adjoint, rows_times, side_of, stacked, stops_of

LONGEST = 16  # steps that rows go without being made orthonormal, at most


@dataclass(frozen=True, repr=False)
class SingularValues:
    """logs (k, *M, B): ln sigma_i of d state_t / d state_s, largest first.

    alignment (k, *M, B): cos^2 of the angle between the adjoint at t and each left singular vector; None without one.
    """

    logs: Array
    alignment: Array | None

    def __repr__(self) -> str:
        return f"SingularValues(logs {tuple(self.logs.shape)})"


@spare_threads
def singular_values(
    jacobian: StateJacobian,
    t: int,
    s: int | Sequence[int],
    k: int | None = None,
    *,
    adjoint: Array | None = None,
    on_progress: Progress = None,
) -> SingularValues:
    """The k largest singular values (all by default) of d state_t / d state_s, in double precision.

    Values of any ratio are found, each to its own digits; but a Jacobian's own singular values are known to rounding
    errors of its largest, so that an exact zero comes out as a factor of about 1e-16. s: a step, or several, whose
    results then lie along a first axis. adjoint: dL/d state_t (S, *M, B, H) at any scale, whose alignment with the left
    singular vectors is wanted.
    Raises InputError for spans out of range, k above S H, and Jacobians that are not finite.
    """
    t, stops = stops_of(jacobian, t, s)
    first = min(stops)
    k = side_of(jacobian) if k is None else k
    if not 1 <= k <= side_of(jacobian):
        raise InputError(f"k: expected 1 to {side_of(jacobian)}, the number of state variables, got {echo(k)}", "k")
    if adjoint is not None:
        require_adjoint(jacobian, adjoint)
    found = {}
    for r, product in _orthonormalised(jacobian, t, first, set(stops), k):
        if r in stops:
            found[r] = _values(jacobian, product, k, adjoint)
        if on_progress is not None and t > first:
            on_progress((t - r) / (t - first))
    return stacked(jacobian.traj.xp, [found[r] for r in stops], s)


def _orthonormalised(
    jacobian: StateJacobian, t: int, s: int, stops: set[int], k: int
) -> Iterator[tuple[int, GradedMatrix]]:
    """(r, d state_t / d state_r times an orthogonal matrix), at each of `stops` and wherever its rows are renewed."""
    xp, shape = jacobian.traj.xp, jacobian.traj.states.shape[2:-1]
    side = side_of(jacobian)
    start = xp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(side, side)))[0])
    rows = ScaledVectors(xp, start + xp.zeros((*shape, 1, 1), dtype=xp.float64), (-1,))
    product, interval, pending = GradedMatrix(xp, rows.scaled), 1, 0
    yield t, product
    for step in jacobian.each_step(s, t, backwards=True):
        with quiet():
            rows.multiply(partial(rows_times, xp, step.dense().astype(xp.float64)), step)
        pending += 1
        if pending >= interval or step.t - 1 in stops:
            q, r = xp.linalg.qr(xp.swapaxes(rows.mantissas, -1, -2))
            product.multiply(r, rows.exponents)
            interval = _next_interval(xp, r[..., :k, :k], pending)
            rows, pending = ScaledVectors(xp, xp.ascontiguousarray(xp.swapaxes(q, -1, -2)), (-1,)), 0
            yield step.t - 1, product


def _next_interval(xp: Namespace, r: Array, steps: int) -> int:
    """How many steps the rows may go before they are made orthonormal again, from what `steps` of them led to."""
    lengths = xp.sqrt(xp.einsum("...ij,...ij->...j", r, r))
    own = xp.abs(xp.diagonal(r, axis1=-2, axis2=-1)) / xp.where(lengths > 0, lengths, 1.0)
    least = float(xp.min(own))
    return min(LONGEST, 2 * steps) if least > 0.03 else steps if least > 1e-3 else max(1, steps // 2)


def _values(jacobian: StateJacobian, product: GradedMatrix, k: int, adjoint: Array | None) -> SingularValues:
    xp = jacobian.traj.xp
    logs, lefts = product.singular_values(k)
    logs = xp.moveaxis(logs, -1, 0)
    if adjoint is None:
        return SingularValues(logs, None)
    flat = _joint(jacobian, adjoint).astype(xp.float64)
    with quiet():
        along = xp.matmul(lefts, flat[..., None])[..., 0]
        return SingularValues(logs, xp.moveaxis(along**2 / (flat * flat).sum(axis=-1)[..., None], -1, 0))


def _joint(jacobian: StateJacobian, states: Array) -> Array:
    """(S, *M, B, H) -> (*M, B, S*H), normalised to a largest entry of 1."""
    xp = jacobian.traj.xp
    return over_largest(xp, xp.concatenate(list(states), axis=-1), -1)[0]
