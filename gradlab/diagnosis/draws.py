"""A change in this draw of weights and input and in others: what is measured in each, and in how many it is carried."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from ..config import RunConfig
from ..runs.attributes import overflow
from ..runs.cost import work
from ..runs.verdicts import Verdict, groups, verdict
from .changes import FRESH, HOLDS, Change, most_carried

TUNING = 4  # draws besides the run's own that a prediction is corrected by
SECONDS = 1.5  # of runs, for each correction: fewer draws of what takes longer, but one
Rerun = Callable[[Change], xr.Dataset]


@dataclass(frozen=True)
class Runs:
    """Verdicts on one change, the first of this draw, and others of other draws where weights are drawn."""

    verdicts: list[Verdict]

    @property
    def log_rate(self) -> float:
        """ln of the factor per step, median over draws; a run that left nothing to measure counts as infinite."""
        return float(np.median(self._log_rates))

    @property
    def spread(self) -> float:
        """Standard deviation of that rate over draws; 0 for one draw."""
        finite = self._log_rates[np.isfinite(self._log_rates)]
        return float(finite.std(ddof=1)) if finite.size > 1 else 0.0

    @property
    def carried(self) -> bool:
        """Whether the gradient is carried in most draws."""
        return 2 * sum(map(most_carried, self.verdicts)) > len(self.verdicts)

    @property
    def _log_rates(self) -> np.ndarray:
        return np.array([_log_rate(found) for found in self.verdicts])


@dataclass(frozen=True)
class Draws:
    """Where changes are run: `rerun` in this draw, and with other seeds in its configuration's field where there are.

    samples: those that a change is for. seeds: of the other draws that predictions are corrected by; fresh: of those
    that a remedy is verified on; none where weights are given. on_try: called before each run.
    """

    rerun: Rerun
    samples: np.ndarray
    seeds: range
    fresh: range
    on_try: Callable[[Change], object]

    @classmethod
    def of(cls, ds: xr.Dataset, config: RunConfig | None, rerun: Rerun, on_try: Callable[[Change], object]) -> Draws:
        """For a diagnosed Dataset; config: of its run, None where it is not known and weights are as they are."""
        if config is None or config.weights is not None:
            return cls(rerun, affected(ds), range(0), range(0), on_try)
        first, others = config.seed + 1, min(TUNING, max(1, int(SECONDS / work(config))))
        last = config.seed + 1 + TUNING
        return cls(rerun, affected(ds), range(first, first + others), range(last, last + FRESH), on_try)

    def own(self, change: Change) -> Verdict:
        """The verdict on a change in this draw."""
        self.on_try(change)
        return judged(self.rerun(change), self.samples)

    def tuning(self, change: Change) -> Runs:
        """Verdicts on a change in this draw and in those that predictions are corrected by."""
        return Runs([self.own(change), *(self.own(_drawn(change, seed)) for seed in self.seeds)])

    def held(self, change: Change) -> tuple[int, int]:
        """In how many fresh draws it is carried, and how many were made: no more once too many have failed."""
        held = 0
        for made, seed in enumerate(self.fresh, 1):
            held += most_carried(self.own(_drawn(change, seed)))
            if made - held > FRESH - HOLDS:
                return held, made
        return held, len(self.fresh)


def affected(ds: xr.Dataset) -> np.ndarray:
    """The samples of a run that a remedy is for: those of the verdict, and those whose forward pass overflowed."""
    alike = next(iter(groups(ds).values()), np.empty(0, int))
    return np.union1d(ds.sample.values[alike], np.array([place["sample"] for place in overflow(ds)], int))


def judged(ds: xr.Dataset, samples: np.ndarray) -> Verdict:
    """The verdict on some samples of a changed run, which is an overflow where the forward pass of one overflows."""
    own = ds.isel(sample=samples[samples < ds.sizes["sample"]])
    places = [place for place in overflow(ds) if place["sample"] in samples]
    found = verdict(own.assign_attrs(overflow=places))
    return replace(found, word="overflow") if places else found


def _drawn(change: Change, seed: int) -> Change:
    return replace(change, fields=change.fields | {"seed": seed})


def _log_rate(found: Verdict) -> float:
    if found.steps < 2:
        return math.inf
    return -math.inf if found.fitted_log_rate is None else found.fitted_log_rate
