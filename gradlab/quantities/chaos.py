"""On request: Lyapunov exponents of the joint state along the run, from its first samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.trajectory import Trajectory
from ..products.lyapunov import LyapunovSpectrum, default_warmup, lyapunov_of_trajectory
from .base import Recording, once, quantity

SAMPLES = 8  # are enough for standard errors
MOST = 128  # exponents: the cost grows with their square


def _samples(run: Recording) -> Trajectory:
    """The trajectory of the first samples alone."""
    return run.jacobian.of_samples(slice(SAMPLES)).traj


@once
def spectrum(run: Recording) -> LyapunovSpectrum:
    """The leading exponents."""
    traj = _samples(run)
    size = len(traj.cell.states) * traj.cell.hidden_size
    return lyapunov_of_trajectory(traj, k=min(size, MOST), on_progress=run.on_progress)


def is_long_enough(run: Recording) -> bool:
    """Whether every model has a sample that goes on after the warmup."""
    within = _samples(run).lengths[default_warmup(run.traj.steps)].inside
    return within is None or bool(within.any(axis=-1).all())


def _coords(run: Recording) -> dict[str, list[Any]]:
    found = spectrum(run)
    return {"exponent": list(range(1, len(found.exponents) + 1)), "running_step": found.running_steps.tolist()}


NATS: dict[str, Any] = {
    "units": "nats per step",
    "request": "lyapunov",
    "applies": is_long_enough,
    "coords": _coords,
}


@quantity(("exponent", "*"), "lambda_i", **NATS)
def lyapunov_exponent(run: Recording) -> np.ndarray:
    """Lyapunov exponents of the joint state, largest first; mean over samples, after a warmup."""
    return spectrum(run).exponents


@quantity(("exponent", "*"), "standard error", **NATS)
def lyapunov_stderr(run: Recording) -> np.ndarray:
    """Standard error of each Lyapunov exponent."""
    return spectrum(run).stderr


@quantity(("running_step", "exponent", "*"), "lambda_i(t)", **NATS)
def lyapunov_running(run: Recording) -> np.ndarray:
    """Finite-time Lyapunov exponents: means over the first counted steps."""
    return spectrum(run).running


@quantity(("*",), "D_KY", **NATS | {"units": "1"})
def lyapunov_dimension(run: Recording) -> np.ndarray:
    """Kaplan-Yorke dimension; missing where it needs more exponents."""
    return spectrum(run).kaplan_yorke


@quantity(("*",), "H", **NATS)
def lyapunov_entropy(run: Recording) -> np.ndarray:
    """Entropy rate, the sum of the positive Lyapunov exponents; missing where it needs more of them."""
    return spectrum(run).entropy_rate


@quantity(("*",), "0 or 1", **NATS | {"units": "1"})
def lyapunov_converged(run: Recording) -> np.ndarray:
    """Whether the Lyapunov spectrum has converged."""
    return np.full(run.traj.models, spectrum(run).converged)
