"""What is left of a gradient so many steps back: several runs as lines on one axis of fixed powers of ten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..colours import LN10, Theme, series_style
from ..compare import lag_axis
from ..marks import Trace, line, power_numbers, zeros
from ..panels import End, power_axis
from .areas import Area, Scene

STEPS = 50  # steps back that are drawn


@dataclass(frozen=True)
class Curve:
    """A line: its name, and ln of what is left (lag,), lag 0 first. bold: the one that is asked about."""

    name: str
    logs: np.ndarray
    bold: bool = False


def lag_area(
    curves: Sequence[Curve],
    decades: tuple[float, float],
    scene: Scene,
    caption: str = "median over samples; 1 is what reaches the last step",
    steps: int = STEPS,
    height: int = 330,
) -> Area:
    """The share left against the steps back, time running to the right; before it is told, where the lines begin.

    decades: the ends of the axis, fixed, so that lines move and not the axis. Colours follow the order of the curves.
    """
    look, axis = scene.look, power_axis(*decades)
    area = Area("Gradient left", caption, steps_back(steps, look), axis, [], height=height)
    area.letters = max(len(curve.name) for curve in curves)
    area.shapes = [_rule(steps, look.muted)]
    for n, curve in enumerate(curves):
        colour, dash = series_style(n, look)
        y = curve.logs[: steps + 1] / LN10
        shown = y if scene.told else np.where(np.arange(len(y)) == 0, y, np.nan)
        lag = np.arange(len(y))
        area.traces.append(
            line(lag, shown, curve.name, colour, power_numbers, width=3.2 if curve.bold else 1.6, dash=dash)
        )
        area.traces += zeros(lag, shown, curve.name, colour, decades[0])
        if scene.told:
            area.ends.append(End(_last(y, decades[0]), curve.name, colour, dash))
    return area


def marked(area: Area, curve: Curve, lag: int, scene: Scene) -> Area:
    """The area with a dot on a curve so many steps back, once the curve is there."""
    marker = {"size": 11, "color": scene.look.above}
    dot: Trace = {"type": "scatter", "mode": "markers", "marker": marker, "hoverinfo": "skip", "cliponaxis": False}
    at = {"x": [lag], "y": [float(curve.logs[lag] / LN10)]}
    return replace(area, traces=[*area.traces, dot | at] if scene.told else area.traces)


def steps_back(steps: int, look: Theme) -> dict[str, object]:
    """The axis of steps back from the last one, growing to the left as time does not."""
    return lag_axis(steps, {"step"}, look) | {"nticks": 6}


def _last(y: np.ndarray, bottom: float) -> float:
    """Where a line ends; an exact zero, and what was not measured, on the floor."""
    return float(y[-1]) if np.isfinite(y[-1]) else bottom


def _rule(steps: int, colour: str) -> dict[str, object]:
    """A dotted line across, as at the last step."""
    style = {"color": colour, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": steps + 0.5, "x1": -0.5, "y0": 0, "y1": 0, "line": style}
