"""What reaches the inputs: over time, and as a share by how many steps before the end of its sample an input stands."""

from __future__ import annotations

from typing import Any

from ..arrays import Array, Namespace, quiet
from .base import Recording, once, quantity


def by_lag(xp: Namespace, logs: Array, last: Array) -> tuple[Array, str]:
    """ln of the share (T, *M, B) that inputs 0, 1, ... steps before each sample's last get, and what it is a share of.

    logs (T, *M, B): ln of each input's gradient under a probe of norm 1. last (*M, B): indices of the last steps. The
    share is of "lag 0", or of the "probe" itself where the last input of a sample gets nothing. NaN where a sample has
    no such input.
    """
    lags = xp.arange(len(logs)).reshape(-1, *(1,) * (logs.ndim - 1))
    places = last - lags + 0 * lags
    found = xp.take_along_axis(logs, xp.maximum(places, 0), axis=0)
    found = xp.where(places >= 0, found, xp.nan)
    if bool((found[0] == -xp.inf).any()):
        return found, "probe"
    with quiet():
        return found - found[0], "lag 0"


@once
def _logs(run: Recording) -> Array:
    return run.masked(run.probe.scaled_inputs.log_norm(-1))


@once
def _shares(run: Recording) -> tuple[Array, str]:
    xp, logs = run.xp, _logs(run)
    counts = run.traj.lengths.values
    last = xp.zeros(logs.shape[1:], dtype=xp.int64) + (len(logs) if counts is None else counts) - 1
    return by_lag(xp, logs, last)


@quantity(
    ("input_time", "*", "sample"),
    "ln ||dL/dx_t||",
    "log",
    coords=lambda run: {"input_time": list(range(1, run.traj.steps + 1))},
)
def log_input_grad_norm(run: Recording) -> Array:
    """Gradient of the probe loss with respect to each step's input."""
    return _logs(run)


def _about(run: Recording) -> dict[str, Any]:
    return {"relative_to": _shares(run)[1]}


@quantity(
    ("lag", "*", "sample"),
    "ln share",
    "log",
    coords=lambda run: {"lag": list(range(run.traj.steps))},
    about=_about,
)
def log_input_share(run: Recording) -> Array:
    """Share of the gradient that reaches the input so many steps before the last one."""
    return _shares(run)[0]
