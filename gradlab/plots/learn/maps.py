"""Maps beside a line: which loss blames which step, the phases of random nets, a gradient over a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..colours import DECADES, LN10
from ..marks import Trace
from ..overview import heat_map
from ..panels import quiet_title
from ..phase import NAMES, Axis, phase_traces
from .areas import Area, Scene


def triangle_area(logs: np.ndarray, loss_step: int, scene: Scene) -> Area:
    """ln of what the loss at step t (up) blames on the state at step k (across), (T + 1, T + 1); a row is framed."""
    steps, look = len(logs) - 1, scene.look
    z = logs / LN10
    trace = _plain_map(z, scene) | {"y": np.arange(steps + 1), "hovertemplate": "10<sup>%{z:.1f}</sup><extra></extra>"}
    frame = {"type": "rect", "x0": -0.5, "x1": loss_step + 0.5, "y0": loss_step - 0.5, "y1": loss_step + 0.5}
    shape: dict[str, Any] = frame | {"line": {"color": look.text, "width": 2}}
    x = {"range": [-0.5, steps + 0.5], "title": quiet_title("state at step k", look), "nticks": 6, "showgrid": False}
    y = {"range": [-0.5, steps + 0.5], "title": quiet_title("loss at step t", look), "nticks": 6, "showgrid": False}
    return Area(
        "Every loss and every step",
        "blue: as at its own step; lost fades away",
        x,
        y,
        [trace],
        shapes=[shape],
        height=300,
    )


def phase_area(fields: Mapping[str, np.ndarray], x: Axis, y: Axis, point: tuple[float, float], scene: Scene) -> Area:
    """The phase map of mean-field theory with a chosen point; fields as `phase_diagram` takes them."""
    look = scene.look
    ring = {"color": look.card, "size": 12, "line": {"color": look.text, "width": 3}}
    mark: Trace = {"type": "scatter", "mode": "markers", "marker": ring, "hoverinfo": "skip", "cliponaxis": False}
    traces = [
        trace | ({"showscale": False} if "colorbar" in trace else {})
        for trace in phase_traces(fields, x, y, scene.theme)
    ]
    across, up = (
        {"range": [min(values), max(values)], "title": quiet_title(NAMES[name], look), "nticks": 6, "showgrid": False}
        for name, values in (x, y)
    )
    caption = "right of the thick line gradients explode"
    return Area(
        "What theory says", caption, across, up, [*traces, mark | {"x": [point[0]], "y": [point[1]]}], height=300
    )


def course_area(surface: np.ndarray, iterations: np.ndarray, scene: Scene) -> Area:
    """ln of what is left of the gradient at each step (snapshot, time), one row for each look at a net in training."""
    look, steps = scene.look, surface.shape[1] - 1
    trace = _plain_map(surface / LN10, scene) | {"y": iterations}
    x = {"range": [-0.5, steps + 0.5], "title": quiet_title(f"step t (loss at {steps})", look), "nticks": 6}
    y = {"range": [float(iterations[0]), float(iterations[-1])], "title": quiet_title("iteration", look), "nticks": 6}
    return Area("Gradient while it learns", "blue: as at the last step; lost fades away", x, y, [trace], height=300)


def _plain_map(z: np.ndarray, scene: Scene) -> Trace:
    """The map of all figures, without its key."""
    z = np.where(np.isneginf(z), -DECADES, z)
    return heat_map(z, [], np.arange(z.shape[1]), scene.theme) | {"showscale": False}
