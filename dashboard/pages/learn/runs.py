"""What chapters about the share left have in common: their runs, and what can be read off them."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from gradlab.config import RunConfig
from gradlab.plots.colours import LN10
from gradlab.plots.learn import Curve
from gradlab.runs.shares import share_left

from ...work.runs import RUNS
from .chapter import share_text

TABLE = (0, 1, 5, 10, 20, 50)  # steps back that a table has


def run(config: RunConfig) -> xr.Dataset:
    """The Dataset of a run, kept for the next time."""
    return RUNS.get(config)


def left(config: RunConfig) -> np.ndarray:
    """ln of the share left (lag,), lag 0 first."""
    return np.asarray(share_left(run(config)).values[::-1])


def curves(runs: Mapping[str, RunConfig], bold: str) -> list[Curve]:
    """One for each run, under its name."""
    return [Curve(name, left(config), name == bold) for name, config in runs.items()]


def bold(found: Sequence[Curve]) -> Curve:
    """The one that the chapter asks about."""
    return next(curve for curve in found if curve.bold)


def tens(curve: Curve, lag: int) -> float:
    """log10 of what is left so many steps back."""
    return float(curve.logs[lag] / LN10)


def rows(found: Sequence[Curve], lags: Sequence[int] = TABLE) -> list[dict[str, str]]:
    """The curves as a table: a row for some of the steps back."""
    return [
        {"steps back": str(lag)} | {c.name: share_text(c.logs[lag]) for c in found if lag < len(c.logs)} for lag in lags
    ]
