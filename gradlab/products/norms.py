"""Norms of long products of Jacobians, in log scale.

d state_t / d state_s = J_t J_{t-1} ... J_{s+1}. Logarithms are natural and float64; -inf means exactly zero. Where a
step lies beyond a sample's length its Jacobian is the identity, so that a product is that of the sample's own steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..arrays import Array, quiet
from ..engine.jacobian import StateJacobian
from ..engine.threads import spare_threads
from ..errors import InputError, echo
from ..wording import counted
from .growing_norms import Growth
from .scaled_vectors import ScaledVectors, pull_back
from .span import Progress, rows_times, side_of, span_of

BUDGET = 2e10  # B (SH)^3 T up to which whole products are multiplied out
CACHE_BYTES = 2**20  # of the matrices that are multiplied together
METHODS = ("auto", "exact", "subset", "probes")


@dataclass(frozen=True, repr=False)
class ProductNorms:
    """ln ||d state_t / d state_r|| at r = s..t, index r - s.

    frobenius (t-s+1, *M, n); spectral (the same shape, None where it was not asked for or with probes) and its relative
    residual. Up to S H = 64 that bounds the spectral norm's error. Beyond it does not: there is a singular value within
    it, very likely the largest and never more than that. method: "exact" or "subset" (exact, for `samples` only), or
    "probes", an estimate of the Frobenius norm with the standard error `stderr` of its logarithm. samples: the n
    samples computed.
    """

    frobenius: Array
    spectral: Array | None
    residual: Array | None
    method: str
    samples: list[int]
    stderr: Array | None

    def __repr__(self) -> str:
        sizes = f"{counted(len(self.frobenius), 'time')}, {counted(len(self.samples), 'sample')}"
        return f"ProductNorms({sizes}, {self.method})"


@spare_threads
def log_norms(
    jacobian: StateJacobian,
    t: int | None = None,
    s: int = 0,
    *,
    method: str = "auto",
    probes: int = 8,
    spectral: bool = True,
    seed: int = 0,
    on_progress: Progress = None,
) -> ProductNorms:
    """ln ||d state_t / d state_r||, Frobenius and spectral, for every r = s..t; t is the last step by default.

    method: "exact" multiplies the products out; "subset" does so for as many samples as the budget allows; "probes"
    estimates Frobenius norms from random cotangents. "auto" takes the first of these that B (S H)^3 (t - s) allows.
    Raises InputError for spans out of range, unknown methods and Jacobians that are not finite.
    """
    t, s = span_of(jacobian, t, s)
    if method not in METHODS:
        raise InputError(f"unknown method '{method}'. Valid: {', '.join(METHODS)}", "method")
    if not probes >= 2:
        raise InputError(f"probes: expected at least 2, for their spread is the error, got {echo(probes)}", "probes")
    count = affordable_samples(jacobian, t - s)
    batch = jacobian.traj.states.shape[-2]
    if method == "probes" or (method == "auto" and count == 0):
        return _estimated(jacobian, t, s, probes, seed, on_progress)
    count = batch if method == "exact" else min(batch, max(count, 1))
    found = [_exact(part, t, s, spectral, _share(on_progress, i, n)) for part, i, n in _blocks(jacobian, range(count))]
    frobenius, sigma, residual = (
        None if values[0] is None else jacobian.traj.xp.concatenate(values, axis=-1)
        for values in zip(*found, strict=True)
    )
    name = "exact" if count == batch else "subset"
    return ProductNorms(frobenius, sigma, residual, name, list(range(count)), None)


def affordable_samples(jacobian: StateJacobian, steps: int) -> int:
    """How many samples' products over so many steps fit the budget for exact ones."""
    side, models = side_of(jacobian), int(np.prod(jacobian.traj.models))
    return int(BUDGET // max(1, models * side**3 * steps))


def log_lags(steps: int, count: int = 20) -> list[int]:
    """About `count` log-spaced lags from 1 to `steps`, all different."""
    return sorted({round(x) for x in np.geomspace(1, steps, count)}) if steps > 0 else []


def _exact(jacobian: StateJacobian, t: int, s: int, spectral: bool, on_progress: Progress) -> list[Array | None]:
    """ln of Frobenius and spectral norms and the latter's residual, each (t-s+1, *M, B)."""
    walk = _multiplied(jacobian, t, s, on_progress)
    growth = Growth(next(walk), spectral)
    growth.record()
    with quiet():
        for _ in walk:
            growth.record()
    return [None if values is None else values[::-1] for values in (growth.frobenius(), *growth.spectral())]


def _estimated(jacobian: StateJacobian, t: int, s: int, probes: int, seed: int, on_progress: Progress) -> ProductNorms:
    """ln of the Frobenius norm from E ||P^T g||^2 = ||P||_F^2 for standard normal g."""
    traj, xp = jacobian.traj, jacobian.traj.xp
    g = np.random.default_rng(seed).normal(size=(probes, *traj.states.shape[1:]))
    logs, errors = [], []
    for r, vectors in pull_back(jacobian, xp.asarray(g, dtype=traj.states.dtype), t, s):
        total, error = _mean_square(vectors)
        logs.append(total)
        errors.append(error)
        if on_progress is not None and t > s:
            on_progress((t - r) / (t - s))
    everyone = list(range(traj.states.shape[-2]))
    return ProductNorms(xp.stack(logs[::-1]), None, None, "probes", everyone, xp.stack(errors[::-1]))


def _mean_square(vectors: ScaledVectors) -> tuple[Array, Array]:
    """ln of the root mean square of the vectors' norms, and its standard error."""
    xp, logs = vectors.xp, vectors.log_norms()
    top = xp.max(logs, axis=0)
    top = xp.where(top > -xp.inf, top, xp.zeros_like(top))
    with quiet():
        squares = xp.exp(2 * (logs - top))
        mean = squares.mean(axis=0)
        spread = xp.sqrt(((squares - mean) ** 2).sum(axis=0) / (len(logs) * (len(logs) - 1)))
        return top + 0.5 * xp.log(mean), xp.where(mean > 0, 0.5 * spread / mean, xp.zeros_like(mean))


def _multiplied(jacobian: StateJacobian, t: int, s: int, on_progress: Progress = None) -> Iterator[ScaledVectors]:
    """d state_t / d state_r for r = t, t-1 ... s: the scaled rows (*M, B, SH, SH), the same object all along.

    Whoever asks for the next does so under `quiet()`: entering it at every step costs as much as a small product.
    """
    product, xp = _identity(jacobian), jacobian.traj.xp
    matrix = xp.empty_like(product.mantissas)
    yield product
    for step in jacobian.each_step(s, t, backwards=True):
        product.multiply(partial(rows_times, xp, step.dense(matrix)), step)
        if on_progress is not None:
            on_progress((t - step.t + 1) / (t - s))
        yield product


def _identity(jacobian: StateJacobian) -> ScaledVectors:
    """d state_t / d state_t (*M, B, SH, SH)."""
    xp, states = jacobian.traj.xp, jacobian.traj.states
    eye = xp.eye(side_of(jacobian), dtype=states.dtype)
    return ScaledVectors(xp, eye + xp.zeros((*states.shape[2:-1], 1, 1), dtype=states.dtype), (-1,))


def _blocks(jacobian: StateJacobian, samples: range) -> Iterator[tuple[StateJacobian, int, int]]:
    """Samples in blocks whose products stay in the cache: (their Jacobian, number of the block, number of blocks)."""
    one = int(np.prod(jacobian.traj.models)) * side_of(jacobian) ** 2 * jacobian.traj.states.dtype.itemsize
    size = max(1, CACHE_BYTES // one) if jacobian.traj.xp is np else len(samples)
    for i, start in enumerate(samples[::size]):
        yield jacobian.of_samples(slice(start, min(start + size, samples.stop))), i, -(-len(samples) // size)


def _share(on_progress: Progress, i: int, n: int) -> Progress:
    """The progress of part i of n."""
    return None if on_progress is None else lambda done: on_progress((i + done) / n)
