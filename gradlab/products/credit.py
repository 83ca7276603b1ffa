"""Credit assignment: which step's state and weights each step's loss reaches, and how much arrives.

dL/dW = sum_t sum_{k <= t} (dL_t/dh_t) (d state_t / d state_k) (d+ state_k / dW), where d+ takes state_{k-1} as given.
Source: Pascanu, Mikolov & Bengio 2013, equations 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..arrays import LN2, Array, Namespace, over_largest, quiet
from ..cells import Cell
from ..engine.backward import Gradients, check_gradients, model_log_norms
from ..engine.jacobian import jacobian
from ..engine.scaled import Scaled
from ..engine.threads import spare_threads
from ..engine.trajectory import Trajectory
from ..errors import InputError
from .scaled_vectors import ScaledVectors

STEP_BLOCK = 64  # steps whose contributions are computed together
BLOCK_VALUES = 2**22  # numbers that are formed of them at once
BLOCK = 32  # loss times whose gradients travel together


@spare_threads
def triangle(
    traj: Trajectory,
    dL_dh: Array,
    samples: Sequence[int] = (0,),
    *,
    times: Sequence[int] | None = None,
    truncate: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Array:
    """ln ||(dL_t/dh_t) (d state_t / d state_k)||, [t, k]: (T+1, T+1, *M, n), for n samples; -inf where k > t.

    dL_dh (T, *M, B, H): each step's own loss gradient, ignored beyond a sample's length. times: the t that are wanted,
    0..T by default; row i belongs to times[i]. truncate: as in `bptt`. Raises InputError for samples and times out of
    range, loss gradients of the wrong shape and Jacobians that are not finite.
    """
    times = range(traj.steps + 1) if times is None else list(times)
    logs = traj.xp.full((len(times), traj.steps + 1, *traj.models, len(samples)), -traj.xp.inf, dtype=traj.xp.float64)
    for rows, k, vectors in journeys(traj, dL_dh, samples, times, truncate, on_progress):
        logs[rows, k] = vectors.log_norms()
    return logs


def journeys(
    traj: Trajectory,
    dL_dh: Array,
    samples: Sequence[int],
    times: Sequence[int],
    truncate: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Iterator[tuple[slice, int, ScaledVectors]]:
    """Each loss gradient on its way back: (rows of `times`, k, (dL_t/dh_t) (d state_t / d state_k)).

    The vectors are (rows, S, *M, n, H), the same object along the way; zero where the loss lies before k.
    """
    _check(traj, dL_dh, samples, times)
    xp, jac = traj.xp, jacobian(traj).of_samples(list(samples))
    shape = jac.traj.states.shape[1:]
    direct = dL_dh[..., list(samples), :].astype(traj.states.dtype, copy=False)
    direct = jac.traj.lengths.keep(direct)
    for start in range(0, len(times), BLOCK):
        rows = slice(start, min(start + BLOCK, len(times)))
        own = times[rows]
        vectors = ScaledVectors(xp, xp.zeros((len(own), *shape), dtype=traj.states.dtype), (1, -1))
        _start(vectors, own, max(own), direct)
        yield rows, max(own), vectors
        for step in jac.each_step(0, max(own), backwards=True):
            with quiet():
                vectors.multiply(step.apply_transpose, step)
            if truncate is not None and step.t > 1 and (step.t - 1) % truncate == 0:
                vectors.clear()
            _start(vectors, own, step.t - 1, direct)
            yield rows, step.t - 1, vectors
        if on_progress is not None:
            on_progress(rows.stop / len(times))


def _start(vectors: ScaledVectors, times: Sequence[int], k: int, direct: Array) -> None:
    """Lets the loss gradients of time k set out; there is none at k = 0."""
    for row in (i for i, t in enumerate(times) if t == k > 0):
        vector = vectors.xp.zeros_like(vectors.mantissas[row])
        vector[0] = direct[k - 1]
        vectors.put(row, vector)


def _check(traj: Trajectory, dL_dh: Array, samples: Sequence[int], times: Sequence[int]) -> None:
    check_gradients(traj, dL_dh, None)
    batch = traj.states.shape[-2]
    if not (len(samples) and all(0 <= i < batch for i in samples)):
        raise InputError(f"samples: expected one or more of 0..{batch - 1}, got {list(samples)}", "samples")
    if not (len(times) and all(0 <= t <= traj.steps for t in times)):
        raise InputError(f"times: expected one or more of 0..{traj.steps}, got {list(times)}", "times")


def contributions(grads: Gradients) -> dict[str, Array]:
    """Parameter -> ln ||what step k contributes to the parameter's gradient|| (T, *M), summed over the samples.

    Step k contributes delta_k r_{k-1}^T, which is the sum over t >= k of the parts (t, k); NaN where every sample has
    ended, -inf where nothing arrives. Its norm comes from B x B products where these are smaller than the parameter,
    unless the cell makes its weights from other parameters.
    """
    traj, xp = grads.traj, grads.traj.xp
    step_norms = _step_norms if type(traj.cell).pull_back is Cell.pull_back else _pulled_norms
    block = _block(grads)
    starts = range(0, traj.steps, block)
    norms = xp.concatenate([step_norms(grads, slice(a, a + block)) for a in starts], axis=1)
    if traj.lengths.inside is not None:
        norms = xp.where(traj.lengths.inside.any(axis=-1), norms, xp.nan)
    return dict(zip(traj.cell.shapes, norms, strict=True))


def _block(grads: Gradients) -> int:
    """How many steps are treated together: so many that what is formed of them stays small."""
    cell, batch = grads.traj.cell, grads.deltas.shape[-2]
    widest = cell.hidden_size * max(cell.input_size, cell.hidden_size)
    models = grads.deltas[0, 0].size // (batch * cell.hidden_size)
    return int(min(STEP_BLOCK, max(1, BLOCK_VALUES // (len(cell.gates) * models * min(batch**2, widest)))))


def _scaled_deltas(grads: Gradients, steps: slice) -> Scaled:
    """(G + P, C, *M, B, H) with one exponent per step and model."""
    return Scaled.of(Scaled(grads.deltas[:, steps], grads.exponents[1:][steps][None, ..., None]), (0, -2, -1))


def _pulled_norms(grads: Gradients, steps: slice) -> Array:
    """(parameter, C, *M): ln of the norm of each step's gradient, formed and pulled back to the parameters."""
    traj, cell, xp = grads.traj, grads.traj.cell, grads.traj.xp
    scaled, x = _scaled_deltas(grads, steps), traj.x[steps]
    seen = xp.concatenate([a for a in traj.seen(steps) if a is not None], axis=-1)
    factors = [seen, xp.concatenate([x, xp.ones_like(x[..., :1])], axis=-1)]
    size = xp.maximum(*(xp.max(xp.abs(factor), axis=(-2, -1), keepdims=True) for factor in factors))
    with quiet():
        r, x, own = (factor / size for factor in (*factors, scaled.mantissas[len(cell.gates) :]))
        ranges = (slice(t, t + 1) for t in range(len(r)))
        each = (grads.pull_back(grads.products(scaled.mantissas[:, t], r[t], x[t], own[:, t])) for t in ranges)
        logs = [xp.stack(list(model_log_norms(traj, one).values())) for one in each]
        return xp.stack(logs, axis=1) + (xp.log(size) + LN2 * scaled.exponents[0])[..., 0, 0]


def _step_norms(grads: Gradients, steps: slice) -> Array:
    """(parameter, C, *M): ln || sum over samples of delta_t r_{t-1}^T ||_F."""
    traj, cell, xp = grads.traj, grads.traj.cell, grads.traj.xp
    scaled = _scaled_deltas(grads, steps)
    with quiet():
        deltas = scaled.mantissas
        gates, rest = deltas[: len(cell.gates)], deltas[len(cell.gates) :]
        logs = [
            _outer_logs(xp, gates[cell.driven], traj.x[steps]),
            _recurrent_logs(grads, gates, steps),
            0.5 * xp.log(xp.square(gates.sum(axis=-2)).sum(axis=(0, -1))),
        ]
        logs += [0.5 * xp.log(xp.square(rest.sum(axis=-2)).sum(axis=(0, -1)))] if cell.elementwise else []
        return xp.stack(logs).astype(xp.float64) + LN2 * scaled.exponents[0, ..., 0, 0]


def _recurrent_logs(grads: Gradients, gates: Array, steps: slice) -> Array:
    """The same of W_hh: what the weights see differs for a late gate."""
    traj, cell, xp = grads.traj, grads.traj.cell, grads.traj.xp
    early, late = traj.seen(steps)
    logs = _outer_logs(xp, gates[cell.early], early)
    return logs if late is None else xp.logaddexp(2 * logs, 2 * _outer_logs(xp, gates[-1:], late)) / 2


def _outer_logs(xp: Namespace, deltas: Array, r: Array) -> Array:
    """ln ||sum_b delta_b r_b^T||_F over gates: (G, C, *M, B, H), (C, *M, B, D) -> (C, *M); deltas of order 1."""
    r, largest = over_largest(xp, r, (-2, -1))
    if deltas.shape[-1] * r.shape[-1] <= r.shape[-2] ** 2:
        squares = xp.square(xp.matmul(xp.swapaxes(deltas, -1, -2), r)).sum(axis=(0, -2, -1))
    else:
        grams = xp.matmul(deltas, xp.swapaxes(deltas, -1, -2)).sum(axis=0)
        squares = (grams * xp.matmul(r, xp.swapaxes(r, -1, -2))).sum(axis=(-2, -1))
    return 0.5 * xp.log(xp.maximum(squares, 0.0)) + xp.log(largest[..., 0, 0])
