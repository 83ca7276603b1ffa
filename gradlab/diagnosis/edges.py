"""Predicted rates for remedies: a step's typical factor by mean-field theory, what chrono biases carry, and roots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arrays import Array, log_norm, namespace, quiet
from ..cells import Cell
from ..cells.activations import ACTIVATIONS
from ..theory import phase_map
from ..theory.phases import LARGEST_SCALE

LOG_FACTORS = np.linspace(-5, 5, 41)  # in which the ln of a factor is looked for
QUANTILES = (np.arange(200) + 0.5) / 200
REFINEMENTS = 3

Function = Callable[[np.ndarray], np.ndarray]


def typical(activation: str, weights: Any, drive: Any) -> np.ndarray:
    """ln of a step's typical factor without a carry, over `weights` (std * sqrt(H)) and `drive` (rms of V x + b).

    One of the two is a number. NaN for activations that are not registered and scales beyond theory's range.
    """
    scales = [np.atleast_1d(np.asarray(scale, float)) for scale in (weights, drive)]
    if activation not in ACTIVATIONS or not all(((s >= 0) & (s <= LARGEST_SCALE)).all() for s in scales):
        return np.full(max(s.size for s in scales), np.nan)
    return phase_map(activation, ("sigma_w", scales[0]), ("sigma_v", scales[1]))["log_rate"].ravel()


def edge_gain(activation: str, drive: float, miss: float = 0.0) -> float | None:
    """The scale of random weights at which the typical factor is 1, to three digits; None where there is none.

    miss: ln of what a run's factor was larger by than theory's.
    """
    found = root(lambda s: typical(activation, np.exp(s), drive) + miss, LOG_FACTORS)
    return None if found is None else rounded(float(np.exp(found)))


def chrono_log_rate(steps: int, drive: float) -> float:
    """ln of the factor per step that chrono forget biases carry over `steps` steps, what the gates add left out.

    sigma(b_f) = u / (1 + u) with u ~ U(1, T - 1), moved by an input of root mean square `drive`: the root mean square
    over units of what is left after T steps. NaN for an infinite drive.
    """
    bias = np.log(1 + QUANTILES * max(steps - 2, 1))
    z, weights = np.polynomial.hermite_e.hermegauss(21)
    if not math.isfinite(drive):  # an input that overflows
        return math.nan
    log_gate = -np.logaddexp(0.0, -bias[:, None] - drive * z) @ weights / weights.sum()
    logs = 2 * steps * log_gate
    return float(logs.max() + np.log(np.exp(logs - logs.max()).mean())) / (2 * steps)


def parameter_factor(cell: Cell, params: Mapping[str, Array], name: str, amount: float) -> float:
    """What makes the weights `name` `amount` times as large when the parameter is multiplied by it.

    `amount` itself where the weights are the parameters, and where nothing does that.
    """
    if type(cell).weights is Cell.weights or not amount > 0:
        return amount

    def log_size(log_factor: float) -> float:
        with quiet():
            made = cell.weights({**params, name: params[name] * math.exp(log_factor)})[name]
        return float(log_norm(namespace(made), made.reshape(-1)))

    size = log_size(0.0) + math.log(amount)
    found = root(lambda grid: np.array([log_size(float(s)) for s in grid]) - size, LOG_FACTORS)
    return amount if found is None else math.exp(found)


def rounded(x: float, log_rate: Callable[[float], float] | None = None, error: float = 0.0) -> float:
    """To three significant digits, or to as few as move the rate that follows from x by at most `error`."""
    exact = float(f"{x:.3g}")
    if log_rate is not None and error > 0:
        for rounder in (float(f"{x:.1g}"), float(f"{x:.2g}")):
            if abs(log_rate(rounder) - log_rate(x)) <= error:
                return rounder
    return exact


def root(f: Function, grid: np.ndarray) -> float | None:
    """Where f crosses zero, the crossing nearest to 0; None where it does not cross within the grid."""
    for _ in range(REFINEMENTS):
        values = f(grid)
        with np.errstate(invalid="ignore"):
            crossings = np.flatnonzero(np.isfinite(values[:-1] * values[1:]) & (values[:-1] * values[1:] <= 0))
        if not crossings.size:
            return None
        best = crossings[np.argmin(np.abs(grid[crossings] + grid[crossings + 1]))]
        grid = np.linspace(grid[best], grid[best + 1], len(LOG_FACTORS))
    return float(grid[len(grid) // 2])
