"""The measured factors of a run's rate, and what they say: the refined word, the main cause, one line for each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..cells import Cell
from ..cells.activations import ACTIVATIONS
from ..runs.attributes import activation_name, cell_class, overflow
from ..runs.behind import carries, path_factors, slope_and_weights
from ..runs.verdicts import Verdict, aligned, joint_log_norm, log_rate_per_step, median
from ..wording import factor_text

MAJORITY = 0.5  # of the units
MEASURED = (  # what factors are measured from
    "jacobian_spectral", "jacobian_frobenius", "jacobian_path_norm", "path_share", "gate_mean", "gate_saturation",
    "activation_slope", "dead_units", "input_drive", "state_rms", "recurrent_eigenvalues", "recurrent_singular_values",
)  # fmt: skip
FAR = 40.0  # a pre-activation at which a bounded activation is flat


@dataclass(frozen=True)
class Factor:
    """A measured quantity behind the rate: its name, its value, and what it says."""

    name: str
    value: float
    text: str


@dataclass(frozen=True)
class Factors:
    """What a rate consists of, as measured; means are over steps, units and samples, NaN where there is none.

    log_rate: ln of the factor per step without clipping inside backpropagation. slope, weights: slope of the activation
    and ||W||_F / sqrt(H); without a carry the slope is the quadratic mean, and their product a step's typical factor.
    radius: spectral radius of the recurrent weights, NaN without any. carry, gates: the two parts of the factor per
    step. keep: mean value of the forget gate; shut: share of its units that are saturated.
    saturation: share of units whose activation is. dead: share of units that are at every step of every sample.
    drive: root mean square of the pre-activation's part from input and bias; recurrence: that from the state.
    early, late: ln of the factor per step in the first and the last half of the sequence. growth: ln of the factor per
    step by which the state itself grows in the last half. overflow: places where the forward pass left the finite
    numbers. clipped: whether backpropagation was clipped at each step.
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
    early: float
    late: float
    growth: float
    overflow: list[dict[str, int]]
    clipped: bool

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

    @property
    def chaotic(self) -> bool:
        """Whether nearby states of a bounded trajectory separate, early and late: a positive leading exponent."""
        return min(self.early, self.late) > 0 and self.growth < 0.5 * self.late


def measure(ds: xr.Dataset) -> Factors:
    """The factors of a Dataset of `analyze` with no model axes."""
    flow = without_step_clipping(ds)
    log_rate = log_rate_per_step(flow)
    early, late = _halves(flow)
    slope, weights = slope_and_weights(ds)
    split = path_factors(ds, log_rate) if not math.isnan(log_rate) else {"carry": math.nan}
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
        recurrence=weights * float(np.sqrt((ds.state_rms.isel(state=0) ** 2).mean())),
        early=early,
        late=late,
        growth=_growth(ds),
        overflow=overflow(ds),
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


def _halves(ds: xr.Dataset) -> tuple[float, float]:
    """ln of the factor per step back in the first and the last half, by product norms where they are recorded."""
    logs = ds.log_product_norm if "log_product_norm" in ds else joint_log_norm(ds)
    steps = int(ds.valid_steps.median()) if ds.valid_steps.size else 0
    if steps < 3:
        return math.nan, math.nan
    curve = median(aligned(ds, logs))[::-1]  # by lag
    middle, first = steps // 2, steps - 1
    with np.errstate(invalid="ignore"):
        early, late = (curve[first] - curve[middle]) / (first - middle), (curve[middle] - curve[1]) / (middle - 1 or 1)
    return float(early), float(late)


def _growth(ds: xr.Dataset) -> float:
    """ln of the factor per step by which the state grows over the last half of the longest sequence."""
    squares = (ds.state_rms**2).sum("state").values
    squares = squares[np.isfinite(squares) & (squares > 0)]
    half = len(squares) // 2
    return 0.5 * float(np.log(squares[-1] / squares[half])) / (len(squares) - 1 - half) if half > 1 else math.nan


def refined(found: Verdict, f: Factors) -> str:
    """The verdict's word, refined: chaotic (of exploding), saturated or dead units (of vanishing), overflow."""
    if f.overflow:
        return "overflow"
    if found.word == "exploding" and f.chaotic:
        return "chaotic"
    if found.word != "vanishing" or (f.carries and not f.has_forget_gate):
        return found.word
    if f.has_forget_gate:
        return "saturated" if f.shut >= MAJORITY and f.keep < 0.5 else "vanishing"
    if f.one_sided and f.dead >= MAJORITY:
        return "dead units"
    return "saturated" if f.bounded and f.saturation >= MAJORITY else "vanishing"


# what the factors say


def cause(word: str, f: Factors) -> str:
    """The main cause, in one sentence or two, of what `word` says about the flow without clipping inside backprop."""
    if word == "too short":
        return "There are too few steps to tell a trend from a transient."
    rate = factor_text(f.log_rate)
    clipped = f"Clipping inside backpropagation holds the norm; without it {rate} per step back. " if f.clipped else ""
    sentence = _cause_with_carry(word, f) if f.carries else _cause_without_carry(word, f)
    return clipped + sentence + _state_text(word, f)


def _cause_with_carry(word: str, f: Factors) -> str:
    parts = f"{f.carry:.2f} by the carry and {f.gates:.2f} through the gates"
    what = f"the forget gate is open to {f.keep:.2f} on average" if f.has_forget_gate else f"{f.keeper} sets the carry"
    if word == "saturated":
        shut = f"{_percent(f.shut)} of its units are saturated and it keeps {f.keep:.2g} per step"
        return f"The forget gate is shut: {shut}."
    if word == "vanishing":
        return f"A unit forgets too fast: {parts} ({what}) make less than 1 together."
    if word == "carried":
        return f"Carry and gates balance: {parts} ({what}) make about 1 together."
    return f"Carry and gates together exceed 1: {parts} ({what})."


def _cause_without_carry(word: str, f: Factors) -> str:
    product = f"{f.slope:.2f} (slope) x {_size(f.weights)} (weights)"
    if word in ("exploding", "chaotic", "overflow"):
        known = product if not math.isnan(f.slope) else f"their scale {_size(f.weights)}"
        return f"The weights outweigh the slope of {f.activation}: {known} is more than a step can bear."
    if word == "carried":
        return f"Slope and weights balance: {product} is about 1."
    if math.isnan(f.radius):
        return "No gate has recurrent weights, and units keep nothing by themselves: no step passes anything on."
    if np.isneginf(f.log_rate):
        return "No unit passes anything on at some step: every slope or every weight on the way is exactly zero."
    if word == "dead units":
        return (
            f"{_percent(f.dead)} of the units never switch on, at no step of no sample; the gradient cannot pass them."
        )
    lost = {
        "slope": math.log(f.slope),
        "weights": math.log(f.weights),
        "directions": f.log_rate - math.log(f.slope * f.weights),
    }
    return {"slope": _slope_cause, "weights": _weights_cause, "directions": _directions_cause}[
        min(lost, key=lambda name: lost[name])
    ](f)


def _slope_cause(f: Factors) -> str:
    makes_up = f"and the weights ({_size(f.weights)}) do not make up for it"
    if f.max_slope < 0.5:
        return f"The slope of {f.activation} is at most {f.max_slope:.2g} (here {f.slope:.2f} on average), {makes_up}."
    if f.one_sided:
        off = f"{_percent(f.saturation)} of the units are switched off at a time"
        return f"The slope of {f.activation} is {f.slope:.2f} on average, as {off}, {makes_up}."
    source = "the input and the biases drive" if f.drive > f.recurrence else "the state itself drives"
    parts = f"{_size(f.drive)} from input and bias, {_size(f.recurrence)} from the state, root mean square"
    return f"The slope of {f.activation} is only {f.slope:.2f}, as {source} the units hard ({parts}), {makes_up}."


def _weights_cause(f: Factors) -> str:
    return (
        f"The weights are too small: their scale is {f.weights:.2f} (spectral radius {f.radius:.2f}), and no slope "
        f"({f.slope:.2f} on average) makes up for it."
    )


def _directions_cause(f: Factors) -> str:
    return (
        f"The gradient turns into directions that the weights shrink: a typical one keeps {f.slope * f.weights:.2f} "
        f"per step, the gradient {math.exp(f.log_rate):.2f} (spectral radius of the weights {f.radius:.2f})."
    )


def _state_text(word: str, f: Factors) -> str:
    """What the forward pass does where the gradient grows."""
    if word == "chaotic":
        doubling = math.log(2) / f.late
        return (
            f" The state stays bounded while nearby states separate by {factor_text(f.late)} per step: it is chaotic "
            f"under this input, and a small difference doubles every {doubling:.2g} steps."
        )
    if word in ("exploding", "overflow") and f.growth >= 0.5 * f.late > 0:
        return f" The forward pass grows as well, by {factor_text(f.growth)} per step: it is unstable, not chaotic."
    return ""


def _size(x: float) -> str:
    """A number of any size as a sentence can hold it."""
    return f"{x:.2f}" if x < 1000 else f"{x:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def factor_lines(f: Factors) -> list[Factor]:
    """The factors that apply, with the number a researcher cites and the words a student reads."""
    lines = []
    if f.carries:
        lines.append(Factor("carry", f.carry, "of a step's gradient, what units pass on by themselves"))
        lines.append(Factor("through the gates", f.gates, "of a step's gradient, what the recurrent weights add"))
    if f.has_forget_gate:
        lines.append(Factor("forget gate", f.keep, f"mean value; {_percent(f.shut)} of its units saturated"))
    else:
        mean = "mean" if f.carries or not f.weights else "quadratic mean"
        lines.append(Factor("activation slope", f.slope, f"of {f.activation}, {mean}; at most {f.max_slope:.3g}"))
    radius = "no gate has recurrent weights" if math.isnan(f.radius) else f"spectral radius {f.radius:.3g}"
    lines.append(Factor("weight scale", f.weights, f"||W||_F / sqrt(H); {radius}"))
    lines.append(
        Factor("largest one-step factor", f.largest, "||J||_2, median; above 1 allows growth, does not cause it")
    )
    lines.append(Factor("drive by input and bias", f.drive, f"root mean square; {f.recurrence:.3g} by the state"))
    kind = "switched off" if f.one_sided else "saturated"
    lines.append(Factor("saturation", f.saturation, f"share of units {kind}: slope below a tenth of the largest"))
    lines.append(Factor("dead units", f.dead, f"share of units {kind} at every step of every sample"))
    if f.overflow:
        first = min(place["step"] for place in f.overflow)
        lines.append(
            Factor("overflow", float(len(f.overflow)), f"samples left the finite numbers, the first at step {first}")
        )
    return [line for line in lines if math.isfinite(line.value)]
