"""The leading Lyapunov exponent of a run whose gradient grows: it tells chaos from transient growth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from ..arrays import log_norm, to_numpy
from ..config import RunConfig
from ..data import INPUTS
from ..engine.trajectory import Trajectory
from ..errors import InputError
from ..products.lyapunov import lyapunov_of_trajectory
from ..products.spectrum import LyapunovSpectrum, spectrum
from ..runs.build import build
from ..runs.probe import finite_trajectory
from ..runs.verdicts import largest_group
from .factors import STILL, Exponent, Factors, state_growth

STEPS, SAMPLES = 1000, 8  # of a run that is continued
MORE = 4  # times as many steps where those leave it open
BLOCK = 4  # states that are taken to lean on each other
LEAST = 50  # steps that say something of the long run
MOST = 2**24  # numbers in all states of a continued run
LARGEST = 2048  # units, as each step multiplies with the whole matrix


def leading_exponent(ds: xr.Dataset, f: Factors, config: RunConfig | None) -> Exponent | None:
    """The exponent of the net of a Dataset under more of its input, of `config`; None where there are too few steps.

    Without a configuration from the growth of the run's own gradient, which is that of nearby states. Own data are used
    as far as they go; None where a transient could be longer, as slope and spectral radius let nothing grow for ever.
    """
    if (exact := _of_linear(ds, f)) is not None:
        return exact
    if config is not None and config.input in INPUTS and config.hidden_size <= LARGEST:
        try:
            return _continued(config)
        except InputError:  # the weights' file is gone
            pass
    return _own(ds, f)


def _of_linear(ds: xr.Dataset, f: Factors) -> Exponent | None:
    """ln of the spectral radius of the step of a linear net without gates, the same at every step.

    The error is what rounding makes of the eigenvalues of a Jordan block of up to four states.
    """
    if f.activation != "identity" or f.cell is None or f.cell.name != "elman" or math.isnan(f.radius):
        return None
    parts = ds.recurrent_eigenvalues
    radius = float(np.abs(_step(f, parts.sel(part="real").values + 1j * parts.sel(part="imag").values)).max())
    if radius == 0:
        return None
    blurred = float(np.finfo(f.dtype).eps) ** (1 / min(f.units, BLOCK)) * f.departure / radius
    value = math.log(radius)
    return Exponent(value, blurred if blurred > f.units * np.finfo(f.dtype).eps else 0.0, 0, 0, value < 0)


def _step(f: Factors, through: Any) -> Any:
    """What a step of a net without gates makes of a direction: what units keep, and the rest `through` the weights."""
    return f.kept + (1 - f.kept) * through


def _continued(config: RunConfig) -> Exponent | None:
    found = _over(config, STEPS)
    return _over(config, MORE * STEPS) if found is not None and found.sign == 0 else found


def _over(config: RunConfig, steps: int) -> Exponent | None:
    """Over so many steps of generated input, of as many samples as there is room for."""
    cell, params, _ = build(config)  # weights can depend on the length
    samples = min(SAMPLES, max(1, MOST // (steps * len(cell.states) * cell.hidden_size)))
    x = build(config.replace(steps=steps, batch_size=samples))[2]
    traj, overflow = finite_trajectory(cell, params, x)
    if int(traj.valid_steps.min()) < LEAST:
        return None
    growth = math.inf if overflow else state_growth(_log_size(traj))
    return _exponent(lyapunov_of_trajectory(traj, k=1), samples, growth)


def _log_size(traj: Trajectory) -> np.ndarray:
    """ln of the size of all states of all samples together, by step."""
    return to_numpy(log_norm(traj.xp, traj.states.reshape(traj.steps + 1, -1)))


def _own(ds: xr.Dataset, f: Factors) -> Exponent | None:
    """From the gradient of the run itself, of the samples that the verdict is about, each over its own length."""
    curves, lengths = largest_group(ds)
    lags = int(lengths.max(initial=0)) - 1
    warmup = lags // 10  # until the gradient has turned to the leading direction
    if lags < LEAST or (lags < STEPS and _settles(f)):
        return None
    times = np.unique(np.linspace(0, lags - warmup, 33)[1:].astype(int))
    counts = np.clip(np.minimum(times[:, None], lengths - 1 - warmup), 0, None)
    sums = np.take_along_axis(curves, warmup + counts, axis=0) - curves[warmup]
    return _exponent(spectrum(times, sums[:, None], counts.astype(float), 2, warmup, 1.0, []), len(lengths), f.growth)


def _settles(f: Factors) -> bool:
    """Whether at the mean slope nothing grows for ever in a net without gates: what grows may be a long transient."""
    return not f.has_forget_gate and f.radius >= 0 and abs(_step(f, f.slope * f.radius)) < 1


def _exponent(found: LyapunovSpectrum, samples: int, growth: float) -> Exponent | None:
    """The first of a spectrum; growth: of the state, ln of the factor per step."""
    value, error = float(found.exponents.ravel()[0]), float(found.stderr.ravel()[0])
    if not (math.isfinite(value) and math.isfinite(error)):
        return None
    return Exponent(value, error, found.steps, samples, growth < STILL * value)
