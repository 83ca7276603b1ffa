"""Lines that wait for a guess: before it is told, only where they begin is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..colours import Theme, series_style
from ..marks import Trace, line, plain_numbers, swatch, zeros
from ..panels import quiet_title
from .areas import Area, Scene

Texts = Callable[[np.ndarray], list[str]]


@dataclass(frozen=True)
class Line:
    """A line as the axes count: its name, x and y; bold: the one that is asked about."""

    name: str
    x: np.ndarray
    y: np.ndarray
    bold: bool = False


def line_area(
    title: str,
    caption: str,
    lines: Sequence[Line],
    axes: tuple[dict[str, Any], dict[str, Any]],
    scene: Scene,
    texts: Texts = plain_numbers,
) -> Area:
    """The lines on fixed axes, each with a `range`. Colours and dashes follow their order.

    caption: what the figure is about; where it is empty, the names of the lines.
    """
    look, (x, y) = scene.look, axes
    area = Area(title, caption or keys([one.name for one in lines], look), x, y, [])
    for n, one in enumerate(lines):
        colour, dash = series_style(n, look)
        shown = one.y if scene.told else np.where(np.arange(len(one.y)) == 0, one.y, np.nan)
        width = 3.2 if one.bold or len(lines) == 1 else 1.6
        area.traces.append(line(one.x, shown, one.name, colour, texts, width=width, dash=dash))
        area.traces += zeros(one.x, shown, one.name, colour, min(y["range"]))
    return area


def keys(names: Sequence[str], look: Theme) -> str:
    """The names of lines, each with a piece of it."""
    return "  ".join(f"{swatch(*series_style(n, look))} {name}" for n, name in enumerate(names))


def marked(area: Area, x: float, y: float, scene: Scene) -> Area:
    """The area with a dot on a line, once the line is there."""
    marker = {"size": 11, "color": scene.look.above}
    dot: Trace = {"type": "scatter", "mode": "markers", "marker": marker, "hoverinfo": "skip", "cliponaxis": False}
    at = {"x": [float(x)], "y": [float(y)]}
    return replace(area, traces=[*area.traces, dot | at] if scene.told else area.traces)


def plain_axis(low: float, high: float, title: str, look: Theme, **more: Any) -> dict[str, Any]:
    """An axis of plain numbers."""
    return {"range": [low, high], "title": quiet_title(title, look), "nticks": 6, **more}
