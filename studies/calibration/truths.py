"""Classes from closed forms: rates, bounds, matrix powers, and plain loops over diagonal nets.

A curve is ln of what is left of a unit gradient by lag. It vanishes where its lowest value is below -ln 100 and
explodes where its highest is above ln 100, whichever is further away. Cases near the border of a class are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from .cases import Case, Known, Truth

LOG_LIMIT, MARGIN = math.log(100), 2.0
LEAST, TELLING = 10, 50  # steps for a word; of own data, for what the net does in the long run
NOTHING = 1e6  # -ln of a factor that leaves nothing
DIRECTIONS = 400  # random cotangents
SLOPE_TENTH = {  # |a| at a tenth of the largest slope
    "tanh": 1.8184,
    "sigmoid": 3.6368,
    "hard_tanh": 1.0,
    "erf": 1.7121,
}
SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": np.ones_like,
    "relu": lambda a: (a > 0).astype(float),
    "leaky_relu": lambda a: np.where(a > 0, 1.0, 0.01),
    "tanh": lambda a: 1 - np.tanh(a) ** 2,
    "sin": np.cos,
}
VALUES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda a: a,
    "relu": lambda a: np.maximum(a, 0),
    "leaky_relu": lambda a: np.where(a > 0, a, 0.01 * a),
    "tanh": np.tanh,
    "sin": np.sin,
}


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def word(log_rate: float, steps: int, bounded: bool = False) -> str:
    """The class of a rate."""
    found = word_of(max(log_rate, -NOTHING) * np.arange(steps))
    return "chaotic" if found == "exploding" and bounded else found


def word_of(curve: np.ndarray) -> str:
    """The class of a curve by lag. Raises ValueError near the border of a class."""
    if len(curve) < LEAST:
        return "too short"
    top, bottom = max(0.0, *curve), min(0.0, *curve)
    most = max(top, -bottom)
    if abs(most - LOG_LIMIT) < MARGIN or (most > LOG_LIMIT and abs(top + bottom) < MARGIN):
        raise ValueError(f"{top:.2f}, {bottom:.2f} is too near to the border of a class: choose another configuration")
    return "carried" if most < LOG_LIMIT else "exploding" if top > -bottom else "vanishing"


def word_with_ends(curve: np.ndarray) -> str:
    """The same of a curve that bends, whether its first step and its last count or not."""
    words = {word_of(curve), word_of(curve[1:-1] - curve[1])}
    if len(words) > 1:
        raise ValueError(f"{' or '.join(sorted(words))}, as the ends count or not: choose another configuration")
    return words.pop()


def exactly(log_rate: float) -> Truth:
    """By a rate in closed form."""
    return lambda case: Known(word(log_rate, case.config.steps))


def by_definition(known: str) -> Truth:
    return lambda case: Known(known)


def at_most(case: Case) -> Known:
    """Pascanu's bound on the rate, ln(largest slope x largest singular value)."""
    cell, params, x = case.parts()
    return Known(word(math.log(cell.activation.max_slope * np.linalg.norm(params["W_hh"][0], 2)), len(x)))


def at_rest(case: Case) -> Known:
    """The zero-input law: ln of the spectral radius of the Jacobian at h = c = 0, written out for each cell."""
    cell, params, x = case.parts()
    bias, w = params["b_h"], params["W_hh"]
    gate = sigmoid(bias[cell.gates.index(str(cell.forget_gate))])
    radius = {
        "lstm": lambda: np.diag(gate) + w[2] / 4,
        "gru": lambda: np.diag(gate) + (1 - gate)[:, None] * w[2] / 2,
        "gru_v1": lambda: np.diag(gate) + (1 - gate)[:, None] * w[2] / 2,
        "minimal_rnn": lambda: np.diag(gate),
        "min_gru": lambda: np.diag(gate),
        "min_lstm": lambda: np.diag(gate / (gate + 0.5)),
        "janet": lambda: np.diag(gate) + ((1 - gate) / (1 - gate + gate / math.e))[:, None] * w[1],
    }[cell.name]()
    return Known(word(math.log(np.abs(np.linalg.eigvals(radius)).max()), len(x)))


def flat_under_input(case: Case) -> Known:
    """The share of a normal distribution that lies where the slope is below a tenth: the input's part alone."""
    scale = math.hypot(case.config.input_scale, case.config.bias_scale)
    share = 2 * norm.sf(SLOPE_TENTH[case.config.activation] / scale)
    return Known("saturated" if share > 0.6 else "unknown")


def grows_beyond(case: Case) -> Known:
    """|h_t| of identity weights grows like gain^t until it leaves the numbers of the precision."""
    limit = math.log(float(np.finfo(case.config.dtype).max))
    return Known("overflow" if math.log(case.config.gain) * (case.config.steps - 5) > limit else "unknown")


def input_beyond(case: Case) -> Known:
    """One feature of the input, times its weights, is beyond the largest number of the precision at some step."""
    _, params, x = case.parts()
    largest = np.log(np.abs(x).max()) + np.log(np.abs(params["W_xh"]).max())
    return Known("overflow" if largest > math.log(float(np.finfo(x.dtype).max)) + 0.1 else "unknown")


# linear nets


def powers(w: np.ndarray, steps: int) -> np.ndarray:
    """ln ||(W^T)^k v|| for k < steps (lag,), the median over random directions v."""
    v = np.random.default_rng(1).normal(size=(len(w), DIRECTIONS))
    log, curve = np.zeros(DIRECTIONS), []
    for _ in range(steps):
        size = np.linalg.norm(v, axis=0)
        log, v = log + np.log(size), v / size
        curve.append(np.median(log))
        v = w.T @ v
    return np.array(curve) - curve[0]


def linear(case: Case) -> Known:
    """Powers of the matrix, and its eigenvalues: what grows within T steps of a stable net is a transient."""
    _, params, x = case.parts()
    w = params["W_hh"][0].astype(float)
    found, radius = word_with_ends(powers(w, len(x))), np.abs(np.linalg.eigvals(w)).max()
    return Known("transient growth" if found == "exploding" and radius < 0.99 else found)


def cannot_tell(case: Case) -> Known:
    """Growth over fewer steps of own data than say anything of the long run: no more than that is to be said."""
    _, params, x = case.parts()
    found = word_with_ends(powers(params["W_hh"][0], len(x)))
    return Known(found, says="cannot tell") if len(x) < TELLING and found == "exploding" else Known("unknown")


def clipped(case: Case) -> Known:
    """Multiples of the identity, clipped after each step: by its norm, or each entry by itself."""
    config = case.config
    limit, v = float(config.clip_threshold), np.random.default_rng(1).normal(size=(config.hidden_size, DIRECTIONS))
    v, curve = v / np.linalg.norm(v, axis=0), []
    for _ in range(config.steps):
        size = np.linalg.norm(v, axis=0)
        v = v * np.minimum(1, limit / size) if config.clip == "step_norm" else np.clip(v, -limit, limit)
        curve.append(np.median(np.log(np.linalg.norm(v, axis=0))))
        v = config.gain * v
    return Known(word_of(np.array(curve) - curve[0]))


# diagonal nets: every unit and sample by itself


def diagonal(case: Case) -> Known:
    """Elman nets with a diagonal W, or with units that are all switched on or off together: a plain loop."""
    cell, params, x = case.parts()
    v, w, b = (params[name][0] for name in ("W_xh", "W_hh", "b_h"))
    own, leak, phi = np.diag(w), getattr(cell, "leak", 1.0), cell.activation.name
    h, factors, flat = np.zeros((x.shape[1], len(w))), [], []
    for now in x:
        a = now @ v.T + h @ w.T + b
        h = (1 - leak) * h + leak * VALUES[phi](a)
        factors.append(1 - leak + leak * own * SLOPES[phi](a))
        flat.append(np.abs(SLOPES[phi](a)) < 0.1)
    return _by_samples(case, np.array(factors), float(np.mean(flat)) if phi == "tanh" else 0.0)


def input_gates(case: Case) -> Known:
    """Gated nets whose gates read the input alone: each step keeps what the forget gate lets through."""
    cell, params, x = case.parts()
    at = cell.gates.index(str(cell.forget_gate))
    return _by_samples(case, sigmoid(x @ params["W_xh"][at].T + params["b_h"][at]))


def through_the_cell(case: Case) -> Known:
    """An LSTM without recurrent weights: k = o (1 - tanh^2 c) enters, and c keeps what the forget gate lets through."""
    cell, params, x = case.parts()
    i, f, g, o = (x @ v.T + b for v, b in zip(params["W_xh"], params["b_h"], strict=True))
    c = np.zeros(i.shape[1:])
    for t in range(len(x)):
        c = sigmoid(f[t]) * c + sigmoid(i[t]) * np.tanh(g[t])
    k = np.median(sigmoid(o[-1]) * (1 - np.tanh(c) ** 2))
    return Known(_by_samples(case, sigmoid(f)).word, entry=float(np.log(k)))


def _by_samples(case: Case, factors: np.ndarray, flat: float = 0.0) -> Known:
    """From each step's factor of each sample and unit (T, B, H); flat: share of saturated units."""
    curves = [own_curve(factors[:n, i]) for i, n in enumerate(case.lengths)]
    words = [word_of(curve) for curve in curves]
    counts = {found: words.count(found) for found in sorted(set(words))}
    order = sorted(counts, key=lambda found: (found == "too short", -counts[found]))
    if order[0] == "vanishing" and 0.4 < flat < 0.6:
        raise ValueError(f"{flat:.2f} of the units are flat: choose another configuration")
    first = "saturated" if order[0] == "vanishing" and flat >= 0.6 else order[0]
    return Known(first, {found: counts[found] for found in order})


def own_curve(factors: np.ndarray) -> np.ndarray:
    """ln of the root mean square over units of the products of the last steps' factors (n, H), by lag."""
    with np.errstate(divide="ignore"):
        logs = np.cumsum(np.log(np.abs(factors[:0:-1])), axis=0)
    return np.concatenate([[0.0], 0.5 * np.logaddexp.reduce(2 * logs, axis=1) - 0.5 * math.log(factors.shape[1])])


def turning(truth: Truth, *lags: int) -> Truth:
    """The same, of a run whose rate changes at these lags."""
    return lambda case: replace(truth(case), turns=lags)
