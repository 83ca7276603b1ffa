"""What figures are drawn from: texts, lines with gaps, bands, marks of exact zeros; traces are plain dicts."""

import math
import re
from typing import Any

import numpy as np

from ..wording import digits_text, number_text, power_text
from .colours import LN10
from .series import decimate

Trace = dict[str, Any]

MARKED_ZEROS = 50
SWATCHES = {"solid": "━━", "dash": "╍╍", "dot": "┈┈"}


# text


def plot_text(text: str) -> str:
    """Text with powers such as 10^-19 set as superscripts."""
    return re.sub(r"10\^(-?)(\d+)", lambda m: f"10<sup>{'−' if m[1] else ''}{m[2]}</sup>", text)


def power_texts(logs: np.ndarray) -> list[str]:
    """One readable number for each natural logarithm; empty where there is none."""
    return ["" if math.isnan(v) else plot_text(power_text(v)) for v in logs.tolist()]


def power_numbers(y: np.ndarray) -> list[str]:
    """Factors and norms, given as powers of ten, for hover labels; empty where there is none."""
    return ["" if math.isnan(v) else plot_text(number_text(v * LN10)) for v in y.tolist()]


def plain_numbers(y: np.ndarray) -> list[str]:
    """Plain values for hover labels; empty where there is none."""
    return ["" if math.isnan(v) else digits_text(v) for v in y.tolist()]


# traces


def line(x: np.ndarray, y: np.ndarray, name: str, colour: str, texts: Any = None, **style: Any) -> Trace:
    """A line with gaps where y is not finite; `texts(y)` gives the hover texts, without it there is no hover label.

    `style` is plotly's of lines: width, dash. Single points between gaps get a marker, since no line shows them.
    """
    keep = decimate(y)
    x, y = x[keep], y[keep]
    finite = np.isfinite(y)
    drawn = {"color": colour, "width": 1.3, "dash": "solid", **style}
    trace: Trace = {"type": "scatter", "mode": "lines", "name": name, "line": drawn}
    trace |= {"x": _float32(x), "y": _float32(np.where(finite, y, np.nan))}
    alone = finite & ~beside(finite)
    if alone.any():
        sizes = _float32(max(5, 2 * drawn["width"]) * alone)
        trace |= {"mode": "lines+markers", "marker": {"color": colour, "size": sizes}}
    return trace | (_hover(texts(y), name, colour, drawn["dash"]) if texts else {"hoverinfo": "skip"})


def beside(chosen: np.ndarray) -> np.ndarray:
    """Which points have a chosen neighbour."""
    padded = np.concatenate([[False], chosen, [False]])
    return padded[:-2] | padded[2:]


def _hover(texts: list[str], name: str, colour: str, dash: str) -> Trace:
    """A hover label in one piece: plotly puts a name of its own on a ground that ignores the theme."""
    return {"text": texts, "hovertemplate": f"%{{text}}  {swatch(colour, dash)} {name}<extra></extra>"}


def swatch(colour: str, dash: str = "solid") -> str:
    """A short piece of a line, as text."""
    return f'<span style="color:{colour}">{SWATCHES.get(dash, "┅┅")}</span>'


def band(x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, bottom: float) -> list[Trace]:
    """The area between two lines; down to `bottom` where the lower one is exactly zero."""
    drawn = np.flatnonzero(np.isfinite(high))
    parts = np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1)
    edges = [_outline(x[p], np.maximum(low[p], bottom), high[p]) for p in parts if len(p) > 1]
    if not edges:
        return []
    points = np.concatenate(edges, axis=1)
    fill = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": faint(colour), "hoverinfo": "skip"}
    return [{"type": "scatter", "x": _float32(points[0]), "y": _float32(points[1]), **fill}]


def _outline(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """There along the upper edge, back along the lower one, and a gap: (2, points)."""
    up, down = decimate(high), decimate(low)[::-1]
    return np.array([[*x[up], *x[down], np.nan], [*high[up], *low[down], np.nan]])


def zeros(x: np.ndarray, y: np.ndarray, name: str, colour: str, bottom: float) -> list[Trace]:
    """Open markers on the panel's floor where y is -inf: exactly zero, which no power of ten can show."""
    where = np.flatnonzero(np.isneginf(y))
    if not where.size:
        return []
    where = where[np.unique(np.linspace(0, where.size - 1, MARKED_ZEROS).astype(int))]
    floor = np.full(
        where.size, np.nextafter(np.float32(bottom), np.float32(np.inf))
    )  # rounded down it would be outside
    marks = {"symbol": "circle-open", "size": 5, "color": colour}
    trace: Trace = {"type": "scatter", "x": _float32(x[where]), "y": floor, "mode": "markers", "name": name}
    return [
        trace | {"marker": marks, "cliponaxis": False} | _hover(["exactly zero"] * where.size, name, colour, "solid")
    ]


def faint(colour: str, opacity: float = 0.18) -> str:
    """A colour "#rrggbb" for filling an area."""
    return f"rgba({', '.join(str(part) for part in bytes.fromhex(colour[1:]))}, {opacity})"


def _float32(values: np.ndarray) -> np.ndarray:
    """In single precision, half the bytes for the browser; values beyond its range stay as they are."""
    fits = (
        np.abs(values, where=np.isfinite(values), out=np.zeros(len(values))).max(initial=0) < np.finfo(np.float32).max
    )
    return np.asarray(values, dtype=np.float32 if fits else np.float64)
