"""The course of what is left on the way back: what enters, at which rates it goes on, and where these change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SHORTEST = 3  # steps of a piece
BEND = math.log(4)  # a straight line that is off by less is no reason to draw two
EXPLAINED = 0.75  # of what a line misses an end by: one step there that does as much is set apart
SHARE = 0.1  # of the whole range, likewise
NORMAL = 0.6745  # the median of a standard normal number's size
CHANCE = 2.0  # of the largest deviation over sd sqrt(n): 0.07 % of straight courses exceed it (Kolmogorov)


@dataclass(frozen=True)
class Piece:
    """A stretch of the way from lag `start` to lag `stop` on which the ln of the factor per step is `log_rate`."""

    start: int
    stop: int
    log_rate: float


@dataclass(frozen=True)
class Course:
    """A curve of ln shares over lags 0 ... n - 1 as a few straight pieces, one after the other.

    entry: ln of what the last step alone does beside the rate of the first piece: of a cell state that is read through
    an output gate, the gate. exit: the same of the first step, at the end of the way. levels: ln of what the pieces
    alone leave, at lag 0 and at the end of each.
    """

    entry: float
    exit: float
    pieces: tuple[Piece, ...]

    @property
    def levels(self) -> list[float]:
        """0, and the sum of the pieces so far at the end of each."""
        steps = [piece.log_rate * (piece.stop - piece.start) for piece in self.pieces]
        return [0.0, *np.cumsum(steps).tolist()]

    @property
    def log_rate(self) -> float:
        """ln of the factor per step between the ends."""
        return self.levels[-1] / (self.pieces[-1].stop or 1)


def course(lags: np.ndarray) -> Course:
    """The course of a curve of at least two finite values, lag 0 first.

    The first step and the last are left out where there are others; the steps between are split where their mean
    changes: at the largest deviation of the curve from a straight line, if that is more than chance and is large, and
    then again within each part (binary segmentation of Scott & Knott 1974, with Kolmogorov's bound and the variance
    from means of blocks, as steps need not be independent).
    """
    last = len(lags) - 1
    inner = (1, last - 1) if last > 2 * SHORTEST else (0, last)
    values = lags[inner[0] : inner[1] + 1]
    bends = [inner[0] + bend for bend in _bends(values, float(lags.max() - lags.min()))]
    spans, knots = pairwise([inner[0], *bends, inner[1]]), list(pairwise([0, *bends, last]))
    lines = [_line(lags, *span) for span in spans]
    (first, before), (final, start) = lines[0], lines[-1]
    after = float(lags[-1]) - (start + final * last)
    entry, exit_ = _alone(before, float(lags[1] - lags[0]) - first), _alone(after, float(lags[-1] - lags[-2]) - final)
    rest = np.zeros(len(lines))  # what is not of these steps alone is of the whole way
    rest[0] += before - entry
    rest[-1] += after - exit_
    slopes = [slope + more / (stop - start) for (slope, _), more, (start, stop) in zip(lines, rest, knots, strict=True)]
    return Course(entry, exit_, tuple(Piece(*knot, float(slope)) for knot, slope in zip(knots, slopes, strict=True)))


def _alone(beside: float, step: float) -> float:
    """What one step does beside a line that misses the curve's end; 0 where it is not this step, as the curve bends."""
    return math.copysign(min(abs(beside), abs(step)), beside) if step * beside > EXPLAINED * beside**2 else 0.0


def _line(lags: np.ndarray, start: int, stop: int) -> tuple[float, float]:
    """Slope, and value at lag 0, of the straight line nearest to lags start ... stop."""
    x, y = np.arange(start, stop + 1, dtype=float), lags[start : stop + 1]
    if len(x) < 2:
        return 0.0, float(y[0])
    away = x - x.mean()
    slope = float(away @ (y - y.mean()) / (away @ away))
    return slope, float(y.mean() - slope * x.mean())


def _bends(values: np.ndarray, whole: float) -> list[int]:
    """Where the slope of the values changes, in order; whole: the range of the curve that they are of."""
    steps = np.diff(values)
    n = len(steps)
    if n < 2 * SHORTEST:
        return []
    away = np.cumsum(steps - steps.mean())[SHORTEST - 1 : n - SHORTEST]
    at = int(np.abs(away).argmax())
    split = at + SHORTEST
    size = abs(float(away[at]))
    if size < max(BEND, SHARE * whole) or size < CHANCE * _spread(steps) * math.sqrt(n):
        return []
    before, after = _bends(values[: split + 1], whole), _bends(values[split:], whole)
    return [*before, split, *(split + bend for bend in after)]


def _spread(steps: np.ndarray) -> float:
    """Standard deviation per step of sums of steps, whatever the mean: from sums of blocks next to each other.

    The larger of blocks of one step and of sqrt(n) steps, as steps may be alike for a while; by medians, which
    the few blocks at a change of the mean do not move.
    """
    return max(_from_blocks(steps, round(len(steps) ** power)) for power in (0, 1 / 2))


def _from_blocks(steps: np.ndarray, size: int) -> float:
    whole = len(steps) // size * size
    sums = steps[:whole].reshape(-1, size).sum(axis=1)
    between = np.abs(np.diff(sums))
    return float(np.median(between)) / (NORMAL * math.sqrt(2 * size)) if between.size else 0.0
