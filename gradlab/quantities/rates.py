"""How fast the gradient changes on its way back, one number for each sample."""

from __future__ import annotations

import numpy as np

from ..arrays import to_numpy
from .base import Recording, quantity
from .course import courses
from .inputs import from_last


def joint(logs: np.ndarray) -> np.ndarray:
    """ln of the norm over the last axis, given its parts' ln."""
    with np.errstate(invalid="ignore"):  # -inf beside NaN
        return 0.5 * np.logaddexp.reduce(2 * logs, axis=-1)


@quantity(("*", "sample"), "ln rate", "log")
def fitted_log_rate(run: Recording) -> np.ndarray:
    """Factor per step back of each sample's gradient, fitted between the ends of its own length."""
    logs = joint(np.moveaxis(to_numpy(run.probe.log_norms)[1:], 1, -1))
    lengths = np.broadcast_to(run.traj.valid_steps, logs.shape[1:])
    lags = from_last(logs, np.arange(len(logs)).reshape(-1, *(1,) * lengths.ndim) < lengths)
    rates = np.full(lengths.shape, np.nan)
    for length in np.unique(lengths[lengths > 1]):
        ways = courses(lags[:length, lengths == length])
        rates[lengths == length] = [way.log_rate if way else -np.inf for way in ways]
    return rates
