"""Layers in gradlab's own parameters: from the checkpoint of a training run, or saved one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..arrays import require_shape, to_numpy
from ..cells import CELLS, Cell, make_cell
from ..errors import InputError, about
from .tensors import finite_array

TRAINING = "gradlab.training"  # the entry of a file's metadata that makes it a training run
LAYER = "gradlab.layer"  # or a layer of its own
_SOURCES = {TRAINING: "from layer {} of a training run", LAYER: "as gradlab saved it"}
_RECURRENT = re.compile(r"params\.(.+)\.W_hh")
_SIZES = ("input_size", "hidden_size")  # fields of a cell that its arrays tell

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class Saved:
    """What a file that gradlab wrote says of its layers. entry: TRAINING or LAYER. cell: its name. fields: its own."""

    entry: str
    cell: str
    fields: Mapping[str, Any]


def save_layer(cell: Cell, params: Mapping[str, Any]) -> bytes:
    """The content of a .safetensors file with a layer of any cell, which `load_weights` reads back as it is."""
    from safetensors.numpy import save

    own = {name: getattr(cell, name) for name in _own_fields(type(cell))}
    config = own | {"cell": cell.name, "activation": cell.activation.name}
    arrays = {f"params.0.{name}": np.asarray(to_numpy(array), order="C") for name, array in params.items()}
    return save(arrays, {LAYER: json.dumps({"config": config})})


def saved_by_gradlab(data: bytes) -> Saved | None:
    """What the metadata of a safetensors file say; None where another program wrote it.

    Raises InputError where they are damaged.
    """
    length = int.from_bytes(data[:8], "little")
    try:
        meta = json.loads(data[8 : 8 + length])["__metadata__"]
        entry, text = next((entry, meta[entry]) for entry in _SOURCES if entry in meta)
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None
    try:
        config = json.loads(text)["config"]
        own = {name: config[name] for name in _own_fields(CELLS[config["cell"]]) if name in config}
        return Saved(entry, config["cell"], own | {"activation": config["activation"]})
    except InputError as error:
        raise _damaged(str(error)) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(f"no {error}" if isinstance(error, KeyError) else str(error)) from None


def _own_fields(cell: type[Cell]) -> list[str]:
    """Names of the fields that a cell's arrays do not tell."""
    return [field.name for field in fields(cell) if field.name not in _SIZES]


def _damaged(why: str) -> InputError:
    return InputError(f"its metadata do not say which cell it holds ({why}); the file is damaged, save it again")


def saved_layer(
    arrays: Mapping[str, np.ndarray], saved: Saved, prefix: str | None = None, layer: int | str = 0
) -> tuple[Cell, Params]:
    """Cell and parameters of a recurrent layer, counted from 0. Raises InputError where there is no such layer."""
    if prefix is not None:
        text = f"'{prefix}' was asked for, but gradlab's own weights have none; choose by layer"
        raise InputError(f"prefix: {text}", "prefix")
    prefixes = [match[1] for name in arrays if (match := _RECURRENT.fullmatch(name))]
    if str(layer) not in map(str, range(len(prefixes))):
        there = _numbers(len(prefixes)) or "none"
        raise InputError(f"no recurrent layer {layer} in the weights; there are: {there}", "layer")
    start = f"params.{sorted(prefixes, key=_by_position)[int(layer)]}."
    params = {
        name.removeprefix(start): finite_array(name, array) for name, array in arrays.items() if name.startswith(start)
    }
    return _fitting_cell(params, saved, start), params


def _fitting_cell(params: Params, saved: Saved, start: str) -> Cell:
    """The cell of as many inputs and units as the parameters have. Raises InputError where they do not fit it."""
    for name in ("W_xh", "W_hh"):
        if name not in params:
            raise InputError(f"it lacks {start}{name}; the file is damaged, save it again")
        require_shape(f"{start}{name}", params[name], ("gates", "H", "any"))
    sizes = {"input_size": params["W_xh"].shape[-1], "hidden_size": params["W_hh"].shape[-2]}
    with about("weights"):  # which say themselves what their cell is like
        cell = make_cell(saved.cell, **{**saved.fields, **sizes})
    cell.require(params)
    return cell


def saved_choice(arrays: Mapping[str, np.ndarray], saved: Saved, layer: int | str = 0) -> str:
    """Which layer is taken, and which others there are."""
    cell, _ = saved_layer(arrays, saved, layer=layer)
    count = sum(_RECURRENT.fullmatch(name) is not None for name in arrays)
    others = [f"layer {n}" for n in range(count) if n != int(layer)]
    return f"{cell!r} {_SOURCES[saved.entry].format(layer)}" + (
        f"; it also holds {', '.join(others)}" if others else ""
    )


def _numbers(count: int) -> str:
    return ", ".join(f"layer {n}" for n in range(count))


def _by_position(prefix: str) -> int:
    """Of a layer in its network."""
    number = prefix.partition(".")[0]
    if not number.isdecimal():
        raise InputError(f"params.{prefix}: expected the number of a layer; the file is damaged, save it again")
    return int(number)
