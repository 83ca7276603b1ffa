"""What a RunConfig describes: the cell, its parameters and its input."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from ..arrays import Array, device_namespace
from ..cells import Cell, make_cell
from ..config import RunConfig, controls
from ..data import input_chunks
from ..errors import InputError
from ..importers import load_weights


def build(config: RunConfig) -> tuple[Cell, dict[str, Array], Array]:
    """The cell, its parameters and its input (T, B, D) that a RunConfig describes, on its device and in its dtype."""
    cell, params, chunks = stream(config, config.steps)
    return cell, params, next(chunks)


def stream(config: RunConfig, chunk: int) -> tuple[Cell, dict[str, Array], Iterator[Array]]:
    """The same with the input `chunk` steps at a time; noise is drawn as it is wanted."""
    xp = device_namespace(config.device)
    if config.weights is None:
        x, chunks = _input(config, chunk, config.input_size)
        own: dict[str, Any] = {"leak": config.leak} if controls()["leak"].applies_if(config) else {}
        own |= {"input_size": x.shape[-1], "hidden_size": config.hidden_size, "activation": config.activation}
        cell = make_cell(config.cell, **own)
        params = initial_parameters(cell, config)
    else:
        cell, params = load_weights(config.weights, activation=config.activation)
        x, chunks = _input(config, chunk, cell.input_size)
        if x.shape[-1] != cell.input_size:
            raise InputError(
                f"the weights expect {cell.input_size} input features, '{config.input}' has {x.shape[-1]}; "
                "choose another input or a column"
            )
    params = {name: xp.asarray(p, dtype=config.dtype) for name, p in params.items()}
    return cell, params, (xp.asarray(part, dtype=config.dtype) for part in chain([x], chunks))


def _input(config: RunConfig, chunk: int, input_size: int) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The first chunk of the input, and the others."""
    fields = {name: getattr(config, name) for name in ("steps", "batch_size", "column", "seed")}
    chunks = input_chunks(config.input, chunk=chunk, input_size=input_size, **fields)
    return next(chunks), chunks


def initial_parameters(cell: Cell, config: RunConfig) -> dict[str, Array]:
    """The weights that a RunConfig draws for a cell; a forget bias goes to cells that have a forget gate."""
    return cell.init(
        config.seed,
        recurrent_init=config.recurrent_init,
        gain=config.gain,
        bias_scale=config.bias_scale,
        input_scale=config.input_scale,
        forget_bias=config.forget_bias if cell.forget_gate else 0.0,
        t_max=max(config.steps, 3),
    )
