"""Where a decoder looks: attention weights over what was read, symbol by symbol."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..errors import InputError
from .colours import THEMES
from .overview import colour_bar
from .panels import base_layout, corner, heading, quiet_title, words
from .series import TIME_BINS, bins, largest_in, require

CELL, LEAST, MOST = 22, 160, 560  # px of a row, and of all
LETTERS = 60  # queries or keys beyond which not each is named
SIDE, TOP, BOTTOM = 58, 34, 46


def alignment(
    ds: xr.Dataset, theme: str = "light", sample: int = 0, keys: Sequence[str] = (), queries: Sequence[str] = ()
) -> go.Figure:
    """How much each query of attention (down) takes of each key (across), the mean over heads; a row sums to 1.

    ds: the node of an attention in a DataTree of `gradlab.analyze`. keys, queries: what stands at each; steps beyond
    theirs are left out, and numbers stand where none are given. Raises InputError for a Dataset without attention, an
    unknown theme, and a sample that is not there.
    """
    require(ds, "attention_weight")
    look, count = THEMES[theme], ds.sizes["attention_sample"]
    if not 0 <= sample < count:
        raise InputError(f"sample: expected 0 to {count - 1}, got {sample}", "sample")
    weights = ds.attention_weight.isel(attention_sample=sample).mean("head").transpose("query", "key").values
    weights = weights[: len(queries) or None, : len(keys) or None]
    rows, columns = (bins(n, TIME_BINS) for n in weights.shape)
    z = largest_in(largest_in(weights, columns, 1), rows, 0).astype(np.float32)
    title = heading("Attention", "each row: how much of every key is taken", look)
    layout = base_layout(look) | {
        "height": _height(len(rows)) + TOP + BOTTOM,
        "margin": {"l": SIDE, "r": SIDE, "t": TOP, "b": BOTTOM},
        "xaxis": _axis(keys, columns, weights.shape[1]) | {"title": quiet_title("key: what was read", look)},
        "yaxis": _axis(queries, rows, weights.shape[0], down=True)
        | {"title": quiet_title("query: what is said", look)},
        "annotations": [words(title, look.muted, **corner(4 - SIDE) | {"yshift": 6})],
    }
    trace = {
        "type": "heatmap",
        "z": z,
        "x": columns.astype(np.float32),
        "y": rows.astype(np.float32),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, look.page], [1, look.run]],
        "colorbar": colour_bar(theme) | {"tickvals": [0, 1], "ticktext": ["0", "1"]},
        "hovertemplate": "%{z:.2f}<extra></extra>",
    }
    return go.Figure({"data": [trace], "layout": layout})


def _height(rows: int) -> int:
    return min(max(CELL * rows, LEAST), MOST)


def _axis(names: Sequence[str], places: np.ndarray, count: int, down: bool = False) -> dict[str, Any]:
    """An axis of places, with what stands there where that is known and has room."""
    ends = [-0.5, count - 0.5]
    axis: dict[str, Any] = {"range": ends[::-1] if down else ends, "showgrid": False, "fixedrange": True}
    if names and count <= LETTERS:
        return axis | {"tickvals": places.tolist(), "ticktext": [escape(name, quote=False) for name in names]}
    return axis | {"tickformat": "d", "nticks": 8}
