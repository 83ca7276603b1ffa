"""What reaches the inputs: over time, and as a share by how many steps before the end of its sample an input stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, to_numpy
from .base import Recording, once, quantity


def by_lag(logs: np.ndarray, inside: np.ndarray | None = None) -> tuple[np.ndarray, str]:
    """ln of the share (T, *M, B) that inputs 0, 1, ... places before each sample's last get, and what it is a share of.

    logs (T, *M, B): ln of each input's gradient under a probe of norm 1, NaN where there is no input. inside: which
    places are a sample's own, all by default; what a sample does not have is NaN. The share is of what "lag 0" gets, or
    of the "probe" where there is nothing at lag 0.
    """
    own = np.ones(logs.shape, dtype=bool) if inside is None else np.broadcast_to(inside, logs.shape)
    found = from_last(logs, own)
    if not np.isfinite(found[0][own.any(axis=0)]).all():
        return found, "probe"
    return found - found[0], "lag 0"


def from_last(logs: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Logarithms (T, *M, B) of the places that are a sample's own, its last one first; NaN behind its first one."""
    order = np.argsort(~own[::-1], axis=0, kind="stable")
    return np.take_along_axis(np.where(own, logs, np.nan)[::-1], order, axis=0)


@once
def _logs(run: Recording) -> Array:
    return run.masked(run.probe.scaled_inputs.log_norm(-1))


@once
def _shares(run: Recording) -> tuple[np.ndarray, str]:
    inside = run.traj.lengths.inside
    return by_lag(to_numpy(_logs(run)), None if inside is None else to_numpy(inside))


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
def log_input_share(run: Recording) -> np.ndarray:
    """Share of the gradient that reaches the input so many steps before the last one."""
    return _shares(run)[0]
