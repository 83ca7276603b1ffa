"""Mean-field theory of wide random networks a_t = W h_{t-1} + V x_t + b, h_t = phi(a_t).

    q*    = sigma_w^2 A(q*) + sigma_v^2 + sigma_b^2      variance of the pre-activations, A(q) = E phi(sqrt(q) z)^2
    chi_1 = sigma_w^2 B(q*)                              factor of the squared gradient norm per step, B(q) = E phi'^2
    c'    = (sigma_w^2 E phi(u1) phi(u2) + sigma_b^2 + sigma_v^2 r) / q*      correlation of two copies

with W_ij ~ N(0, sigma_w^2 / H), b ~ N(0, sigma_b^2) and sigma_v the standard deviation of V x. All sigmas are standard
deviations; the papers' often quoted (1.76, 0.05) for tanh are variances.
Sources: Poole et al. 2016; Schoenholz et al. 2017; Chen, Pennington & Schoenholz 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..arrays import quiet
from ..cells.activations import Activation
from ..errors import InputError, echo
from ..lazy import lazy
from ..registry import unknown
from .gaussian import blockwise, correlations, find, moments, table
from .where import WHERE

PARAMETERS = ("sigma_w", "sigma_b", "sigma_v")
LARGEST_SCALE = 1000.0
DIVERGES = "The variance has no limit: the state grows until it overflows; chi_1 is that of large q."
ROUNDING = 1e-12  # of ln q and of chi_1: what lies nearer to a border lies on it
SPLINE_STEPS, EXACT_STEPS = 4, 2  # of Newton's method


@dataclass(frozen=True)
class MeanField:
    """What mean-field theory says of one activation and one set of standard deviations.

    q: variance of the pre-activations, reached from a small state; inf where it has no limit. chi: factor of the
    squared gradient norm per step.
    """

    activation: Activation
    sigma_w: float
    sigma_b: float
    sigma_v: float
    q: float
    chi: float

    @property
    def log_rate(self) -> float:
        """ln of the factor per step of the gradient's norm: half of ln chi_1."""
        return 0.5 * _log(self.chi)

    @property
    def depth(self) -> float:
        """xi = -1 / ln chi_1: steps over which the squared norm falls by e; negative where it grows."""
        return _depth(self.chi)

    @property
    def phase(self) -> str:
        """divergent (no q*), critical, ordered (gradients vanish) or chaotic (they explode)."""
        if math.isinf(self.q):
            return "divergent"
        return "critical" if self.chi == 1 else "ordered" if self.chi < 1 else "chaotic"

    @property
    def drive(self) -> float:
        """sigma_b^2 + sigma_v^2: what the variance of the pre-activations does not owe to the state."""
        return self.sigma_b**2 + self.sigma_v**2

    @lazy
    def fixed_points(self) -> tuple[float, ...]:
        """Every q that the variance's map keeps, smallest first."""
        return _fixed_points(self.activation, self.sigma_w, self.drive)

    @lazy
    def c_star(self) -> float:
        """Where the correlation of two states under the same input ends; 1: the initial state is forgotten."""
        return _stable_correlation(self.activation, self.q, self.sigma_w, self.drive, self.chi)

    @lazy
    def slope_c(self) -> float:
        """Slope of the correlation's map at c*; chi_1 where c* = 1."""
        if math.isnan(self.c_star) or self.c_star == 1:
            return self.c_star * self.chi
        return _slope(self.activation, self.q, self.c_star, self.sigma_w)

    @property
    def depth_c(self) -> float:
        """-1 / ln of the slope at c*: steps over which the distance to c* falls by e."""
        return _depth(self.slope_c)

    @property
    def holds(self) -> str:
        """Where this holds."""
        return WHERE["mean_field"].holds

    @property
    def fails(self) -> str:
        """Where this fails, what is particular to this point first."""
        return " ".join([*self._warnings(), WHERE["mean_field"].fails])

    def _warnings(self) -> list[str]:
        others = ", ".join(f"{q:.4g}" for q in self.fixed_points if q != self.q)
        if self.phase == "divergent":
            return [DIVERGES, *([f"The fixed points q = {others} repel."] if others else [])]
        if self.drive == 0 and self.phase == "critical" and _keeps_any(self.activation, self.sigma_w):
            return ["Every variance is kept: q stays what the initial state makes it."]
        if any(q > self.q for q in self.fixed_points):
            return [f"The variance has other fixed points (q = {others}), so a large initial state may end elsewhere."]
        if self.q == 0 and self.drive == 0:
            return ["Without input and bias the state dies out, and the spectral radius of its Jacobian decides."]
        return []


def mean_field(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0, sigma_v: float = 0.0) -> MeanField:
    """q*, chi_1, rate, depth scales and the correlation's fixed point for standard deviations of weights, bias, input.

    sigma_v: of V x, which is W_xh's std * sqrt(D) for an input of unit variance. Where phi allows several q*, the one
    reached from a small state is taken. Raises InputError for unknown names and scales outside [0, 1000].
    """
    phi = find(activation)
    w, b, v = single_scales(sigma_w=sigma_w, sigma_b=sigma_b, sigma_v=sigma_v)
    q = float(variance(phi, w, b * b + v * v))
    return MeanField(phi, w, b, v, q, float(chi_1(phi, w, q)))


def variance(phi: Activation, sigma_w: Any, drive: Any) -> np.ndarray:
    """q* reached from a small state, with drive = sigma_b^2 + sigma_v^2; inf where there is none. Arguments broadcast.

    A(q) grows with q, so from a small state q rises to the lowest fixed point that attracts.
    """
    w2, drive = np.broadcast_arrays(np.square(np.asarray(sigma_w, float)), np.asarray(drive, float))
    return blockwise(lambda w2, drive: _variance(phi, w2, drive), w2, drive)


def _variance(phi: Activation, w2: np.ndarray, drive: np.ndarray) -> np.ndarray:
    excess = _excess(phi, w2, drive)
    falls = excess[:, 1:] < -ROUNDING
    q = np.where(excess[:, 0] <= ROUNDING, 0.0, np.inf)
    found = (q > 0) & falls.any(axis=1)
    q[found] = _refined(phi, w2[found], drive[found], falls[found].argmax(axis=1))
    return q


def chi_1(phi: Activation, sigma_w: Any, q: Any) -> np.ndarray:
    """sigma_w^2 B(q); at q = inf its limit."""
    q = np.asarray(q, float)
    far = 0.5 * sum(phi.slope(np, np.array(a)) ** 2 for a in (-1e9, 1e9))
    chi = np.square(sigma_w) * np.where(np.isinf(q), far, moments(phi)[1](np.where(np.isinf(q), 1.0, q)))
    return np.where(np.abs(chi - 1) < ROUNDING, 1.0, chi)


def _depth(factor: float) -> float:
    """-1 / ln factor: steps over which what shrinks by `factor` per step falls by e; inf at 1."""
    log = _log(factor)
    return math.inf if log == 0 else -1 / log


def _log(x: float) -> float:
    return math.log(x) if x > 0 else math.nan if math.isnan(x) else -math.inf


def scales(**given: Any) -> list[np.ndarray]:
    """The standard deviations as arrays; InputError, by name, for what is none."""
    for name, value in given.items():
        try:
            array = np.asarray(value, float)
        except (TypeError, ValueError):
            raise InputError(f"{name}: expected a standard deviation, got {echo(value)}", name) from None
        wrong = array[~((array >= 0) & (array <= LARGEST_SCALE))]
        if wrong.size:
            expected = f"a standard deviation (not a variance) from 0 to {LARGEST_SCALE:g}"
            raise InputError(f"{name}: expected {expected}, got {wrong[0]:g}", name)
    return [np.asarray(value, float) for value in given.values()]


def single_scales(**given: Any) -> list[float]:
    """The same where each has to be one number."""
    found = scales(**given)
    for name, array in zip(given, found, strict=True):
        if array.ndim:
            raise InputError(f"{name}: expected one standard deviation, got an array of shape {array.shape}", name)
    return [float(array) for array in found]


# the variance's fixed points, on a logarithmic scale of q


def _excess(phi: Activation, w2: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """ln(map of q) - ln q at the table's q (..., Q): positive where q grows."""
    log_q, log_square, _ = table(phi)
    with quiet():
        return np.log(w2[..., None] * np.exp(log_square(log_q)) + drive[..., None]) - log_q


def _refined(phi: Activation, w2: np.ndarray, drive: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The fixed point between the table's q at `index` and the next: Newton's method on ln(map of q) - ln q."""
    log_q, log_square, _ = table(phi)
    square = moments(phi)[0]
    u = 0.5 * (log_q[index] + log_q[index + 1])
    for step in range(SPLINE_STEPS + EXACT_STEPS):
        grown = w2 * (square(np.exp(u)) if step >= SPLINE_STEPS else np.exp(log_square(u)))
        with quiet():
            slope = grown / (grown + drive) * log_square(u, 1) - 1
            u = np.clip(u - (np.log(grown + drive) - u) / slope, log_q[index], log_q[index + 1])
    return np.exp(u)


def _fixed_points(phi: Activation, sigma_w: float, drive: float) -> tuple[float, ...]:
    """Every q that the map keeps, smallest first."""
    w2, s2 = np.array(sigma_w**2), np.array(drive)
    excess = _excess(phi, w2, s2)
    sign = np.where(np.abs(excess) <= ROUNDING, 0, np.sign(excess))
    index = np.flatnonzero(sign[1:] * sign[:-1] < 0)
    found = _refined(phi, np.broadcast_to(w2, index.shape), np.broadcast_to(s2, index.shape), index)
    return (*([0.0] if drive == 0 and _through_zero(phi) else []), *(float(q) for q in found))


def _keeps_any(phi: Activation, sigma_w: float) -> bool:
    """Whether, without a drive, every q is a fixed point."""
    return bool((np.abs(_excess(phi, np.array(sigma_w**2), np.array(0.0))) <= ROUNDING).all())


def _through_zero(phi: Activation) -> bool:
    return float(phi.value(np, np.zeros(()))) == 0


# two states under one input


def correlation_map(
    activation: str | Activation, c: float, q: float, sigma_w: float, sigma_b: float = 0.0, sigma_v: float = 0.0,
    input_correlation: float = 1.0,
) -> tuple[float, float]:  # fmt: skip
    """One step of the correlation c of two states of variance q, and the map's slope at c.

    input_correlation: of their inputs' parts of the pre-activation. Raises InputError for a c outside [-1, 1], a q
    that is not positive and scales outside [0, 1000].
    """
    phi = find(activation)
    w, b, v = single_scales(sigma_w=sigma_w, sigma_b=sigma_b, sigma_v=sigma_v)
    for name, value in (("c", c), ("input_correlation", input_correlation)):
        if not -1 <= value <= 1:
            raise InputError(f"{name}: expected a correlation from -1 to 1, got {value}", name)
    if not 0 < q < math.inf:
        raise InputError(f"q: expected a positive variance, got {q}; mean_field(...).q is the one that lasts", "q")
    return _mapped(phi, q, c, w, b * b + v * v * input_correlation), _slope(phi, q, c, w)


def _mapped(phi: Activation, q: float, c: float, sigma_w: float, shared: float) -> float:
    return (sigma_w**2 * correlations(phi)[0](q, c) + shared) / q


def _slope(phi: Activation, q: float, c: float, sigma_w: float) -> float:
    return sigma_w**2 * correlations(phi)[1](q, c)


def _stable_correlation(phi: Activation, q: float, sigma_w: float, shared: float, chi: float) -> float:
    """The attracting fixed point of the correlation map under the same input.

    The map is a power series in c with positive coefficients, and keeps 1. So it is convex on [0, 1]: where its slope
    at 1, chi_1, is at most 1, all correlations end at 1; else at the only fixed point below 1.
    """
    if math.isinf(q):
        return math.nan
    if chi <= 1 or q == 0:
        return 1.0

    def excess(c: float) -> float:
        return _mapped(phi, q, c, sigma_w, shared) - c

    if abs(excess(0.0)) < ROUNDING:
        return 0.0
    closer = (1 - 0.5**k for k in range(1, 21))  # between c* and 1 the map lies below the diagonal
    above = next((c for c in closer if excess(c) < 0), None)
    return 1.0 if above is None else float(import_module("scipy.optimize").brentq(excess, 0.0, above, xtol=1e-11))


# maps and lines


def critical_line(activation: str | Activation, sigma_b: Any, sigma_v: Any = 0.0) -> np.ndarray:
    """The smallest sigma_w at which chi_1 = 1, NaN where there is none; sigma_b and sigma_v broadcast.

    Found by way of q: chi_1 = 1 gives sigma_w^2 = 1 / B(q), and then the drive sigma_b^2 + sigma_v^2 = q - A(q) / B(q).
    Raises InputError for unknown names and scales outside [0, 1000].
    """
    phi = find(activation)
    b, v = scales(sigma_b=sigma_b, sigma_v=sigma_v)
    drive = np.asarray(b * b + v * v)
    flat = drive.ravel()
    point, q = _critical_variances(phi, flat)
    with quiet():
        sigma_w = 1 / np.sqrt(moments(phi)[1](q))
    reached = np.isclose(variance(phi, sigma_w, flat[point]), q, rtol=1e-6, atol=0)
    line = np.full(flat.shape, np.inf)
    np.minimum.at(line, point[reached], sigma_w[reached])
    return np.where(np.isinf(line), np.nan, line).reshape(drive.shape)[()]


def _critical_variances(phi: Activation, drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(index into `drive`, q) of every q at which chi_1 = 1 fits the drive, q = 0 included where phi keeps it."""
    log_q, log_square, log_slope = table(phi)

    def rest(u: np.ndarray, ratio: np.ndarray, s2: np.ndarray) -> np.ndarray:
        """1 - A / (B q) - drive / q, 0 where chi_1 = 1."""
        return 1 - ratio / np.exp(u) - s2 / np.exp(u)

    values = rest(log_q, np.exp(log_square(log_q) - log_slope(log_q)), drive[:, None])
    values[np.abs(values) < ROUNDING] = 0.0
    point, index = np.nonzero(values[:, 1:] * values[:, :-1] < 0)
    u, s2 = 0.5 * (log_q[index] + log_q[index + 1]), drive[point]
    square, slope_square = moments(phi)
    for step in range(SPLINE_STEPS + EXACT_STEPS):
        q = np.exp(u)
        exact = step >= SPLINE_STEPS
        ratio = square(q) / slope_square(q) if exact else np.exp(log_square(u) - log_slope(u))
        with quiet():
            slope = (s2 - ratio * (log_square(u, 1) - log_slope(u, 1) - 1)) / q
            u = np.clip(u - rest(u, ratio, s2) / slope, log_q[index], log_q[index + 1])
    still = np.flatnonzero((drive == 0) & _through_zero(phi))
    return np.concatenate([still, point]), np.concatenate([np.zeros(len(still)), np.exp(u)])


def phase_map(
    activation: str | Activation, x: tuple[str, Any], y: tuple[str, Any], **fixed: float
) -> dict[str, np.ndarray]:
    """chi, log_rate, depth and q over a grid, (len(y), len(x)) each.

    x and y are (name, values) with names among sigma_w, sigma_b, sigma_v; `fixed` holds the third (0 by default; one
    of the three has to be sigma_w). Raises InputError for other or repeated names and for scales outside [0, 1000].
    """
    phi = find(activation)
    names = [x[0], y[0], *fixed]
    for name in names:
        if name not in PARAMETERS:
            raise unknown("parameter", name, list(PARAMETERS), name)
    if len(set(names)) < len(names) or "sigma_w" not in names:
        raise InputError(f"phase_map: expected sigma_w and others of {', '.join(PARAMETERS)}, each once; got {names}")
    single_scales(**fixed)
    across, along = np.meshgrid(np.atleast_1d(x[1]), np.atleast_1d(y[1]))
    given: dict[str, Any] = dict.fromkeys(PARAMETERS, 0.0) | fixed | {x[0]: across, y[0]: along}
    sigma_w, sigma_b, sigma_v = np.broadcast_arrays(*scales(**{name: given[name] for name in PARAMETERS}))
    q = variance(phi, sigma_w, sigma_b**2 + sigma_v**2)
    chi = chi_1(phi, sigma_w, q)
    with quiet():
        log = np.log(chi)
        depth = np.where(log == 0, np.inf, -1 / log)
    return {"chi": chi, "log_rate": 0.5 * log, "depth": depth, "q": q}
