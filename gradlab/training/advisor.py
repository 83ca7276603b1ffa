"""The clip advisor: which threshold fits the norms that a training run has shown, and what it changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import quiet
from ..config.train import TrainConfig
from ..errors import Cancelled, InputError
from ..wording import counted, number_text, value_text
from .loop import Step, train
from .outcome import late_loss
from .record import TrainingRecord

PERCENTILES = (1, 10, 50, 90, 99, 100)
WARM_UP = 0.1  # of the iterations, whose norms are those of a net that knows nothing yet
HEAVY = math.log(10)  # a norm this far above what was usual until then is a tail worth cutting off
AROUND = 0.1  # of the norms: a running median's
AT = 90  # percentile that the threshold is taken at
LEAST = 20  # norms to advise from
SHORT = 300  # iterations of a verification
BETTER = 0.8  # of the other loss: rounding alone changes that of an exploding net by a sixth, or by far more
OFF = 0.1  # of the updates: a share clipped that is this far from the expected one is explained
EFFECTS = {"helped": "it helped", "no difference": "it made no difference", "harm": "it did harm, so do without it"}
FIRST = {"diverged": "The run diverged", "broke": "The run broke"}  # outcomes that clipping alone does not mend


@dataclass(frozen=True)
class Effect:
    """A short run without and with the threshold: the last tenth's mean loss, skipped updates, share clipped.

    share_above: of the norms without the threshold, those above it.
    """

    iterations: int
    loss_without: float
    loss_with: float
    skipped_without: int
    skipped_with: int
    share_clipped: float
    share_above: float

    @property
    def outcome(self) -> str:
        """What the threshold did to the loss, as `judge` says."""
        return judge(self.loss_with, self.loss_without)

    def __str__(self) -> str:
        lost = f" {counted(self.skipped_with, 'update')} overflowed with it, {self.skipped_without} without."
        over = counted(self.iterations, "iteration")
        return (
            f"Over {over} from the start the loss came to {value_text(self.loss_with)} "
            f"with it and {value_text(self.loss_without)} without: {EFFECTS[self.outcome]}. It clipped {self._clipped}."
            f"{lost if self.skipped_with or self.skipped_without else ''}"
        )

    @property
    def _clipped(self) -> str:
        """How many updates, and why that are more or fewer than the norms without it let expect."""
        clipped, above = (round(share * self.iterations) for share in (self.share_clipped, self.share_above))
        text = f"{clipped} of {counted(self.iterations, 'update')}"
        if abs(self.share_clipped - self.share_above) <= OFF:
            return text
        size = "larger" if clipped > above else "smaller"
        return f"{text}, where {above} norms without it were above: with it the net went where its gradient is {size}"


def judge(loss_with: float, loss_without: float) -> str:
    """What clipping did to a loss, by a fifth or more: "helped" or "harm"; else "no difference". NaN is the worst."""
    with_it, without = (math.inf if math.isnan(loss) else loss for loss in (loss_with, loss_without))
    if with_it < BETTER * without:
        return "helped"
    return "harm" if without < BETTER * with_it else "no difference"


@dataclass(frozen=True)
class ClipAdvice:
    """percentiles: of the norm before clipping, by percentile. share_clipped: of the updates so far, None if unknown.

    threshold: suggested for clipping by norm; None where no tail asks for one. reason: why, and which iterations are
    left out. effect: of a short run; its `outcome` says whether the threshold helped.
    """

    percentiles: dict[int, float]
    share_clipped: float | None
    threshold: float | None
    reason: str
    effect: Effect | None = None

    def __str__(self) -> str:
        ranks = ", ".join(f"{p} %: {value_text(value)}" for p, value in self.percentiles.items())
        lines = [
            self.reason,
            f"Norm before clipping, percentiles: {ranks}.",
            *([] if self.share_clipped is None else [f"{100 * self.share_clipped:.0f} % clipped so far."]),
        ]
        return "\n".join([*lines, *([str(self.effect)] if self.effect else [])])


def advise(
    run: TrainingRecord | Sequence[float], verify: bool = False, on_progress: Callable[[float], None] | None = None
) -> ClipAdvice:
    """Percentiles of the gradient norms of a run, and the threshold that they suggest, with its reason.

    run: a training run, or the norms before clipping of one made elsewhere, an update each. The first tenth of the
    iterations is left out. verify: run the configuration afresh twice, at most `SHORT` iterations, without clipping and
    with the threshold; norms alone have none. Raises InputError for runs that are too short to tell.
    """
    if not isinstance(run, TrainingRecord):
        return _of_norms(run, verify)
    rows = run.history.rows
    advice = _advice(np.asarray(rows["log_grad_norm_before"]), int(np.sum(rows["skipped"])), _tried(run))
    if first := FIRST.get(run.outcome):
        advice = replace(advice, reason=f"{first}: lower the learning rate or the gain first. {advice.reason}")
    threshold = advice.threshold
    effect = _effect(run.config, threshold, on_progress) if verify and threshold is not None else None
    return replace(advice, share_clipped=float(np.mean(rows["clipped"])), effect=effect)


def _of_norms(norms: Sequence[float], verify: bool) -> ClipAdvice:
    """Of a run made elsewhere; one that is not finite is of an update that overflowed."""
    if verify:
        raise InputError("verify: expected a training run of gradlab, got norms alone; leave verify out", "verify")
    with quiet():
        logs = np.log(np.asarray(norms, dtype=float))
    return _advice(logs, int(np.sum(~np.isfinite(norms))), "")


def _advice(logs: np.ndarray, lost: int, tried: str) -> ClipAdvice:
    """From ln of the norms."""
    left_out = int(WARM_UP * len(logs))
    known = logs[left_out:][np.isfinite(logs[left_out:])]
    if len(known) < LEAST:
        raise InputError(f"the run shows {len(known)} gradient norms; advice needs at least {LEAST}: train longer")
    threshold, reason = _suggestion(known, left_out, lost, tried)
    with quiet():
        percentiles = dict(zip(PERCENTILES, np.exp(np.percentile(known, PERCENTILES)).tolist(), strict=True))
    return ClipAdvice(percentiles, None, threshold, reason.strip())


def _tried(run: TrainingRecord) -> str:
    """Which clipping the norms have seen."""
    clipped = run.history.rows["clipped"]
    return (
        f"{sum(clipped):.0f} of {counted(len(clipped), 'update')} were clipped."
        if run.threshold
        else "No threshold was tried."
    )


def _suggestion(logs: np.ndarray, left_out: int, lost: int, tried: str) -> tuple[float | None, str]:
    """Threshold and reason from ln of norms that follow the first `left_out` iterations."""
    tail = _tail(logs)
    largest = (
        f"of {counted(len(logs), 'norm')} (the first {counted(left_out, 'iteration')} left out) the most extreme is "
        f"{number_text(tail, 2)} times what was usual until then"
    )
    if tail < HEAVY and not lost:
        return None, f"No tail asks for clipping: {largest}. {tried}"
    threshold = float(f"{math.exp(min(np.percentile(logs, AT), 600)):.2g}")
    start = f"{counted(lost, 'update')} overflowed; {largest}" if lost else f"{largest[0].upper()}{largest[1:]}"
    return threshold, (
        f"{start}. At {value_text(threshold)}, the {AT}th percentile, one in ten of them would have been shortened, "
        "and the tail cut off. A net that is clipped goes another way, so only a run with it shows whether that helps."
    )


def _tail(logs: np.ndarray) -> float:
    """ln of the largest ratio of a norm to the lowest running median until then.

    Norms that fall as the net learns have no tail for that; those that grow and stay have one.
    """
    from scipy.ndimage import median_filter

    usual = np.minimum.accumulate(median_filter(logs, int(AROUND * len(logs)) | 1, mode="reflect"))
    return float((logs - usual).max())


def _effect(config: TrainConfig, threshold: float, on_progress: Callable[[float], None] | None) -> Effect:
    """Both runs, from the same start and on the same data."""
    iterations = min(config.iterations, SHORT)
    rare = {"snapshot_every": iterations, "evaluate_every": iterations}
    plain = config.replace(clip="off", clip_threshold=None, iterations=iterations, **rare)
    clipped = plain.replace(clip="norm", clip_threshold=threshold)
    without, with_it = (_rows(one, _share_of(on_progress, n, iterations)) for n, one in enumerate((plain, clipped)))
    return Effect(
        iterations,
        loss_without=late_loss(without["loss"]),
        loss_with=late_loss(with_it["loss"]),
        skipped_without=int(np.sum(without["skipped"])),
        skipped_with=int(np.sum(with_it["skipped"])),
        share_clipped=float(np.mean(with_it["clipped"])),
        share_above=float(np.mean(np.asarray(without["log_grad_norm_before"]) > math.log(threshold))),
    )


def _rows(config: TrainConfig, on_step: Callable[[Step], None] | None) -> dict[str, list[float]]:
    run = train(config, on_step=on_step)
    if run.status == "cancelled":
        raise Cancelled
    return run.history.rows


def _share_of(on_progress: Callable[[float], None] | None, run: int, iterations: int) -> Callable[[Step], None] | None:
    if on_progress is None:
        return None
    return lambda step: on_progress((run + step.iteration / iterations) / 2)
