"""Runs by configuration: what was computed is kept, and what a run will cost is known before it starts."""

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock

import xarray as xr

import gradlab
from gradlab.config import ConfigError, RunConfig
from gradlab.config.network import NetworkConfig
from gradlab.errors import InputError
from gradlab.runs.analyze import OWN_FIELDS
from gradlab.runs.build import build
from gradlab.runs.cost import memory, work
from gradlab.runs.processes import ADVICE, MEMORY, Done, result

from . import lanes

LIVE = 1.0  # seconds up to which a change is drawn without being asked for
PREVIEW = 1.5  # the same for a preview, which stands for a run that takes longer
PREVIEW_SAMPLES = 8  # the first ones of the run
FOLLOWS = 6.0  # seconds up to which the whole run follows its preview by itself
KEPT = 24  # runs
KEPT_BYTES = 500 * 1000**2

Key = tuple[RunConfig, int]  # a run and how many of its samples


@dataclass(eq=False)
class Flight:
    """A run under way, and who wants it."""

    future: Future[Done]
    owners: set[object]


class Runs:
    """The latest Datasets by RunConfig, and how this machine's speed compares with the prediction."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, xr.Dataset] = OrderedDict()
        self._flights: dict[Key, Flight] = {}
        self._lock = Lock()
        self._pace = 1.0

    def __contains__(self, config: RunConfig) -> bool:
        return (config, config.batch_size) in self._kept

    def get(self, config: RunConfig, owner: str | None = None) -> xr.Dataset:
        """The Dataset of a run, computed at most once while it is kept.

        owner: who wants one run at a time. A run ends, and raises Cancelled, where all its owners have asked for
        another one meanwhile. Raises InputError as `analyze` does.
        """
        return self._get((config, config.batch_size), owner)

    def preview(self, config: RunConfig, owner: str | None = None) -> xr.Dataset:
        """The same of the run's first samples alone."""
        return self._get((config, PREVIEW_SAMPLES), owner)

    def previewed(self, config: RunConfig) -> xr.Dataset | None:
        """The preview of a run if it is kept."""
        return self._kept.get((config, PREVIEW_SAMPLES))

    def give_up(self, owner: str, but: Key | None = None) -> None:
        """End what an owner has asked for, unless others want it too."""
        with self._lock:
            self._give_up(owner, but)

    def _get(self, key: Key, owner: str | None) -> xr.Dataset:
        with self._lock:
            if owner is not None:
                self._give_up(owner, key)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            flight = self._flights.get(key) or self._take_off(key)
            flight.owners.add(owner)
        try:
            return result(flight.future).value
        finally:
            self._land(key, flight)

    def _give_up(self, owner: str, but: Key | None) -> None:
        for key, flight in [*self._flights.items()]:
            if key != but and owner in flight.owners:
                flight.owners.remove(owner)
                if not flight.owners:
                    del self._flights[key]
                    flight.future.cancel()

    def _take_off(self, key: Key) -> Flight:
        lane = lanes.LIVE if self._pace * work(*key) <= PREVIEW else lanes.LONG
        flight = self._flights[key] = Flight(lane.submit(analyzed, *key), set())
        return flight

    def _land(self, key: Key, flight: Flight) -> None:
        """The first of those who waited keeps what came of it."""
        with self._lock:
            if self._flights.get(key) is not flight:
                return
            del self._flights[key]
            if not flight.future.cancelled() and flight.future.exception() is None:
                ds, seconds = flight.future.result()
                self._learn(seconds, work(*key))
                self._keep(key, ds)

    def seconds(self, *configs: RunConfig) -> float:
        """Predicted time for those runs that are not kept, each counted once."""
        return self._pace * sum(work(config) for config in {*configs} if config not in self)

    def preview_seconds(self, config: RunConfig) -> float:
        """Predicted time for a preview; 0 where it is kept."""
        return 0.0 if self.previewed(config) is not None else self._pace * work(config, PREVIEW_SAMPLES)

    def _learn(self, seconds: float, predicted: float) -> None:
        """Follow the machine: what takes a second counts for a third, what is shorter less, being more up to chance."""
        self._pace += (min(max(seconds / predicted, 0.1), 10.0) - self._pace) * min(predicted, 1.0) / 3

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
