"""Figures of a network's layers: a cell as a single one, a block by its positions, a tree as a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..runs.rows import INPUTS, Row, dataset_of, node_of, row_of, rows
from ..wording import counted
from .colours import LN10, THEMES, Theme, series_style
from .gradient import gradient_panel
from .marks import band, line, plain_numbers, power_texts, zeros
from .overview import FACTOR, GRADIENT, UNITS, boxes_of, colour_bar, factor_panel, unit_panel
from .panels import End, Panel, Rule, heading, power_axis, quiet_title, span, stack
from .series import TIME_BINS, bins, first_known, largest_in, log, over_samples, short_note, zero_note
from .tree import tree_figure

ATTENTION = 150  # px of a map of who attends to whom
SMALL = 80


def network(
    found: xr.DataTree, path: str | None = None, theme: str = "light", pins: Sequence[xr.Dataset] = ()
) -> go.Figure:
    """The figure of one layer of a DataTree of `analyze`; by default of the one next to the loss.

    path: of its node, "" for what reaches the inputs. pins: as in `explore`, drawn where a cell is. Raises InputError
    for a path without a layer.
    """
    row = row_of(found, path)
    return FIGURES[row.kind](found, dataset_of(found, row.path), row, theme, pins)


def layer_strips(found: xr.DataTree, boxes: int = 50, theme: str = "light") -> list[dict[str, Any]]:
    """Every layer as a row of at most `boxes` boxes, the last one first: path, title, boxes as of `strip`."""
    words = "of the probe's gradient"
    return [
        {
            "path": row.path,
            "title": row.title,
            "boxes": boxes_of(row.logs, boxes, theme, words, row.prefix, row.numbers),
        }
        for row in rows(found)
    ]


def _cell(found: xr.DataTree, ds: xr.Dataset, row: Row, theme: str, pins: Sequence[xr.Dataset]) -> go.Figure:
    panels = [gradient_panel(ds, pins, theme, GRADIENT), *_read(found, row, theme)]
    panels += [factor_panel(ds, theme, FACTOR), unit_panel(ds, theme, "gradient", UNITS)]
    return stack(panels, theme, ds.sizes["step"], _reversed_time(ds, theme) if row.path.endswith("backward") else None)


def _reversed_time(ds: xr.Dataset, theme: str) -> dict[str, Any]:
    """The axis of a backward layer: its steps run from a sample's end to its start."""
    steps = ds.sizes["step"]
    title = quiet_title(f"step of the backward direction (step {steps} stands at input 1)", THEMES[theme])
    return {"range": [-0.5, steps + 0.5], "tickformat": "d", "nticks": 8, "title": title}


def _read(found: xr.DataTree, row: Row, theme: str) -> list[Panel]:
    """How much attention each step gets, where the layer next to the loss is read by some; of both its forward one."""
    forward = (one.path for one in rows(found) if not one.path.endswith("backward"))
    if "read" not in found.children or row.path != next(forward):
        return []
    weights = found["read"].attention_weight
    logs = log(weights.stack(any=("attention_sample", "head", "query")).transpose("key", "any").values)
    caption = f"of step t, median over {counted(weights.sizes['attention_sample'], 'sample')}"
    return [_positions_panel("Attention weight", {"weight": logs}, theme, caption)]


def _positions_panel(title: str, curves: dict[str, np.ndarray], theme: str, caption: str, height: int = SMALL) -> Panel:
    """Medians over samples of ln (place, sample) over the places 1, 2, ..., the first one thick with its band."""
    look, place = THEMES[theme], np.arange(1, len(next(iter(curves.values()))) + 1)
    spans = {name: [q / LN10 for q in over_samples(logs)] for name, logs in curves.items()}
    low, _, high = next(iter(spans.values()))
    y_range = span([low, high, *(s[1] for s in spans.values())], least=1, always=())
    traces = band(place, low, high, look.run, y_range[0])
    ends = []
    for n, (name, (_, y, _)) in enumerate(spans.items()):
        colour, dash = series_style(n, look)
        traces.append(line(place, y, name, colour, _powers, width=1.6 if n else 3, dash=dash))
        traces += zeros(place, y, name, colour, y_range[0])
        ends.append(End(first_known(y), name, colour, dash))
    return Panel(heading(title, caption, look), height, power_axis(*y_range), traces, ends, [Rule(0)])


def _powers(y: np.ndarray) -> list[str]:
    return power_texts(y * LN10)


def _inputs(found: xr.DataTree, ds: xr.Dataset, row: Row, theme: str, pins: Sequence[xr.Dataset]) -> go.Figure:
    logs = ds.log_input_grad_norm.transpose("input_time", "sample").values
    caption = "median over samples, band 10–90 %"
    panel = _positions_panel("Gradient at input t", {"inputs": logs}, theme, caption, GRADIENT)
    panel.notes = [*short_note(logs), *zero_note(logs)]
    return stack([panel], theme, len(logs))


# a block of a transformer

BRANCHES = {"attend": "attention", "feed": "feed-forward"}


def _block(found: xr.DataTree, ds: xr.Dataset, row: Row, theme: str, pins: Sequence[xr.Dataset]) -> go.Figure:
    node, look = node_of(found, row.path), THEMES[theme]
    curves = {"output": _placed(ds, "log_output_grad_norm")}
    for branch, name in BRANCHES.items():
        curves[name] = _placed(node.children[branch].dataset, "log_branch_grad_norm")
    caption = "what comes to the block's output, and back through each branch"
    panels = [_positions_panel("Gradient at position t", curves, theme, caption, GRADIENT)]
    panels[0].notes = [*short_note(curves["output"]), *zero_note(curves["output"])]
    panels += [_skip_panel(node, look), *_attention_panels(dataset_of(found, f"{row.path}/attend/attention"), theme)]
    steps = len(curves["output"])
    title = quiet_title(f"position t, as key of the map (loss at {steps})", look)
    return stack(panels, theme, steps, {"range": [0.5, steps + 0.5], "tickformat": "d", "nticks": 8, "title": title})


def _placed(ds: xr.Dataset, name: str) -> np.ndarray:
    return ds[name].transpose("position", "sample").values


def _skip_panel(node: xr.DataTree, look: Theme) -> Panel:
    """The share of the gradient that comes back past each branch."""
    found = {
        name: over_samples(_placed(node.children[branch].dataset, "skip_share"))[1] for branch, name in BRANCHES.items()
    }
    title = heading("Share past the branch", "over the skip connection; the rest comes through the branch", look)
    return _plain_panel(title, found, look, (0.0, 1.0))


def _plain_panel(title: str, curves: dict[str, np.ndarray], look: Theme, always: Sequence[float]) -> Panel:
    """Lines of plain numbers over the places 1, 2, ..."""
    y_range, traces, ends = span(list(curves.values()), least=0.1, always=always), [], []
    for n, (name, y) in enumerate(curves.items(), start=1):
        colour, dash = series_style(n, look)
        traces.append(line(np.arange(1, len(y) + 1), y, name, colour, plain_numbers, width=1.6, dash=dash))
        ends.append(End(first_known(y), name, colour, dash))
    return Panel(title, SMALL, {"range": list(y_range), "nticks": 4}, traces, ends)


def _attention_panels(ds: xr.Dataset, theme: str) -> list[Panel]:
    """Each head's entropy by query, and the map of who attends to whom."""
    look = THEMES[theme]
    entropy = ds.attention_entropy.transpose("query", "head", "sample").values
    heads = {f"head {h + 1}": over_samples(entropy[:, h])[1] for h in range(entropy.shape[1])}
    title = heading("Entropy of attention", "nats, by query; ln of the number of keys where all are alike", look)
    return [_plain_panel(title, heads, look, (0.0,)), attention_panel(ds, theme)]


def attention_panel(ds: xr.Dataset, theme: str) -> Panel:
    """Attention weights (query, key) of the first sample, mean over heads; each query's row sums to 1."""
    weights = ds.attention_weight.isel(attention_sample=0).mean("head").transpose("query", "key").values
    queries, keys = (bins(n, TIME_BINS) for n in weights.shape)
    z = largest_in(largest_in(weights, keys, 1), queries, 0)
    width = int(keys[1] - keys[0]) if len(keys) > 1 else 1
    look, most = THEMES[theme], float(z.max())
    trace = {
        "type": "heatmap",
        "z": z.astype(np.float32),
        "x0": 1 + (width - 1) / 2,
        "dx": width,
        "y": [f"query {q + 1}" for q in queries.tolist()],
        "zmin": 0,
        "zmax": most,
        "colorscale": [[0, look.page], [1, look.run]],
        "colorbar": colour_bar(theme) | {"tickvals": [0, most], "ticktext": ["0", f"{most:.2g}"]},
        "hovertemplate": "%{z:.3f}<extra>%{y}</extra>",
    }
    axis = {"type": "category", "range": [len(queries) - 0.5, -0.5], "showticklabels": False, "showgrid": False}
    title = heading(
        "Attention", "who (down: queries) attends to whom (across: keys); first sample, mean of heads", look
    )
    return Panel(title, ATTENTION, axis | {"fixedrange": True}, [trace])


def _tree(found: xr.DataTree, ds: xr.Dataset, row: Row, theme: str, pins: Sequence[xr.Dataset]) -> go.Figure:
    return tree_figure(ds, theme)


FIGURES: dict[str, Callable[..., go.Figure]] = {"cell": _cell, "block": _block, "tree": _tree, INPUTS: _inputs}
