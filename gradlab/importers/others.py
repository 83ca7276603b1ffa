"""Files of weights that are no .safetensors: which kind one is, by its content, and what it holds."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from .entries import Found
from .flax import flax_found, is_msgpack, read_msgpack
from .hdf5 import HDF5, START, read_hdf5
from .keras import keras_found
from .onnx import is_onnx, read_onnx
from .tfjs import read_tfjs, tfjs_model

ZIP = b"PK\x03\x04"
WEIGHTS, CONFIG = "model.weights.h5", "config.json"  # within a .keras


def read_other(name: str, data: bytes, folder: Path | None) -> Found | None:
    """What a file holds, None where it is none of these. Raises InputError for one that is damaged.

    folder: where it lies, as some name others beside them.
    """
    if data.startswith(START):
        return _h5(read_hdf5(data))
    if is_onnx(data):
        return read_onnx(data)
    if is_msgpack(data):
        return flax_found(read_msgpack(data))
    if (topology := tfjs_model(data)) is not None:
        return read_tfjs(topology, folder)
    if data.startswith(ZIP) and (members := _members(data)) and WEIGHTS in members:
        return _keras(members)
    return None


def _members(data: bytes) -> dict[str, bytes]:
    """Those of a .keras, by name; nothing of another archive, or of one that is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name in (WEIGHTS, CONFIG)}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, OSError, EOFError):
        return {}


def _keras(members: Mapping[str, bytes]) -> Found:
    return keras_found(read_hdf5(members[WEIGHTS]).arrays, _json(members.get(CONFIG)))


def _h5(file: HDF5) -> Found:
    """A .weights.h5, or a legacy .h5, which says of what model it is."""
    root = file.attributes[""]
    names = file.attributes.get("model_weights", root).get("layer_names", ())
    return keras_found(file.arrays, _json(root.get("model_config")), list(names))


def _json(text: Any) -> Mapping[str, Any] | None:
    """A model's configuration; None where there is none."""
    if not isinstance(text, str | bytes):
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("the configuration in it is no JSON; the file is damaged, save it again") from None
    return config if isinstance(config, Mapping) else None
