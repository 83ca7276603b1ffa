"""Figures behind the gradient, over the time axis: gates, paths, parameter gradients, input."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..errors import InputError
from ..wording import counted
from .colours import LN10, THEMES, Theme, series_style
from .marks import Trace, line, number_text, plain_numbers, plot_text, power_numbers, zeros
from .panels import End, Panel, Rule, factor_axis, heading, power_axis, span, stack
from .series import first_known, log, over_samples, require

HEIGHT = 200  # px of a panel below its heading
MAX_FEATURES = 5  # of an input, each as a line


def gates(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """Mean value and saturated share of every gate at each step.

    Raises InputError for a Dataset without them or an unknown theme.
    """
    require(ds, "gate_mean", "gate_saturation")
    mean, saturated = (_by_name(ds[name], "gate") for name in ("gate_mean", "gate_saturation"))
    value_axis = {"range": span(mean.values(), least=0.1, always=(0.0, 1.0))}
    share_axis = {"range": (-0.05, 1.05), "tickformat": ".0%"}
    look = THEMES[theme]
    panels = [
        _lines("Gate values", "mean over samples and units", mean, value_axis, look),
        _lines("Saturated", "share of values at the flat ends of the gate", saturated, share_axis, look),
    ]
    return stack(panels, theme, ds.sizes["step"])


def paths(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """How much of each step's gradient flows along the carry and through each gate, and the factor of each path.

    Raises InputError for a Dataset without them or an unknown theme.
    """
    require(ds, "path_share", "jacobian_path_norm")
    share = _by_name(ds.path_share, "path")
    size = 0.5 * np.log(ds.sizes["state"] * ds.sizes["index"])
    factors = {name: (log(norm) - size) / LN10 for name, norm in _by_name(ds.jacobian_path_norm, "path").items()}
    share_axis = {"range": span(share.values(), least=0.1, always=(0.0, 1.0))}
    axis = factor_axis(*span(factors.values(), least=0.7))
    look = THEMES[theme]
    first = _lines("Share of the flow", "adds up to 1; below 0 works against the rest", share, share_axis, look)
    second = _lines("Typical factor of each path", "alone; does not add up", factors, axis, look, power_numbers)
    first.rules, second.rules = [Rule(0), Rule(1)], [Rule(0)]
    return stack([first, second], theme, ds.sizes["step"])


def parameters(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """What each step adds to the gradient of each parameter; the labels give the whole gradient's norm.

    Raises InputError for a Dataset without them or an unknown theme.
    """
    require(ds, "log_weight_grad_norm", "log_weight_grad_step_norm")
    steps = _by_name(ds.log_weight_grad_step_norm, "parameter").values()
    totals = zip(ds.parameter.values, ds.log_weight_grad_norm.values, steps, strict=True)
    norms = {f"{name} {number_text(total)}": logs / LN10 for name, total, logs in totals}
    axis = power_axis(*span(norms.values(), least=2, always=()))
    caption = "norm by step; number: of all steps"
    panel = _lines("Parameter gradients", caption, norms, axis, THEMES[theme], power_numbers)
    return stack([panel], theme, ds.sizes["step"])


def data(x: np.ndarray, theme: str = "light", names: Sequence[str] = ()) -> go.Figure:
    """The first sample of an input x (T, B, D) over its steps; of more than 5 features, the first 5.

    names: of the features; numbers them where there are none. Raises InputError for another shape or an unknown theme.
    """
    if x.ndim != 3 or not all(x.shape):
        raise InputError(f"x: expected shape (T, B, D) with at least one of each, got {x.shape}", "x")
    names = names or [f"feature {n}" for n in range(1, x.shape[2] + 1)]
    shown = dict(zip((escape(name, quote=False) for name in names), x[:, 0, :MAX_FEATURES].T, strict=False))
    caption = f"first of {counted(x.shape[1], 'sample')}"
    if x.shape[2] > MAX_FEATURES:
        caption += f", first {MAX_FEATURES} of {x.shape[2]} features"
    panel = _lines("Input", caption, shown, {"range": span(shown.values(), least=0.1)}, THEMES[theme])
    return stack([panel], theme, len(x))


def _by_name(quantity: xr.DataArray, dim: str) -> dict[str, np.ndarray]:
    """Name along `dim` -> values over steps, as the median over samples where there are samples."""
    values = quantity.transpose(dim, "step", ...).values
    return dict(
        zip(map(str, quantity[dim].values), over_samples(values)[1] if values.ndim == 3 else values, strict=True)
    )


def _lines(
    title: str,
    caption: str,
    series: Mapping[str, np.ndarray],
    axis: dict[str, Any],
    look: Theme,
    texts: Callable[[np.ndarray], list[str]] = plain_numbers,
) -> Panel:
    """A panel with one labelled line over the steps for each name."""
    traces: list[Trace] = []
    ends = []
    for n, (name, y) in enumerate(series.items()):
        colour, dash = series_style(n, look)
        step, shown = np.arange(1, len(y) + 1), plot_text(name)
        traces.append(line(step, y, shown, colour, texts, width=2, dash=dash))
        traces += zeros(step, y, shown, colour, axis["range"][0])
        ends.append(End(first_known(y), name, colour, dash))
    return Panel(heading(title, caption, look), HEIGHT, axis, traces, ends)
