"""How far a gradient can travel: products of Jacobians, their singular values, credit, and paths over a span.

All against the lag, steps back from the loss, which stands on the right as in the figure over time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..wording import counted
from .colours import LN10, THEMES, Theme, series_style
from .lags import (
    ESTIMATE,
    credit_logs,
    fan_curves,
    fan_logs,
    leading_shares,
    path_curves,
    product_curves,
    product_logs,
)
from .marks import band, line, plain_numbers, plot_text, power_numbers, zeros
from .overview import heat_map
from .panels import (
    BOTTOM,
    LINE,
    RIGHT,
    End,
    Panel,
    Rule,
    base_layout,
    corner,
    heading,
    power_axis,
    quiet_title,
    span,
    stack,
    words,
)
from .series import TIME_BINS, bins, first_known, largest_in, over_samples

# px of panels below their headings: two figures that stand side by side are as high
TALL, HIGH, MIDDLE, LOW = 358, 240, 205, 90
SQUARE = 296  # px of the credit triangle
SHARES = (-1.0, 2.0)  # of a path: what lies beyond is cut off


def product_norms(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """What all Jacobians from a lag back to the loss multiply a gradient by: at most, typically, and this one.

    Raises InputError for a Dataset without product norms or an unknown theme.
    """
    look, logs = THEMES[theme], product_logs(ds) / LN10
    curves = {name: values / LN10 for name, values in product_curves(ds).items()}
    styles = {
        "typical": (look.run, "solid", 3.0),
        "largest": (look.muted, "solid", 1.5),
        "gradient": (look.text, "dash", 1.5),
    }
    low, _, high = over_samples(logs)
    axis = power_axis(*span([low, high, *curves.values()], least=2))
    title = heading("Product over the lag", _which(ESTIMATE in ds, logs[-1]), look)
    panel = Panel(title, TALL, axis, [], notes=_early(ds))
    panel.rules = [Rule(0, "1: as at the loss", below=float(curves["typical"][-1]) > 0)]
    lag = np.arange(len(logs))
    panel.traces += band(lag, low, high, look.run, axis["range"][0]) if _count(logs[-1]) > 1 else []
    for name, y in curves.items():
        _draw(panel, lag, name, y, *styles[name])
    return _over_lags([panel], theme, ds.sizes["step"])


def singular_values(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """The fan of singular values of the product over a lag, and how much of the gradient follows the largest.

    Raises InputError for a Dataset without them or an unknown theme.
    """
    panels = [_fan_panel(ds, THEMES[theme]), _leading_panel(ds, THEMES[theme])]
    return _over_lags(panels, theme, ds.sizes["step"])


def _fan_panel(ds: xr.Dataset, look: Theme) -> Panel:
    """The singular values of rank 1, 2, 4, 8 ... over the lag."""
    logs, curves = fan_logs(ds), {rank: values / LN10 for rank, values in fan_curves(ds).items()}
    axis = power_axis(*span(curves.values(), least=2))
    total = ds.sizes["state"] * ds.sizes["index"]
    which = f"all {total}" if logs.shape[1] == total else f"leading {logs.shape[1]} of {total}"
    caption = f"{which}, median over {counted(_count(logs[-1, 0]), 'sample')}"
    panel = Panel(heading("Singular values", caption, look), HIGH, axis, [], rules=[Rule(0)])
    for rank, y in curves.items():
        _draw(panel, ds.span.values, f"σ<sub>{rank}</sub>", y, look.run, "solid", 2.5 if rank == 1 else 1.2)
    return panel


def _leading_panel(ds: xr.Dataset, look: Theme) -> Panel:
    axis = {"range": (-0.08, 1.08), "tickformat": ".0%", "tickvals": [0, 0.5, 1]}
    panel = Panel(heading("Along the largest", "share of the gradient", look), LOW, axis, [])
    styles = {"arrives": (look.run, "solid", 2.5), "starts": (look.text, "dot", 1.5)}
    for name, y in leading_shares(ds).items():
        _draw(panel, ds.span.values, name, y, *styles[name], plain_numbers)
    return panel


def credit(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """What arrives at each step k from a loss at each step t: the triangle of credit, on the fixed colour scale.

    Raises InputError for a Dataset without it or an unknown theme.
    """
    logs, losses, steps = credit_logs(ds), ds.loss_time.values, ds.sizes["step"]
    times = bins(logs.shape[1], TIME_BINS)
    trace = heat_map(largest_in(logs, times, 1) / LN10, losses.astype(np.float32), times, theme)
    trace["colorbar"] |= {"len": 1.0, "y": 0.5}
    trace["hovertemplate"] = "loss at %{y}, step %{x}: 10<sup>%{z:.1f}</sup><extra></extra>"
    notes = ["one sample; at its own step each loss's gradient is 1"]
    if len(times) < logs.shape[1] or len(losses) < steps:
        width = -(-logs.shape[1] // len(times))
        notes.append(f"{len(losses)} of {steps} losses; each cell shows the largest of {width} steps")
    return go.Figure({"data": [trace], "layout": _triangle_layout(notes, steps, THEMES[theme])})


def _triangle_layout(notes: Sequence[str], steps: int, look: Theme) -> dict[str, Any]:
    top, left = LINE * (1 + len(notes)) + 14, 44
    text = "<br>".join([heading("Credit", "what reaches step k from a loss at step t", look), *notes])
    along = {"range": [-0.5, steps + 0.5], "tickformat": "d", "showgrid": False, "nticks": 6}
    return base_layout(look) | {
        "height": SQUARE + top + BOTTOM,
        "margin": {"l": left, "r": RIGHT, "t": top, "b": BOTTOM},
        "xaxis": along | {"title": quiet_title("reaches step k", look)},
        "yaxis": along | {"title": quiet_title("loss at step t", look), "ticks": "outside"},
        "annotations": [words(text, look.muted, **corner(4 - left) | {"yshift": 6})],
    }


def span_paths(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """Which paths the gradient takes over a lag: shares that add up to 1, and the size of each part.

    Raises InputError for a Dataset without them or an unknown theme.
    """
    look = THEMES[theme]
    share, logs = path_curves(ds)
    norm = {name: values / LN10 for name, values in logs.items()}
    low, high = span(share.values(), least=0.1, always=(0.0, 1.0))
    share_axis = {"range": (max(low, SHARES[0]), min(high, SHARES[1]))}
    norm_axis = power_axis(*span(norm.values(), least=2))
    first = Panel(
        heading("Share of what arrives", "adds up to 1", look), MIDDLE, share_axis, [], rules=[Rule(0), Rule(1)]
    )
    second = Panel(heading("Size of each part", "alone; does not add up", look), LOW, norm_axis, [], rules=[Rule(0)])
    for panel, series, texts in ((first, share, plain_numbers), (second, norm, power_numbers)):
        for n, (name, y) in enumerate(series.items()):
            _draw(panel, ds.span.values, name, y, *series_style(n, look), 2.0, texts)
    return _over_lags([first, second], theme, ds.sizes["step"])


# what all have in common


def _which(estimate: bool, values: np.ndarray) -> str:
    """What is drawn, and from how many samples."""
    if estimate:
        return f"estimate, {counted(_count(values), 'sample')}, random probes"
    if len(values) == 1:
        return "exact, one sample"
    left_out = f" of {len(values)}" if _count(values) < len(values) else ""
    return f"exact, {_count(values)}{left_out} samples, band 10–90 %"


def _count(values: np.ndarray) -> int:
    """How many samples are there."""
    return int((~np.isnan(values)).sum())


def _early(ds: xr.Dataset) -> list[str]:
    """What to know where samples have no state at the last step."""
    steps, early = ds.sizes["step"], int((ds.valid_steps < ds.sizes["step"]).sum())
    samples = counted(ds.sizes["sample"], "sample")
    return [f"{early} of {samples} end before step {steps}: they start where they end"] if early else []


def _draw(
    panel: Panel, lag: np.ndarray, name: str, y: np.ndarray, colour: str, dash: str, width: float, texts: Any = None
) -> None:
    """Add a line, labelled at its far end on the left."""
    shown = plot_text(name)
    panel.traces.append(line(lag, y, shown, colour, texts or power_numbers, width=width, dash=dash))
    panel.traces += zeros(lag, y, shown, colour, panel.axis["range"][0])
    panel.ends.append(End(first_known(y[::-1]), name, colour, dash))


def _over_lags(panels: list[Panel], theme: str, steps: int) -> go.Figure:
    """Panels over the lag, which grows to the left: the loss is on the right."""
    fig = stack(panels, theme, steps)
    title = quiet_title("lag: steps back from the loss", THEMES[theme])
    return fig.update_xaxes(range=[steps + 0.5, -0.5], title=title)
