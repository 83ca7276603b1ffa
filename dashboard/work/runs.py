"""Runs by configuration: what was computed is kept, and what a run will cost is known before it starts."""

from typing import Any

import xarray as xr

import gradlab
from gradlab.config import ConfigError, RunConfig
from gradlab.config.architecture import is_single
from gradlab.config.network import NetworkConfig
from gradlab.errors import InputError
from gradlab.runs.analyze import OWN_FIELDS
from gradlab.runs.architectures import network_of
from gradlab.runs.build import build
from gradlab.runs.cost import memory, work
from gradlab.runs.networks import analyze_network
from gradlab.runs.processes import ADVICE, MEMORY, Processes

from . import lanes
from .results import Results

LIVE = 1.0  # seconds up to which a change is drawn without being asked for
PREVIEW = 1.5  # the same for a preview, which stands for a run that takes longer
PREVIEW_SAMPLES = 8  # the first ones of the run
CROWDED = 1.0  # seconds of others' runs ahead of a run from which on it is previewed, too
FOLLOWS = 6.0  # seconds up to which the whole run follows its preview by itself

Key = tuple[RunConfig, int]  # a run and how many of its samples


class Runs:
    """The latest Datasets by RunConfig, and how this machine's speed compares with the prediction."""

    def __init__(self) -> None:
        self.results: Results[Key, xr.Dataset | xr.DataTree] = Results(self._learn)
        self._pace = 1.0

    def __contains__(self, config: RunConfig) -> bool:
        return (config, config.batch_size) in self.results

    def get(self, config: RunConfig, owner: str | None = None) -> Any:
        """The Dataset of a run, or a network's DataTree. Raises as `Results.get` does, InputError as `analyze` does."""
        return self._get((config, config.batch_size), owner)

    def preview(self, config: RunConfig, owner: str | None = None) -> Any:
        """The same of the run's first samples alone."""
        return self._get((config, PREVIEW_SAMPLES), owner)

    def previewed(self, config: RunConfig) -> Any:
        """The preview of a run if it is kept."""
        return self.results.peek((config, PREVIEW_SAMPLES))

    def _get(self, key: Key, owner: str | None) -> Any:
        return self.results.get(key, owner, lambda: self._lane(key).submit(analyzed, *key))

    def _lane(self, key: Key) -> Processes:
        return lanes.LIVE if self._pace * work(*key) <= PREVIEW else lanes.LONG

    def is_crowded(self) -> bool:
        """Whether a new run has to wait for so many others that a hand notices."""
        ahead = [key for key in self.results.under_way() if self._lane(key) is lanes.LIVE]
        return self._pace * sum(work(*key) for key in ahead) > CROWDED

    def seconds(self, *configs: RunConfig) -> float:
        """Predicted time for those runs that are not kept, each counted once."""
        return self._pace * sum(work(config) for config in {*configs} if config not in self)

    def preview_seconds(self, config: RunConfig) -> float:
        """Predicted time for a preview; 0 where it is kept."""
        return 0.0 if self.previewed(config) is not None else self._pace * work(config, PREVIEW_SAMPLES)

    def _learn(self, key: Key, seconds: float) -> None:
        """Follow the machine: what takes a second counts for a third, what is shorter less, being more up to chance."""
        predicted = work(*key)
        self._pace += (min(max(seconds / predicted, 0.1), 10.0) - self._pace) * min(predicted, 1.0) / 3


RUNS = Runs()


def analyzed(config: RunConfig, samples: int) -> xr.Dataset | xr.DataTree:
    """A run, or its first samples under the same weights: fewer drawn anew would be others. Raises InputError."""
    single = is_single(config)
    record = ["theory"] if single else []
    if samples == config.batch_size:
        return gradlab.analyze(config, record=record)
    if not single:
        return analyze_network(network_of(config, samples))
    cell, params, x = build(config)
    fields = {name: getattr(config, name) for name in OWN_FIELDS}
    return gradlab.analyze(cell=cell, params=params, x=x[:, :samples], record=record, **fields)


def require_drawable(config: RunConfig) -> None:
    """InputError for a run beyond what the app accepts."""
    if beyond := config.beyond_limits():
        raise ConfigError(beyond)
    require_memory(config)


def require_memory(config: NetworkConfig) -> None:
    """InputError for a run that would take more memory than the app grants one."""
    if (needed := memory(config)) > MEMORY:
        raise InputError(
            f"this run would take about {needed / 1e9:.0f} GB, the app allows {MEMORY / 1e9:.0f} GB; {ADVICE}"
        )
