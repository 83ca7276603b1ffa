"""The Lyapunov spectrum of a run's weights, in steps that cost ever more: a first try, then a longer one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..config import RunConfig
from ..data import INPUTS, Series, read_input
from ..products.lyapunov import LyapunovSpectrum, lyapunov
from .build import build
from .cost import size

SAMPLES = 8  # independent inputs, whose differences give the error bars
STEPS = 2000  # of the first try
MORE = 4  # times as many steps, or exponents, in the next one
FIRST = 128  # exponents of the first try, at most
_STEP_SECONDS, _FLOP_SECONDS = 6e-5, 7e-11  # of one step of all samples, and of one operation in it


@dataclass(frozen=True)
class Plan:
    """How much to compute: steps in all, samples, leading exponents of `size`; `own`: windows of the user's data."""

    steps: int
    samples: int
    k: int
    size: int
    own: bool = False


@dataclass(frozen=True)
class Outcome:
    """A plan and the spectrum that came of it."""

    plan: Plan
    spectrum: LyapunovSpectrum


def plan(config: RunConfig, last: Outcome | None) -> Plan:
    """What to compute next: after a spectrum that is too short, one with more exponents or steps."""
    _, states, hidden = size(config)
    exponents = round(states * hidden)
    if last is None:
        longest, samples = _own_data(config)
        return Plan(min(STEPS, longest), samples, min(FIRST, exponents), exponents, config.input not in INPUTS)
    before, k, steps = last.plan, last.plan.k, last.plan.steps
    if np.isnan(last.spectrum.kaplan_yorke):
        k = min(MORE * k, exponents)
    else:
        steps = min(MORE * steps, _own_data(config)[0])
    return Plan(steps, before.samples, k, before.size, before.own)


def _own_data(config: RunConfig) -> tuple[int, int]:
    """How many steps and samples the input can give: of a file, windows that need not overlap."""
    if config.input in INPUTS:
        return 10**9, SAMPLES
    data = read_input(Path(config.input), config.column, config.frames)
    if isinstance(data, Series):
        return max(len(data.rows) // SAMPLES, config.steps), SAMPLES
    return len(data.values), min(SAMPLES, data.values.shape[1])


def seconds(config: RunConfig, wanted: Plan) -> float:
    """Predicted time: each step multiplies the directions with the Jacobian and makes them orthogonal again."""
    gates, _, hidden = size(config)
    products = 2 * gates * hidden**2 + 4 * wanted.size * wanted.k
    return wanted.steps * (_STEP_SECONDS + _FLOP_SECONDS * wanted.samples * wanted.k * products)


def compute(config: RunConfig, last: Outcome | None, on_progress: Callable[[float], None]) -> Outcome:
    """The spectrum of the run's weights under more of its input. Raises InputError where the run overflows."""
    wanted = plan(config, last)
    cell, params, _ = build(config)
    x = build(config.replace(steps=wanted.steps, batch_size=wanted.samples))[2]
    return Outcome(wanted, lyapunov(cell, params, x, k=wanted.k, on_progress=on_progress))


def dataset(spectrum: LyapunovSpectrum) -> xr.Dataset:
    """The spectrum as figures want it, named as `analyze` names it."""
    variables = {
        "lyapunov_exponent": ("exponent", spectrum.exponents),
        "lyapunov_stderr": ("exponent", spectrum.stderr),
        "lyapunov_running": (("running_step", "exponent"), spectrum.running),
    }
    indices = range(1, len(spectrum.exponents) + 1)
    return xr.Dataset(variables, {"exponent": indices, "running_step": spectrum.running_steps})
