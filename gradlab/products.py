"""Long products of Jacobians in log scale: norms, singular values, and their split by path.

d state_t / d state_s = J_t J_{t-1} ... J_{s+1}. Logarithms are natural and float64; -inf means exactly zero. Where a
step lies beyond a sample's length its Jacobian is the identity, so that a product is that of the sample's own steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .arrays import LN2, Array, Namespace, log_norm, over_largest, quiet, require_namespace, require_shape
from .engine.jacobian import CARRY, StateJacobian
from .errors import InputError
from .graded import GradedMatrix
from .growth import Growth
from .scaled import ScaledVectors, pull_back

BUDGET = 2e10  # B (SH)^3 T up to which whole products are multiplied out
CACHE_BYTES = 2**20  # of the matrices that are multiplied together
LONGEST = 16  # steps that rows go without being made orthonormal, at most
METHODS = ("auto", "exact", "subset", "probes")
INTERACTION = "interaction"

Progress = Callable[[float], None] | None
Found = TypeVar("Found", "SingularValues", "PathSplit")


@dataclass(frozen=True, repr=False)
class ProductNorms:
    """ln ||d state_t / d state_r|| at r = s..t, index r - s.

    frobenius (t-s+1, *M, n); spectral (the same shape, None where it was not asked for or with probes) and its relative
    residual, within which there is a singular value: very likely the largest, and never more than that. method: "exact"
    or "subset" (exact, for `samples` only), or "probes", an estimate of the Frobenius norm with the standard error
    `stderr` of its logarithm. samples: the n samples computed.
    """

    frobenius: Array
    spectral: Array | None
    residual: Array | None
    method: str
    samples: list[int]
    stderr: Array | None

    def __repr__(self) -> str:
        return f"ProductNorms({len(self.frobenius)} times, {len(self.samples)} samples, {self.method})"


@dataclass(frozen=True, repr=False)
class SingularValues:
    """logs (k, *M, B): ln sigma_i of d state_t / d state_s, largest first.

    alignment (k, *M, B): cos^2 of the angle between the adjoint at t and each left singular vector; None without one.
    """

    logs: Array
    alignment: Array | None

    def __repr__(self) -> str:
        return f"SingularValues(logs {tuple(self.logs.shape)})"


@dataclass(frozen=True, repr=False)
class PathSplit:
    """The gradient that a span passes back, split by path.

    names: "carry" (every step's carry alone), each recurrent gate (the whole less the whole with that gate's path off),
    and "interaction", what remains. norms (P, *M, B): ln of the parts' norms. shares (P, *M, B): <part, whole> /
    ||whole||^2, which sum to 1 and may be negative; NaN where nothing is passed back. whole (*M, B): ln of its norm.
    off (G, *M, B): ln of the norm with each recurrent gate's path off.
    """

    names: tuple[str, ...]
    norms: Array
    shares: Array
    whole: Array
    off: Array

    def __repr__(self) -> str:
        return f"PathSplit({', '.join(self.names)}; shares {tuple(self.shares.shape)})"


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
    t, s = _span(jacobian, t, s)
    if method not in METHODS:
        raise InputError(f"unknown method '{method}'. Valid: {', '.join(METHODS)}")
    if not probes >= 2:
        raise InputError(f"probes: expected at least 2, for their spread is the error, got {probes}")
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
    side, models = _side(jacobian), int(np.prod(jacobian.traj.models))
    return int(BUDGET // max(1, models * side**3 * steps))


def log_lags(steps: int, count: int = 20) -> list[int]:
    """About `count` log-spaced lags from 1 to `steps`, all different."""
    return sorted({round(x) for x in np.geomspace(1, steps, count)}) if steps > 0 else []


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
    t, stops = _stops(jacobian, t, s)
    first = min(stops)
    k = _side(jacobian) if k is None else k
    if not 1 <= k <= _side(jacobian):
        raise InputError(f"k: expected 1 to {_side(jacobian)}, the number of state variables, got {k}")
    if adjoint is not None:
        _require_adjoint(jacobian, adjoint)
    found = {}
    for r, product in _orthonormalised(jacobian, t, first, set(stops), k):
        if r in stops:
            found[r] = _values(jacobian, product, k, adjoint)
        if on_progress is not None and t > first:
            on_progress((t - r) / (t - first))
    return _joined(jacobian.traj.xp, [found[r] for r in stops], s)


def _orthonormalised(
    jacobian: StateJacobian, t: int, s: int, stops: set[int], k: int
) -> Iterator[tuple[int, GradedMatrix]]:
    """(r, d state_t / d state_r times an orthogonal matrix), at each of `stops` and wherever its rows are renewed."""
    xp, shape = jacobian.traj.xp, jacobian.traj.states.shape[2:-1]
    side = _side(jacobian)
    start = xp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(side, side)))[0])
    rows = ScaledVectors(xp, start + xp.zeros((*shape, 1, 1), dtype=xp.float64), (-1,))
    product, interval, pending = GradedMatrix(xp, rows.mantissas), 1, 0
    product.exponents = product.exponents + rows.exponents
    yield t, product
    for step in jacobian.each_step(s, t, backwards=True):
        with quiet():
            rows.multiply(partial(_matmul, xp, step.dense().astype(xp.float64)), step)
        pending += 1
        if pending >= interval or step.t - 1 in stops:
            q, r = xp.linalg.qr(xp.swapaxes(rows.mantissas, -1, -2))
            product.multiply(r, rows.exponents)
            interval = _next_interval(xp, r[..., :k, :k], pending)
            rows, pending = ScaledVectors(xp, xp.ascontiguousarray(xp.swapaxes(q, -1, -2)), (-1,)), 0
            yield step.t - 1, product


def _matmul(xp: Namespace, matrix: Array, rows: Array, out: Array) -> Array:
    return xp.matmul(rows, matrix, out=out)


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


def path_split(
    jacobian: StateJacobian, t: int, s: int | Sequence[int], adjoint: Array, *, on_progress: Progress = None
) -> PathSplit:
    """(d state_t / d state_s)^T adjoint, split by path; adjoint (S, *M, B, H) = dL/d state_t at any scale.

    s: a step, or several, whose results then lie along a first axis. Raises InputError for spans out of range, adjoints
    of another shape and Jacobians that are not finite.
    """
    t, stops = _stops(jacobian, t, s)
    _require_adjoint(jacobian, adjoint)
    gates = [name for name in jacobian.paths() if name != CARRY]
    operators = [jacobian, replace(jacobian, gates=())]
    operators += [replace(jacobian, gates=tuple(g for g in gates if g != off)) for off in gates]
    pulled: list[dict[int, _Pulled]] = []
    for operator in operators:
        walk = pull_back(operator, adjoint[None], t, min(stops))
        pulled.append({r: _Pulled(jacobian.traj.xp, vectors) for r, vectors in walk if r in stops})
        if on_progress is not None:
            on_progress(len(pulled) / len(operators))
    found = [_split(("carry", *gates, INTERACTION), [at[r] for at in pulled]) for r in stops]
    return _joined(jacobian.traj.xp, found, s)


class _Pulled:
    """A cotangent on its way, as it is now: flat (*M, B, S*H) float64 over 2^exponents, and ln of its norm."""

    def __init__(self, xp: Namespace, vectors: ScaledVectors) -> None:
        self.xp, self.log = xp, vectors.log_norms()[0]
        self.flat = xp.concatenate(list(vectors.mantissas[0]), axis=-1).astype(xp.float64)
        self.exponents = vectors.exponents[0].copy()

    def over(self, exponents: Array) -> Array:
        """Over 2^exponents instead."""
        return self.xp.ldexp(self.flat, (self.exponents - exponents)[..., None])


def _split(names: tuple[str, ...], pulled: Sequence[_Pulled]) -> PathSplit:
    """`pulled`: the whole, the carry alone, and the whole with each gate off."""
    xp, top = pulled[0].xp, pulled[0].exponents
    with quiet():
        whole, carry, *off = (one.over(top) for one in pulled)
        parts = [carry, *(whole - without for without in off)]
        parts = xp.stack([*parts, whole - sum(parts[1:], parts[0])])
        shares = (parts * whole).sum(axis=-1) / (whole * whole).sum(axis=-1)
    norms, logs = log_norm(xp, parts) + LN2 * top, xp.stack([one.log for one in pulled])
    return PathSplit(names, norms, shares, logs[0], logs[2:])


def _joined(xp: Namespace, found: list[Found], s: int | Sequence[int]) -> Found:
    """The results at several s along a first axis, or the only one's own."""
    if not isinstance(s, Sequence):
        return found[0]
    arrays: dict[str, list[Any]] = {f.name: [getattr(one, f.name) for one in found] for f in fields(found[0])}
    together: dict[str, Any] = {
        n: a[0] if a[0] is None or isinstance(a[0], tuple) else xp.stack(a) for n, a in arrays.items()
    }
    return type(found[0])(**together)


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
        product.multiply(partial(_matmul, xp, step.dense(matrix)), step)
        if on_progress is not None:
            on_progress((t - step.t + 1) / (t - s))
        yield product


def _identity(jacobian: StateJacobian) -> ScaledVectors:
    """d state_t / d state_t (*M, B, SH, SH)."""
    xp, states = jacobian.traj.xp, jacobian.traj.states
    eye = xp.eye(_side(jacobian), dtype=states.dtype)
    return ScaledVectors(xp, eye + xp.zeros((*states.shape[2:-1], 1, 1), dtype=states.dtype), (-1,))


def _joint(jacobian: StateJacobian, states: Array) -> Array:
    """(S, *M, B, H) -> (*M, B, S*H), normalised to a largest entry of 1."""
    xp = jacobian.traj.xp
    return over_largest(xp, xp.concatenate(list(states), axis=-1), -1)[0]


def _blocks(jacobian: StateJacobian, samples: range) -> Iterator[tuple[StateJacobian, int, int]]:
    """Samples in blocks whose products stay in the cache: (their Jacobian, number of the block, number of blocks)."""
    one = int(np.prod(jacobian.traj.models)) * _side(jacobian) ** 2 * jacobian.traj.states.dtype.itemsize
    size = max(1, CACHE_BYTES // one) if jacobian.traj.xp is np else len(samples)
    for i, start in enumerate(samples[::size]):
        yield jacobian.of_samples(slice(start, min(start + size, samples.stop))), i, -(-len(samples) // size)


def _share(on_progress: Progress, i: int, n: int) -> Progress:
    """The progress of part i of n."""
    return None if on_progress is None else lambda done: on_progress((i + done) / n)


def _span(jacobian: StateJacobian, t: int | None, s: int) -> tuple[int, int]:
    """t and s as numbers; InputError unless 0 <= s <= t <= T."""
    steps = jacobian.traj.steps
    t = steps if t is None else t
    if not (hasattr(t, "__index__") and hasattr(s, "__index__") and 0 <= s <= t <= steps):
        raise InputError(f"span: expected whole numbers 0 <= s <= t <= {steps}, the number of steps, got s={s}, t={t}")
    return int(t), int(s)


def _stops(jacobian: StateJacobian, t: int, s: int | Sequence[int]) -> tuple[int, list[int]]:
    """t and every s, each checked; InputError where there is none."""
    stops = list(s) if isinstance(s, Sequence) else [s]
    if not stops:
        raise InputError("s: expected a step or several, got none")
    return _span(jacobian, t, 0)[0], [_span(jacobian, t, one)[1] for one in stops]


def _require_adjoint(jacobian: StateJacobian, adjoint: Array) -> None:
    require_namespace(jacobian.traj.xp, adjoint=adjoint)
    require_shape("adjoint", adjoint, tuple(jacobian.traj.states.shape[1:]))


def _side(jacobian: StateJacobian) -> int:
    """S * H."""
    return len(jacobian.traj.cell.states) * jacobian.traj.cell.hidden_size
