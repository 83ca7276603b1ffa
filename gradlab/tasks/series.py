"""Forecasting: the next value of a series, generated or read from a file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..data import PERIODS, near_one, raw_series, sine
from ..errors import InputError
from ..lazy import lazy
from .base import Batch, Task, register
from .nulls import OTHER_NULLS, forecast_losses, lags, starts
from .windows import Windows

PERSISTENCE = "persistence: the last value again"
MACKEY_GLASS_VALUES = 6000
DELAY, DECAY, SAMPLING, TRANSIENT = 17, 0.1, 6, 100  # of Mackey-Glass; the transient in samples
SINES, SINES_SEED = 4000, 0  # that the nulls are fitted to


@dataclass(frozen=True)
class Forecast(Windows):
    """Windows of one long series (N, D): at every step the next value is asked for.

    The last fifth is held out; values are scaled by what comes before it.
    """

    loss = "mse"
    metric = "mean squared error"
    baseline_text = PERSISTENCE
    other_nulls = OTHER_NULLS
    whole, unit, share_held_out = "series", "value", 0.2
    unread = 0  # levels before the first that is read

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sequence[: self.cut].any():
            raise InputError("every value before the held-out end is the same, so there is nothing to learn", "input")
        if self.baseline == 0:
            raise InputError(
                f"in the held-out end, the last {len(self.parts[1]):,} values, nothing changes, so nothing can be told "
                "from it; leave out the flat end, or choose another column",
                "input",
            )

    @lazy
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The scaled series to learn from, and the held-out one."""
        scaled = self._scaled(self.sequence[: self.cut])
        return scaled[: self.cut], scaled[self.cut :]

    def _scaled(self, known: np.ndarray) -> np.ndarray:
        """The series in units of what is known of it."""
        spread = known.std(axis=0)
        return (self.sequence - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0)

    @property
    def input_size(self) -> int:
        """D."""
        return int(self.sequence.shape[1])

    @property
    def output_size(self) -> int:
        """D."""
        return int(self.sequence.shape[1])

    @property
    def baseline(self) -> float:
        """Mean squared step of the held-out series."""
        return float((np.diff(self.parts[1], axis=0) ** 2).mean())

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Windows from random starts."""
        windows, starts = self.windows(rng, batch_size, held_out)
        return Batch(windows[:-1], windows[1:], starts=starts)

    @lazy
    def levels(self) -> np.ndarray:
        """(N + unread, D): what is foretold, in units of the errors."""
        return np.concatenate(self.parts)

    @lazy
    def _known_levels(self) -> np.ndarray:
        """Windows (L + 1, n, D) of the levels to learn from, for the nulls."""
        count, columns = self.cut + self.unread, self.output_size
        width = 1 + max(1 + self.unread, lags(self.unread + self.steps, columns, count))
        return self.levels[starts(count - width + 1, columns) + np.arange(width)[:, None]]

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Squared errors (T, B)."""
        assert batch.starts is not None
        shown = self.levels[self.cut + batch.starts + np.arange(self.unread + self.steps + 1)[:, None]]
        return forecast_losses(self._known_levels, shown, self.unread)


@register
@dataclass(frozen=True)
class MackeyGlass(Forecast):
    """The next value, six time units on, of the chaotic Mackey-Glass series with delay 17.

    x' = 0.2 x(t-17) / (1 + x(t-17)^10) - 0.1 x. Source: Mackey & Glass 1977.
    """

    name = "mackey_glass"
    title = "Mackey-Glass"
    unit_text = "1 is the variance of the series"

    @property
    def sequence(self) -> np.ndarray:
        """(N, 1)."""
        return mackey_glass(MACKEY_GLASS_VALUES)


@lru_cache(maxsize=2)
def mackey_glass(count: int, per_unit: int = 20, transient: int = TRANSIENT) -> np.ndarray:
    """(count, 1) values of the Mackey-Glass equation six time units apart, past its transient.

    One delay after the other: there the delayed term g is known, so that x' = g - 0.1 x is a linear filter, exact for a
    g that is linear between its `per_unit` points per time unit.
    """
    from scipy.signal import lfilter

    h, lag = 1 / per_unit, round(DELAY * per_unit)
    fade = math.exp(-DECAY * h)
    late = (1 - (1 - fade) / (DECAY * h)) / DECAY  # weight of g at the step's end; the rest is at its start
    early = (1 - fade) / DECAY - late
    needed = (count + transient) * SAMPLING * per_unit
    pieces, x = [], np.full(lag + 1, 1.2)
    for _ in range(math.ceil(needed / lag)):
        g = 0.2 * x / (1 + x**10)
        new, _ = lfilter([1.0], [1.0, -fade], early * g[:-1] + late * g[1:], zi=[fade * x[-1]])
        pieces.append(new)
        x = np.concatenate([x[-1:], new])
    values = np.concatenate(pieces)[:: SAMPLING * per_unit]
    return values[transient : transient + count, None]


@register
@dataclass(frozen=True)
class FileForecast(Forecast):
    """The next value of a table, an array or a sound, of one column or of all that are features.

    The net sees and predicts changes from step to step, in units of their size, so that a trend leads nowhere unknown.
    """

    path: str | os.PathLike[str] = ""
    column: str | None = None

    name = "forecast"
    title = "Forecast a file"
    unit_text = "1 is the mean squared change from one step to the next"
    needs_file = True
    unread = 1

    @property
    def sequence(self) -> np.ndarray:
        """(N, D): the changes, of a size that can be squared."""
        return self._series[1]

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """The columns that are read, as the file names them."""
        return self._series[0]

    @property
    def said(self) -> str:
        """How the file was read."""
        return self._series[2]

    @lazy
    def _series(self) -> tuple[list[str], np.ndarray, str]:
        content = raw_series(self.path, self.column)
        return content.names, np.diff(near_one(content.values), axis=0), content.said

    def _scaled(self, known: np.ndarray) -> np.ndarray:
        size = np.sqrt((known**2).mean(axis=0))
        return self.sequence / np.where(size > 0, size, 1.0)

    @property
    def baseline(self) -> float:
        """Mean squared change of the held-out series."""
        return float((self.parts[1] ** 2).mean())

    @lazy
    def levels(self) -> np.ndarray:
        """(N + 1, D): the sums of the changes."""
        changes = np.concatenate(self.parts)
        return np.concatenate([np.zeros_like(changes[:1]), changes.cumsum(axis=0)])


@register
@dataclass(frozen=True)
class Sine(Task):
    """The next value of a sine of unit variance with a random period (log-uniform, 4 to 64 steps) and phase."""

    name = "sine"
    title = "Sine"
    unit_text = "1 is the variance of the sine"
    loss = "mse"
    output = "every"
    foretells = True
    metric = "mean squared error"
    baseline_text = PERSISTENCE
    other_nulls = OTHER_NULLS
    least_steps = 1

    @property
    def baseline(self) -> float:
        """2 - 2 E cos(2 pi / period)."""
        periods = np.geomspace(*PERIODS, 10_001)
        return float(2 - 2 * np.cos(2 * np.pi / periods).mean())

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Fresh samples."""
        values = sine(rng, self.steps + 1, batch_size, 1)
        return Batch(values[:-1], values[1:])

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Squared errors (T, B)."""
        width = lags(self.steps, 1, SINES)
        known = sine(np.random.default_rng(SINES_SEED), width + 1, SINES, 1)
        return forecast_losses(known, np.concatenate([batch.x, batch.targets[-1:]]), first=0)
