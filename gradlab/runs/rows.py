"""The layers of an analysed network as a person goes through them: from where the loss is down to the inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import InputError
from .verdicts import joint_log_norm, median

INPUTS = "inputs"  # in place of a path, what reaches the inputs of the whole


@dataclass(frozen=True)
class Row:
    """One layer with a gradient at every place.

    path: of its node, "" for the inputs of the whole. kind: "cell", "tree", "block" or "inputs". logs (place,): ln of
    the gradient's norm of what it gives, median over samples, in the order of the inputs; the probe's norm is 1.
    """

    path: str
    kind: str
    title: str
    logs: np.ndarray


def rows(found: xr.DataTree) -> list[Row]:
    """Every recurrent layer, tree and block of a DataTree of `analyze`, the one next to the loss first, then the inputs."""
    layers = [row for node in found.subtree if node is not found for row in _row(node)]
    logs = found.log_input_grad_norm.transpose("input_time", "sample").values
    return [*reversed(layers), Row("", INPUTS, "inputs", median(logs))]


def _row(node: xr.DataTree) -> Iterator[Row]:
    ds, path = node.dataset, node.path.strip("/")
    title = title_of(path)
    if "node_parent" in ds:
        yield Row(path, "tree", title, median(joint_log_norm(ds).transpose("node", "sample").values))
    elif "log_grad_norm" in ds:
        logs = joint_log_norm(ds).transpose("time", "sample").values[1:]
        yield Row(path, "cell", title, median(_flipped(ds, logs) if path.endswith("backward") else logs))
    elif "attend" in node.children:
        yield Row(path, "block", title, median(ds.log_output_grad_norm.transpose("position", "sample").values))


def _flipped(ds: xr.Dataset, logs: np.ndarray) -> np.ndarray:
    """A backward layer's own steps (step, sample) in the order of the inputs: its first one is a sample's last."""
    flipped = logs.copy()
    for sample, length in enumerate(ds.valid_steps.values.tolist()):
        flipped[:length, sample] = logs[:length, sample][::-1]
    return flipped


def dataset_of(found: xr.DataTree, path: str) -> xr.Dataset:
    """The Dataset of a layer. Raises InputError for one that is not there."""
    if path not in {row.path for row in rows(found)}:
        raise InputError(f"layer: there is none at '{path}'; there are {', '.join(row.path for row in rows(found))}")
    return found[path].to_dataset(inherit=False) if path else found.to_dataset()


def title_of(path: str) -> str:
    """The path of a node in words: "layer 2, backward"."""
    return ", ".join(re.sub(r"(?<=[a-z])(?=\d)", " ", part) for part in path.split("/"))
