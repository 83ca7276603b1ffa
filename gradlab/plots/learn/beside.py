"""What stands beside the share left: eigenvalues in the unit circle, the paths of a gated cell, the error wall."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...theory import error_wall
from ..colours import Theme, series_style
from ..marks import Trace, faint, swatch
from ..panels import quiet_title
from .areas import Area, Scene
from .lags import steps_back

WALL = {"w": (3.0, 7.0), "b": (-4.0, 2.2)}  # weight and bias that are drawn
GRID = 121
FLOOR = 1e-6  # of the error that is told apart


def spectrum_area(eigenvalues: np.ndarray, scene: Scene, reach: float = 1.35) -> Area:
    """Eigenvalues (H,), complex, and the unit circle."""
    look = scene.look
    marker = {"color": look.run, "size": 6, "opacity": 0.85}
    place = {"x": eigenvalues.real.astype(np.float32), "y": eigenvalues.imag.astype(np.float32)}
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "marker": marker,
        **place,
        "hovertemplate": "%{x:.2f}, %{y:.2f}<extra></extra>",
    }
    circle = {
        "type": "circle",
        "x0": -1,
        "x1": 1,
        "y0": -1,
        "y1": 1,
        "line": {"color": look.muted, "width": 1, "dash": "dot"},
    }
    x, y = (
        {"range": [-reach, reach], "nticks": 5, "title": quiet_title(text, look)}
        for text in ("real part", "imaginary part")
    )
    return Area(
        "Eigenvalues of W",
        "on the circle a step keeps the length",
        x,
        y,
        [points],
        square=True,
        shapes=[circle],
        height=300,
    )


def stream_area(shares: Mapping[str, np.ndarray], scene: Scene) -> Area:
    """Each path's share of what a step passes back (lag,), as streams of that width; negative ones count as nothing."""
    look, steps = scene.look, len(next(iter(shares.values())))
    lag, bottom, traces = np.arange(1, steps + 1), np.zeros(steps), []
    widths = {name: np.clip(share, 0, None) for name, share in shares.items()}
    whole = np.maximum(sum(widths.values()), 1e-12)
    for n, (name, width) in enumerate(widths.items()):
        top = bottom + 100 * width / whole
        traces.append(_stream(lag, bottom, top, name, series_style(n, look)[0]))
        bottom = top
    caption = "  ".join(f"{swatch(series_style(n, look)[0])} {name}" for n, name in enumerate(widths))
    ticks = [0, 25, 50, 75]  # 100 is where the words stand
    axis = {"range": [0, 100], "tickvals": ticks, "ticktext": [f"{tick} %" for tick in ticks]}
    return Area("Share of each path", caption, steps_back(steps, look), axis, traces, height=250)


def _stream(lag: np.ndarray, bottom: np.ndarray, top: np.ndarray, name: str, colour: str) -> Trace:
    x, y = np.concatenate([lag, lag[::-1]]), np.concatenate([top, bottom[::-1]])
    fill = {"fill": "toself", "fillcolor": faint(colour, 0.75), "line": {"width": 0}, "mode": "lines"}
    return {
        "type": "scatter",
        "x": x,
        "y": y.astype(np.float32),
        "name": name,
        "hoveron": "fills",
        "hoverinfo": "name",
        **fill,
    }


def wall_area(ways: Mapping[str, np.ndarray], scene: Scene) -> Area:
    """The error of one unit over its weight and bias, pale where it is small, and ways (points, 2) down from there."""
    look = scene.look
    w, b = (np.linspace(*ends, GRID) for ends in WALL.values())
    error = error_wall(*np.meshgrid(w, b)).error
    x = {"range": list(WALL["w"]), "title": quiet_title("weight w", look), "nticks": 5}
    y = {"range": list(WALL["b"]), "title": quiet_title("bias b", look), "nticks": 6}
    traces = [_ground(w, b, error, look)]
    traces += [_way(way, name, *series_style(n + 1, look)) for n, (name, way) in enumerate(ways.items())]
    caption = "  ".join(f"{swatch(*series_style(n + 1, look))} {name}" for n, name in enumerate(ways))
    return Area("Error of one unit after 50 steps", caption, x, y, traces, height=330)


def _ground(w: np.ndarray, b: np.ndarray, error: np.ndarray, look: Theme) -> Trace:
    return {
        "type": "heatmap",
        "x": w.astype(np.float32),
        "y": b.astype(np.float32),
        "z": np.sqrt(np.maximum(error, FLOOR)).astype(np.float32),
        "colorscale": [[0, look.card], [1, look.muted]],
        "showscale": False,
        "hovertemplate": "w %{x:.2f}, b %{y:.2f}<br>error %{z:.2g}²<extra></extra>",
    }


def _way(points: np.ndarray, name: str, colour: str, dash: str) -> Trace:
    x, y = points.T.astype(np.float32)
    marker = {
        "size": [9, *[4] * (len(x) - 2), 11],
        "color": colour,
        "symbol": ["circle", *["circle"] * (len(x) - 2), "x"],
    }
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": x,
        "y": y,
        "name": name,
        "marker": marker,
        "hoverinfo": "name",
        "line": {"color": colour, "width": 2, "dash": dash},
    }
