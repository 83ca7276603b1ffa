"""Runs by configuration: what was computed is kept, and what a run will cost is known before it starts."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from threading import Lock

import xarray as xr

import gradlab
from gradlab.cells import CELLS
from gradlab.config import RunConfig
from gradlab.config.network import NetworkConfig
from gradlab.errors import InputError

from .turns import Turns

LIVE = 1.0  # seconds up to which a change is drawn without being asked for
FIRST = 8.0  # the same for what a link shows first, with all its pins
KEPT = 24  # runs
KEPT_BYTES = 500 * 1000**2
MEMORY = 6 * 1000**3  # bytes that a run in the app may take
_STEP_SECONDS = 20e-6  # what one step costs however small the net is
_VALUE_SECONDS = 3e-7  # what one gate value costs besides its products with the recurrent weights
_PRODUCT_SECONDS = 5e-10  # what each of those costs
_ARRAYS = 8  # arrays of the size of all gates and states that a run holds at once


class Runs:
    """The latest Datasets by RunConfig, and how this machine's speed compares with the prediction."""

    def __init__(self) -> None:
        self._kept: OrderedDict[RunConfig, xr.Dataset] = OrderedDict()
        self._lock, self._turns = Lock(), Turns()
        self._pace = 1.0

    def __contains__(self, config: RunConfig) -> bool:
        return config in self._kept

    def get(self, config: RunConfig) -> xr.Dataset:
        """The Dataset of a run, computed at most once while it is kept. Raises InputError as `analyze` does."""
        with self._turns.of(config):
            with self._lock:
                if config in self._kept:
                    self._kept.move_to_end(config)
                    return self._kept[config]
            return self._computed(config)

    def _computed(self, config: RunConfig) -> xr.Dataset:
        start = time.perf_counter()
        ds = gradlab.analyze(config, record=["theory"])
        with self._lock:
            self._learn(time.perf_counter() - start, work(config))
            self._keep(config, ds)
        return ds

    def seconds(self, *configs: RunConfig) -> float:
        """Predicted time for those runs that are not kept."""
        return self._pace * sum(work(config) for config in configs if config not in self)

    def _learn(self, seconds: float, predicted: float) -> None:
        """Follow the machine: what was measured counts for a third."""
        self._pace += (min(max(seconds / predicted, 0.05), 20.0) - self._pace) / 3

    def _keep(self, config: RunConfig, ds: xr.Dataset) -> None:
        self._kept[config] = ds
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(ds.nbytes for ds in self._kept.values())


RUNS = Runs()


def work(config: RunConfig) -> float:
    """Seconds that a run takes on an ordinary machine."""
    gates, _, hidden = size(config)
    values = config.steps * config.batch_size * gates * hidden
    return config.steps * _STEP_SECONDS + values * (_VALUE_SECONDS + hidden * _PRODUCT_SECONDS)


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


def require_memory(config: NetworkConfig) -> None:
    """InputError for a run that would take more memory than the app grants one."""
    if (needed := memory(config)) > MEMORY:
        raise InputError(
            f"this run would take about {needed / 1e9:.0f} GB, the app allows {MEMORY / 1e9:.0f} GB; take fewer steps, "
            "samples or units, or run it from Python, where nothing is limited"
        )
