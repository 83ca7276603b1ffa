"""What a Lyapunov spectrum is: exponents with their errors, the dimension, and whether they have converged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..wording import counted

BLOCKS = 20  # of time, from which the standard error of a single sample comes
DRIFT = 0.005  # nats per step between the halves of a converged run
PRECISION = 0.01  # of its standard errors: nats per step, or the share of an exponent below -1


@dataclass(frozen=True)
class LyapunovSpectrum:
    """Lyapunov exponents in nats per step, in host memory; M: model axes.

    exponents (K, *M): means over samples, largest first; -inf where a Jacobian is singular. stderr (K, *M): theirs,
    over samples, or over blocks of time where there is one sample. samples (K, *M, B): each sample's own.
    running (R, K, *M): finite-time means over the first running_steps (R,) counted steps. steps: counted, after
    `warmup`. every: mean number of steps between orthonormalisations. kaplan_yorke (*M): dimension; entropy_rate (*M):
    sum of the positive exponents (Pesin); both are NaN where K exponents do not suffice.
    converged: whether both halves of the run agree and standard errors are small. notes: what to know besides.
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
    samples: np.ndarray,
    times: np.ndarray,
    running: np.ndarray,
    complete: bool,
    warmup: int,
    every: float,
    notes: list[str],
) -> LyapunovSpectrum:
    """The spectrum of each sample's exponents (K, *M, B), NaN where there are none, and of finite-time means.

    running (R, K, *M) after times (R,), the last of which is the whole run; complete: whether K is all there are.
    """
    order = np.argsort(-sample_mean(samples), axis=0, kind="stable")
    samples = np.take_along_axis(samples, order[..., None], axis=0)
    running = np.take_along_axis(running, order[None], axis=1)
    exponents = sample_mean(samples)
    stderr = _block_error(times, running) if samples.shape[-1] == 1 else _sample_error(samples)
    dimension, entropy = kaplan_yorke(exponents, complete), entropy_rate(exponents, complete)
    doubts = _doubts(exponents, stderr, times, running)
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
    return _deviation(samples) / np.sqrt((~np.isnan(samples)).sum(axis=-1))


def _block_error(times: np.ndarray, running: np.ndarray) -> np.ndarray:
    """Standard error (K, *M) of means over time, from the means of consecutive blocks; NaN for a single block."""
    edges = np.unique(np.linspace(0, len(times), min(BLOCKS, len(times)) + 1).astype(int))
    t = np.concatenate([[0], times])[edges]
    axes = (slice(None), *(None,) * (running.ndim - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.concatenate([np.zeros_like(running[:1]), running * times[axes]])[edges]
        blocks = np.diff(sums, axis=0) / np.diff(t)[axes]
        weights = (np.diff(t) / t[-1])[axes]
        off = blocks - running[-1]
        return np.sqrt((weights * off * off).sum(axis=0) / (len(blocks) - 1))


def _doubts(exponents: np.ndarray, stderr: np.ndarray, times: np.ndarray, running: np.ndarray) -> list[str]:
    """Why the spectrum may not have converged: halves of the run that differ, large or unknown standard errors."""
    finite, half = np.isfinite(exponents), int(np.searchsorted(times, times[-1] / 2))
    if half + 1 >= len(times) or np.isnan(stderr[finite]).any():
        return ["too few steps to tell whether the exponents have converged; use more"]
    with np.errstate(invalid="ignore"):
        drift = np.abs(running[half] - running[-1]) * times[-1] / (times[-1] - times[half])
        error = np.fmax(stderr, _block_error(times, running))  # few samples say little of it
        drifting = finite & (drift > DRIFT + 6 * error)  # the difference of the halves has twice the error
        wide = finite & (stderr > PRECISION * np.maximum(np.abs(exponents), 1.0))
    doubts = []
    if drifting.any():
        largest = drift[drifting].max()
        doubts.append(
            f"{drifting.sum()} of {counted(finite.size, 'exponent')} {'drifts' if drifting.sum() == 1 else 'drift'}: "
            f"the halves of the run differ by {largest:.2g}"
        )
    if wide.any():
        doubts.append(
            f"{wide.sum()} of {counted(finite.size, 'standard error')} {'is' if wide.sum() == 1 else 'are'} above "
            f"{PRECISION:g} or 1 %, up to {stderr[wide].max():.2g}"
        )
    return [f"{doubt} per step; use more steps" for doubt in doubts]
