"""What a run's measured factors say: the refined word, the main cause, one line for each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..runs.verdicts import Verdict
from ..wording import beside_one, counted, factor_text, length_text, number_text, plain
from .factors import STILL, Exponent, Factors
from .out_of_range import driven_out

MAJORITY = 0.5  # of the units
GROWING = ("exploding", "chaotic", "transient growth", "overflow")
NORMAL = 0.1  # of the norm: weights that depart less from normality are not said to
ABOUT = 0.1  # what is nearer to 1 is "about 1"
NEAR = 0.1  # ln of what a typical direction's factor and the gradient's may differ by and be one
HELD = 0.1  # of the rate, in logarithms: what is left by clipping that holds the norm
SHUT = 0.1  # mean value of a gate below which it is shut
OFF = 0.1  # share of units that are switched off from which that is a reason
CLOSE = 1.0  # ln of how near to the largest number a part counts as out of range
MIXED = " What drives the units, and how many are saturated, is of all {} samples."
WITHIN = "{} keep the gradient within a factor of 100 over these steps"


@dataclass(frozen=True)
class Factor:
    """A measured quantity behind the rate: its name, its value, and what it says."""

    name: str
    value: float
    text: str


def refined(found: Verdict, f: Factors) -> str:
    """The verdict's word, refined: chaotic or transient growth (of exploding), saturated or dead units, overflow.

    Growth is chaotic only where the leading exponent's interval lies above 0 and the state stays bounded.
    """
    if f.overflow:
        return "overflow"
    if found.word == "exploding" and f.exponent is not None:
        if f.exponent.sign < 0:
            return "transient growth"
        return "chaotic" if f.exponent.sign > 0 and f.exponent.bounded else "exploding"
    if found.word != "vanishing" or (f.carries and not f.has_forget_gate):
        return found.word
    if f.has_forget_gate:
        return "saturated" if f.shut >= MAJORITY and f.keep < 0.5 else "vanishing"
    if f.one_sided and f.dead >= MAJORITY:
        return "dead units"
    return "saturated" if f.bounded and f.saturation >= MAJORITY else "vanishing"


def cause(word: str, f: Factors) -> str:
    """The main cause, in one sentence or two, of what `word` says about the flow without clipping inside backprop."""
    return _main_cause(word, f) + (MIXED.format(f.mixed) if f.mixed else "")


def _main_cause(word: str, f: Factors) -> str:
    if f.overflow:
        return _overflow_cause(word, f)
    if word == "too short":
        return "There are too few steps to tell a trend from a transient."
    if f.truncated and np.isneginf(f.log_rate):
        blocks = f"blocks of {counted(f.truncated, 'step')}"
        return f"Backpropagation is truncated: nothing goes from one of its {blocks} to the one before."
    if word == "transient growth":
        return _clipping_text(word, f) + _transient_cause(f)
    return _clipping_text(word, f) + _flow_cause(word, f) + _state_text(word, f)


def _overflow_cause(word: str, f: Factors) -> str:
    """What brought the first sample that overflowed out of range, and, if that is the state, why the state grew."""
    first = min(f.overflow, key=lambda place: place["step"])
    if "drive" not in first:
        return "The forward pass leaves the finite numbers."
    drive, state = (-math.inf if first[name] is None else float(first[name]) for name in ("drive", "state"))
    limit = math.log(float(np.finfo(f.dtype).max))
    parts = f"bring up to {number_text(drive)} to a unit, the state {number_text(state)} at step {first['step']}"
    ends = f"{f.dtype} ends at {number_text(limit)}."
    if driven_out(f):
        return f"The input and the biases drive the units out of range: they {parts}; {ends}"
    if state < limit - CLOSE:
        return f"What a step makes of its arguments is out of range: input and biases {parts}; {ends}"
    grows = f" {_flow_cause(word, f)}{_state_text(word, f)}" if f.log_rate > 0 else ""
    return f"The state grows out of range: input and biases {parts}; {ends}{grows}"


def _clipping_text(word: str, f: Factors) -> str:
    """What clipping inside backpropagation does to the rate."""
    if not f.clipped or math.isnan(f.log_rate):
        return ""
    clipped, free = factor_text(f.clipped_log_rate), factor_text(f.log_rate)
    if word in GROWING and abs(f.clipped_log_rate) <= HELD * f.log_rate:
        return f"Clipping inside backpropagation holds the norm; without it {free} per step back. "
    if clipped == free:
        return f"Clipping inside backpropagation leaves the rate as it is, {free} per step back. "
    return f"Clipping inside backpropagation makes it {clipped} per step back; without it {free}. "


def _flow_cause(word: str, f: Factors) -> str:
    """The sentence about what multiplies the gradient at every step."""
    if math.isnan(f.radius) and not f.carries:
        return "No gate has recurrent weights, and units keep nothing by themselves: no step passes anything on."
    if np.isneginf(f.log_rate):
        return "Every path back meets a slope, a gate or a weight that is exactly zero."
    grows = word in GROWING
    if word != "carried" and grows != (f.log_rate > 0):
        return _turning_cause(f)
    if f.carries:
        return _cause_with_carry(word, f)
    if word == "carried":
        return _carried_cause(f)
    return _growing_cause(f) if grows else _vanishing_cause(word, f)


def _turning_cause(f: Factors) -> str:
    """Of a way on which the gradient grows at some lags and falls at others, so that the whole is no measure."""
    parts = "carry and gates" if f.carries else "slope and weights"
    return f"What {parts} do changes on the way: it is {factor_text(f.log_rate)} per step on the whole."


def _cause_with_carry(word: str, f: Factors) -> str:
    carry, gates, together = beside_one(f.carry, f.gates)
    keep = f"the forget gate is open to {plain(f.keep)} on average"
    what = keep if f.has_forget_gate else f"{f.keeper} sets the carry"
    parts = f"{carry} by the carry and {gates} through the gates"
    if word == "saturated":
        return _shut_cause(f)
    if word == "carried" and _about_one(f.log_rate):
        return f"Carry and gates balance: {parts} ({what}) make about 1 together."
    if word == "carried":
        return f"{WITHIN.format('Carry and gates')}: {parts} ({what}) make {together} together."
    if word in GROWING:
        return f"Carry and gates together exceed 1: {parts} ({what})."
    return f"{_lost_by_carry(f)}: {parts} ({what}) make less than 1 together."


def _lost_by_carry(f: Factors) -> str:
    """Which of carry and gates loses the gradient."""
    if f.gates < 0 and f.carry >= 1:
        return "What comes through the gates works against the carry"
    if f.has_forget_gate and f.keep > math.exp(0.5 * f.log_rate):
        return "Carry and gates pass on too little"
    return "A unit forgets too fast"


def _shut_cause(f: Factors) -> str:
    if f.keep < SHUT:
        shut = f"{_percent(f.shut)} of its units are saturated and it keeps {f.keep:.2g} per step"
        return f"The forget gate is shut: {shut}."
    return f"The forget gate is saturated in {_percent(f.shut)} of its units, and keeps {f.keep:.2g} on average."


def _product(f: Factors) -> str:
    return f"{plain(f.slope)} (slope) x {plain(f.weights)} (weights)"


def _about_one(log: float) -> bool:
    return abs(math.expm1(min(log, 1.0))) <= ABOUT


def _carried_cause(f: Factors) -> str:
    if _about_one(f.log_typical):
        return f"Slope and weights balance: {_product(f)} is about 1."
    if not abs(f.log_typical - f.log_rate) <= NEAR:
        return _directions_cause(f)
    return f"{WITHIN.format('Slope and weights')}: {_product(f)} is {plain(math.exp(f.log_typical))}."


def _growing_cause(f: Factors) -> str:
    if math.isnan(f.slope):
        known = f"their scale {plain(f.weights)}"
        return f"The weights outweigh the slope of {f.activation}: {known} is more than a step can bear."
    if f.log_typical < 0.5 * f.log_rate:
        return _directions_cause(f)
    (total,) = beside_one(math.exp(min(f.log_typical, 700)))
    shown = f" = {total}" if len(total) > len("1.00") and total.startswith("1.00") else ""  # beside 1.00 x 1.00
    return f"The weights outweigh the slope of {f.activation}: {_product(f)}{shown} is more than a step can bear."


def _vanishing_cause(word: str, f: Factors) -> str:
    if word == "dead units":
        return f"{_percent(f.dead)} of the units never switch on, at any step of any sample; no gradient passes them."
    if f.log_typical >= 0.5 * f.log_rate:
        return _directions_cause(f)
    return _slope_cause(f) if f.slope < f.weights else _weights_cause(f)


def _slope_cause(f: Factors) -> str:
    makes_up = f"and the weights ({plain(f.weights)}) do not make up for it"
    slope = beside_one(f.slope)[0]
    if f.max_slope < 0.5:
        return f"The slope of {f.activation} is at most {f.max_slope:.2g} (here {slope} on average), {makes_up}."
    if f.one_sided and f.saturation >= OFF:
        off = f"{_percent(f.saturation)} of the units are switched off at a time"
        return f"The slope of {f.activation} is {slope} on average, as {off}, {makes_up}."
    source = "the input and the biases drive" if f.drive > f.recurrence else "the state itself drives"
    parts = f"{plain(f.drive)} from input and bias, {plain(f.recurrence)} from the state, root mean square"
    return f"The slope of {f.activation} is only {slope}, as {source} the units hard ({parts}), {makes_up}."


def _weights_cause(f: Factors) -> str:
    return (
        f"The weights are too small: their scale is {beside_one(f.weights)[0]} "
        f"(spectral radius {plain(f.radius)}), and no slope ({plain(f.slope)} on average) makes up for it."
    )


def _directions_cause(f: Factors) -> str:
    way = "shrink" if f.log_rate < f.log_typical else "stretch"
    return (
        f"The gradient turns into directions that the weights {way}: a typical one keeps "
        f"{plain(math.exp(f.log_typical))} per step, the gradient {plain(math.exp(f.log_rate))} "
        f"(spectral radius of the weights {plain(f.radius)})."
    )


def _transient_cause(f: Factors) -> str:
    """What grows within the run and falls in the long run."""
    long_run = factor_text(f.exponent.value) if f.exponent else ""
    text = (
        f"This is transient growth: it grows over some steps, but in the long run a step makes it {long_run} "
        f"({_exponent_text(f)})."
    )
    if not f.departure > NORMAL * f.weights * math.sqrt(f.units):
        return text
    return (
        f"{text} The recurrent weights are non-normal (Henrici's departure {plain(f.departure)}, of a norm of "
        f"{plain(f.weights * math.sqrt(f.units))}): products of them can grow before they fall."
    )


def _exponent_text(f: Factors) -> str:
    """The leading exponent as a researcher cites it."""
    if (found := f.exponent) is None:
        return ""
    error = f" +- {found.error:.1g}" if found.error else ""
    return f"leading exponent {found.value:.3g}{error} {_basis(found)}"


def _basis(found: Exponent) -> str:
    if found.steps == 0:
        return "of a linear net, from the spectral radius of its weights"
    return f"over {counted(found.steps, 'step')} of {counted(found.samples, 'sample')}"


def _state_text(word: str, f: Factors) -> str:
    """What the forward pass does where the gradient grows, as far as that is known."""
    if word == "chaotic" and f.exponent is not None:
        separate, doubling = factor_text(f.exponent.value), math.log(2) / f.exponent.value
        return (
            f" The state stays bounded while nearby states separate by {separate} per step: it is chaotic under this "
            f"input ({_exponent_text(f)}), and a small difference doubles every {length_text(doubling, 'step')}."
        )
    if word not in ("exploding", "overflow"):
        return ""
    grows = f.growth >= STILL * f.log_rate > 0
    text = f" The forward pass grows as well, by {factor_text(f.growth)} per step" if grows else ""
    if word == "overflow" or (grows and f.exponent is not None and f.exponent.sign > 0 and not f.exponent.bounded):
        return f"{text}: it is unstable, not chaotic." if text else ""
    return f"{text}.{_open_text(f)}" if text else _open_text(f)


def _open_text(f: Factors) -> str:
    """Why chaos is neither said nor ruled out."""
    if f.exponent is None:
        return f" Whether it is chaotic or a transient, {counted(f.steps, 'step')} cannot tell."
    if f.exponent.sign > 0:
        return f" The forward pass grows in the long run ({_exponent_text(f)}): it is unstable, not chaotic."
    if f.exponent.steps == 0:
        return f" It need not grow for ever: {_exponent_text(f)}, which may be 0."
    return f" Whether it is chaotic or a transient cannot be told: {_exponent_text(f)}, which may be 0."


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
    state = f"{f.recurrence:.3g}" if math.isfinite(f.recurrence) else plain(f.recurrence)
    radius = "no gate has recurrent weights" if math.isnan(f.radius) else f"spectral radius {f.radius:.3g}"
    lines.append(Factor("weight scale", f.weights, f"||W||_F / sqrt(H); {radius}"))
    lines.append(
        Factor("largest one-step factor", f.largest, "||J||_2, median; above 1 allows growth, does not cause it")
    )
    lines.append(Factor("drive by input and bias", f.drive, f"root mean square; {state} by the state"))
    kind = "switched off" if f.one_sided else "saturated"
    lines.append(Factor("saturation", f.saturation, f"share of units {kind}: slope below a tenth of the largest"))
    lines.append(Factor("dead units", f.dead, f"share of units {kind} at every step of every sample"))
    if f.exponent is not None:
        text = f"nats per step in the long run, {_basis(f.exponent)}"
        lines.append(Factor("leading exponent", f.exponent.value, text))
    if f.overflow:
        first = min(place["step"] for place in f.overflow)
        text = f"number of samples that left the finite numbers, the first at step {first}"
        lines.append(Factor("overflow", float(len(f.overflow)), text))
    return [replace(line, value=line.value + 0.0) for line in lines if math.isfinite(line.value)]  # no -0
