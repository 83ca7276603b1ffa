"""The measured factors of a run's rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..cells import Cell
from ..cells.activations import ACTIVATIONS
from ..runs.attributes import activation_name, cell_class, overflow, precision
from ..runs.behind import carries, path_factors, root_mean_square, slope_and_weights
from ..runs.shares import joint, joint_log_norm
from ..runs.verdicts import alike_of, groups, log_rate_per_step

MEASURED = (  # what factors are measured from
    "jacobian_spectral", "jacobian_frobenius", "jacobian_path_norm", "path_share", "gate_mean", "gate_saturation",
    "activation_slope", "dead_units", "input_drive", "state_rms", "recurrent_eigenvalues", "recurrent_singular_values",
)  # fmt: skip
ERRORS = 3.0  # standard errors on either side that make an exponent's interval
STILL = 0.5  # of the exponent: a state that grows more slowly stays bounded
FAR = 40.0  # a pre-activation at which a bounded activation is flat


@dataclass(frozen=True)
class Exponent:
    """The leading Lyapunov exponent, in nats per step.

    error: its standard error, 0 where it is exact (a linear net: ln of the spectral radius). steps, samples: that it is
    measured over, 0 and 0 where it is exact. bounded: whether the state stays where it is meanwhile.
    """

    value: float
    error: float
    steps: int
    samples: int
    bounded: bool

    @property
    def sign(self) -> int:
        """1 or -1 where the interval of three standard errors lies above or below 0, else 0."""
        return int(np.sign(self.value)) if abs(self.value) > ERRORS * self.error else 0


@dataclass(frozen=True)
class Factors:
    """What a rate consists of, as measured; means are over steps, units and samples, NaN where there is none.

    log_rate: ln of the factor per step without clipping inside backpropagation. slope, weights: slope of the activation
    and ||W||_F / sqrt(H); without a carry the slope is the quadratic mean, and their product a step's typical factor.
    radius: spectral radius of the recurrent weights, NaN without any. carry, gates: the two parts of the factor per
    step. keep: mean value of the forget gate; shut: share of its units that are saturated.
    saturation: share of units whose activation is. dead: share of units that are at every step of every sample.
    drive: root mean square of the pre-activation's part from input and bias; recurrence: that from the state.
    units: how many. kept: what units pass on by themselves, of 1. departure: Henrici's, of the recurrent weights from
    normality, NaN unless one gate has any. growth: ln of the factor per step by which the state itself grows in the
    last half. steps: median over samples. overflow: places where the forward pass left the finite numbers, dtype:
    whose. truncated: steps of a block of backpropagation, 0 where it goes all the way. clipped: whether each step of
    backpropagation was clipped; clipped_log_rate: the rate so. exponent: the leading one, where the gradient grows
    and it is known.

    Slope, carry and gates are of the largest group of samples that are alike, as log_rate is. mixed: of how many the
    rest is, where that are more, else 0.
    """

    activation: str
    cell: type[Cell] | None
    log_rate: float
    slope: float
    weights: float
    radius: float
    largest: float
    carries: bool
    carry: float
    gates: float
    keep: float
    shut: float
    saturation: float
    dead: float
    drive: float
    recurrence: float
    departure: float
    units: int
    kept: float
    growth: float
    steps: int
    overflow: list[dict[str, int]]
    dtype: str
    truncated: int
    mixed: int
    clipped: bool
    clipped_log_rate: float
    exponent: Exponent | None = None

    @property
    def log_typical(self) -> float:
        """ln of slope x weights, a typical direction's factor per step where there is no carry."""
        return math.log(self.slope) + math.log(self.weights) if self.slope > 0 and self.weights > 0 else -math.inf

    @property
    def has_forget_gate(self) -> bool:
        """Whether a forget gate decides what a unit keeps."""
        return self.cell is not None and self.cell.forget_gate is not None

    @property
    def makes_weights(self) -> bool:
        """Whether the cell makes its recurrent weights from other parameters, whose scale is not theirs."""
        return self.cell is not None and self.cell.weights is not Cell.weights

    @property
    def keeper(self) -> str:
        """What decides how much a unit keeps, where no forget gate does."""
        return "the leak" if self.cell is not None and hasattr(self.cell, "leak") else "the cell"

    @property
    def max_slope(self) -> float:
        """The activation's largest slope, 1 for an activation that is not registered."""
        return ACTIVATIONS[self.activation].max_slope if self.activation in ACTIVATIONS else 1.0

    @property
    def bounded(self) -> bool:
        """Whether the activation is flat at both ends: a unit without a slope is saturated, not switched off."""
        return self._flat_at(-FAR) and self._flat_at(FAR)

    @property
    def one_sided(self) -> bool:
        """Whether the activation is flat below and not above: units can die."""
        return self._flat_at(-FAR) and not self._flat_at(FAR)

    def _flat_at(self, a: float) -> bool:
        if self.activation not in ACTIVATIONS:
            return False
        phi = ACTIVATIONS[self.activation]
        return bool((np.abs(phi.slope(np, np.array([a, a + 1.0]))) < 0.1 * phi.max_slope).all())


def measure(ds: xr.Dataset) -> Factors:
    """The factors of a Dataset of `analyze` with no model axes."""
    flow = without_step_clipping(ds)
    log_rate = log_rate_per_step(flow)
    own = alike_of(ds, groups(flow))
    slope, weights = slope_and_weights(own)
    split = path_factors(own, log_rate) if not math.isnan(log_rate) else {"carry": math.nan}
    carry = split.pop("carry")
    cell = cell_class(ds)
    forget = cell.forget_gate if cell else None
    return Factors(
        activation=activation_name(ds),
        cell=cell,
        log_rate=log_rate,
        slope=slope,
        weights=weights,
        radius=_radius(ds),
        largest=float(ds.jacobian_spectral.median()),
        carries=carries(ds),
        carry=carry,
        gates=sum(split.values()),
        keep=_mean(ds.gate_mean.sel(gate=forget)) if forget else math.nan,
        shut=_mean(ds.gate_saturation.sel(gate=forget)) if forget else math.nan,
        saturation=_mean(ds.gate_saturation.sel(gate=cell.candidate)) if cell else math.nan,
        dead=float(ds.dead_units),
        drive=float(ds.input_drive),
        recurrence=weights * root_mean_square(_finite(ds.state_rms.isel(state=0).values)),
        departure=_departure(ds),
        units=ds.sizes["unit"],
        kept=_mean(ds.jacobian_path_norm.sel(path="carry")) / math.sqrt(ds.sizes["unit"]),
        growth=state_growth(_log_size(ds)),
        steps=int(ds.valid_steps.median()) if ds.valid_steps.size else 0,
        overflow=overflow(ds),
        dtype=str(precision(ds)),
        truncated=int(ds.attrs.get("truncate", 0)),
        mixed=0 if own is ds else int(ds.sizes["sample"]),
        clipped_log_rate=log_rate if flow is ds else log_rate_per_step(ds),
        clipped="log_grad_norm_before_clip" in ds,
    )


def _radius(ds: xr.Dataset) -> float:
    """The largest modulus of the recurrent weights' eigenvalues; NaN where no gate has such weights."""
    parts = ds.recurrent_eigenvalues
    moduli = np.hypot(parts.sel(part="real"), parts.sel(part="imag"))
    return float(moduli.max()) if moduli.size else math.nan


def _mean(values: xr.DataArray) -> float:
    return float(values.mean(skipna=True))


def without_step_clipping(ds: xr.Dataset) -> xr.Dataset:
    """The Dataset with the gradient's curve as it is without clipping inside backpropagation.

    By undoing each step's change of the norm: exact for clipping by norm, which keeps the direction, about so by value.
    """
    if "log_grad_norm_before_clip" not in ds:
        return ds
    before, after = (
        joint_log_norm(ds, n).transpose("time", ...) for n in ("log_grad_norm_before_clip", "log_grad_norm")
    )
    with np.errstate(invalid="ignore"):
        lost = (before - after).values  # ln of what clipping took at each step
    lost = np.where(np.isfinite(lost), lost, 0.0)
    total = np.cumsum(lost[::-1], axis=0)[::-1]
    undone = ds.log_grad_norm + xr.DataArray(total, before.coords, before.dims)
    return ds.assign(log_grad_norm=undone.transpose(*ds.log_grad_norm.dims))


def _departure(ds: xr.Dataset) -> float:
    """sqrt(||W||_F^2 - sum |lambda|^2) of the recurrent weights (Henrici 1962); NaN unless one gate has them."""
    if ds.sizes["recurrent_gate"] != 1:
        return math.nan
    squares = float((ds.recurrent_singular_values**2).sum() - (ds.recurrent_eigenvalues**2).sum())
    return math.sqrt(max(squares, 0.0))


def _log_size(ds: xr.Dataset) -> np.ndarray:
    """ln of the root mean square of all states together, by step."""
    with np.errstate(divide="ignore"):
        return joint(np.log(ds.state_rms.transpose("time", "state").values.astype(float)))


def state_growth(logs: np.ndarray) -> float:
    """ln of the factor per step by which the state grows over the last half of a run, from ln of its size by step."""
    logs = _finite(logs)
    half = len(logs) // 2
    return float(logs[-1] - logs[half]) / (len(logs) - 1 - half) if half > 1 else math.nan


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
