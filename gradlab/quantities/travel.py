"""On request: long products and their singular values, credit assignment, and the split of a span by path."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array
from ..products import (
    INTERACTION,
    PathSplit,
    ProductNorms,
    SingularValues,
    affordable_samples,
    log_lags,
    log_norms,
    path_split,
    singular_values,
)
from ..products.credit import triangle
from .base import Recording, once, quantity

LARGEST_TRIANGLE = 200  # loss times, at most
LEADING = 16  # singular values, at most
FAN_COST = 8  # times that of the product alone
CREDIT_STREAM = int.from_bytes(b"credit", "big")


@once
def products(run: Recording) -> ProductNorms:
    """Norms of d state_T / d state_t at every t."""
    return log_norms(run.jacobian, seed=run.seed, on_progress=run.on_progress)


def is_exact(run: Recording) -> bool:
    """Whether the products were multiplied out, for all samples or some."""
    return products(run).method != "probes"


def is_estimate(run: Recording) -> bool:
    """Whether the norms of products are estimates from probes."""
    return not is_exact(run)


def _of_all_samples(run: Recording, values: Array) -> Array:
    """(..., n) -> (..., B): NaN for samples that were left out for their cost."""
    full = run.xp.full((*values.shape[:-1], run.traj.states.shape[-2]), run.xp.nan, dtype=run.xp.float64)
    full[..., : values.shape[-1]] = values
    return full


def _at_times(run: Recording, values: Array) -> Array:
    """(T+1, *M, n) -> (T+1, *M, B): NaN for samples that were left out, and beyond a sample's length."""
    return run.traj.lengths.times.keep(_of_all_samples(run, values), run.xp.nan, units=0)


@quantity(("time", "*", "sample"), "ln ||ds_T/ds_t||_F", "log", request="products", applies=is_exact)
def log_product_norm(run: Recording) -> Array:
    """Frobenius norm of the last state's derivative by each state; NaN for samples left out for their cost."""
    return _at_times(run, products(run).frobenius)


@quantity(("time", "*", "sample"), "ln ||ds_T/ds_t||_2", "log", request="products", applies=is_exact)
def log_product_spectral(run: Recording) -> Array:
    """Spectral norm of the last state's derivative by each state, the largest factor that any gradient may see."""
    return _at_times(run, products(run).spectral)


@quantity(("time", "*", "sample"), "residual", request="products", applies=is_exact)
def product_residual(run: Recording) -> Array:
    """Relative residual of the product's spectral norm; up to 64 state variables it bounds the error."""
    return _at_times(run, products(run).residual)


@quantity(("time", "*", "sample"), "ln ||ds_T/ds_t||_F", "log", request="products", applies=is_estimate)
def log_product_norm_estimate(run: Recording) -> Array:
    """Frobenius norm of the last state's derivative by each state, estimated from random probes."""
    return _at_times(run, products(run).frobenius)


@quantity(("time", "*", "sample"), "standard error", request="products", applies=is_estimate)
def log_product_norm_stderr(run: Recording) -> Array:
    """Standard error of the estimated log norm of the product."""
    return _at_times(run, products(run).stderr)


def lags(run: Recording) -> list[int]:
    """Log-spaced spans that end at the last step."""
    return log_lags(run.traj.steps)


def _of_lags(run: Recording, values: Array) -> Array:
    """(lag, P, *M, n) -> (lag, P, *M, B), NaN for samples left out and where a span begins beyond a sample's length."""
    starts = run.traj.lengths.times[[run.traj.steps - lag for lag in lags(run)]]
    return starts.keep(_of_all_samples(run, values), run.xp.nan, states=1, units=0)


def last_adjoint(run: Recording) -> Array:
    """The probe's gradient (S, *M, B, H) at each sample's own last step, from where its Jacobians are the identity."""
    return run.traj.lengths.times.take_last(run.probe.mantissas, states=1)


@once
def fan(run: Recording) -> SingularValues:
    """Leading singular values of d state_T / d state_{T - lag} (lag, k, *M, n), and how the gradient lies to them."""
    steps, side = run.traj.steps, run.traj.states.shape[1] * run.traj.states.shape[-1]
    samples = slice(0, max(1, affordable_samples(run.jacobian, FAN_COST * steps)))
    starts = [steps - lag for lag in lags(run)]
    adjoint = last_adjoint(run)[..., samples, :]
    chosen, k = run.jacobian.of_samples(samples), min(side, LEADING)
    return singular_values(chosen, steps, starts, k, adjoint=adjoint, on_progress=run.on_progress)


def _fan_coords(run: Recording) -> dict[str, list[Any]]:
    return {"span": lags(run), "index_sv": list(range(fan(run).logs.shape[1]))}


FAN = ("span", "index_sv", "*", "sample")


@quantity(FAN, "ln sigma_i", "log", request="singular_values", coords=_fan_coords)
def log_singular_values(run: Recording) -> Array:
    """Singular values of the last state's derivative by the state a lag before, largest first."""
    return _of_lags(run, fan(run).logs)


@quantity(FAN, "cos^2", request="singular_values", coords=_fan_coords)
def singular_alignment(run: Recording) -> Array:
    """Share of the gradient at the last step that lies along each left singular vector."""
    return _of_lags(run, fan(run).alignment)


def loss_times(run: Recording) -> list[int]:
    """The steps whose losses are followed: all, or evenly spaced ones up to the last."""
    steps = run.traj.steps
    return sorted({round(x) for x in np.linspace(1, steps, min(steps, LARGEST_TRIANGLE))})


@quantity(
    ("loss_time", "time", "*", "credit_sample"),
    "ln ||dL_t/ds_k||",
    "log",
    request="credit",
    coords=lambda run: {"loss_time": loss_times(run), "credit_sample": [0]},
)
def log_credit(run: Recording) -> Array:
    """What arrives at each earlier state from a random unit loss gradient at each step."""
    traj = run.traj
    u = np.random.default_rng([run.seed, CREDIT_STREAM]).normal(size=(traj.steps, *traj.states.shape[2:]))
    u /= np.linalg.norm(u, axis=-1, keepdims=True)
    losses = run.xp.asarray(u, dtype=traj.states.dtype)
    return triangle(traj, losses, times=loss_times(run), truncate=run.truncate, on_progress=run.on_progress)


@once
def spans(run: Recording) -> PathSplit:
    """The split by path of the gradient over each lag, (lag, P, *M, B) each."""
    steps = run.traj.steps
    starts = [steps - lag for lag in lags(run)]
    return path_split(run.jacobian, steps, starts, last_adjoint(run), on_progress=run.on_progress)


def _span_coords(run: Recording) -> dict[str, list[Any]]:
    return {"span": lags(run), "span_path": ["carry", *run.traj.cell.recurrent_gates, INTERACTION]}


SPAN = ("span", "span_path", "*", "sample")


@quantity(SPAN, "<part, whole> / ||whole||^2", request="path_split", coords=_span_coords)
def span_path_share(run: Recording) -> Array:
    """Share of each path in the gradient over a lag: carry alone, what is lost with a gate's path off, the rest."""
    return _of_lags(run, spans(run).shares)


@quantity(SPAN, "ln ||part||", "log", request="path_split", coords=_span_coords)
def span_path_log_norm(run: Recording) -> Array:
    """Norm of each path's part of the gradient over a lag, in the scale of the gradient at the last step."""
    return _of_lags(run, spans(run).norms)
