"""A net unrolled, box by box: what it reads below, its units, what it says above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..colours import Theme
from ..marks import Trace, faint
from ..panels import quiet_title
from .areas import Area, Scene

BOX = 13  # px


def unrolled_area(states: np.ndarray, reads: Sequence[int], says: Sequence[int], upto: int, scene: Scene) -> Area:
    """Units (step, unit) as boxes up to a step, the stronger the larger their size; reads, says: steps from 1 on."""
    look, steps = scene.look, len(states)
    units = states.shape[1]
    rows = {"y": units + 1.0, "h": (units + 1) / 2, "x": 0.0}
    seen = [t for t in range(1, steps + 1) if t <= upto]
    x = {"range": [0.3, steps + 0.7], "title": quiet_title("step t", look), "nticks": 8, "showgrid": False}
    labels = {"tickvals": list(rows.values()), "ticktext": ["output", "state", "input"]}
    y = {"range": [-0.8, units + 1.8], "showgrid": False, **labels}
    traces = [_boxes(states, seen, look), _row(seen, reads, 0.0, look.muted), _row(seen, says, units + 1.0, look.above)]
    height = 190 if units == 1 else 250
    return Area("The net, step by step", "the stronger a unit, the darker its box", x, y, traces, height=height)


def _boxes(states: np.ndarray, seen: Sequence[int], look: Theme) -> Trace:
    """One square for each unit and step; the sign is its shape."""
    places = [(t, unit + 1, float(states[t - 1, unit])) for t in seen for unit in range(states.shape[1])]
    x, y, values = zip(*places, strict=True) if places else ((), (), ())
    marker = {
        "symbol": ["square" if value >= 0 else "square-open" for value in values],
        "size": BOX,
        "color": [faint(look.run, 0.12 + 0.88 * min(abs(value), 1.0)) for value in values],
    }
    texts = [f"h {value:.2f}" for value in values]
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, "text": texts, "hoverinfo": "text"}


def _row(seen: Sequence[int], used: Sequence[int], y: float, colour: str) -> Trace:
    """A dot at each step at which something is read or said."""
    x = [t for t in seen if t in used]
    marker = {"symbol": "circle", "size": BOX - 3, "color": colour}
    return {"type": "scatter", "mode": "markers", "x": x, "y": [y] * len(x), "marker": marker, "hoverinfo": "skip"}
