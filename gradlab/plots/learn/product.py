"""Why a gradient is a product: what each step multiplies by, and what that makes of a circle of gradients."""

from __future__ import annotations

import numpy as np

from ..colours import Theme
from ..marks import Trace, faint, plain_numbers
from ..panels import quiet_title
from .areas import Area, Scene
from .lags import steps_back

POINTS = 73  # of a circle


def factor_area(factors: np.ndarray, weight: float, back: int, scene: Scene) -> Area:
    """What each step back multiplies the gradient of one unit by (lag,), up to `back` steps in colour."""
    look, lag = scene.look, np.arange(1, len(factors) + 1)
    colours = [look.run if n <= back else faint(look.run, 0.25) for n in lag.tolist()]
    bars: Trace = {
        "type": "bar",
        "x": lag,
        "y": factors.astype(np.float32),
        "marker": {"color": colours},
        "text": plain_numbers(factors),
        "textposition": "none",
        "hovertemplate": "×%{text}<extra></extra>",
    }
    top = 1.05 * max(1.0, float(np.abs(factors).max()))
    one = {"type": "line", "x0": len(factors) + 0.5, "x1": 0.5, "y0": 1, "y1": 1, "line": _dotted(look)}
    axis = steps_back(len(factors), look)
    return Area(
        "One step", f"weight {weight:.2g} times slope", axis, {"range": [0, top]}, [bars], shapes=[one], height=250
    )


def ellipse_area(products: np.ndarray, back: int, scene: Scene) -> Area:
    """What `back` steps make of all gradients of length 1 at the last one: products (lag, 2, 2) of a net of two units.

    The circle is dotted, earlier ellipses are faint; the arrow is the gradient that was (1, 0).
    """
    look = scene.look
    turn = np.linspace(0, 2 * np.pi, POINTS)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    traces = [_ring(products[0] @ circle, look.muted, 1, "dot")]
    traces += [_ring(products[n] @ circle, faint(look.run, 0.35), 1, "solid") for n in range(1, back)]
    traces.append(_ring(products[back] @ circle, look.run, 2.6, "solid"))
    traces += _arrow(products[back][:, 0], look)
    reach = 1.12 * max(1.0, float(np.linalg.norm(products[: back + 1], 2, axis=(1, 2)).max()))
    x, y = ({"range": [-reach, reach], "title": quiet_title(f"unit {n}", look), "nticks": 5} for n in (1, 2))
    return Area("All gradients of length 1", f"after {back} steps back", x, y, traces, square=True, height=300)


def _ring(points: np.ndarray, colour: str, width: float, dash: str) -> Trace:
    style = {"color": colour, "width": width, "dash": dash}
    x, y = points.astype(np.float32)
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": style, "hoverinfo": "skip"}


def _arrow(tip: np.ndarray, look: Theme) -> list[Trace]:
    """From the origin to the tip, with a dot there."""
    x, y = np.stack([np.zeros(2), tip], axis=1).astype(np.float32)
    marker = {"size": [0, 8], "color": look.above}
    line = {"color": look.above, "width": 2}
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": y,
            "line": line,
            "marker": marker,
            "hoverinfo": "skip",
        }
    ]


def _dotted(look: Theme) -> dict[str, object]:
    return {"color": look.muted, "width": 1, "dash": "dot"}
