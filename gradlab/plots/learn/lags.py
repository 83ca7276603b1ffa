"""What is left of a gradient so many steps back: several runs as lines on one axis of fixed powers of ten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..colours import LN10, Theme, series_style
from ..compare import lag_axis
from ..marks import power_numbers
from ..panels import End, power_axis
from .areas import Area, Scene
from .lines import Line, line_area

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
    look, lags = scene.look, np.arange(steps + 1)
    lines = [Line(c.name, lags[: len(c.logs)], c.logs[: steps + 1] / LN10, c.bold) for c in curves]
    axes = steps_back(steps, look), power_axis(*decades)
    area = line_area("Gradient left", caption, lines, axes, scene, power_numbers)
    area.letters, area.height = max(len(curve.name) for curve in curves), height
    area.shapes = [_rule(steps, look.muted)]
    if scene.told:
        area.ends = [End(_last(one.y, decades[0]), one.name, *series_style(n, look)) for n, one in enumerate(lines)]
    return area


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
