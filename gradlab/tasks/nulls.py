"""Forecasts that need no net: the last value again, the mean, a linear autoregression, a curve without memory.

They foretell the change from a level (a value of the series) to the next one, and are fitted on what is learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev

OTHER_NULLS = {  # beside persistence
    "mean": "the mean: of what is learnt from",
    "autoregression": "a linear autoregression: on the values that the net has seen, at most 64",
    "memoryless": "a memoryless curve: of degree 9, of what is read at one step",
}
RIDGES = (1e-6, 1e-3, 0.1, 10.0)  # beside the variances of standardised features
TRIED = 5  # a ridge is chosen by the last fifth
LAGS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
TOGETHER = 64  # columns up to which each is foretold from all, and the most numbers that it is foretold from
ALONE = 2  # lags of a column among more of them
DEGREE = 9
FITTED = 10_000  # windows
NUMBERS = 400_000  # of the windows that are fitted, in all


@dataclass(frozen=True)
class Fit:
    """A linear fit of K numbers to F features, for each of G groups of columns. error: of its trial, per number."""

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    error: float = 0.0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(G, n, F) -> (G, n, K)."""
        return np.asarray((features - self.centre) / self.scale @ self.weights + self.offset)


def fitted(features: np.ndarray, targets: np.ndarray) -> Fit:
    """Least squares of targets (G, n, K) on features (G, n, F), with the ridge that foretells the last fifth best."""
    count = features.shape[1]
    cut = count - count // TRIED
    if cut == count:
        return _ridges(features, targets, RIDGES[-1:])[0]

    def error(fit: Fit) -> float:
        return float(((fit(features[:, cut:]) - targets[:, cut:]) ** 2).mean())

    errors = [error(fit) for fit in _ridges(features[:, :cut], targets[:, :cut], RIDGES)]
    best = int(np.argmin(errors))
    return replace(_ridges(features, targets, [RIDGES[best]])[0], error=errors[best])


def _ridges(features: np.ndarray, targets: np.ndarray, ridges: Sequence[float]) -> list[Fit]:
    """The fit with each ridge."""
    centre, spread = features.mean(axis=1, keepdims=True), features.std(axis=1, keepdims=True)
    scale = np.where(spread > 0, spread, 1.0)
    z, offset = (features - centre) / scale, targets.mean(axis=1, keepdims=True)
    across = z.transpose(0, 2, 1) / z.shape[1]
    inner, outer, one = across @ z, across @ (targets - offset), np.eye(z.shape[2])
    return [Fit(centre, scale, np.linalg.solve(inner + ridge * one, outer), offset) for ridge in ridges]


def lags(steps: int, columns: int, values: int) -> int:
    """The most levels that the autoregression of so many columns looks at, where so many values are to be fitted."""
    most = TOGETHER // columns if columns <= TOGETHER else ALONE
    return max(1, min(steps, most, values // TRIED))


def starts(windows: int, columns: int) -> np.ndarray:
    """Which of so many windows are fitted: all, or some at equal distances."""
    count = max(1, min(windows, FITTED, NUMBERS // columns))
    return np.linspace(0, windows - 1, count).astype(int)


def forecast_losses(known: np.ndarray, shown: np.ndarray, first: int) -> dict[str, np.ndarray]:
    """Squared error of each null at every step (T, B), the mean over columns.

    known (L + 1, n, D): levels to fit, L >= first + 1 of them before the one to be foretold. shown (first + T + 1, B,
    D): held-out levels, of which the net has seen first + t + 1 at its step t. first: 1 where the net reads changes, of
    which the first needs two levels; the change is then part of what is read at one step. Else 0.
    """
    tellers = {
        "baseline": lambda seen: np.zeros_like(seen[-1]),
        "mean": _mean(known),
        "autoregression": _autoregression(known),
        "memoryless": _curve(known[-2 - first :]),
    }
    return {name: _losses(foretell, shown, first) for name, foretell in tellers.items()}


def _losses(foretell: Callable[[np.ndarray], np.ndarray], shown: np.ndarray, first: int) -> np.ndarray:
    """Of a forecast of the change that follows levels (k, B, D)."""
    ends = range(first + 1, len(shown))
    return np.stack([((foretell(shown[:k]) - (shown[k] - shown[k - 1])) ** 2).mean(axis=-1) for k in ends])


def _mean(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    mean = known.mean(axis=(0, 1))
    return lambda seen: mean - seen[-1]


def _autoregression(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """On the last levels: of the fits for each number of them that has been seen, the one whose trial went best."""
    before, change = known[:-1], known[-1] - known[-2]
    together = known.shape[2] <= TOGETHER
    sizes = [int(n) for n in LAGS if n <= len(before)]
    fits = {n: fitted(_lagged(before[-n:], together), _grouped(change, together)) for n in sizes}

    def foretell(seen: np.ndarray) -> np.ndarray:
        size = min((n for n in sizes if n <= len(seen)), key=lambda n: fits[n].error)
        return _columns(fits[size](_lagged(seen[-size:], together)))

    return foretell


def _lagged(levels: np.ndarray, together: bool) -> np.ndarray:
    """The last of the levels (k, n, D), and the changes to it, as features (G, n, F)."""
    features = np.concatenate([levels[-1:], np.diff(levels, axis=0)])
    if together:
        return features.transpose(1, 0, 2).reshape(1, features.shape[1], -1)
    return features.transpose(2, 1, 0)


def _grouped(values: np.ndarray, together: bool) -> np.ndarray:
    """Values (n, D) as (G, n, K): one group of all columns, or each its own."""
    return values[None] if together else values.T[..., None]


def _columns(values: np.ndarray) -> np.ndarray:
    """The inverse of `_grouped`: (n, D)."""
    return values[0] if len(values) == 1 else values[..., 0].T


def _curve(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """On the last of the levels, and on the change to it if there are two before the one to be foretold."""
    read = len(known) - 1
    shown = _read(known[:-1], read)
    low, high = shown.min(axis=1, keepdims=True), shown.max(axis=1, keepdims=True)
    width = np.where(high > low, high - low, 1.0)

    def features(values: np.ndarray) -> np.ndarray:
        inside = np.clip(2 * (values - low) / width - 1, -1, 1)
        powers = chebyshev.chebvander(inside, DEGREE)[..., 1:]  # (read, n, D, DEGREE)
        return powers.transpose(2, 1, 0, 3).reshape(powers.shape[2], powers.shape[1], -1)

    fit = fitted(features(shown), _grouped(known[-1] - known[-2], together=False))
    return lambda seen: fit(features(_read(seen, read)))[..., 0].T


def _read(levels: np.ndarray, count: int) -> np.ndarray:
    """The last level and the change to it, or the level alone: (count, n, D)."""
    return levels[-1:] if count == 1 else np.stack([levels[-1], levels[-1] - levels[-2]])
