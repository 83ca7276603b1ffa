"""The Lyapunov spectrum: all exponents, and how the means of the leading ones settled."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from .colours import LN10, THEMES, Theme, series_style
from .marks import Trace, line, plain_numbers, power_numbers, swatch
from .panels import BOTTOM, LINE, base_layout, corner, heading, quiet_title, span, spread, words
from .series import require

HEIGHT = 240  # px of the drawing area
LEADING = 5  # exponents whose course is drawn
LEAST = 0.1  # the shortest exponent axis
LEFT, LABELS = 44, 62  # px, room for the numbers of the axis and for the labels of the courses
UNSETTLED = 0.1  # share of the steps after which the courses must be inside the figure


def lyapunov(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """Lyapunov exponents, largest first, with their standard errors.

    Exponents are natural logarithms of the factor per step. Raises InputError for a Dataset without them or an
    unknown theme.
    """
    require(ds, "lyapunov_exponent", "lyapunov_stderr")
    look = THEMES[theme]
    exponents, errors = ds.lyapunov_exponent.values, np.nan_to_num(ds.lyapunov_stderr.values)
    y_range = span([exponents - errors, exponents + errors], LEAST)
    layout = _layout("Lyapunov exponents", _error_caption(errors), "index, largest first", y_range, look)
    layout["margin"]["r"] = 12
    layout["xaxis"] |= {"range": [0.5 - 0.02 * len(exponents), 1.02 * len(exponents) + 0.5], "dtick": _tick(exponents)}
    return go.Figure({"data": [_spectrum(exponents, errors, y_range[0], look)], "layout": layout})


def lyapunov_course(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """The leading Lyapunov exponents as averages over ever more steps: what has settled is flat.

    Raises InputError for a Dataset without them or an unknown theme.
    """
    require(ds, "lyapunov_running")
    look, steps = THEMES[theme], ds.running_step.values
    running = ds.lyapunov_running.transpose("exponent", "running_step").values[:LEADING]
    y_range = span([running[:, steps >= UNSETTLED * steps[-1]]], LEAST)
    shown = "the leading one" if len(running) == 1 else f"the leading {len(running)}"
    layout = _layout("As the mean settles", f"{shown}; flat: settled", "steps averaged over", y_range, look)
    layout["annotations"] += _labels(running[:, -1], y_range, look)
    layout["xaxis"] |= {"range": [0, float(steps[-1])], "nticks": 6}
    traces = [
        line(steps, course, f"λ<sub>{n + 1}</sub>", colour, _numbers, width=2, dash=dash)
        for n, course in enumerate(running)
        for colour, dash in [series_style(n, look)]
    ]
    return go.Figure({"data": traces, "layout": layout})


def exponent_texts(exponents: np.ndarray, errors: np.ndarray) -> list[str]:
    """Each exponent with its standard error, where there is one, and the factor per step that it means."""
    numbers = [
        "−∞" if np.isneginf(v) else f"{v:.3f}" + (f" ± {e:.1g}" if e > 0 else "")
        for v, e in zip(exponents.tolist(), errors.tolist(), strict=True)
    ]
    return [
        f"{number}, ×{factor} per step" for number, factor in zip(numbers, power_numbers(exponents / LN10), strict=True)
    ]


def _numbers(exponents: np.ndarray) -> list[str]:
    return [text.replace("-inf", "−∞") for text in plain_numbers(exponents)]


def _error_caption(errors: np.ndarray) -> str:
    return "bars: one standard error" if errors.any() else "errors unknown"


def _tick(exponents: np.ndarray) -> int | None:
    return 1 if len(exponents) < 8 else None


def _spectrum(exponents: np.ndarray, errors: np.ndarray, floor: float, look: Theme) -> Trace:
    """A dot with an error bar for each exponent, coloured against 0; one of -inf has an open dot on the floor."""
    lost, index = np.isneginf(exponents), np.arange(1, len(exponents) + 1)
    marker = {
        "size": 6,
        "symbol": ["circle-open" if zero else "circle" for zero in lost.tolist()],
        "color": [look.above if v > 0 else look.below for v in exponents.tolist()],
    }
    bars = {"type": "data", "array": errors.astype(np.float32), "width": 0, "thickness": 1, "color": look.muted}
    numbered = zip(index.tolist(), exponent_texts(exponents, errors), strict=True)
    texts = [f"λ<sub>{n}</sub> = {text}" for n, text in numbered]
    place = {"x": index.astype(np.float32), "y": np.where(lost, floor, exponents).astype(np.float32)}
    dots: Trace = {"type": "scatter", "mode": "markers", "name": "exponents", "hoverinfo": "text", "text": texts}
    return dots | place | {"marker": marker, "error_y": bars, "cliponaxis": False}


def _labels(last: np.ndarray, y_range: tuple[float, float], look: Theme) -> list[dict[str, Any]]:
    """The names of the courses, where they end."""
    low, high = y_range
    wanted = [HEIGHT * (min(max(value, low), high) - low) / (high - low) for value in last.tolist()]
    places = spread(wanted, LINE - 1, LINE / 2, HEIGHT - LINE / 2)
    place = {"xref": "paper", "x": 1, "xshift": 3, "xanchor": "left", "yref": "paper", "yanchor": "middle"}
    return [
        words(
            f"{swatch(*series_style(n, look))} λ<sub>{n + 1}</sub>{' −∞' if lost else ''}",
            look.text,
            y=pixel / HEIGHT,
            **place,
        )
        for n, (pixel, lost) in enumerate(zip(places, np.isneginf(last), strict=True))
    ]


def _layout(title: str, caption: str, along: str, y_range: tuple[float, float], look: Theme) -> dict[str, Any]:
    """One drawing area with a dotted line at 0."""
    zero = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0}
    return base_layout(look) | {
        "height": HEIGHT + LINE + 14 + BOTTOM,
        "margin": {"l": LEFT, "r": LABELS, "t": LINE + 14, "b": BOTTOM},
        "xaxis": {"title": quiet_title(along, look), "tickformat": "d"},
        "yaxis": {"range": y_range, "nticks": 6},
        "shapes": [zero | {"line": {"color": look.muted, "width": 1, "dash": "dot"}}],
        "annotations": [words(heading(title, caption, look), look.muted, **corner(4 - LEFT) | {"yshift": 6})],
    }
