"""The layers of an analysed network as a person goes through them: from where the loss is down to the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import xarray as xr

from ..quantities.inputs import from_last
from ..registry import unknown
from ..wording import layer_title
from .shares import joint_log_norm, median

INPUTS = "inputs"  # in place of a path, what reaches the inputs of the whole


@dataclass(frozen=True)
class Row:
    """One layer with a gradient at every place.

    path: of its node, "" for the inputs of the whole. kind: "cell", "tree", "block" or "inputs". logs (place,): ln of
    the gradient's norm of what it gives, median over samples, in the order of the inputs; the probe's norm is 1.
    lags (place,): the same by how far a place stands from each sample's own last one, or a level from the root.
    levels: whether places are levels of trees, the lowest one first.
    """

    path: str
    kind: str
    title: str
    logs: np.ndarray
    lags: np.ndarray
    levels: bool = False

    @property
    def prefix(self) -> str:
        """What comes before the number of a place."""
        return "level " if self.levels else "x"

    @property
    def numbers(self) -> range:
        """The numbers of the places; a level's is counted from the root, 0."""
        return range(len(self.logs) - 1, -1, -1) if self.levels else range(1, len(self.logs) + 1)


def rows(found: xr.DataTree) -> list[Row]:
    """Every recurrent layer, tree and block of a DataTree of `analyze`, the last one first, then the inputs."""
    layers = [row for node in found.subtree if node is not found for row in _row(node)]
    logs = found.log_input_grad_norm.transpose("input_time", "sample").values
    depths = [node.node_depth.transpose("node", "sample").values for node in found.subtree if "node_depth" in node]
    lags = by_depth(logs, depths[0]) if depths else _input_lags(found, logs)
    inputs = lags[::-1] if depths else median(logs)
    whole = groupby(
        reversed(layers), lambda row: row.path.partition("/")[0]
    )  # of both directions the forward one first
    ordered = [row for _, parts in whole for row in reversed([*parts])]
    return [*ordered, Row("", INPUTS, "inputs", inputs, lags, bool(depths))]


def rows_by_lag(found: xr.DataTree) -> list[Row]:
    """Those rows that have as many places as the inputs, so that their lags are those of the inputs, which are last."""
    *layers, inputs = rows(found)
    return [*(row for row in layers if (row.levels, len(row.lags)) == (inputs.levels, len(inputs.lags))), inputs]


def _input_lags(found: xr.DataTree, logs: np.ndarray) -> np.ndarray:
    """Median of what reaches the inputs (place, sample), by lag as `log_input_share` has them."""
    share = found.log_input_share
    of = 0.0 if share.attrs["relative_to"] == "probe" else from_last(logs, ~np.isnan(logs))[0]
    return median(share.transpose("lag", "sample").values + of)


def by_depth(logs: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Median of ln (node, sample) over all nodes of a depth: (depth,), the root first."""
    return np.array([median(logs[depths == d]) for d in range(int(depths.max()) + 1)])


def _row(node: xr.DataTree) -> Iterator[Row]:
    ds, path = node.dataset, node.path.strip("/")
    title = layer_title(path)
    if "node_parent" in ds:
        logs, depths = (a.transpose("node", "sample").values for a in (joint_log_norm(ds), ds.node_depth))
        lags = by_depth(logs, depths)
        yield Row(path, "tree", title, lags[::-1], lags, levels=True)
    elif "log_grad_norm" in ds:
        logs = joint_log_norm(ds).transpose("time", "sample").values[1:]
        logs = _flipped(ds, logs) if path.endswith("backward") else logs
        own = np.arange(len(logs))[:, None] < ds.valid_steps.values
        yield Row(path, "cell", title, median(logs), median(from_last(logs, own)))
    elif "attend" in node.children:
        logs = ds.log_output_grad_norm.transpose("position", "sample").values
        yield Row(path, "block", title, median(logs), median(from_last(logs, ~np.isnan(logs))))


def _flipped(ds: xr.Dataset, logs: np.ndarray) -> np.ndarray:
    """A backward layer's own steps (step, sample) in the order of the inputs: its first one is a sample's last."""
    flipped = logs.copy()
    for sample, length in enumerate(ds.valid_steps.values.tolist()):
        flipped[:length, sample] = logs[:length, sample][::-1]
    return flipped


def row_of(found: xr.DataTree, path: str | None = None) -> Row:
    """The layer of a path, by default the one next to the loss. Raises InputError for one that is not there."""
    layers = {row.path: row for row in rows(found)}
    path = next(iter(layers)) if path is None else path
    if path not in layers:
        raise unknown("layer", path, [*layers], "path")
    return layers[path]


def node_of(found: xr.DataTree, path: str) -> xr.DataTree:
    """A node by its path. Raises InputError for one that is not there."""
    nodes = {node.path.strip("/"): node for node in found.subtree}
    if path not in nodes:
        raise unknown("layer", path, [row.path for row in rows(found)], "path")
    return nodes[path]


def dataset_of(found: xr.DataTree, path: str) -> xr.Dataset:
    """What was recorded of a layer, without what it has from the whole. Raises InputError where it is not there."""
    return node_of(found, path).to_dataset(inherit=False)
