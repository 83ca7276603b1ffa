"""Panels stacked on one time axis, their axes, headings and labels.

Gradients and factors are drawn as y = log10 on a linear axis, because a logarithmic one cannot hold 10^-6020. Layouts
are plain dicts, validated once when the figure is made.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from .colours import LN10, THEMES, Theme
from .marks import Trace, faint, number_text, plot_text, swatch

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
LINE = 15  # px, height of a line of text
LETTER = 6.2  # px, average width of a letter at 11 px
RIGHT = 58  # px, room for 10^-6020 and for the colour bar
BOTTOM = 40
GAP = 8
TIMES = {  # what is counted along the axis -> its title, the last one's number in braces
    "step": "step t (loss at {})",
    "position": "position t (loss at {})",
    "level": "level of the tree (root at {})",
}


@dataclass(frozen=True)
class End:
    """The label at a line's left end: where (y of its panel), its text, colour and dash."""

    y: float
    text: str
    colour: str
    dash: str = "solid"


@dataclass(frozen=True)
class Rule:
    """A dotted horizontal line and its words, on the left or right, above it or below."""

    y: float
    text: str = ""
    right: bool = False
    below: bool = False


@dataclass
class Panel:
    """One drawing area: its heading with further lines and an explanation on hover, its height in px, axis and content.

    `axis` must hold a `range`: labels and marks are placed by it.
    """

    heading: str
    height: int
    axis: dict[str, Any]
    traces: list[Trace]
    ends: list[End] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    about: str = ""

    @property
    def header(self) -> int:
        """Height of heading and notes in px."""
        return LINE * (1 + len(self.notes)) + 5


# axes


def span(curves: Iterable[np.ndarray], least: float, always: Sequence[float] = (0.0,)) -> tuple[float, float]:
    """The range that holds every finite value and `always`, at least `least` long, rounded outwards to quiet steps."""
    values = np.concatenate([np.asarray(always, dtype=float), *(c[np.isfinite(c)] for c in curves)])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    margin = max(0.08 * (high - low), 0.5 * (least - (high - low)))
    step = _nice((high - low + 2 * margin) / 20)
    return math.floor((low - margin) / step) * step, math.ceil((high + margin) / step) * step


def _nice(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most `length`."""
    tens = 10.0 ** math.floor(math.log10(length))
    return next(m * tens for m in (5, 2, 1) if m * tens <= length * (1 + 1e-9))


def power_axis(low: float, high: float) -> dict[str, Any]:
    """An axis of log10 values labelled 10^n; ticks follow a zoom."""
    return {
        "range": [low, high],
        "tickprefix": "10<sup>",
        "ticksuffix": "</sup>",
        "exponentformat": "none",
        "nticks": max(2, min(6, int(high - low) + 1)),
    }


def factor_axis(low: float, high: float) -> dict[str, Any]:
    """An axis of log10 values labelled with plain numbers (0.5, 1, 2), or powers of ten where they span too much."""
    digits = next((d for d in ((1, 2, 5), (1,)) if (high - low) * len(d) <= 6), None)
    if digits is None:
        return power_axis(low, high)
    numbers = [d * 10.0**e for e in range(math.floor(low), math.ceil(high)) for d in digits]
    ticks = [n for n in numbers if low <= math.log10(n) <= high]
    places = [math.log10(n) for n in ticks]
    texts = [plot_text(number_text(place * LN10)) for place in places]
    return {"range": [low, high], "tickvals": places, "ticktext": texts, "fixedrange": True}


# figures


def base_layout(theme: Theme) -> dict[str, Any]:
    """What all figures share: transparent, no legend, the theme's colours and fonts."""
    axis = {"gridcolor": theme.grid, "zeroline": False, "ticks": "", "tickfont": {"color": theme.muted, "size": 11}}
    along = {"showgrid": False, "ticks": "outside", "ticklen": 4, "tickcolor": theme.grid}
    template = {"layout": {"xaxis": axis | along, "yaxis": axis}}
    return {
        "template": template,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": theme.page,  # not transparent: plotly draws the crosshair's outline on this, or on white
        "font": {"family": FONT, "size": 12, "color": theme.text},
        "showlegend": False,
        "separators": ".",  # no commas in 10^-20000
        "hoverlabel": {
            "namelength": -1,
            "bgcolor": theme.card,
            "bordercolor": theme.grid,
            "font": {"color": theme.text, "size": 12, "family": FONT},
        },
    }


def stack(panels: Sequence[Panel], theme: str, steps: int, axis: dict[str, Any] | None = None) -> go.Figure:
    """Panels below each other on one axis, with one crosshair through all of them.

    The axis is time up to step `steps` unless `axis` says otherwise. One x axis and a y axis per panel: hover labels
    then appear in all panels at once.
    """
    look = THEMES[theme]
    left = _left_margin(panels)
    heights = [panel.header + panel.height for panel in panels]
    inner = sum(heights) + GAP * (len(panels) - 1)
    layout = base_layout(look) | {
        "height": inner + BOTTOM,
        "margin": {"l": left, "r": RIGHT, "t": 0, "b": BOTTOM},
        "xaxis": _along(axis or time_axis(look, steps), look, len(panels)),
        "hovermode": "x",
        "hoversubplots": "axis",
        "uirevision": f"{steps} steps",
        "annotations": [],
        "shapes": [],
    }
    traces: list[Trace] = []
    for n, panel in enumerate(panels):
        top = 1 - (sum(heights[:n]) + GAP * n + panel.header) / inner
        traces += _place(panel, n + 1, top, inner, layout, look)
    return go.Figure({"data": traces, "layout": layout})


def _along(axis: dict[str, Any], look: Theme, panels: int) -> dict[str, Any]:
    """The shared axis below the last panel, with a crosshair."""
    spike = {"showspikes": True, "spikemode": "across", "spikesnap": "data", "spikethickness": 1, "spikedash": "solid"}
    return axis | spike | {"spikecolor": look.muted, "anchor": "y" if panels == 1 else f"y{panels}"}


def time_axis(look: Theme, steps: int, unit: str = "step") -> dict[str, Any]:
    """Step 0 (the initial state) to the last, where the loss is; unit: what that is, a key of `TIMES`."""
    return {
        "range": [-0.5, steps + 0.5],
        "tickformat": "d",
        "dtick": 1 if steps < 8 else None,
        "nticks": 8,
        "title": quiet_title(TIMES[unit].format(steps), look),
    }


def _left_margin(panels: Sequence[Panel]) -> int:
    longest = max((len(end.text) for panel in panels for end in panel.ends), default=0)
    return round(38 + LETTER * longest) if longest else 10


def _place(panel: Panel, n: int, top: float, inner: int, layout: dict[str, Any], look: Theme) -> list[Trace]:
    """Put the panel's axis, words and rules into the layout; its traces, bound to that axis."""
    key = "" if n == 1 else str(n)
    bottom = top - panel.height / inner
    layout[f"yaxis{key}"] = {"domain": [max(bottom, 0.0), top], "anchor": "x", "side": "right", **panel.axis}
    layout["annotations"] += [
        _heading(panel, top, layout["margin"]["l"], look),
        *_end_labels(panel, bottom, inner, look),
    ]
    for rule in panel.rules:
        layout["shapes"].append(_rule_shape(rule, f"y{key}", look))
        layout["annotations"] += _rule_words(rule, panel, f"y{key}", look)
    bar = {"y": (bottom + top) / 2, "len": top - bottom}
    return [_bound(trace, f"y{key}", bar) for trace in panel.traces]


def _bound(trace: Trace, axis: str, bar: dict[str, float]) -> Trace:
    if "colorbar" in trace:
        trace = trace | {"colorbar": trace["colorbar"] | bar}
    return trace | {"xaxis": "x", "yaxis": axis}


def words(text: str, colour: str, **place: Any) -> dict[str, Any]:
    """An annotation without an arrow."""
    return {"text": text, "showarrow": False, "font": {"size": 11, "color": colour}, **place}


def quiet_title(text: str, look: Theme) -> dict[str, Any]:
    """The title of an axis."""
    return {"text": text, "font": {"size": 11, "color": look.muted}, "standoff": 4}


def corner(shift: float, y: float = 1.0, x: float = 0.0) -> dict[str, Any]:
    """The place of a heading: above the point (x, y) of the paper, `shift` px beside it."""
    place = {"xref": "paper", "x": x, "xshift": shift, "yref": "paper", "y": y}
    return place | {"xanchor": "left", "yanchor": "bottom", "align": "left"}


def _heading(panel: Panel, top: float, left: int, look: Theme) -> dict[str, Any]:
    text = "<br>".join([panel.heading, *panel.notes])
    return words(text, look.muted, hovertext=panel.about or None, **corner(4 - left, top))


def heading(title: str, caption: str, look: Theme) -> str:
    """A panel's title and, in a quieter colour, what its marks mean."""
    return f'<b style="color:{look.text}">{title}</b>  {caption}'


def _end_labels(panel: Panel, bottom: float, inner: int, look: Theme) -> list[dict[str, Any]]:
    low, high = panel.axis["range"]
    wanted = [panel.height * (min(max(end.y, low), high) - low) / (high - low) for end in panel.ends]
    place = {"xref": "paper", "x": 0, "xshift": -3, "xanchor": "right", "yref": "paper", "yanchor": "middle"}
    return [
        words(end_text(end), look.text, y=bottom + pixel / inner, **place)
        for end, pixel in zip(panel.ends, spread(wanted, LINE - 1, LINE / 2, panel.height - LINE / 2), strict=True)
    ]


def end_text(end: End) -> str:
    """The label with a piece of its line."""
    return f"{plot_text(end.text)} {swatch(end.colour, end.dash)}"


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least `gap` apart and inside [low, high], as near to the wanted ones as that allows (least squares).

    Isotonic regression of the positions less their ranks times the gap, by its min-max formula.
    """
    order = np.argsort(wanted, kind="stable")
    free = np.asarray(wanted, dtype=float)[order] - gap * np.arange(len(wanted))
    n = len(free)
    fitted = [max(min(free[j : k + 1].mean() for k in range(i, n)) for j in range(i + 1)) for i in range(n)]
    placed = np.clip(fitted, low, max(high - gap * (n - 1), low)) + gap * np.arange(n)
    return [float(placed[rank]) for rank in np.argsort(order)]


def _rule_shape(rule: Rule, axis: str, look: Theme) -> dict[str, Any]:
    style = {"color": look.muted, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": axis, "y0": rule.y, "y1": rule.y, "line": style}


def _rule_words(rule: Rule, panel: Panel, axis: str, look: Theme) -> list[dict[str, Any]]:
    low, high = panel.axis["range"]
    if not rule.text or not low < rule.y < high:
        return []
    place = {"x": 1, "xanchor": "right"} if rule.right else {"x": 0, "xanchor": "left"}
    place |= {"yanchor": "top" if rule.below else "bottom", "align": place["xanchor"]}
    return [
        words(
            plot_text(rule.text), look.muted, xref="paper", yref=axis, y=rule.y, bgcolor=faint(look.page, 0.7), **place
        )
    ]
