"""Clipping: what it did, or what there would be to clip."""

import math

import xarray as xr
from dash import html

from gradlab.config import UPDATE_CLIPS
from gradlab.wording import power_text

from ....components import Component, table_details
from ..draw import CLIP_NOTE
from ..request import Run

TITLE = "Clipping"
OFF_TEXT = "Clipping is off; choose a mode under More. It cannot help a gradient that vanishes: it only ever shortens."
STEP_TEXT = "The gradient is clipped at every step back, so the curve itself changes: earlier steps get less."


def content(run: Run) -> list[Component]:
    """What clipping did to the update or to the gradient, or what there would be to clip."""
    if run.config.clip == "off":
        text = OFF_TEXT
    elif run.config.clip in UPDATE_CLIPS:
        text = CLIP_NOTE.removesuffix(" See Clipping.")
    else:
        text = STEP_TEXT
    name = "parameters" if run.config.clip == "off" else "clipping"
    table = table_details(clip_rows(run.ds), "Gradient of the weights")
    return [html.P(text), run.figure(name, text), table]


def clip_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """Norms of the weight gradient, whole and by parameter."""
    norms = ds.log_weight_grad_norm
    rows = {f"norm of dL/d{p}": _number(float(norms.sel(parameter=p))) for p in ds.parameter.values}
    if "log_update_norm" in ds:
        rows = _clip_effect(ds) | rows
    return [{"quantity": name, "value": value} for name, value in rows.items()]


def _clip_effect(ds: xr.Dataset) -> dict[str, str]:
    before, after = (_number(float(ds.log_update_norm.sel(stage=stage))) for stage in ("before", "after"))
    return {
        "norm before clipping": before,
        "norm after clipping": after,
        "threshold": f"{float(ds.clip_threshold):.3g}",
        "angle between both": f"{math.degrees(float(ds.clip_angle)):.1f}°",
    }


def _number(log_value: float) -> str:
    return f"{math.exp(log_value):.3g}" if abs(log_value) < 14 else power_text(log_value)
