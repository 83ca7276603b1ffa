"""Drawing areas next to each other, or below each other where there is no room, and where a guess stands in the first.

Unlike the panels of one run they share no axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from ..colours import THEMES, Theme
from ..marks import Trace, plot_text
from ..panels import BOTTOM, LETTER, LINE, RIGHT, End, base_layout, corner, end_text, heading, spread, words

GAP = 26  # px between areas below each other, beside their axes' titles
FIRST = 0.6  # of the width, where two stand next to each other
SECOND = 0.7  # where the second begins
HEAD = 2 * LINE + 5  # px, of a heading with one line of explanation


@dataclass(frozen=True)
class Scene:
    """For whom a figure is drawn: theme, whether there is little room, and the guess of the reader.

    at: the guess (x, y) as the first area's axes count. told: whether the answer is shown; before, the reader's own
    marker stands there.
    """

    theme: str = "light"
    narrow: bool = False
    told: bool = True
    at: tuple[float, float] = (0.0, 0.0)

    @property
    def look(self) -> Theme:
        """The theme's colours; InputError for an unknown one."""
        return THEMES[self.theme]


@dataclass
class Area:
    """One drawing area: its heading, what its marks mean, its axes (each with a `range`), its content, its height.

    letters: room for labels at its left, where `ends` are. square: one unit is as long on both axes.
    """

    title: str
    caption: str
    x: dict[str, Any]
    y: dict[str, Any]
    traces: list[Trace]
    ends: list[End] = field(default_factory=list)
    letters: int = 0
    height: int = 330
    square: bool = False
    shapes: list[dict[str, Any]] = field(default_factory=list)


def arrange(areas: Sequence[Area], scene: Scene) -> go.Figure:
    """The areas as one figure, the first with the reader's guess where the answer is told.

    Where there is little room, what stands beside the first waits for that.

    Raises InputError for an unknown theme.
    """
    areas = areas[:1] if scene.narrow and not scene.told else areas
    first, look = areas[0], scene.look
    side = len(areas) > 1 and not scene.narrow
    heights = [HEAD + area.height + BOTTOM for area in areas]
    height = max(heights) if side else sum(heights) + GAP * (len(areas) - 1)
    layout = base_layout(look) | {
        "height": height,
        "margin": {"l": 10 + round(LETTER * first.letters) + 28 * bool(first.letters), "r": RIGHT, "t": 0, "b": 0},
        "hovermode": "closest",
        "annotations": [],
        "shapes": [],
    }
    traces: list[Trace] = []
    for n, area in enumerate(areas):
        top = 0 if side else sum(heights[:n]) + GAP * n
        across = ([0.0, FIRST], [SECOND, 1.0])[n] if side else [0.0, 1.0]
        traces += _place(area, n + 1, (1 - (top + HEAD) / height, across), layout, look)
    return go.Figure({"data": [*traces, *_guess(scene)], "layout": layout})


def _place(
    area: Area, n: int, corner_at: tuple[float, list[float]], layout: dict[str, Any], look: Theme
) -> list[Trace]:
    """Put the area's axes and words into the layout; its traces, bound to them."""
    (top, across), key = corner_at, "" if n == 1 else str(n)
    bottom = top - area.height / layout["height"]
    square = {"scaleanchor": f"y{key}", "constrain": "domain"} if area.square else {}
    layout[f"xaxis{key}"] = {"domain": across, "anchor": f"y{key}", "fixedrange": True, **area.x, **square}
    fixed = {"side": "right", "fixedrange": True, "constrain": "domain"}
    layout[f"yaxis{key}"] = {"domain": [max(bottom, 0.0), top], "anchor": f"x{key}", **fixed, **area.y}
    shift = 4 - layout["margin"]["l"] if across[0] == 0 else 0
    text = f"{heading(area.title, '', look)}<br>{plot_text(area.caption)}"
    layout["annotations"] += [
        words(text, look.muted, **corner(shift, top, across[0])),
        *_labels(area, bottom, layout, look),
    ]
    layout["shapes"] += [shape | {"xref": f"x{key}", "yref": f"y{key}"} for shape in area.shapes]
    return [trace | {"xaxis": f"x{key}", "yaxis": f"y{key}"} for trace in area.traces]


def _labels(area: Area, bottom: float, layout: dict[str, Any], look: Theme) -> list[dict[str, Any]]:
    """The names of lines at the area's left edge, none above another."""
    low, high = area.y["range"]
    wanted = [area.height * (min(max(end.y, low), high) - low) / (high - low) for end in area.ends]
    pixels = spread(wanted, LINE - 1, LINE / 2, area.height - LINE / 2)
    place = {"xref": "paper", "x": 0, "xshift": -3, "xanchor": "right", "yref": "paper", "yanchor": "middle"}
    return [
        words(end_text(end), look.text, y=bottom + pixel / layout["height"], **place)
        for end, pixel in zip(area.ends, pixels, strict=True)
    ]


def _guess(scene: Scene) -> list[Trace]:
    """The reader's marker, once the answer stands beside it."""
    if not scene.told:
        return []
    marker = {
        "symbol": "diamond",
        "size": 13,
        "color": scene.look.card,
        "line": {"color": scene.look.text, "width": 2.5},
    }
    place = {"x": [scene.at[0]], "y": [scene.at[1]], "xaxis": "x", "yaxis": "y", "cliponaxis": False}
    return [
        {"type": "scatter", "mode": "markers", "name": "your guess", "marker": marker, "hoverinfo": "name", **place}
    ]


def guess_place(fig: go.Figure, x: float) -> dict[str, str]:
    """Where the guess's column stands over the figure, as CSS: the left edge, top and height of the first area."""
    layout = fig.layout
    start, stop = layout.xaxis.range
    share = layout.xaxis.domain[0] + (x - start) / (stop - start) * (layout.xaxis.domain[1] - layout.xaxis.domain[0])
    low, high = layout.yaxis.domain
    margin = layout.margin
    return {
        "left": f"calc({margin.l}px + (100% - {margin.l + margin.r}px) * {share:.5f})",
        "top": f"{(1 - high) * layout.height:.1f}px",
        "height": f"{(high - low) * layout.height:.1f}px",
    }
