"""Credit assignment: which step's state and weights each step's loss reaches, and how much arrives.

dL/dW = sum_t sum_{k <= t} (dL_t/dh_t) (d state_t / d state_k) (d+ state_k / dW), where d+ takes state_{k-1} as given.
Source: Pascanu, Mikolov & Bengio 2013, equations 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .arrays import Array, quiet, require_namespace, require_shape
from .errors import InputError
from .jacobian import StateJacobian
from .scaled import ScaledVectors
from .trajectory import Trajectory

BLOCK = 32  # loss times whose gradients travel together


def triangle(
    traj: Trajectory,
    dL_dh: Array,
    samples: Sequence[int] = (0,),
    *,
    times: Sequence[int] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Array:
    """ln ||(dL_t/dh_t) (d state_t / d state_k)||, [t, k]: (T+1, T+1, *M, n), for n samples; -inf where k > t.

    dL_dh (T, *M, B, H): each step's own loss gradient. times: the t that are wanted, 0..T by default; row i belongs to
    times[i]. Raises InputError for samples and times out of range and loss gradients of the wrong shape.
    """
    times = range(traj.steps + 1) if times is None else list(times)
    logs = traj.xp.full((len(times), traj.steps + 1, *traj.models, len(samples)), -traj.xp.inf, dtype=traj.xp.float64)
    for rows, k, vectors in journeys(traj, dL_dh, samples, times, on_progress):
        logs[rows, k] = vectors.log_norms()
    return logs


def journeys(
    traj: Trajectory,
    dL_dh: Array,
    samples: Sequence[int],
    times: Sequence[int],
    on_progress: Callable[[float], None] | None = None,
) -> Iterator[tuple[slice, int, ScaledVectors]]:
    """Each loss gradient on its way back: (rows of `times`, k, (dL_t/dh_t) (d state_t / d state_k)).

    The vectors are (rows, S, *M, n, H), the same object along the way; zero where the loss lies before k.
    """
    _check(traj, dL_dh, samples, times)
    jacobian = traj.jacobian().of_samples(list(samples))
    direct = dL_dh[..., list(samples), :].astype(traj.states.dtype, copy=False)
    xp, shape = traj.xp, jacobian.traj.states.shape[1:]
    for start in range(0, len(times), BLOCK):
        rows = slice(start, min(start + BLOCK, len(times)))
        own = times[rows]
        vectors = ScaledVectors(xp, xp.zeros((len(own), *shape), dtype=traj.states.dtype), (1, -1))
        _start(vectors, own, max(own), direct, jacobian)
        yield rows, max(own), vectors
        for step in jacobian.each_step(0, max(own), backwards=True):
            with quiet():
                vectors.multiply(step.apply_transpose, step)
            _start(vectors, own, step.t - 1, direct, jacobian)
            yield rows, step.t - 1, vectors
        if on_progress is not None:
            on_progress(rows.stop / len(times))


def _start(vectors: ScaledVectors, times: Sequence[int], k: int, direct: Array, jacobian: StateJacobian) -> None:
    """Lets the loss gradients of time k set out."""
    mask = jacobian.traj.mask
    for row in (i for i, t in enumerate(times) if t == k > 0):
        vector = vectors.xp.zeros_like(vectors.mantissas[row])
        own = direct[k - 1]
        vector[0] = own if mask is None else vectors.xp.where(mask[k - 1, ..., None], own, vectors.xp.zeros_like(own))
        vectors.put(row, vector)


def _check(traj: Trajectory, dL_dh: Array, samples: Sequence[int], times: Sequence[int]) -> None:
    require_namespace(traj.xp, dL_dh=dL_dh)
    batch = traj.states.shape[-2]
    require_shape("dL_dh", dL_dh, (traj.steps, *traj.states.shape[2:]))
    if not all(0 <= i < batch for i in samples) or not len(samples):
        raise InputError(f"samples: expected one or more of 0..{batch - 1}, got {list(samples)}")
    if not all(0 <= t <= traj.steps for t in times):
        raise InputError(f"times: expected steps 0..{traj.steps}, got {list(times)}")
