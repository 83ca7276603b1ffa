"""What a run has come to: both sides of each threshold."""

import math

import numpy as np
import pytest

from gradlab.tasks import make_task
from gradlab.training.history import History
from gradlab.training.outcome import late_loss, outcome

ADDING, SINE = make_task("adding", steps=10), make_task("sine", steps=10)
AT = 0.9 / 6  # nine tenths of the baseline of adding


def history(losses, scores=(), skipped=0):
    """Of as many iterations as losses, the first ones skipped; the scores are (held-out loss, score)."""
    found = History()
    for i, loss in enumerate(losses):
        found.add(dict.fromkeys(found.rows, math.nan) | {"loss": loss, "skipped": float(i < skipped)})
    found.scores = [(n + 1, *score) for n, score in enumerate(scores)]
    return found


@pytest.mark.parametrize(
    ("losses", "scores", "word"),
    [
        ([1.0], [(0.02, 0.02 - 1e-9)], "solved"),
        ([1.0], [(0.02, 0.02)], "learnt"),
        ([1.0], [(AT - 1e-9, 0.1)], "learnt"),
        ([1.0], [(AT, 0.1)], "nothing"),
        ([1 / 12 - 1e-9], [(AT, 0.1)], "memorised"),
        ([1 / 12 + 1e-9], [(AT, 0.1)], "nothing"),
        ([0.2], [(2 + 1e-9, 1.0)], "diverged"),  # ten times the first loss
        ([0.2], [(2 - 1e-9, 1.0)], "nothing"),
        ([0.1], [(10 / 6 + 1e-9, 1.0)], "diverged"),  # ten times the baseline
        ([0.1], [(10 / 6 - 1e-9, 1.0)], "nothing"),
        ([0.5] * 9 + [6.0], [], "diverged"),
        ([math.nan], [(AT - 1e-9, 0.1)], "learnt"),
        ([1.0], [(0.01, 0.01), (1.0, 1.0)], "nothing"),  # nor what was once reached
        ([1.0], [(math.inf, math.inf)], "broke"),
        ([1.0], [(math.nan, math.nan)], "broke"),
        ([1.0] * 18 + [AT - 2e-9, AT], [], "learnt"),  # the last tenth of twenty
        ([0.0] * 18 + [AT, AT + 2e-9], [], "nothing"),
        ([0.0] * 10 + [AT - 2e-9, AT], [], "learnt"),
        ([AT - 1e-9], [], "learnt"),
        ([0.0, math.nan], [], "broke"),
        ([math.nan, 0.0], [], "learnt"),
        ([], [], "nothing"),
    ],
)
def test_by_loss_and_score(losses, scores, word):
    assert outcome(ADDING, history(losses, scores)) == word


@pytest.mark.parametrize(("skipped", "word"), [(5, "learnt"), (6, "broke")])
def test_by_skipped_updates(skipped, word):
    assert outcome(ADDING, history([0.1] * 10, [(0.1, 0.1)], skipped)) == word
    assert outcome(ADDING, history([0.1] * 10, [(0.01, 0.01)], skipped)) == "solved"


def test_a_task_that_is_never_solved():
    assert outcome(SINE, history([0.0], [(0.0, 0.0)])) == "learnt"


@pytest.mark.parametrize("kind", [list, np.array])
@pytest.mark.parametrize(
    ("losses", "mean"),
    [
        ([math.inf] * 9 + [0.1], 0.1),
        ([1.0] * 90 + [math.inf] * 9 + [0.1], math.inf),
        ([1.0] * 99 + [math.nan], math.inf),
        ([0.0] * 13 + [1.0, 2.0], 1.5),  # a tenth of fifteen is two
        ([], math.inf),
    ],
)
def test_the_late_loss(losses, mean, kind):
    assert late_loss(kind(losses)) == mean
