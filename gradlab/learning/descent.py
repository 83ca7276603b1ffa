"""Gradient descent on a function of a few numbers, clipped or not, with the way that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import require_whole
from ..errors import InputError
from .clipping import make_clipper
from .optimizers import OPTIMIZERS


def descend(
    slopes: Callable[..., Sequence[float]],
    start: Sequence[float],
    learning_rate: float,
    updates: int,
    clip: str = "off",
    threshold: float | None = None,
) -> np.ndarray:
    """The points (updates + 1, N) on the way from `start`, by plain steps against the slopes.

    slopes: N numbers -> the derivative by each. clip, threshold: as `make_clipper` takes them. Raises InputError for
    updates that are no whole number from 0 on, and what clippers and optimizers refuse.
    """
    require_whole(0, updates=updates)
    clipper, rule = make_clipper(clip, threshold), OPTIMIZERS["sgd"]()
    params = {"point": np.array(start, float)}
    state, points = rule.init(params), [params["point"].copy()]
    for _ in range(updates):
        gradient = np.array(slopes(*points[-1]), float)
        if gradient.shape != params["point"].shape:
            raise InputError(f"slopes: expected {params['point'].shape} of them, got {gradient.shape}", "slopes")
        rule.step(params, clipper.clip(params, {"point": gradient}).grads, state, learning_rate)
        points.append(params["point"].copy())
    return np.stack(points)
