"""What a run costs, as known before it starts: time and memory on an ordinary machine."""

from __future__ import annotations

import os

from ..cells import CELLS
from ..config import RunConfig
from ..config.network import NetworkConfig

_RUN_SECONDS = 0.01  # what a run costs however small it is
_STEP_SECONDS = 2e-5  # what one step costs however small the net is
_VALUE_SECONDS = 7e-8  # what each partial derivative of a state by a gate costs, and the state itself
_PRODUCT_SECONDS = 1e-10  # what that costs for each recurrent weight it is multiplied with
_CUBE_SECONDS = 6e-10  # what the weights' own singular values cost, for each hidden_size^3 of a gate
_ARRAYS = 8  # arrays of the size of all gates and states that a run holds at once


def work(config: RunConfig, samples: int | None = None) -> float:
    """Seconds that a run, or that many of its samples, takes on an ordinary machine: within a factor of 2."""
    gates, states, hidden = size(config)
    values = config.steps * (samples or config.batch_size) * (gates * states + 1) * hidden
    fixed = _RUN_SECONDS + config.steps * _STEP_SECONDS + gates * hidden**3 * _CUBE_SECONDS
    return fixed + values * (_VALUE_SECONDS + hidden * _PRODUCT_SECONDS)


def memory(config: NetworkConfig) -> float:
    """Bytes that a run, or a step of training, takes at its peak, about."""
    gates, states, hidden = size(config)
    bytes_each = 8 if config.dtype == "float64" else 4
    layers = getattr(config, "layers", 1)
    return _ARRAYS * bytes_each * config.steps * config.batch_size * (gates + states) * hidden * layers


def size(config: NetworkConfig) -> tuple[int, int, float]:
    """Number of gates, states and units; weights from a file count as an LSTM's, as large as the file tells."""
    weights = getattr(config, "weights", None)
    cell = CELLS["lstm" if weights else config.cell]
    hidden = (_bytes(weights) / 4 / len(cell.gates)) ** 0.5 if weights else float(config.hidden_size)
    return len(cell.gates), len(cell.states), hidden


def _bytes(path: str) -> int:
    """The size of a file, 0 where it is gone: the run itself will say so."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
