"""What clipping did, to the update or inside backprop."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from .colours import LN10, THEMES, Theme
from .gradient import gradient_panel
from .marks import SWATCHES, Trace, number_text, plot_text, power_numbers
from .panels import BOTTOM, LINE, RIGHT, base_layout, corner, factor_axis, heading, span, stack, words
from .series import log, require

ROW = 26  # px
SIDE = 64  # px, room for a parameter's name
NARROWEST = 1e-3  # degrees: smaller angles are rounding
UPDATE_NOTE = "Clipping rescales the weight update, not the gradient flow"


def clipping(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """What clipping did: inside backprop, the flow before and after; of the update, its norm before and after.

    Without clipping, the norms that a threshold could be set against. Raises InputError for a Dataset without
    parameter norms or an unknown theme.
    """
    if "log_grad_norm_before_clip" in ds:
        panel = gradient_panel(ds, (), theme, 300)
        panel.notes.append(_effect(ds))
        return stack([panel], theme, ds.sizes["step"])
    require(ds, "log_weight_grad_norm")
    look, norms = THEMES[theme], _norms(ds)
    limits = [float(log(ds.clip_threshold.values)) / LN10] if "clip_threshold" in ds else []
    x_range = span([np.array([*norms.values(), *limits])], least=1, always=())
    notes = ["", UPDATE_NOTE, f"{SWATCHES['dash']} {_effect(ds)}"] if limits else ["clipping is off"]
    layout = _norm_layout(notes, len(norms), x_range, look)
    layout["shapes"] = [_threshold_line(limit, look) for limit in limits]
    return go.Figure({"data": [_norm_trace(norms, x_range[0], look)], "layout": layout})


def _effect(ds: xr.Dataset) -> str:
    """Threshold, and how far clipping turned the parameter gradient."""
    threshold = plot_text(number_text(float(log(ds.clip_threshold.values))))
    degrees = float(np.degrees(ds.clip_angle))
    if degrees < NARROWEST:
        return f"threshold {threshold}; kept the parameter gradient's direction"
    return f"threshold {threshold}; turned the parameter gradient by {degrees:.3g}°"


def _norms(ds: xr.Dataset) -> dict[str, float]:
    """log10 norms: of the whole parameter gradient, where clipped before and after it, then of each parameter."""
    logs = ds.log_weight_grad_norm.values
    if "log_update_norm" in ds:
        whole = dict(zip(map(str, ds.stage.values), ds.log_update_norm.values, strict=True))
    else:
        whole = {"all": 0.5 * np.logaddexp.reduce(2 * logs)}
    named = whole | dict(zip(map(str, ds.parameter.values), logs, strict=True))
    return {name: float(value) / LN10 for name, value in named.items()}


def _norm_trace(norms: dict[str, float], left: float, look: Theme) -> Trace:
    """A dot and its number for each norm; one that is exactly zero has an open dot at the left edge."""
    values = np.array(list(norms.values()))
    zero = np.isneginf(values)
    marker = {
        "size": 9,
        "symbol": ["circle-open" if z else "circle" for z in zero.tolist()],
        "color": [look.above if name == "before" else look.run for name in norms],
    }
    place = {"x": np.where(zero, left, values).astype(np.float32), "y": list(norms)}
    labels = {"text": power_numbers(values), "textposition": "middle right", "textfont": {"color": look.text}}
    dots: Trace = {
        "type": "scatter",
        "mode": "markers+text",
        "marker": marker,
        "hoverinfo": "y+text",
        "cliponaxis": False,
    }
    return dots | place | labels


def _norm_layout(notes: list[str], rows: int, x_range: tuple[float, float], look: Theme) -> dict[str, Any]:
    top = LINE * len(notes) + 8
    title = heading("Norm of the parameter gradient", "<br>".join(notes), look)
    return base_layout(look) | {
        "height": ROW * rows + top + BOTTOM,
        "margin": {"l": SIDE, "r": RIGHT, "t": top, "b": BOTTOM},
        "xaxis": factor_axis(*x_range) | {"showgrid": True},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
        "annotations": [words(title, look.muted, **corner(4 - SIDE))],
    }


def _threshold_line(x: float, look: Theme) -> dict[str, Any]:
    style = {"color": look.text, "width": 1.5, "dash": "dash"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": style}
