"""The phase map of mean-field theory: what is left of the gradient, over two of the three standard deviations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..errors import InputError
from .colours import DECADES, LN10, THEMES, Theme, colour_scale
from .marks import Trace, swatch
from .overview import colour_bar
from .panels import BOTTOM, LINE, base_layout, corner, heading, quiet_title, words

Axis = tuple[str, Sequence[float] | np.ndarray]

STEPS = 100  # steps back after which the colour tells what is left
LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)  # of chi_1, besides 1
HEIGHT = 500  # px of the map itself
LEFT, RIGHT = 50, 70  # px
COLOURS = {"light": ("pale", "red"), "dark": ("dark", "yellow")}  # theme -> of what is lost, and of what explodes
NAMES = {
    "sigma_w": "gain σ<sub>w</sub> (recurrent weights)",
    "sigma_b": "bias scale σ<sub>b</sub>",
    "sigma_v": "input scale σ<sub>v</sub>",
}


def phase_diagram(
    fields: Mapping[str, np.ndarray],
    x: Axis,
    y: Axis,
    point: tuple[float, float] | None = None,
    theme: str = "light",
    height: int = HEIGHT,
) -> go.Figure:
    """What theory says is left of the gradient after 100 steps, with lines of equal chi_1 and a chosen point.

    fields: of `gradlab.theory.phase_map`, at least chi and log_rate, (len(y), len(x)) each. x, y: name and values.
    height: of the map in px. Raises InputError for fields that lack these or have another shape, or an unknown theme.
    """
    look = THEMES[theme]
    traces = phase_traces(fields, x, y, theme)
    layout = _layout((x, y), _captions(_is_critical(np.asarray(fields["chi"])), theme), height, look)
    if point is not None:
        traces.append(_mark(point, look))
        layout["shapes"] = _crosshair(point, look)
    return go.Figure({"data": traces, "layout": layout})


def phase_traces(fields: Mapping[str, np.ndarray], x: Axis, y: Axis, theme: str) -> list[Trace]:
    """The map alone: colours, lines of equal chi_1, the critical one last. Arguments and errors of `phase_diagram`."""
    look = THEMES[theme]
    chi, log_rate = _fields(fields, (len(y[1]), len(x[1])))
    places = {"x": np.asarray(x[1], np.float32), "y": np.asarray(y[1], np.float32)}
    traces = [_colours(log_rate, chi, (x[0], y[0]), theme) | places]
    traces += [_contour(chi, level, look) | places for level in LEVELS if chi.min() < level < chi.max()]
    return traces + ([_contour(chi, 1.0, look) | places] if _is_critical(chi) else [])


def _is_critical(chi: np.ndarray) -> bool:
    """Whether the critical line runs through the map."""
    return bool(chi.min() < 1 < chi.max())


def _fields(fields: Mapping[str, np.ndarray], shape: tuple[int, int]) -> list[np.ndarray]:
    for name in ("chi", "log_rate"):
        if name not in fields:
            raise InputError(f"a phase map needs chi and log_rate, got {', '.join(fields)}; use theory.phase_map(...)")
        if np.shape(fields[name]) != shape:
            raise InputError(
                f"{name}: expected the shape (len(y), len(x)) = {shape}, got {np.shape(fields[name])}", name
            )
    return [np.asarray(fields[name], float) for name in ("chi", "log_rate")]


def _colours(log_rate: np.ndarray, chi: np.ndarray, names: tuple[str, str], theme: str) -> Trace:
    """The fixed colour scale of all figures, smooth between the points; the hover label tells rate, chi_1 and depth."""
    tens = np.clip(STEPS * log_rate / LN10, -DECADES, DECADES)
    with np.errstate(divide="ignore"):
        numbers = np.stack([np.exp(log_rate), chi, 1 / np.abs(log_rate)], axis=-1)
    across, up = (NAMES[name].partition(" (")[0] for name in names)
    hover = (
        f"{across} %{{x:.2f}}, {up} %{{y:.2f}}<br><b>×%{{customdata[0]:.3g}}</b> per step back"
        "<br>χ<sub>1</sub> %{customdata[1]:.3g}<br>a factor e in %{customdata[2]:.3g} steps<extra></extra>"
    )
    return {
        "type": "heatmap",
        "z": tens.astype(np.float32),
        "customdata": numbers.astype(np.float32),
        "zmin": -DECADES,
        "zmax": DECADES,
        "zsmooth": "best",
        "colorscale": colour_scale(theme),
        "colorbar": colour_bar(theme) | {"y": 0.5, "len": 1},
        "hovertemplate": hover,
    }


def _contour(chi: np.ndarray, level: float, look: Theme) -> Trace:
    """The line of one chi_1, named on the line; the critical one is thick."""
    colour = look.page if level > 1 else look.text
    critical = level == 1
    return {
        "type": "contour",
        "z": chi.astype(np.float32),
        "contours": {
            "start": level,
            "end": level,
            "size": 1,
            "coloring": "none",
            "showlabels": not critical,
            "labelfont": {"size": 10, "color": colour},
        },
        "line": {"color": colour, "width": 3 if critical else 1, "smoothing": 0.6},
        "showscale": False,
        "hoverinfo": "skip",
    }


def _mark(point: tuple[float, float], look: Theme) -> Trace:
    ring = {"color": look.card, "size": 11, "line": {"color": look.text, "width": 3}}
    place = {"x": [point[0]], "y": [point[1]]}
    return {"type": "scatter", "mode": "markers", "marker": ring, "hoverinfo": "skip", "cliponaxis": False, **place}


def _crosshair(point: tuple[float, float], look: Theme) -> list[dict[str, Any]]:
    style = {"type": "line", "line": {"color": look.text, "width": 1, "dash": "dot"}}
    across = {"xref": "paper", "x0": 0, "x1": 1, "y0": point[1], "y1": point[1]}
    along = {"yref": "paper", "y0": 0, "y1": 1, "x0": point[0], "x1": point[0]}
    return [style | across, style | along]


def _captions(critical: bool, theme: str) -> list[str]:
    lost, burnt = COLOURS[theme]
    lines = "thin lines: equal χ<sub>1</sub>"
    if critical:
        lines = f"{swatch(THEMES[theme].text)} critical line, χ<sub>1</sub> = 1; {lines}"
    return [lines, f"{lost}: ordered, the gradient vanishes; {burnt}: chaotic, it explodes"]


def _layout(axes: tuple[Axis, Axis], captions: list[str], height: int, look: Theme) -> dict[str, Any]:
    title = heading(f"What theory leaves of the gradient after {STEPS} steps", "", look)
    top = LINE * (1 + len(captions)) + 16
    places = {
        key: {"range": [min(values), max(values)], "showgrid": False, "title": quiet_title(NAMES[name], look)}
        for key, (name, values) in zip(("xaxis", "yaxis"), axes, strict=True)
    }
    return base_layout(look) | {
        "height": height + top + BOTTOM,
        "margin": {"l": LEFT, "r": RIGHT, "t": top, "b": BOTTOM},
        "hovermode": "closest",
        "annotations": [words("<br>".join([title, *captions]), look.muted, **corner(-LEFT + 4), yshift=8)],
        **places,
    }
