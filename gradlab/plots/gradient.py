"""The main curve of a run: how much of the last step's gradient reaches each step, with the runs it is compared to."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from ..config.labels import setting_text
from ..errors import InputError
from ..runs.attributes import config_fields, overflow, text_of, unit_of
from ..runs.shares import joint_log_norm
from ..runs.verdicts import log_rate_per_step
from ..wording import counted
from .colours import DASHES, LN10, THEMES, Theme
from .marks import SWATCHES, Trace, band, line, power_texts, zeros
from .panels import LINE, End, Panel, Rule, heading, power_axis, span
from .series import first_known, loss_curve, over_samples, reference, require, shares, zero_note

FLOAT32_PRECISION = -7  # power of ten
MOST_DECADES = 150  # beyond this, the lines at 1 and at the precision of float32 are one
MAX_PINS = 5
MISS = 0.1  # ln per step: a prediction farther from the measured rate is none
WORDS = 0.4  # of the steps: below the words beside a line
LABEL = 16  # letters of a pin's label


class _Curve:
    """A curve of the gradient panel: log10 values over time, its name, short label and style."""

    def __init__(self, logs: np.ndarray, label: str, colour: str, width: float, dash: str, name: str = "") -> None:
        self.y = logs / LN10
        self.name, self.label, self.colour, self.width, self.dash = name or label, label, colour, width, dash

    def traces(self, time: np.ndarray, bottom: float) -> list[Trace]:
        """The line, and marks on the floor `bottom` where it is exactly zero."""
        drawn = line(time, self.y, self.name, self.colour, _texts, width=self.width, dash=self.dash)
        return [drawn, *zeros(time, self.y, self.name, self.colour, bottom)]

    @property
    def end(self) -> End:
        """The label, where the line ends on the left; on the floor where that is exactly zero."""
        return End(first_known(self.y), self.label, self.colour, self.dash)


def _texts(y: np.ndarray) -> list[str]:
    return power_texts(y * LN10)


def gradient_panel(ds: xr.Dataset, pins: Sequence[xr.Dataset], theme: str, height: int) -> Panel:
    """The run's states with their band, the loss's own and the one before clipping where recorded, then the pins."""
    require(ds, "log_grad_norm", "valid_steps")
    if len(pins) > MAX_PINS:
        raise InputError(f"expected at most {MAX_PINS} pins, got {len(pins)}", "pins")
    look, time = THEMES[theme], ds.time.values
    own, several = shares(ds), ds.sizes["sample"] > 1
    name = text_of(ds, "label", "this run") if pins else ""
    low, _, high = (q / LN10 for q in over_samples(own.pop("")))
    curves = [*_run_curves(own, look, name), *_extra_curves(ds, look), *_pin_curves(ds, pins, look)]
    curves += theory_curves(ds, look)
    y_range = span([low, high, *(curve.y for curve in curves)], least=2)
    traces = band(time, low, high, look.run, y_range[0]) if several else []
    for curve in curves:
        traces += curve.traces(time, y_range[0])
    return Panel(
        heading(f"Gradient at {unit_of(ds)} t", "median over samples, band 10–90 %" if several else "one sample", look),
        height,
        power_axis(*y_range),
        traces,
        [curve.end for curve in curves],
        rules([*(curve.y for curve in curves), low, high], y_range, LINE / height),
        _notes(ds),
        "Norm of dL/dstate at step t as a share of what reaches the last step; L = u·h with a random unit vector u",
    )


def rules(drawn: list[np.ndarray], y_range: tuple[float, float], line_height: float) -> list[Rule]:
    """1, its words where nothing is drawn; and float32's precision where a curve falls below it.

    line_height: of the words, as a share of the panel's.
    """
    extent = y_range[1] - y_range[0]
    starts = np.concatenate([y[: max(1, round(WORDS * len(y)))] for y in drawn])
    covered = [_within(sign * starts, line_height * extent) for sign in (1, -1)]  # above the line, below it
    below = first_known(drawn[0]) >= 0
    below = below if not covered[below] else not below
    one = Rule(0, "" if all(covered) else "1: as at the last step", below=below)
    if extent >= MOST_DECADES or not any(np.any(y < FLOAT32_PRECISION) for y in drawn):
        return [one]
    text = "10^-7: below float32 precision,<br>relative to the last step"
    return [one, Rule(FLOAT32_PRECISION, text, right=True, below=True)]


def _within(y: np.ndarray, height: float) -> bool:
    """Whether anything is drawn between 0 and a height."""
    return bool(np.any((y > 0) & (y < height)))


def _run_curves(states: dict[str, np.ndarray], look: Theme, own: str) -> list[_Curve]:
    """The states of this run, which has a name beside others: the first solid, the second dashed."""
    labels = {state: f"{own} {state}".strip() if len(states) > 1 or not own else own for state in states}
    colours = (look.run, look.second, *look.pins)
    return [
        _Curve(over_samples(logs)[1], labels[state], colour, 3 if dash == "solid" else 2, dash)
        for (state, logs), colour, dash in zip(states.items(), colours, ("solid", "dash", *DASHES[1:]), strict=False)
    ]


def _extra_curves(ds: xr.Dataset, look: Theme) -> list[_Curve]:
    curves = []
    if "log_loss_grad_norm" in ds:
        curves.append(_Curve(loss_curve(ds), "all losses", look.muted, 1.6, "dot", "loss at every step"))
    if "log_grad_norm_before_clip" in ds:
        before = over_samples(shares(ds, "log_grad_norm_before_clip")[""])[1]
        curves.append(_Curve(before, "before clip", look.text, 1.3, "dashdot", "before clipping"))
    return curves + _split_curves(ds, look)


def _split_curves(ds: xr.Dataset, look: Theme) -> list[_Curve]:
    """What comes at once, over a shortcut of attention or from a layer above, apart from the recurrence's."""
    if "log_direct_grad_norm" not in ds:
        return []
    logs = {
        name: over_samples(ds[f"log_{name}_grad_norm"].transpose("time", "sample").values - reference(ds))[1]
        for name in ("direct", "recurrent")
    }
    return [
        _Curve(logs["direct"], "at once", look.above, 1.6, "dot", "comes at once: attention, a layer above, a loss"),
        _Curve(logs["recurrent"], "recurrence", look.muted, 1.6, "dash", "comes back through the recurrence"),
    ]


def theory_curves(ds: xr.Dataset, look: Theme) -> list[_Curve]:
    """What the best of the recorded predictions would leave at every step; none where theory has none.

    It starts where the run does on its way back: at the last step that was analysed. Grey where it misses the run.
    """
    if "theory_log_rate" not in ds or not np.isfinite(rate := float(ds.theory_log_rate[0])):
        return []
    name, back = f"theory: {short_label(ds)}", int(ds.valid_steps.median()) - ds.time.values
    logs, misses = np.where(back < 0, np.nan, rate * back), theory_misses(ds)
    label, colour, width = ("theory fails", look.muted, 1.0) if misses else ("theory", look.text, 1.4)
    return [_Curve(logs, label, colour, width, "4px,4px", name)]


def theory_misses(ds: xr.Dataset) -> bool:
    """Whether the best of the recorded predictions is far from the measured rate."""
    return "theory_log_rate" in ds and abs(float(ds.theory_log_rate[0]) - log_rate_per_step(ds)) > MISS


def short_label(ds: xr.Dataset) -> str:
    """The name of the best prediction, without its formula."""
    return str(ds.theory_label.values[0]).partition(":")[0]


def _pin_curves(ds: xr.Dataset, pins: Sequence[xr.Dataset], look: Theme) -> list[_Curve]:
    """Joint states of the pins, aligned at the last step: the gradient has come as many steps back."""
    curves = []
    for n, pin in enumerate(pins):
        require(pin, "log_grad_norm", "valid_steps")
        logs = np.full(ds.sizes["time"], np.nan)
        common = min(ds.sizes["time"], pin.sizes["time"])
        logs[-common:] = over_samples(shares(pin)[""])[1][-common:]
        name = pin_label(pin, ds)
        label = name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
        name, label = escape(name, quote=False), escape(label, quote=False)
        curves.append(_Curve(logs, label, look.pins[n], 1.5, DASHES[n + 1], name))
    return curves


def pin_label(pin: xr.Dataset, ds: xr.Dataset) -> str:
    """What sets a pinned run apart: its attribute "label", else its differing configuration fields, else its cell."""
    if label := text_of(pin, "label"):
        return label
    theirs, ours = (_settings(d) for d in (pin, ds))
    differing = {name: value for name, value in theirs.items() if value != ours.get(name)}
    if "cell" in differing and not differing.get("forget_bias"):
        differing.pop("forget_bias", None)  # most likely the other cell has none
    return ", ".join(setting_text(*item) for item in differing.items()) or text_of(pin, "cell", "pin")


def _settings(ds: xr.Dataset) -> dict[str, Any]:
    """The fields of a run's configuration; none where they cannot be read, as a label is no reason to fail."""
    try:
        return config_fields(ds)
    except InputError:
        return {}


def _notes(ds: xr.Dataset) -> list[str]:
    """What a reader must know to read the curves right."""
    notes = []
    if "log_loss_grad_norm" in ds:
        notes.append(f"{SWATCHES['dot']} contains each step's own loss; says nothing about distance")
    early = int((ds.valid_steps < ds.sizes["step"]).sum())
    if early:
        why = "overflowed" if overflow(ds) else "are shorter"
        notes.append(f"{early} of {counted(ds.sizes['sample'], 'sample')} {why}: each is drawn up to its last step")
    return notes + zero_note(joint_log_norm(ds).transpose("time", "sample").values)
