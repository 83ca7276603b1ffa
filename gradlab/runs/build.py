"""What a RunConfig describes: the cell, its parameters and its input."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from ..arrays import Array, Namespace, device_namespace, placed, quiet
from ..cells import Cell, make_cell
from ..config import RunConfig, controls
from ..config.architecture import embeds, is_single
from ..config.network import NetworkConfig, generated
from ..data import input_chunks
from ..errors import InputError
from ..importers import load_layer


def build(config: RunConfig) -> tuple[Cell, dict[str, Array], Array]:
    """The cell, its parameters and its input (T, B, D) that a RunConfig describes, on its device and in its dtype.

    Raises InputError for a network that is more than one cell.
    """
    cell, params, chunks = stream(config, config.steps)
    return cell, params, next(chunks)


def stream(config: RunConfig, chunk: int) -> tuple[Cell, dict[str, Array], Iterator[Array]]:
    """The same with the input `chunk` steps at a time; noise is drawn as it is wanted."""
    require_single(config)
    xp = device_namespace(config.device)
    if config.weights is None:
        x, chunks = _input(config, chunk, config.input_size)
        cell = cell_of(config, x.shape[-1])
        params = cell.init(config.seed, **draw_options(config, config.steps))
    else:
        read = load_layer(config.weights, config.prefix, config.layer, chosen_activation(config))
        read.warn(of_order=False)
        cell, params = read.cell, read.params
        x, chunks = _input(config, config.steps if read.reverse else chunk, cell.input_size)
        require_width(config, x, cell.input_size)
        x = x[::-1] if read.reverse else x
    params = placed(params, np.dtype(config.dtype), config.device)
    return cell, params, (moved(part, config.dtype, xp) for part in chain([x], chunks))


def require_width(config: RunConfig, x: np.ndarray, wanted: int) -> None:
    """Raise InputError unless an input has as many features as own weights take."""
    if x.shape[-1] != wanted:
        text = f"the weights expect {wanted} input features, '{config.input}' has {x.shape[-1]}"
        raise InputError(f"{text}; choose another input or a column", "input")


def require_single(config: RunConfig) -> None:
    """Raise InputError, about the field that says so, for a network that is more than one cell."""
    if is_single(config):
        return
    if config.weights is not None:
        raise InputError("this is computed for a single cell; choose a layer of the weights, such as 0", "layer")
    names = ("architecture", "layers", "bidirectional", "layer_norm", "attention", "tokens")
    name = next(name for name in names if name in config.changes())
    raise InputError("this is computed for a single cell; take one layer and nothing beside it", name)


def whole_input(config: RunConfig, size: int | None = None) -> np.ndarray:
    """The input (T, B, D) of a network that is more than one cell; size: D where the input is generated."""
    return _input(config, config.steps, size or config.input_size)[0]


def moved(part: np.ndarray, dtype: str, xp: Namespace) -> Array:
    """Input on a device; what is beyond the range of the dtype becomes infinite, which the engine refuses."""
    with quiet():
        return xp.asarray(part, dtype=dtype)


def chosen_activation(config: RunConfig) -> str | None:
    """The activation that was asked for; None where it is only the default, as weights may be of another."""
    return config.activation if "activation" in config.model_fields_set else None


def own_weights(config: RunConfig) -> Cell | None:
    """The cell of the file that a configuration takes its weights from; None where they are drawn."""
    if config.weights is None:
        return None
    return load_layer(config.weights, config.prefix, config.layer, chosen_activation(config)).cell


def input_width(config: RunConfig) -> int:
    """Number of features of the input that a configuration describes, or of the vectors of its words."""
    own = generated(config) or embeds(config)
    return config.input_size if own else int(_input(config, config.steps, 1)[0].shape[-1])


def _input(config: RunConfig, chunk: int, input_size: int) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The first chunk of the input, and the others."""
    fields = {name: getattr(config, name) for name in ("steps", "batch_size", "column", "frames", "seed")}
    chunks = input_chunks(config.input, chunk=chunk, input_size=input_size, **fields)
    return next(chunks), chunks


def cell_of(config: NetworkConfig, input_size: int) -> Cell:
    """The cell that a configuration describes, for so many input features."""
    own = {"leak": config.leak} if controls(type(config))["leak"].applies_if(config) else {}
    return make_cell(
        config.cell, input_size=input_size, hidden_size=config.hidden_size, activation=config.activation, **own
    )


def draw_options(config: NetworkConfig, length: int) -> dict[str, Any]:
    """How that cell's weights are drawn, as keywords of its `init`; length: of the longest sequence it will see."""
    known = controls(type(config))
    names = ("recurrent_init", "gain", "bias_scale", "input_scale", "forget_bias")
    fields = {name: getattr(config, name) for name in names if known[name].applies_if(config)}
    return fields | ({"t_max": max(length, 3)} if "forget_bias" in fields else {})
