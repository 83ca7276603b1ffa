"""The course of what is left on the way back: what enters, at which rates it goes on, and where these change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SHORTEST = 3  # steps of a piece
BEND = math.log(4)  # a straight line that is off by less is no reason to draw two
EXPLAINED = 0.75  # of what a line misses an end by: one step there that does as much is set apart
SHARE = 0.1  # of the whole range, likewise
TURN = math.log(100)  # a peak or valley that is farther than this from both ends is one, however it came about
NORMAL = 0.6745  # the median of a standard normal number's size
CHANCE = 2.0  # of the largest deviation over sd sqrt(n): 0.07 % of straight courses exceed it (Kolmogorov)


Line = tuple[float, float]  # slope, and value at lag 0


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
    an output gate, the gate. exit: the same of the first step, at the end of the way. levels: ln of what is left
    without these, at lag 0 and at the end of each piece.
    """

    entry: float
    exit: float
    pieces: tuple[Piece, ...]
    levels: list[float]

    @property
    def log_rate(self) -> float:
        """ln of the factor per step between the ends."""
        return self.levels[-1] / (self.pieces[-1].stop or 1)


def course(lags: np.ndarray) -> Course | None:
    """The course of a curve (lag,), lag 0 first; None of less than two values, and where it is exactly zero somewhere.

    The first step and the last are left out where there are others; the steps between are split where their mean
    changes: at the largest deviation of the curve from a straight line, if that is more than chance and is large, and
    then again within each part (binary segmentation of Scott & Knott 1974, with Kolmogorov's bound and the variance
    from means of blocks, as steps need not be independent).
    """
    return courses(lags[:, None])[0]


def courses(lags: np.ndarray) -> list[Course | None]:
    """The courses of many curves (lag, N)."""
    found: list[Course | None] = [None] * lags.shape[1]
    if len(lags) > 1:
        own = np.flatnonzero(np.isfinite(lags).all(axis=0))
        for n, one in zip(own.tolist(), _courses(lags[:, own]), strict=True):
            found[n] = one
    return found


def _courses(lags: np.ndarray) -> Iterator[Course]:
    """Of finite curves: most are straight, and are fitted all at once."""
    last = len(lags) - 1
    first, stop = _between(last)
    inner = lags[first : stop + 1]
    splits = np.maximum(_turns(inner), _splits(inner, np.ptp(lags, axis=0)))
    slopes, starts = _line(lags, first, stop)
    for n, line in enumerate(zip(slopes.tolist(), starts.tolist(), strict=True)):
        yield _bent(lags[:, n]) if splits[n] else _joined(lags[:, n], [line], [(0, last)])


def _bent(lags: np.ndarray) -> Course:
    """The course of a curve that has bends."""
    last = len(lags) - 1
    first, stop = _between(last)
    bends = [first + bend for bend in _all_bends(lags[first : stop + 1], np.ptp(lags))]
    spans, knots = list(pairwise([first, *bends, stop])), list(pairwise([0, *bends, last]))
    lines = [(float(slope), float(start)) for slope, start in (_line(lags, *span) for span in spans)]
    return _joined(lags, lines, knots)


def _joined(lags: np.ndarray, lines: list[Line], knots: list[tuple[int, int]]) -> Course:
    """From the line of each piece: what they miss the ends by is of one step there, or else of the piece."""
    (first, before), (final, start) = lines[0], lines[-1]
    after = float(lags[-1]) - (start + final * knots[-1][1])
    entry, exit_ = _alone(before, float(lags[1] - lags[0]) - first), _alone(after, float(lags[-1] - lags[-2]) - final)
    slopes = [slope for slope, _ in lines]
    slopes[0] += (before - entry) / (knots[0][1] - knots[0][0])
    slopes[-1] += (after - exit_) / (knots[-1][1] - knots[-1][0])
    pieces = tuple(Piece(*knot, slope) for knot, slope in zip(knots, slopes, strict=True))
    inner = (float(lags[piece.stop]) - entry for piece in pieces[:-1])
    return Course(entry, exit_, pieces, [0.0, *inner, float(lags[-1]) - entry - exit_])


def _alone(beside: float, step: float) -> float:
    """What one step does beside a line that misses the curve's end; 0 where it is not this step, as the curve bends."""
    return math.copysign(min(abs(beside), abs(step)), beside) if step * beside > EXPLAINED * beside**2 else 0.0


def _between(last: int) -> tuple[int, int]:
    """The lags between the first step and the last, or all where there are few."""
    return (1, last - 1) if last > 2 * SHORTEST else (0, last)


def _line(lags: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Slope, and value at lag 0, of the straight line nearest to lags start ... stop (lag,), or of many (lag, N)."""
    x, y = np.arange(start, stop + 1, dtype=float), lags[start : stop + 1]
    away = x - x.mean()
    slope = away @ (y - y.mean(axis=0)) / (away @ away or 1.0)  # 0 of a single value
    return slope, y.mean(axis=0) - slope * x.mean()


def _all_bends(values: np.ndarray, whole: float) -> list[int]:
    """Where a whole curve turns, and where the slope of its parts changes."""
    turn = int(_turns(values[:, None])[0])
    if not turn:
        return _bends(values, whole)
    before, after = _bends(values[: turn + 1], whole), _bends(values[turn:], whole)
    return [*before, turn, *(turn + bend for bend in after)]


def _bends(values: np.ndarray, whole: float) -> list[int]:
    """Where the slope of the values changes, in order; whole: the range of the curve that they are of."""
    split = int(_splits(values[:, None], whole)[0])
    if not split:
        return []
    before, after = _bends(values[: split + 1], whole), _bends(values[split:], whole)
    return [*before, split, *(split + bend for bend in after)]


def _splits(values: np.ndarray, whole: np.ndarray | float) -> np.ndarray:
    """Where the slope of each of many curves (lag, N) changes most: (N,), 0 for a straight one."""
    steps = np.diff(values, axis=0)
    n = len(steps)
    if n < 2 * SHORTEST:
        return np.zeros(values.shape[1], dtype=int)
    away = np.abs(np.cumsum(steps - steps.mean(axis=0), axis=0)[SHORTEST - 1 : n - SHORTEST])
    large = away.max(axis=0) >= np.maximum(BEND, SHARE * np.asarray(whole))
    if large.any():
        large[large] = away[:, large].max(axis=0) >= CHANCE * math.sqrt(n) * _spread(steps[:, large])
    return np.where(large, away.argmax(axis=0) + SHORTEST, 0)


def _turns(values: np.ndarray) -> np.ndarray:
    """Where each curve (lag, N) is farthest above or below both of its ends, if that is far; 0 where it is not."""
    ends = values[[0, -1]]
    above, below = values.max(axis=0) - ends.max(axis=0), ends.min(axis=0) - values.min(axis=0)
    at = np.where(above > below, values.argmax(axis=0), values.argmin(axis=0))
    inside = (at >= SHORTEST) & (at < len(values) - SHORTEST)
    return np.where((np.maximum(above, below) > TURN) & inside, at, 0)


def _spread(steps: np.ndarray) -> np.ndarray:
    """Standard deviation per step of sums of steps (step, N), whatever the mean: from sums of blocks side by side.

    The larger of blocks of one step and of sqrt(n) steps, as steps may be alike for a while; by medians, which
    the few blocks at a change of the mean do not move.
    """
    return np.maximum(_from_blocks(steps, 1), _from_blocks(steps, round(math.sqrt(len(steps)))))


def _from_blocks(steps: np.ndarray, size: int) -> np.ndarray:
    blocks = len(steps) // size
    sums = steps[: blocks * size].reshape(blocks, size, -1).sum(axis=1)
    between = np.abs(np.diff(sums, axis=0))  # of two blocks at least, as there are two pieces
    return np.median(between, axis=0) / (NORMAL * math.sqrt(2 * size))
