"""The error wall of one unit: where a small change of a weight or a bias turns what comes after many steps.

    h_t = sigmoid(w h_{t-1} + b),  t = 1..T,   E(w, b) = (h_T - target)^2

Along the wall one fixed point gives way to another, and the slope of E grows exponentially with T.
Source: Pascanu, Mikolov & Bengio 2013, section 2.3 and figure 6, on one hidden unit over 50 steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays import require_finite, require_whole
from ..cells.activations import ACTIVATIONS
from ..errors import InputError


class ErrorWall(NamedTuple):
    """The error and its derivatives by the weight and by the bias, each shaped as w and b together."""

    error: np.ndarray
    by_weight: np.ndarray
    by_bias: np.ndarray


def error_wall(w: Any, b: Any, steps: int = 50, target: float = 0.7, start: float = 0.5) -> ErrorWall:
    """The error of one sigmoid unit after so many steps from h_0 = start, with its exact slopes.

    w, b: numbers or arrays that fit together. Raises InputError for what is not finite, for shapes that do not fit and
    for steps that are no whole number from 1 on.
    """
    require_whole(1, steps=steps)
    w, b, h = _together(w, b, start)
    sigmoid, by_weight, by_bias = ACTIVATIONS["sigmoid"], np.zeros_like(h), np.zeros_like(h)
    for _ in range(steps):
        pre = w * h + b
        slope = sigmoid.slope(np, pre)
        by_weight, by_bias = slope * (h + w * by_weight), slope * (1 + w * by_bias)
        h = sigmoid.value(np, pre)
    off = h - target
    return ErrorWall(off**2, 2 * off * by_weight, 2 * off * by_bias)


def _together(w: Any, b: Any, start: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight, bias and first state in one shape."""
    given = {"w": np.asarray(w, float), "b": np.asarray(b, float), "start": np.asarray(start, float)}
    for name, array in given.items():
        require_finite(name, array)
    try:
        weight, bias, first = np.broadcast_arrays(*given.values())
    except ValueError:
        raise InputError(f"w, b: expected shapes that fit together, got {np.shape(w)} and {np.shape(b)}", "b") from None
    return weight, bias, first.copy()
