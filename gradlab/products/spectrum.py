"""What a Lyapunov spectrum is: exponents with their errors, the dimension, and whether they have converged."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ..wording import counted
from .time_errors import FEWEST, SLOW, TimeErrors

DRIFT, SMALL = 1e-3, 0.1  # of a converged run: the start's share of an exponent, or of 0.1 nats per step
DOUBT = 0.01  # probability that a run that does not drift is said to
PRECISION = 0.01  # of its standard errors: nats per step, or the share of an exponent below -1


@dataclass(frozen=True)
class LyapunovSpectrum:
    """Lyapunov exponents in nats per step, in host memory; M: model axes.

    exponents (K, *M): means over samples, largest first; -inf where a Jacobian is singular. stderr (K, *M): theirs, of
    chance (over samples and over time, whose correlation counts) and of what the start may have left; NaN of too few
    steps. samples (K, *M, B): each sample's own.
    running (R, K, *M): finite-time means over the first running_steps (R,) counted steps. steps: counted, after
    `warmup`. every: mean number of steps between orthonormalisations. kaplan_yorke (*M): dimension; entropy_rate (*M):
    sum of the positive exponents (Pesin); both are NaN where K exponents do not suffice.
    converged: whether both halves of the run agree within their errors, which are small. notes: what to know besides.
    """

    exponents: np.ndarray
    stderr: np.ndarray
    samples: np.ndarray
    running: np.ndarray
    running_steps: np.ndarray
    steps: int
    warmup: int
    every: float
    kaplan_yorke: np.ndarray
    entropy_rate: np.ndarray
    converged: bool
    notes: list[str]

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of the finite-time exponents over samples (K, *M); NaN for one sample."""
        return _deviation(self.samples)

    def __str__(self) -> str:
        lines = [
            f"{counted(len(self.exponents), 'Lyapunov exponent')} over {counted(self.steps, 'step')}, in nats per step",
            *(self._of_model(*index) for index in np.ndindex(self.exponents.shape[1:])),
            "converged" if self.converged else "not converged",
        ]
        return "\n".join([*lines, *self.notes])

    def _of_model(self, *index: int) -> str:
        shown: Any = (slice(5), *index)
        pairs = zip(self.exponents[shown], self.stderr[shown], strict=True)
        values = ", ".join(f"{value:.4g} +- {error:.1g}" for value, error in pairs)
        more = ", ..." if len(self.exponents) > 5 else ""
        return f"{values}{more}; dimension {self.kaplan_yorke[index]:.4g}, entropy rate {self.entropy_rate[index]:.4g}"


def kaplan_yorke(exponents: np.ndarray, complete: bool = True) -> np.ndarray:
    """Kaplan-Yorke dimension (*M) of exponents (K, *M), largest first: j + sum_{i<=j} lambda_i / |lambda_{j+1}|.

    j is the last index up to which the sum is not negative. Where that is K, the dimension is K of a `complete`
    spectrum, else NaN. Source: Kaplan & Yorke 1979.
    """
    padded = np.concatenate([exponents, np.full((1, *exponents.shape[1:]), -np.inf)])
    sums = np.concatenate([np.zeros((1, *exponents.shape[1:])), np.cumsum(exponents, axis=0)])
    j = np.count_nonzero(np.cumsum(exponents, axis=0) >= 0, axis=0)
    following, total = (np.take_along_axis(a, j[None], axis=0)[0] for a in (padded, sums))
    dimension = j + np.where(j > 0, total / np.abs(following), 0.0)
    return dimension if complete else np.where(j == len(exponents), np.nan, dimension)


def entropy_rate(exponents: np.ndarray, complete: bool = True) -> np.ndarray:
    """Sum of the positive exponents (*M) of (K, *M); NaN where those beyond K may be positive. Source: Pesin 1977."""
    total = np.where(exponents > 0, exponents, 0.0).sum(axis=0)
    return total if complete else np.where(exponents[-1] > 0, np.nan, total)


def spectrum(
    times: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    size: int,
    warmup: int,
    every: float,
    notes: list[str],
) -> LyapunovSpectrum:
    """The spectrum from sums of ln |R_ii| (R, K, *M, B) over the first times (R,) steps, the last of which are all.

    counts (R, *M, B): the steps that they are of, 0 where a sample has none; size: how many exponents there are.
    """
    order = np.argsort(-sample_mean(_rates(sums[-1], counts[-1])), axis=0, kind="stable")
    sums = np.take_along_axis(sums, order[None, ..., None], axis=1)
    samples, running = _rates(sums[-1], counts[-1]), sample_mean(_rates(sums, counts[:, None]))
    with np.errstate(invalid="ignore"):
        errors = TimeErrors(np.diff(sums, axis=0, prepend=0.0), np.diff(counts, axis=0, prepend=0.0), size)
    exponents, stderr = running[-1], np.fmax(errors.total, _sample_error(samples))
    complete = len(exponents) == size
    dimension, entropy = kaplan_yorke(exponents, complete), entropy_rate(exponents, complete)
    doubts = _doubts(exponents, stderr, errors)
    return LyapunovSpectrum(
        exponents=exponents,
        stderr=stderr,
        samples=samples,
        running=running,
        running_steps=times,
        steps=int(times[-1]),
        warmup=warmup,
        every=every,
        kaplan_yorke=dimension,
        entropy_rate=entropy,
        converged=not doubts,
        notes=[*doubts, *_remarks(exponents, dimension, entropy), *notes],
    )


def _rates(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Finite-time exponents; NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, sums / counts, np.nan)


def _remarks(exponents: np.ndarray, dimension: np.ndarray, entropy: np.ndarray) -> list[str]:
    remarks = []
    if singular := int(np.isneginf(exponents).sum()):
        remarks.append(
            f"{singular} of {counted(exponents.size, 'exponent')} {'is' if singular == 1 else 'are'} -inf: Jacobians "
            "are singular to working precision (dead or saturated units, closed gates)"
        )
    if np.isnan(dimension).any():
        both = np.isnan(entropy).any()
        remarks.append(f"the dimension {'and the entropy rate need' if both else 'needs'} more exponents than these")
    return remarks


def sample_mean(samples: np.ndarray) -> np.ndarray:
    """(K, *M, B) -> (K, *M), over the samples that are not NaN."""
    there = ~np.isnan(samples)
    with np.errstate(invalid="ignore"):
        return np.where(there, samples, 0.0).sum(axis=-1) / there.sum(axis=-1)


def _deviation(samples: np.ndarray) -> np.ndarray:
    """(K, *M, B) -> (K, *M): standard deviation over the samples that are not NaN; NaN for infinite exponents."""
    there = ~np.isnan(samples)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.where(there, samples - sample_mean(samples)[..., None], 0.0)
        return np.sqrt((off * off).sum(axis=-1) / (there.sum(axis=-1) - 1))


def _sample_error(samples: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return _deviation(samples) / np.sqrt((~np.isnan(samples)).sum(axis=-1))


def _doubts(exponents: np.ndarray, stderr: np.ndarray, errors: TimeErrors) -> list[str]:
    """Why the spectrum may not have converged: halves of the run that differ, large or unknown standard errors."""
    finite, there = np.isfinite(exponents), errors.rates.size
    if len(errors.sums) < FEWEST or np.isnan(stderr[finite]).any():
        return ["too few steps to tell whether the exponents have converged; use more"]
    with np.errstate(invalid="ignore"):
        unlikely = NormalDist().inv_cdf(1 - DOUBT / (2 * there)) * errors.chance
        matters = errors.bias > DRIFT * np.maximum(np.abs(exponents), SMALL)
        drifting = finite & (np.abs(errors.drift) > unlikely) & matters
        slow = finite & (errors.slowness > SLOW)
        wide = finite & (stderr > PRECISION * np.maximum(np.abs(exponents), 1.0))
    doubts = []
    if drifting.any():
        largest = 2 * np.abs(errors.drift[drifting]).max()
        doubts.append(
            f"{drifting.sum()} of {counted(finite.size, 'exponent')} {'drifts' if drifting.sum() == 1 else 'drift'}: "
            f"the halves of the run differ by {largest:.2g} per step"
        )
    if slow.any():
        doubts.append(
            f"{slow.sum()} of {counted(finite.size, 'exponent')} {'varies' if slow.sum() == 1 else 'vary'} so slowly "
            f"that the past is felt for {errors.slowness[slow].max():.0%} of the run"
        )
    if wide.any():
        doubts.append(
            f"{wide.sum()} of {counted(finite.size, 'standard error')} {'is' if wide.sum() == 1 else 'are'} above "
            f"{PRECISION:g} or 1 %, up to {stderr[wide].max():.2g} per step"
        )
    return [f"{doubt}; use more steps" for doubt in doubts]
