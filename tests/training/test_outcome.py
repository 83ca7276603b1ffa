"""What a run has come to: both sides of each threshold."""

import math

import numpy as np
import pytest

from gradlab.tasks import make_task
from gradlab.training.history import History
from gradlab.training.outcome import late_loss, outcome
from gradlab.training.rivals import compared, latest, memory_text, nulls, strongest

ADDING, SINE = make_task("adding", steps=10), make_task("sine", steps=10)
T9 = 2.2621571627982  # of Student's t with nine degrees of freedom, 97.5 %
SURE, EVEN = (0.17, 0.1, 0.01, 10), (0.16, 0.1, 0.1, 10)  # loss, gain, error, blocks


def history(losses, scores=(), skipped=0, rivals=(SURE, SURE, SURE)):
    """Of as many iterations as losses, the first ones skipped; the scores are (held-out loss, score)."""
    found = History()
    for i, loss in enumerate(losses):
        found.add(dict.fromkeys(found.rows, math.nan) | {"loss": loss, "skipped": float(i < skipped)})
    found.scores = [(n + 1, *score) for n, score in enumerate(scores)]
    found.rivals = [np.array(rivals, dtype=float) for _ in scores]
    return found


@pytest.mark.parametrize(
    ("losses", "scores", "word"),
    [
        ([1.0], [(0.02, 0.02 - 1e-9)], "solved"),
        ([1.0], [(0.02, 0.02)], "learnt"),
        ([0.2], [(2 + 1e-9, 1.0)], "diverged"),  # ten times the first loss
        ([0.2], [(2 - 1e-9, 1.0)], "learnt"),
        ([0.1], [(10 / 6 + 1e-9, 1.0)], "diverged"),  # ten times the baseline
        ([0.1], [(10 / 6 - 1e-9, 1.0)], "learnt"),
        ([0.5] * 9 + [6.0], [], "diverged"),
        ([math.nan], [(0.1, 0.1)], "learnt"),
        ([1.0], [(0.01, 0.01), (1.0, 1.0)], "learnt"),  # nor what was once reached
        ([1.0], [(math.inf, math.inf)], "broke"),
        ([1.0], [(math.nan, math.nan)], "broke"),
        ([1e-9], [], "untested"),
        ([0.0, math.nan], [], "broke"),
        ([math.nan, 0.0], [], "untested"),
        ([], [], "untested"),
    ],
)
def test_by_loss_and_score(losses, scores, word):
    assert outcome(ADDING, history(losses, scores)) == word


def gaining(gain, blocks=10):
    return (0.16, gain, 0.1, blocks)


@pytest.mark.parametrize(
    ("rivals", "word"),
    [
        ((gaining(0.1 * T9 + 1e-9), SURE, EVEN), "learnt"),
        ((gaining(0.1 * T9 - 1e-9), SURE, SURE), "nothing"),
        ((SURE, EVEN, SURE), "matched"),
        ((EVEN, SURE, SURE), "nothing"),
        ((gaining(math.nan), SURE, SURE), "nothing"),
        ((gaining(9.0, 1),) * 3, "untested"),  # a single block has no error
        ((gaining(1.2, 2), gaining(1.2, 2), SURE), "nothing"),  # two: 12.7 standard errors
        ((gaining(1.28, 2), gaining(1.28, 2), SURE), "learnt"),
        (((0.69, 0.6, 0.0, 10), SURE, SURE), "learnt"),
    ],
)
def test_learnt_is_better_than_every_null_by_more_than_the_error(rivals, word):
    assert outcome(ADDING, history([1.0], [(0.1, 0.1)], rivals=rivals)) == word


@pytest.mark.parametrize(("late", "word"), [(0.08 - 1e-9, "memorised"), (0.08, "matched")])
def test_memorised_is_half_of_the_strongest_null(late, word):
    assert outcome(ADDING, history([late], [(0.1, 0.1)], rivals=(SURE, EVEN, SURE))) == word


@pytest.mark.parametrize(("skipped", "word"), [(5, "learnt"), (6, "broke")])
def test_by_skipped_updates(skipped, word):
    assert outcome(ADDING, history([0.1] * 10, [(0.1, 0.1)], skipped)) == word
    assert outcome(ADDING, history([0.1] * 10, [(0.01, 0.01)], skipped)) == "solved"


def test_a_task_that_is_never_solved():
    assert outcome(SINE, history([0.0], [(0.0, 0.0)], rivals=[SURE] * 5)) == "learnt"


# rivals


def test_the_hardest_to_beat_is_one_that_is_not_beaten():
    found = nulls(ADDING, history([1.0], [(0.1, 0.1)], rivals=((0.2, 0.0, 0.1, 10), SURE, SURE)))
    assert [null.short for null in found] == ["without memory", "the last step alone"]
    assert strongest(found).loss == 0.2 and strongest(found[1:]).loss == 0.17


def test_a_net_that_cannot_be_cut_is_not_compared_with_itself():
    assert [r.name for r in latest(ADDING, history([1.0], [(0.1, 0.1)], rivals=(SURE, SURE, (0, 0, 0, 0))))] == [
        "baseline", "memoryless"
    ]  # fmt: skip


CUT = "with its state cut before every step the loss is"


@pytest.mark.parametrize(
    ("cut", "text"),
    [
        ((0.4, 0.3, 0.01, 10), f"It needs its memory: {CUT} 0.4 (+0.3 ± 0.023)."),
        ((0.1, -0.1, 0.0, 9), f"It shows no need of its memory: {CUT} 0.1 (-0.1 ± 0)."),
        ((0.4, 0.3, 0.0, 1), ""),
    ],
)
def test_memory_is_needed_where_a_cut_net_does_worse_by_more_than_the_error(cut, text):
    found = latest(ADDING, history([1.0], [(0.1, 0.1)], rivals=(SURE, SURE, cut)))[-1]
    assert memory_text(found) == text


def test_gain_and_error_of_equal_blocks_are_mean_and_standard_error():
    rng = np.random.default_rng(4)
    own, other = rng.uniform(size=(2, 5, 40))
    blocks = np.broadcast_to(np.arange(40) // 4, (5, 40))
    ((loss, gain, error, count),) = compared(own, {"a": other}, None, blocks)
    means = (other - own).reshape(5, 10, 4).mean(axis=(0, 2))
    assert (loss, gain) == pytest.approx((other.mean(), means.mean())) and count == 10
    assert error == pytest.approx(means.std(ddof=1) / math.sqrt(10))


def test_only_own_steps_count_and_empty_blocks_are_none():
    own, other = np.zeros((3, 4)), np.ones((3, 4))
    other[2] = np.inf
    inside, blocks = np.array([[True] * 4] * 2 + [[False] * 4]), np.array([[0, 0, 2, 2]] * 3)
    np.testing.assert_array_equal(compared(own, {"a": other, "b": None}, inside, blocks), [[1, 1, 0, 2], [0] * 4])


def test_the_interval_holds_its_mean_as_often_as_it_says():
    """Of 2,000 comparisons with blocks of unequal sizes, 95 % of the intervals hold the true gain, 0.3."""
    rng, held = np.random.default_rng(977), 0
    blocks = np.repeat(np.arange(10), rng.integers(20, 60, 10))
    for _ in range(2000):
        own = rng.standard_normal(len(blocks))
        other = own + 0.3 + rng.exponential(size=len(blocks)) - 1
        ((_, gain, error, _),) = compared(own, {"a": other}, None, blocks)
        held += abs(gain - 0.3) < T9 * error
    assert 0.93 < held / 2000 < 0.965


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
