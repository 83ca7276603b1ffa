"""Networks that gradlab trained, from the checkpoint of a training run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cells import CELLS, Cell, make_cell
from ..errors import InputError

TRAINING = "gradlab.training"  # the entry of a file's metadata that makes it a training run
_RECURRENT = re.compile(r"params\.(.+)\.W_hh")

Params = dict[str, np.ndarray]


def training_config(data: bytes) -> Mapping[str, Any] | None:
    """The configuration in the metadata of a safetensors file; None where it is no training run."""
    length = int.from_bytes(data[:8], "little")
    try:
        entry = json.loads(data[8 : 8 + length])["__metadata__"][TRAINING]
    except (ValueError, KeyError, TypeError):
        return None
    return json.loads(entry)["config"]


def trained_layer(arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], layer: int | str) -> tuple[Cell, Params]:
    """Cell and parameters of a recurrent layer, counted from 0. Raises InputError where there is no such layer."""
    prefixes = [match[1] for name in arrays if (match := _RECURRENT.fullmatch(name))]
    if str(layer) not in map(str, range(len(prefixes))):
        raise InputError(f"no recurrent layer {layer} in the training run; there are: {_numbers(len(prefixes))}")
    start = f"params.{sorted(prefixes, key=_by_position)[int(layer)]}."
    params = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
    own = {name: config[name] for name in CELLS[config["cell"]].__dataclass_fields__ if name in config}
    sizes = {"input_size": params["W_xh"].shape[-1], "hidden_size": params["W_hh"].shape[-2]}
    return make_cell(config["cell"], **own | sizes), params


def trained_choice(arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> str:
    """Which layer is taken, and how many there are."""
    cell, _ = trained_layer(arrays, config, 0)
    count = sum(_RECURRENT.fullmatch(name) is not None for name in arrays)
    return f"{cell!r} from layer 0 of a training run" + (f"; it also holds {_numbers(count, 1)}" if count > 1 else "")


def _numbers(count: int, start: int = 0) -> str:
    return ", ".join(f"layer {n}" for n in range(start, count))


def _by_position(prefix: str) -> int:
    return int(prefix.partition(".")[0])
