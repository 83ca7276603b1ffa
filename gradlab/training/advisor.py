"""The clip advisor: which threshold fits the norms that a training run has shown, and what it changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import quiet
from ..config.train import TrainConfig
from ..errors import Cancelled, InputError
from ..verdicts import number_text, value_text
from .loop import Step, TrainingRun, train

PERCENTILES = (1, 10, 50, 90, 99, 100)
WARM_UP = 0.1  # of the iterations, whose norms are those of a net that knows nothing yet
HEAVY = math.log(10)  # a largest norm this far above the median is a tail worth cutting off
AT = 90  # percentile that the threshold is taken at
LEAST = 20  # norms to advise from
SHORT = 300  # iterations of a verification


@dataclass(frozen=True)
class Effect:
    """A short run without and with the threshold: the last tenth's mean loss, skipped updates, share clipped."""

    iterations: int
    loss_without: float
    loss_with: float
    skipped_without: int
    skipped_with: int
    share_clipped: float

    def __str__(self) -> str:
        clipped = round(self.share_clipped * self.iterations)
        lost = f" {self.skipped_with} updates overflowed with it, {self.skipped_without} without."
        return (
            f"Over {self.iterations} iterations from the start the loss came to {value_text(self.loss_with)} with it "
            f"and {value_text(self.loss_without)} without; it clipped {clipped} of {self.iterations} updates."
            f"{lost if self.skipped_with or self.skipped_without else ''}"
        )


@dataclass(frozen=True)
class ClipAdvice:
    """percentiles: of the norm before clipping, by percentile. share_clipped: of the updates so far.

    threshold: suggested for clipping by norm; None where no tail asks for one. reason: why. effect: of a short run.
    """

    percentiles: dict[int, float]
    share_clipped: float
    threshold: float | None
    reason: str
    effect: Effect | None = None

    def __str__(self) -> str:
        ranks = ", ".join(f"{p} %: {value_text(value)}" for p, value in self.percentiles.items())
        lines = [
            f"Norm before clipping, percentiles: {ranks}.",
            f"{100 * self.share_clipped:.0f} % clipped so far.",
        ]
        return "\n".join([*lines, self.reason, *([str(self.effect)] if self.effect else [])])


def advise(run: TrainingRun, verify: bool = False, on_progress: Callable[[float], None] | None = None) -> ClipAdvice:
    """Percentiles of the gradient norms of a run, and the threshold that they suggest, with its reason.

    The first tenth of the iterations is left out. verify: run the configuration afresh twice, at most `SHORT`
    iterations, without clipping and with the threshold. Raises InputError for runs that are too short to tell.
    """
    logs = np.asarray(run.history.rows["log_grad_norm_before"])
    logs = logs[int(WARM_UP * len(logs)) :]
    known = logs[np.isfinite(logs)]
    if len(known) < LEAST:
        raise InputError(f"the run shows {len(known)} gradient norms; advice needs at least {LEAST}: train longer")
    lost = int(np.sum(run.history.rows["skipped"]))
    ranks = dict(zip(PERCENTILES, np.percentile(known, PERCENTILES), strict=True))
    clipped = run.history.rows["clipped"]
    tried = f"{sum(clipped):.0f} of {len(clipped):,} updates were clipped."
    threshold, reason = _suggestion(ranks, len(known), lost, tried if run.threshold else "No threshold was tried.")
    with quiet():
        percentiles = {p: float(np.exp(value)) for p, value in ranks.items()}
    share = float(np.mean(clipped))
    effect = _effect(run.config, threshold, on_progress) if verify and threshold is not None else None
    return ClipAdvice(percentiles, share, threshold, reason, effect)


def _suggestion(ranks: dict[int, float], count: int, lost: int, tried: str) -> tuple[float | None, str]:
    """Threshold and reason from ln of the percentiles of `count` norms; `tried`: which clipping they saw."""
    tail = ranks[100] - ranks[50]
    largest = f"of {count:,} norms the largest is {number_text(tail, 2)} times the median"
    if tail < HEAVY and not lost:
        return None, f"Nothing here asks for clipping: {largest}. {tried}"
    threshold = float(f"{math.exp(min(ranks[AT], 600)):.2g}")
    start = f"{lost:,} updates overflowed; {largest}" if lost else f"{largest[0].upper()}{largest[1:]}"
    return threshold, (
        f"{start}. At {value_text(threshold)}, the {AT}th percentile, one in ten of them would have been shortened, "
        "and the tail cut off; nine in ten stay as they are."
    )


def _effect(config: TrainConfig, threshold: float, on_progress: Callable[[float], None] | None) -> Effect:
    """Both runs, from the same start and on the same data."""
    iterations = min(config.iterations, SHORT)
    rare = {"snapshot_every": iterations, "evaluate_every": iterations}
    plain = config.replace(clip="off", clip_threshold=None, iterations=iterations, **rare)
    clipped = plain.replace(clip="norm", clip_threshold=threshold)
    rows = [_rows(one, _share_of(on_progress, n, iterations)) for n, one in enumerate((plain, clipped))]
    (without, with_it), (skipped, skipped_with) = (
        [_late(r["loss"]) for r in rows],
        [int(np.sum(r["skipped"])) for r in rows],
    )
    return Effect(iterations, without, with_it, skipped, skipped_with, float(np.mean(rows[1]["clipped"])))


def _rows(config: TrainConfig, on_step: Callable[[Step], None] | None) -> dict[str, list[float]]:
    run = train(config, on_step=on_step)
    if run.status == "cancelled":
        raise Cancelled
    return run.history.rows


def _late(losses: list[float]) -> float:
    """Mean of the last tenth, inf where one is not finite."""
    late = np.asarray(losses[-max(1, len(losses) // 10) :])
    return float(late.mean()) if np.isfinite(late).all() else math.inf


def _share_of(on_progress: Callable[[float], None] | None, run: int, iterations: int) -> Callable[[Step], None] | None:
    if on_progress is None:
        return None
    return lambda step: on_progress((run + step.iteration / iterations) / 2)
