"""What a training run has come to: one rule for all who say it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..tasks import Task
from .history import History
from .network import TaskFacts

LEARNT = 0.9  # of the baseline
MEMORISED = 0.5  # of the baseline, by the training loss of a net that has not learnt
DIVERGED = 10.0  # times the baseline, and the loss at first
LATE = 0.1  # of the iterations, by whose training loss a run is judged


def outcome(task: Task | TaskFacts, history: History) -> str:
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
    return "memorised" if late_loss(history.rows["loss"]) < MEMORISED * task.baseline else "nothing"


def latest_loss(history: History) -> float:
    """The latest held-out loss; before the first evaluation the mean training loss of the last tenth; inf at first."""
    return history.scores[-1][1] if history.scores else late_loss(history.rows["loss"])


def late_loss(losses: Sequence[float]) -> float:
    """Mean of the last tenth, rounded up, of the training losses so far; inf where one is not finite, or none is there.

    An update that overflowed counts: a mean of the others would call a run good that broke nine times out of ten.
    """
    late = losses[-math.ceil(LATE * len(losses)) :]
    return float(sum(late) / len(late)) if len(late) and all(map(math.isfinite, late)) else math.inf
