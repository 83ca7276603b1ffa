"""Weights of TF.js: a model.json with Keras's configuration and a manifest, and the shards that lie beside it.

Shards are one after the other the bytes of all arrays of a group, in the manifest's order.
Source: the format of tfjs.LayersModel.save.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import read_file
from ..errors import InputError
from .entries import Found
from .keras import keras_found

DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "bool": "?"}
MANIFEST = "weightsManifest"


def tfjs_model(data: bytes) -> Mapping[str, Any] | None:
    """The content of a model.json; None for anything else."""
    if data.lstrip()[:1] != b"{" or MANIFEST.encode() not in data:
        return None
    try:
        model = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return model if isinstance(model, Mapping) and MANIFEST in model else None


def read_tfjs(model: Mapping[str, Any], folder: Path | None) -> Found:
    """What the model holds. Raises InputError where a shard is missing, or the manifest does not fit the shards."""
    if model.get("format") == "graph-model":
        raise InputError("a graph model of TF.js, which has no layers; convert the Keras model as a layers model")
    try:
        arrays = {name: array for group in model[MANIFEST] for name, array in _arrays(group, folder)}
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"its weightsManifest is damaged ({error}); save the model again") from None
    topology = model.get("modelTopology") or {}
    config = topology.get("model_config", topology) if isinstance(topology, Mapping) else None
    return keras_found(arrays, config if isinstance(config, Mapping) and config else None, [*arrays])


def _arrays(group: Mapping[str, Any], folder: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    """Name and array, of a group of the manifest."""
    content, at = b"".join(_shards(group["paths"], folder)), 0
    for weight in group["weights"]:
        name, shape, quantised = str(weight["name"]), weight["shape"], weight.get("quantization")
        if quantised or weight["dtype"] not in DTYPES:
            raise InputError(f"{name}: {quantised or weight['dtype']}; convert the model without quantisation")
        dtype = np.dtype(DTYPES[weight["dtype"]])
        size = math.prod(shape) * dtype.itemsize
        if at + size > len(content):
            raise InputError(f"{', '.join(group['paths'])}: the shards end within {name}; download them again")
        yield name, np.frombuffer(content[at : at + size], dtype).reshape(shape)
        at += size


def _shards(paths: Sequence[str], folder: Path | None) -> Iterator[bytes]:
    """The content of each. Raises InputError for one that is not beside the model, by its name alone."""
    for path in paths:
        if folder is None:
            raise InputError(f"a model of TF.js, whose weights are in {', '.join(paths)}: name model.json by its path")
        if Path(path).name != path:
            raise InputError(f"its weights are in {path}; expected files in its own folder")
        yield read_file(folder / path)
