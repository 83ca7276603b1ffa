"""What a training run has come to: one rule for all who say it."""

from __future__ import annotations

import math

from ..tasks import Task
from .history import History

LEARNT = 0.9  # of the baseline
LATE = 0.1  # of the iterations, whose training loss counts before there is a held-out one


def outcome(task: Task, history: History) -> str:
    """One of "solved", "learnt", "nothing", "broke".

    solved: the latest held-out score is below the task's `solved_below`. broke: more than half of the updates were
    skipped, or the loss is not finite. learnt: the loss is below nine tenths of the task's baseline. The loss is the
    latest held-out one; before the first evaluation the mean over the last tenth of the iterations.
    """
    if history.scores and task.solved_below is not None and history.scores[-1][2] < task.solved_below:
        return "solved"
    skipped, loss = history.rows["skipped"], _loss(history)
    if skipped and (2 * sum(skipped) > len(skipped) or not math.isfinite(loss)):
        return "broke"
    return "learnt" if loss < LEARNT * task.baseline else "nothing"


def _loss(history: History) -> float:
    """Infinite before the first iteration."""
    if history.scores:
        return history.scores[-1][1]
    losses = history.rows["loss"]
    late = losses[-math.ceil(LATE * len(losses)) :]
    return sum(late) / len(late) if late else math.inf
