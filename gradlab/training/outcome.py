"""What a training run has come to: one rule for all who say it."""

from __future__ import annotations

import math

from ..tasks import Task
from .history import History

LEARNT = 0.9  # of the baseline
MEMORISED = 0.5  # of the baseline, by the training loss of a net that has not learnt
DIVERGED = 10.0  # times the baseline, and the loss at first
LATE = 0.1  # of the iterations, whose training loss counts before there is a held-out one


def outcome(task: Task, history: History) -> str:
    """One of "solved", "learnt", "memorised", "nothing", "diverged", "broke", by the `latest_loss`.

    solved: the latest held-out score is below the task's `solved_below`. broke: more than half of the updates were
    skipped, or the loss is not finite. diverged: the loss is more than ten times the task's baseline and what it was at
    first. learnt: it is below nine tenths of the baseline. memorised: it is not, but the training loss is below half.
    """
    if history.scores and task.solved_below is not None and history.scores[-1][2] < task.solved_below:
        return "solved"
    skipped, loss = history.rows["skipped"], latest_loss(history)
    if skipped and (2 * sum(skipped) > len(skipped) or not math.isfinite(loss)):
        return "broke"
    if math.isfinite(loss) and loss > DIVERGED * max(task.baseline, *history.rows["loss"][:1]):
        return "diverged"
    if loss < LEARNT * task.baseline:
        return "learnt"
    return "memorised" if _late_loss(history) < MEMORISED * task.baseline else "nothing"


def latest_loss(history: History) -> float:
    """The latest held-out loss; before the first evaluation the mean training loss of the last tenth; inf at first."""
    return history.scores[-1][1] if history.scores else _late_loss(history)


def _late_loss(history: History) -> float:
    losses = history.rows["loss"]
    late = losses[-math.ceil(LATE * len(losses)) :]
    return sum(late) / len(late) if late else math.inf
