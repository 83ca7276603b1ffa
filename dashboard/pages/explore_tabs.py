"""The tabs below the figure; only the open one is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from dash import Dash, Input, Output, html
from dash.development.base_component import Component

import gradlab
from gradlab.analysis import build
from gradlab.config import UPDATE_CLIPS, RunConfig
from gradlab.diagnosis import path_factors, power_text, verdict
from gradlab.errors import InputError

from .. import components, form, ids
from ..runs import RUNS
from .explore_view import CLIP_NOTE, Request, weight_measures

TITLES = {"why": "Why", "weights": "Weights", "clipping": "Clipping", "data": "Data"}
ROWS = 8  # of the data table
WHY_TEXT = (
    "A step back multiplies the gradient by J = E + D W: what the state carries over by itself (E), and what goes "
    "through each gate and its recurrent weights (D W). The parts below add up to the measured rate; one of them may "
    "be negative."
)
WEIGHTS_TEXT = (
    "Eigenvalues tell what a linear net does in the long run, singular values what a single step can do. "
    "A random direction meets std·√H."
)
OFF_TEXT = "Clipping is off; choose a mode under More. It cannot help a gradient that vanishes: it only ever shortens."
STEP_TEXT = "The gradient is clipped at every step back, so the curve itself changes: earlier steps get less."


@dataclass(frozen=True)
class Run:
    """What a tab is made from."""

    ds: xr.Dataset
    config: RunConfig
    theme: str


def why(run: Run) -> list[Component]:
    """The measured rate, split by the paths that the gradient takes."""
    found = verdict(run.ds)
    parts = path_factors(run.ds, found.log_rate) | {"sum: the measured rate": found.rate}
    rows = [{"path": path, "part of the rate": f"{value:.3f}"} for path, value in parts.items()]
    figures = [
        _figure("paths", run, f"Share of each path. {found.headline}"),
        _figure("gates", run, "Gate values and saturation over time."),
    ]
    table = components.table_details(rows, "Parts of the rate, by path")
    return [html.P(WHY_TEXT), html.Div(figures, className="pair"), table]


def weights(run: Run) -> list[Component]:
    """Where the recurrent weights' eigenvalues and singular values lie."""
    measures = {name: [f"{value:.3f}" for value in values] for name, values in weight_measures(run.ds).items()}
    columns = {"gate": run.ds.recurrent_gate.values.tolist()} | measures
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    label = "Eigenvalues with the unit circle, and singular values, of the recurrent weights."
    table = components.table_details(rows, "Recurrent weights by gate")
    return [html.P(WEIGHTS_TEXT), _figure("weights", run, label), table]


def clipping(run: Run) -> list[Component]:
    """What clipping did to the update or to the gradient, or what there would be to clip."""
    if run.config.clip == "off":
        text = OFF_TEXT
    elif run.config.clip in UPDATE_CLIPS:
        text = CLIP_NOTE.removesuffix(" See Clipping.")
    else:
        text = STEP_TEXT
    name = "parameters" if run.config.clip == "off" else "clipping"
    table = components.table_details(clip_rows(run.ds), "Gradient of the weights")
    return [html.P(text), _figure(name, run, text), table]


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


def data(run: Run) -> list[Component]:
    """The input that the net was driven by."""
    x = np.asarray(gradlab.to_numpy(build(run.config)[2]), dtype=float)
    steps, samples, features = x.shape
    source = form.file_label(form.file_key(run.config.input) or "")
    text = (
        f"{source}: {steps} steps of {samples} samples with {features} feature{'s' if features > 1 else ''}; "
        f"mean {x.mean():.2f}, standard deviation {x.std():.2f}."
    )
    head = x[:ROWS, 0, :ROWS]
    rows = [{"step": t} | {f"x{d}": f"{v:.3f}" for d, v in enumerate(row, 1)} for t, row in enumerate(head, 1)]
    table = components.table_details(rows, "First steps of the first sample")
    return [html.P(text), components.figure(gradlab.plots.data(x, theme=run.theme), text), table]


def _figure(name: str, run: Run, label: str) -> Component:
    return components.figure(gradlab.plots.FIGURES[name](run.ds, theme=run.theme), label)


Builder = Callable[[Run], list[Component]]
BUILDERS: dict[str, Builder] = {"why": why, "weights": weights, "clipping": clipping, "data": data}


def content(tab: str, data: dict[str, Any]) -> list[Component]:
    """One tab's content."""
    request = Request.parse(data)
    filled = form.read(request.raw)
    if filled.errors or filled.config not in RUNS:
        return [components.message("Nothing to show until the run is drawn.")]
    try:
        return BUILDERS[tab](Run(RUNS.get(filled.config), filled.config, request.theme))
    except InputError as error:
        return [components.message(str(error), "error")]


def panels(tab: str | None, data: dict[str, Any] | None) -> dict[str, list[Component]]:
    """The callback: the open tab's content; the others are empty."""
    return {name: content(name, data) if name == tab and data else [] for name in TITLES}


def register(app: Dash) -> None:
    """Fill the panel when a tab opens and when the run has changed."""
    outputs = {name: Output(ids.panel(name), "children") for name in TITLES}
    inputs = [Input(ids.TABS, "value"), Input(ids.SETTLED, "data")]
    app.callback(output=outputs, inputs=inputs, prevent_initial_call=True)(panels)
