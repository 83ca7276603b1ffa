"""A tree drawn as a tree, its nodes in the colours of the gradient that comes to them; and the gradient by depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..errors import InputError
from ..runs.shares import joint_log_norm
from ..wording import power_text
from .colours import DECADES, LN10, THEMES, Theme, colour_scale
from .marks import Trace, band, line, plot_text, power_texts
from .overview import colour_bar
from .panels import RIGHT, base_layout, corner, heading, power_axis, quiet_title, span, words
from .series import over_samples, require

HEIGHT, DEPTHS, ROOM = 330, 150, 70  # px: the tree, the panel below it, and what is between
MOST_NODES = 2000  # that are drawn


def tree_figure(ds: xr.Dataset, theme: str = "light", sample: int = 0) -> go.Figure:
    """One tree with its nodes coloured by what comes to them, and below it the gradient by depth, of all trees.

    Raises InputError for a Dataset that is not of trees, and for a sample that is not there.
    """
    require(ds, "log_grad_norm", "node_depth", "node_parent")
    if not 0 <= sample < ds.sizes["sample"]:
        raise InputError(f"sample: expected 0 to {ds.sizes['sample'] - 1}, got {sample}", "sample")
    look, logs = THEMES[theme], joint_log_norm(ds).transpose("node", "sample").values
    traces = _drawn(ds.isel(sample=sample), logs[:, sample], theme)
    curves, y_range, deepest = _by_depth(ds, logs, look)
    return go.Figure({"data": traces + curves, "layout": _layout(look, y_range, deepest, sample)})


def _layout(look: Theme, y_range: tuple[float, float], deepest: int, sample: int) -> dict[str, Any]:
    height = HEIGHT + ROOM + DEPTHS
    below, above = DEPTHS / height, (DEPTHS + ROOM) / height
    tree = heading("Tree", f"sample {sample}: the root, where the loss is, on top; colour: gradient at the node", look)
    depth = heading("Gradient by depth", "median over nodes of all trees, band 10–90 %", look)
    hidden = {"visible": False, "fixedrange": True}
    return base_layout(look) | {
        "height": height + 70,
        "margin": {"l": 10, "r": RIGHT, "t": 30, "b": 40},
        "xaxis": hidden,
        "yaxis": hidden | {"domain": [above, 1.0]},
        "xaxis2": {
            "anchor": "y2",
            "range": [-0.1, deepest + 0.1],
            "tickformat": "d",
            "nticks": 8,
            "title": quiet_title("levels below the root", look),
        },
        "yaxis2": power_axis(*y_range) | {"domain": [0.0, below], "anchor": "x2", "side": "right"},
        "hovermode": "closest",
        "annotations": [
            words(tree, look.muted, **corner(0, 1.02)),
            words(depth, look.muted, **corner(0, below + 0.02)),
        ],
    }


def _drawn(ds: xr.Dataset, logs: np.ndarray, theme: str) -> list[Trace]:
    """The edges, and the nodes over them; of a large tree its upper part."""
    parents, depths = ds.node_parent.values, ds.node_depth.values
    own = np.flatnonzero(depths >= 0)
    kept = own[np.argsort(depths[own], kind="stable")][:MOST_NODES]
    x, y = _places(parents, depths), -depths.astype(float)
    below = kept[parents[kept] >= 0]
    gaps = np.full(below.size, np.nan)
    edges = {
        "type": "scatter",
        "mode": "lines",
        "x": np.stack([x[below], x[parents[below]], gaps], axis=1).ravel(),
        "y": np.stack([y[below], y[parents[below]], gaps], axis=1).ravel(),
        "line": {"width": 1, "color": THEMES[theme].muted},
        "hoverinfo": "skip",
    }
    return [edges, _nodes(x[kept], y[kept], logs[kept], kept, theme)]


def _nodes(x: np.ndarray, y: np.ndarray, logs: np.ndarray, names: np.ndarray, theme: str) -> Trace:
    texts = [plot_text(f"node {n}: {power_text(v)}") for n, v in zip(names.tolist(), logs.tolist(), strict=True)]
    floor = np.where(np.isneginf(logs), -2 * DECADES * LN10, logs)
    look = {"cmin": -DECADES, "cmax": DECADES, "colorscale": colour_scale(theme)}
    bar = colour_bar(theme) | {"y": 0.75, "len": 0.4}
    marker = look | {"color": floor / LN10, "size": 9 if len(x) <= 150 else 6, "colorbar": bar}
    marker["line"] = {"width": 1, "color": THEMES[theme].muted}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "marker": marker,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _places(parents: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Where each node stands from left to right: leaves side by side, and each other node amid its children."""
    x, children = np.full(len(parents), np.nan), [[] for _ in parents]  # type: ignore[var-annotated]
    for node in np.flatnonzero(parents >= 0).tolist():
        children[parents[node]].append(node)
    stack, order = np.flatnonzero(depths == 0).tolist(), []
    while stack:
        order.append(stack.pop())
        stack += children[order[-1]]
    leaves = [node for node in reversed(order) if not children[node]]
    x[leaves] = range(len(leaves))
    for node in reversed(order):
        if children[node]:
            x[node] = np.mean(x[children[node]])
    return x


def _by_depth(ds: xr.Dataset, logs: np.ndarray, look: Theme) -> tuple[list[Trace], tuple[float, float], int]:
    """The curve over the depth, the range of its axis, and the largest depth."""
    depths = ds.node_depth.transpose("node", "sample").values
    deepest = int(depths.max())
    spans = np.array([[q / LN10 for q in over_samples(logs[depths == d])] for d in range(deepest + 1)]).T
    y_range, x = span(list(spans), least=1), np.arange(deepest + 1.0)
    curve = line(x, spans[1], "median", look.run, lambda y: power_texts(y * LN10), width=3)
    traces = [*band(x, spans[0], spans[2], look.run, y_range[0]), curve]
    return [trace | {"xaxis": "x2", "yaxis": "y2"} for trace in traces], y_range, deepest
