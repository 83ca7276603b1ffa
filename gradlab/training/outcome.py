"""What a training run has come to: one rule for all who say it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..tasks import Task
from .history import History
from .network import TaskFacts
from .rivals import nulls

MEMORISED = 0.5  # of the lowest loss that needs no net, by the training loss of a net that has not learnt
DIVERGED = 10.0  # times the baseline, and the loss at first
LATE = 0.1  # of the iterations, by whose training loss a run is judged


def outcome(task: Task | TaskFacts, history: History) -> str:
    """One of "solved", "learnt", "matched", "memorised", "nothing", "untested", "diverged", "broke".

    solved: the latest held-out score is below the task's `solved_below`. broke: more than half of the updates were
    skipped, or the `latest_loss` is not finite. diverged: that loss is more than ten times the task's baseline and
    what it was at first. untested: held-out data were not tried, or are too few to tell. learnt: by the latest
    evaluation the net is better than each of the `rivals.nulls` by more than the margin. memorised: it is not, but the
    training loss is below half of the lowest of theirs. matched: it is better than the baseline, and not than all.
    """
    if history.scores and task.solved_below is not None and history.scores[-1][2] < task.solved_below:
        return "solved"
    skipped, loss = history.rows["skipped"], latest_loss(history)
    if skipped and (2 * sum(skipped) > len(skipped) or not math.isfinite(loss)):
        return "broke"
    if math.isfinite(loss) and loss > DIVERGED * max(task.baseline, *history.rows["loss"][:1]):
        return "diverged"
    return _against_nulls(task, history)


def _against_nulls(task: Task | TaskFacts, history: History) -> str:
    """Of a run that is sound and has not solved its task."""
    found = nulls(task, history)
    if not found or found[0].blocks < 2:
        return "untested"
    if all(null.beaten for null in found):
        return "learnt"
    if late_loss(history.rows["loss"]) < MEMORISED * min(null.loss for null in found):
        return "memorised"
    return "matched" if found[0].beaten else "nothing"


def latest_loss(history: History) -> float:
    """The latest held-out loss; before the first evaluation the mean training loss of the last tenth; inf at first."""
    return history.scores[-1][1] if history.scores else late_loss(history.rows["loss"])


def late_loss(losses: Sequence[float]) -> float:
    """Mean of the last tenth, rounded up, of the training losses so far; inf where one is not finite, or none is there.

    An update that overflowed counts: a mean of the others would call a run good that broke nine times out of ten.
    """
    late = losses[-math.ceil(LATE * len(losses)) :]
    return float(sum(late) / len(late)) if len(late) and all(map(math.isfinite, late)) else math.inf
