"""The figure of one run over its time axis: gradient, one-step factors, units; together or each alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..errors import InputError
from ..runs.attributes import unit_of
from ..runs.group import all_samples
from ..runs.shares import ended
from ..runs.verdicts import log_rate_per_step
from ..wording import power_text
from .colours import DECADES, LN10, THEMES, Theme, colour_of, colour_scale
from .gradient import gradient_panel
from .marks import Trace, beside, line, number_text, plot_text, power_numbers, zeros
from .panels import End, Panel, Rule, factor_axis, heading, span, stack, time_axis
from .series import (
    TIME_BINS,
    UNIT_BINS,
    bins,
    by_gradient,
    first_known,
    largest_factor,
    largest_in,
    largest_name,
    log,
    over_samples,
    reference,
    require,
    shares,
    typical_factor,
)

GRADIENT, FACTOR, UNITS = 200, 80, 90  # px of each panel below its heading; alone they are higher
SORTS = {"gradient": "mean gradient", "index": "index"}
FACTOR_ABOUT = (
    "Medians over samples of the norms of the one-step Jacobian: typical is the Frobenius norm / sqrt(states x units), "
    "largest possible the spectral norm. The rate is what was measured over all steps."
)
UNITS_ABOUT = (
    "Gradient of each unit: root mean square over samples, in which the largest count most, times the square root of "
    "the number of units: 1 is the average at the last step. Blank: exactly zero or not analysed."
)
ROUNDING = 1e-6  # a factor's log10 below this is 1


def explore(ds: xr.Dataset, pins: Sequence[xr.Dataset] = (), theme: str = "light", sort: str = "gradient") -> go.Figure:
    """The whole figure of a run: gradient at each step, one-step factors, units x steps, on one time axis.

    `pins`: up to 5 other runs, drawn as thin lines and aligned at their last step. `sort`: rows of the unit map by mean
    "gradient" or by "index". Raises InputError for a Dataset without the quantities, or an unknown theme or order.
    """
    panels = [
        gradient_panel(ds, pins, theme, GRADIENT),
        factor_panel(ds, theme, FACTOR),
        unit_panel(ds, theme, sort, UNITS),
    ]
    return stack(panels, theme, ds.sizes["step"])


def gradient_flow(ds: xr.Dataset, theme: str = "light", pins: Sequence[xr.Dataset] = ()) -> go.Figure:
    """How much of the last step's gradient reaches each step: median over samples, in powers of ten.

    `pins`: as in `explore`. Raises InputError for a Dataset without `log_grad_norm` or an unknown theme.
    """
    if unit_of(ds) == "level":
        ds, pins = _at_root(ds), [_at_root(pin) for pin in pins]
    panel = gradient_panel(ds, pins, theme, 300)
    return stack([panel], theme, ds.sizes["step"], time_axis(THEMES[theme], ds.sizes["step"], unit_of(ds)))


def _at_root(ds: xr.Dataset) -> xr.Dataset:
    """A curve by levels of trees with every root at the last one, that of the deepest tree."""
    require(ds, "log_grad_norm", "valid_steps")
    return ended(ds)


def one_step(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """The factor of every single step back: in a random direction, the largest possible, and the measured rate.

    Raises InputError for a Dataset without the one-step norms or an unknown theme.
    """
    return stack([factor_panel(ds, theme, 180)], theme, ds.sizes["step"])


def unit_map(ds: xr.Dataset, theme: str = "light", sort: str = "gradient") -> go.Figure:
    """Gradient of each unit at each step on the fixed colour scale; rows by mean "gradient" or by "index".

    Raises InputError for a Dataset without `log_grad_unit`, or an unknown theme or order.
    """
    return stack([unit_panel(ds, theme, sort, 280)], theme, ds.sizes["step"])


# one-step factors


def factor_panel(ds: xr.Dataset, theme: str, height: int) -> Panel:
    """Typical factor (thick, coloured against 1), largest possible (thin) and the measured rate (a short dash)."""
    require(ds, "jacobian_frobenius", "jacobian_spectral", "log_grad_norm", "valid_steps")
    look, step = THEMES[theme], ds.step.values
    typical, largest = (log(f(ds)) / LN10 for f in (typical_factor, largest_factor))
    rate = np.nan if "log_direct_grad_norm" in ds else log_rate_per_step(ds) / LN10  # what comes in between is no rate
    y_range = span([typical, largest, np.array([rate])], least=0.7)
    known = ~np.isnan(largest)  # of a large run not every step has its spectral norm
    traces = [line(step[known], largest[known], largest_name(ds), look.muted, power_numbers, width=1.2)]
    traces += against_one(step, typical, look)
    traces += zeros(step, typical, "typical", look.below, y_range[0])
    start = first_known(typical)
    ends = [
        End(first_known(largest), "largest", look.muted),
        End(start, "typical", look.above if start > 0 else look.below),
    ]
    if np.isfinite(rate):
        traces.append(_dash(rate, ds.sizes["step"], look))
        ends.append(End(rate, f"rate {number_text(rate * LN10)}", look.text))
    title = heading("One-step factor", "largest > 1 allows growth, does not cause it", look)
    return Panel(title, height, factor_axis(*y_range), traces, ends, [Rule(0)], about=FACTOR_ABOUT)


def against_one(step: np.ndarray, logs: np.ndarray, look: Theme) -> list[Trace]:
    """A thick line in three colours: below 1, at 1, above it; an invisible one over it carries the hover labels."""
    logs = np.where(np.abs(logs) < ROUNDING, 0.0, logs)
    x, y = _with_crossings(step, logs)
    sides = ((y < 0, look.below), (y > 0, look.above), ((y == 0) & beside(y == 0), look.text))
    parts = [
        line(x, np.where(side | beside(side) & (y == 0), y, np.nan), "typical", colour, width=3)
        for side, colour in sides
        if side.any()
    ]
    return [*parts, line(step, logs, "typical", look.text, power_numbers) | {"opacity": 0}]


def _with_crossings(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line with a point wherever it crosses zero."""
    with np.errstate(invalid="ignore"):
        at = np.flatnonzero(y[:-1] * y[1:] < 0)
    at = at[np.isfinite(y[at]) & np.isfinite(y[at + 1])]
    crossing = x[at] + y[at] / (y[at] - y[at + 1]) * (x[at + 1] - x[at])
    return np.insert(x.astype(float), at + 1, crossing), np.insert(y, at + 1, 0.0)


def _dash(rate: float, steps: int, look: Theme) -> Trace:
    x = np.array([-0.5, -0.5 + 0.06 * (steps + 1)])
    return line(x, np.array([rate, rate]), "measured rate", look.text, width=4)


# units x steps


def unit_panel(ds: xr.Dataset, theme: str, sort: str, height: int) -> Panel:
    """Heat map of ln rms gradient per unit + ln sqrt(H), so that an average unit reads 1 at the last step."""
    require(ds, "log_grad_unit", "log_grad_norm", "valid_steps")
    if sort not in SORTS:
        raise InputError(f"unknown order of units '{sort}'. Valid: {', '.join(SORTS)}", "sort")
    look = THEMES[theme]
    own = ds.log_grad_unit.transpose("time", "unit").values
    logs = own + 0.5 * np.log(own.shape[1]) - np.nanmedian(reference(ds))
    order = by_gradient(logs) if sort == "gradient" else np.arange(logs.shape[1])
    times, units = bins(logs.shape[0], TIME_BINS), bins(logs.shape[1], UNIT_BINS)
    z = largest_in(largest_in(logs[:, order], times, 0), units, 1).T / LN10
    rows = [f"unit {order[u]}" if len(units) == len(order) else f"rank {u}" for u in units.tolist()]
    axis = {"type": "category", "range": [-0.5, len(units) - 0.5], "showticklabels": False}
    count = all_samples(ds)
    several = f"rms over all {count} samples, " if count > 1 else ""
    return Panel(
        heading("Units", f"{several}by {SORTS[sort]}", look),
        height,
        axis | {"showgrid": False, "fixedrange": True},
        [heat_map(z, rows, times, theme)],
        notes=_bin_note(logs.shape, len(times), len(units)),
        about=UNITS_ABOUT,
    )


def _bin_note(shape: tuple[int, ...], times: int, units: int) -> list[str]:
    axes = ((shape[0], times, "steps"), (shape[1], units, "units"))
    sizes = [f"{-(-n // m)} {what}" for n, m, what in axes if m < n]
    return [f"each cell shows the largest of {' x '.join(sizes)}"] if sizes else []


def heat_map(z: np.ndarray, rows: Sequence[Any], times: np.ndarray, theme: str) -> Trace:
    """log10 values (row, time) on the fixed colour scale; `times`: the first step of each column."""
    width = int(times[1] - times[0]) if len(times) > 1 else 1
    return {
        "type": "heatmap",
        "z": np.where(np.isfinite(z), z, np.nan).astype(np.float32),
        "x0": (width - 1) / 2,
        "dx": width,
        "y": rows,
        "zmin": -DECADES,
        "zmax": DECADES,
        "colorscale": colour_scale(theme),
        "colorbar": colour_bar(theme),
        "hoverongaps": False,
        "hovertemplate": "10<sup>%{z:.1f}</sup><extra>%{y}</extra>",
    }


def colour_bar(theme: str) -> dict[str, Any]:
    """The key of the fixed colour scale."""
    return {
        "tickvals": [-DECADES, 0, DECADES],
        "ticktext": [plot_text(text) for text in (f"≤10^-{DECADES}", "1", f"≥10^{DECADES}")],
        "tickfont": {"size": 10, "color": THEMES[theme].muted},
        "lenmode": "fraction",
        "thickness": 9,
        "x": 1,
        "xpad": 9,
        "ypad": 2,
        "outlinecolor": THEMES[theme].grid,
    }


# the unrolled net


def strip(ds: xr.Dataset, boxes: int = 50, theme: str = "light") -> list[dict[str, Any]]:
    """The unrolled net as at most `boxes` boxes: label "x1-4", colour on the fixed scale, log10 share, words.

    Each box shows the largest share of its steps, first step first. Raises InputError for less than one box.
    """
    require(ds, "log_grad_norm", "valid_steps")
    return boxes_of(over_samples(shares(ds)[""])[1][1:], boxes, theme, "of the last step's gradient")


def boxes_of(
    logs: np.ndarray, boxes: int, theme: str, words: str, prefix: str = "x", numbers: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """ln of what is at each place as at most so many boxes; words: what it is a part of.

    prefix, numbers: what places are called, "x1", "x2", ... by default.
    """
    if boxes < 1:
        raise InputError(f"expected at least 1 box, got {boxes}", "boxes")
    starts, numbers = bins(len(logs), boxes), numbers or range(1, len(logs) + 1)
    ends = [*(starts[1:] - 1).tolist(), len(logs) - 1]
    spans = [(numbers[first], numbers[last]) for first, last in zip(starts.tolist(), ends, strict=True)]
    labels = [f"{prefix}{first}" if first == last else f"{prefix}{first}-{last}" for first, last in spans]
    largest = largest_in(logs, starts, 0).tolist()
    return [_box(label, value, theme, words) for label, value in zip(labels, largest, strict=True)]


def _box(label: str, value: float, theme: str, words: str) -> dict[str, Any]:
    text = f"{label}: not analysed" if np.isnan(value) else f"{label}: {power_text(value)} {words}"
    return {"label": label, "colour": colour_of(value, theme), "log10": value / LN10, "text": text}
