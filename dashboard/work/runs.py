"""Runs by configuration: what was computed is kept, and what a run will cost is known before it starts."""

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
from gradlab.runs.analyze import OWN_FIELDS
from gradlab.runs.build import build

from .turns import Turns

LIVE = 1.0  # seconds up to which a change is drawn without being asked for
PREVIEW = 1.5  # the same for a preview, which stands for a run that takes longer
PREVIEW_SAMPLES = 8  # the first ones of the run
FOLLOWS = 6.0  # seconds up to which the whole run follows its preview by itself
FIRST = 8.0  # the same for what a link shows first, with all its pins
KEPT = 24  # runs
KEPT_BYTES = 500 * 1000**2
MEMORY = 6 * 1000**3  # bytes that a run in the app may take
_RUN_SECONDS = 0.01  # what a run costs however small it is
_STEP_SECONDS = 2e-5  # what one step costs however small the net is
_VALUE_SECONDS = 7e-8  # what each partial derivative of a state by a gate costs, and the state itself
_PRODUCT_SECONDS = 1e-10  # what that costs for each recurrent weight it is multiplied with
_CUBE_SECONDS = 6e-10  # what the weights' own singular values cost, for each hidden_size^3 of a gate
_ARRAYS = 8  # arrays of the size of all gates and states that a run holds at once


Key = tuple[RunConfig, int]  # a run and how many of its samples


class Runs:
    """The latest Datasets by RunConfig, and how this machine's speed compares with the prediction."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, xr.Dataset] = OrderedDict()
        self._lock, self._turns = Lock(), Turns()
        self._pace = 1.0

    def __contains__(self, config: RunConfig) -> bool:
        return (config, config.batch_size) in self._kept

    def get(self, config: RunConfig) -> xr.Dataset:
        """The Dataset of a run, computed at most once while it is kept. Raises InputError as `analyze` does."""
        return self._get((config, config.batch_size))

    def preview(self, config: RunConfig) -> xr.Dataset:
        """The same of the run's first samples alone."""
        return self._get((config, PREVIEW_SAMPLES))

    def previewed(self, config: RunConfig) -> xr.Dataset | None:
        """The preview of a run if it is kept."""
        return self._kept.get((config, PREVIEW_SAMPLES))

    def _get(self, key: Key) -> xr.Dataset:
        with self._turns.of(key):
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            return self._computed(key)

    def _computed(self, key: Key) -> xr.Dataset:
        start = time.perf_counter()
        ds = analyzed(*key)
        with self._lock:
            self._learn(time.perf_counter() - start, work(*key))
            self._keep(key, ds)
        return ds

    def seconds(self, *configs: RunConfig) -> float:
        """Predicted time for those runs that are not kept, each counted once."""
        return self._pace * sum(work(config) for config in {*configs} if config not in self)

    def preview_seconds(self, config: RunConfig) -> float:
        """Predicted time for a preview; 0 where it is kept."""
        return 0.0 if self.previewed(config) is not None else self._pace * work(config, PREVIEW_SAMPLES)

    def _learn(self, seconds: float, predicted: float) -> None:
        """Follow the machine: what takes a second counts for a third, what is shorter less, being more up to chance."""
        self._pace += (min(max(seconds / predicted, 0.05), 20.0) - self._pace) * min(predicted, 1.0) / 3

    def _keep(self, key: Key, ds: xr.Dataset) -> None:
        self._kept[key] = ds
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(ds.nbytes for ds in self._kept.values())


RUNS = Runs()


def analyzed(config: RunConfig, samples: int) -> xr.Dataset:
    """A run, or its first samples under the same weights: fewer drawn anew would be others. Raises InputError."""
    if samples == config.batch_size:
        return gradlab.analyze(config, record=["theory"])
    cell, params, x = build(config)
    fields = {name: getattr(config, name) for name in OWN_FIELDS}
    return gradlab.analyze(cell=cell, params=params, x=x[:, :samples], record=["theory"], **fields)


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


def require_memory(config: NetworkConfig) -> None:
    """InputError for a run that would take more memory than the app grants one."""
    if (needed := memory(config)) > MEMORY:
        raise InputError(
            f"this run would take about {needed / 1e9:.0f} GB, the app allows {MEMORY / 1e9:.0f} GB; take fewer steps, "
            "samples or units, or run it from Python, where nothing is limited"
        )
