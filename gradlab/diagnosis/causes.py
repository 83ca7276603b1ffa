"""What a run's measured factors say: the refined word, the main cause, one line for each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..runs.verdicts import Verdict
from ..wording import counted, factor_text
from .factors import STILL, Exponent, Factors

MAJORITY = 0.5  # of the units
NORMAL = 0.1  # of the norm: weights that depart less from normality are not said to


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
    if word == "too short":
        return "There are too few steps to tell a trend from a transient."
    if word == "transient growth":
        return _transient_cause(f)
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
        f"{text} The recurrent weights are non-normal (Henrici's departure {_size(f.departure)}, of a norm of "
        f"{_size(f.weights * math.sqrt(f.units))}): products of them can grow before they fall."
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
            f"input ({_exponent_text(f)}), and a small difference doubles every {doubling:.2g} steps."
        )
    if word not in ("exploding", "overflow"):
        return ""
    if f.growth >= STILL * f.log_rate > 0:
        return f" The forward pass grows as well, by {factor_text(f.growth)} per step: it is unstable, not chaotic."
    return _open_text(f) if word == "exploding" else ""


def _open_text(f: Factors) -> str:
    """Why chaos is neither said nor ruled out."""
    if f.exponent is None:
        return f" Whether it is chaotic or a transient, {counted(f.steps, 'step')} cannot tell."
    if f.exponent.sign > 0:
        return f" The forward pass grows in the long run ({_exponent_text(f)}): it is unstable, not chaotic."
    return f" Whether it is chaotic or a transient cannot be told: {_exponent_text(f)}, which may be 0."


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
    if f.exponent is not None:
        text = f"nats per step in the long run, {_basis(f.exponent)}"
        lines.append(Factor("leading exponent", f.exponent.value, text))
    if f.overflow:
        first = min(place["step"] for place in f.overflow)
        lines.append(
            Factor("overflow", float(len(f.overflow)), f"samples left the finite numbers, the first at step {first}")
        )
    return [line for line in lines if math.isfinite(line.value)]
