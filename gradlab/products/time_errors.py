"""Errors of means over time: chance, from how long the past is felt, and what the start has left in the mean.

Blocks are a run's consecutive parts. Sources: Geyer 1992 (initial positive and monotone sequence); Schmeiser 1982 (few
large batches); Student's t for what comes from few numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..lazy import lazy

FEWEST, BATCHES = 8, 5  # blocks that say something of an error; large batches of them
BELOW_TWO = 0.9772498680518208  # of a normal distribution lies below two standard deviations
CLEAR = 3.0  # standard errors beyond which a drift tells how fast the start is forgotten
AGED, MOST = 3.0, 10.0  # what a clear drift is multiplied by at least, and any at most, to make the bias
LEAST_SHARE = 0.1  # of a sum's variance if its numbers were independent, where they make up for each other
SLOW = 0.1  # share of a run that its past is felt for, from which on it is slow
PER_SLOWNESS = 40.0  # of that factor: where deviations are felt for long, the start is, too


@dataclass(frozen=True, eq=False)
class TimeErrors:
    """What blocks of time say of the error of each exponent, which is a mean over samples of means over time.

    sums (R, K, *M, B): of the blocks; counts (R, *M, B): their steps, 0 of samples that are left out. size: exponents
    that there are. Results (K, *M).
    """

    sums: np.ndarray
    counts: np.ndarray
    size: int

    @property
    def total(self) -> np.ndarray:
        """The standard error of chance and of the start together; NaN of fewer than four blocks."""
        if len(self.sums) < 4:
            return np.full_like(self.rates, np.nan)
        return np.hypot(self.statistical, np.fmax(self.bias, self.turning))

    @lazy
    def rates(self) -> np.ndarray:
        """The means themselves."""
        return self._mean(slice(None))

    def _mean(self, blocks: slice) -> np.ndarray:
        counts = self.counts[blocks].sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(counts > 0, self.sums[blocks].sum(axis=0) / counts, np.nan)
            there = ~np.isnan(each)
            return np.asarray(np.where(there, each, 0.0).sum(axis=-1) / there.sum(axis=-1))

    @lazy
    def shares(self) -> np.ndarray:
        """(R, K, *M, B): how far each block moves the mean; they sum to zero."""
        steps = self.counts.sum(axis=0)
        weights = np.where(steps > 0, 1 / np.maximum(steps, 1), 0.0) / self._samples[..., None]
        with np.errstate(invalid="ignore"):
            off = self.sums - self.counts[:, None] * self.rates[..., None]
            return np.asarray(np.where(self.counts[:, None] > 0, off * weights, 0.0))

    @property
    def _samples(self) -> np.ndarray:
        """How many samples have steps (*M)."""
        return np.maximum((self.counts.sum(axis=0) > 0).sum(axis=-1), 1)

    @lazy
    def statistical(self) -> np.ndarray:
        """The standard error of chance, widened so that two of it hold as often as those of a normal distribution.

        The largest of what follows from autocorrelation, from large batches, and from samples against each other. The
        first two also count samples as one, as they need not be independent of each other.
        """
        together = self.shares.sum(axis=-1, keepdims=True)
        alone = np.fmax(self._sequence[0], _batch_error(self.shares, self._samples))
        common = np.fmax(_sequence_error(together, 1)[0], _batch_error(together, 1))
        others = np.where(self._samples > 1, self._samples / np.maximum(self._samples - 1, 1), 0.0)
        spread = np.sqrt((self.shares.sum(axis=0) ** 2).sum(axis=-1) * others)
        return np.fmax(np.fmax(alone, common), spread)

    @lazy
    def _sequence(self) -> tuple[np.ndarray, np.ndarray]:
        return _sequence_error(self.shares, self._samples)

    @property
    def slowness(self) -> np.ndarray:
        """For how long a deviation is felt, as a share of the run."""
        return np.asarray(self._samples / self._sequence[1])

    @lazy
    def drift(self) -> np.ndarray:
        """Half the difference of the run's halves."""
        half = len(self.sums) // 2
        with np.errstate(invalid="ignore"):
            return (self._mean(slice(half)) - self._mean(slice(half, None))) / 2

    @lazy
    def chance(self) -> np.ndarray:
        """The standard error of the drift where there is none, from what varies within the halves."""
        half = len(self.shares) // 2
        parts = (self.shares[:half], self.shares[half:])
        within = np.concatenate([part - part.mean(axis=(0, -1))[None, ..., None] for part in parts])
        alone = _sequence_error(within, self._samples)[0]
        return np.fmax(alone, _sequence_error(within.sum(axis=-1, keepdims=True), 1)[0])

    @lazy
    def bias(self) -> np.ndarray:
        """What the start may have left in the mean: the drift, as far as it is more than chance, times a factor.

        What is forgotten at one rate leaves (1 + q) / (1 - q) of the drift, where q is what half of the run leaves of
        it. A clear drift tells q by the drifts within the halves; that is taken to be 1/2 at least, as of what is
        forgotten in proportion to 1/t. One that is not clear counts the more, the slower the run is.
        """
        edges = len(self.sums) * np.arange(5) // 4
        first, second, third, last = (self._mean(slice(a, b)) for a, b in pairwise(edges))
        with np.errstate(invalid="ignore", divide="ignore"):
            q = np.abs((third - last) / (first - second))
            seen = np.where(q < 1, (1 + q) / (1 - q), MOST)
            clear = np.abs(self.drift) > CLEAR * self.chance
            factor = np.fmax(1 + PER_SLOWNESS * self.slowness, np.where(clear, np.fmax(seen, AGED), 0.0))
            excess = np.maximum(np.abs(self.drift) - self.chance / 2, 0.0)
            return np.asarray(np.fmin(factor, MOST) * excess)

    @property
    def turning(self) -> np.ndarray:
        """What the first direction, drawn at random, may have left in the mean while it turned to the one that grows.

        It has 1 / sqrt(size) of that, so ln sqrt(size) in all; as much of it as the run is slow, for a quick one has
        turned in its warmup.
        """
        steps = self.counts.sum(axis=0).max(axis=-1)
        return np.fmin(self.slowness / SLOW, 1.0) * 0.5 * np.log(self.size) / steps


def _sequence_error(shares: np.ndarray, samples: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """The standard error (K, *M) of a sum over blocks and samples (R, K, *M, B), and their effective number.

    Samples are independent. Autocovariances are summed two by two, while these sums are positive, and as they fall.
    """
    blocks = len(shares)
    with np.errstate(invalid="ignore"):  # exponents of -inf
        power = (np.abs(np.fft.rfft(shares, 2 * blocks, axis=0)) ** 2).sum(axis=-1)
        covariances = np.fft.irfft(power, 2 * blocks, axis=0)[: blocks // 2 * 2]
    squares, pairs = covariances[0], covariances[::2] + covariances[1::2]
    falling = np.minimum.accumulate(np.maximum(pairs, 0.0), axis=0)
    variance = np.maximum(2 * falling.sum(axis=0) - squares, LEAST_SHARE * squares)
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = np.maximum(np.where(squares > 0, blocks * samples * squares / variance, blocks * samples), 2.0)
    return _widened(variance, effective), effective


def _batch_error(shares: np.ndarray, samples: np.ndarray | int) -> np.ndarray:
    """The same from a few large batches."""
    edges = len(shares) * np.arange(BATCHES + 1) // BATCHES
    batches = np.stack([shares[a:b].sum(axis=0) for a, b in pairwise(edges)])
    return _widened((batches * batches).sum(axis=(0, -1)), BATCHES * np.asarray(samples, dtype=float))


def _widened(variance: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The standard error from the variance that so many independent numbers show about their mean."""
    from scipy.special import stdtrit  # which takes long to load

    return np.asarray(np.sqrt(variance * numbers / (numbers - 1)) * stdtrit(numbers - 1, BELOW_TWO) / 2)
