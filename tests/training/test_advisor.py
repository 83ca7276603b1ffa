"""The clip advisor: thresholds from norms that are known, and what they change, tried."""

import math
import re

import numpy as np
import pytest

from gradlab.errors import Cancelled, InputError
from gradlab.training import Effect, TrainConfig, TrainingRun, advise, train
from gradlab.training.history import COLUMNS

QUICK = {"task": "sine", "steps": 30, "hidden_size": 16, "batch_size": 4, "snapshot_every": 1000}


def run_with(log_norms, skipped=(), clipped=(), **fields):
    """A run whose gradient norms are given."""
    run = TrainingRun(TrainConfig(**QUICK | fields))
    for i, value in enumerate(log_norms):
        shown = {"log_grad_norm_before": value, "skipped": i in skipped, "clipped": i in clipped}
        run.history.add(dict.fromkeys(COLUMNS, 0.0) | shown)
    return run


def test_percentiles_leave_the_first_tenth_out():
    norms = np.random.default_rng(3).permutation(np.linspace(0.5, 2.0, 180))
    advice = advise(run_with(np.log([1e9] * 20 + norms.tolist()), clipped=range(50)))
    assert advice.percentiles[50] == pytest.approx(math.exp(np.median(np.log(norms))))
    assert advice.percentiles[100] == pytest.approx(2.0)
    assert list(advice.percentiles) == [1, 10, 50, 90, 99, 100]
    assert advice.share_clipped == 0.25
    assert advice.threshold is None and advice.effect is None
    assert re.fullmatch(
        r"No tail asks for clipping: of 180 norms \(the first 20 iterations left out\) the most extreme is "
        r"\d\.\d times what was usual until then\. No threshold was tried\.",
        advice.reason,
    )
    assert "25 % clipped so far." in str(advice)


def test_a_run_that_was_clipped_says_how_often():
    advice = advise(run_with([0.0] * 60, clipped=range(7), clip="norm", clip_threshold=0.5))
    assert advice.reason.endswith("1 times what was usual until then. 7 of 60 updates were clipped.")


@pytest.mark.parametrize(
    ("tail", "words"), [(40.0, "40"), (930.0, "930"), (1e4, r"10\^4"), (math.exp(40), r"2\.4×10\^17")]
)
def test_a_tail_is_cut_off_at_the_ninetieth_percentile(tail, words):
    norms = np.full(200, 1.0)
    norms[25::9] = 3.137
    norms[110] = tail
    advice = advise(run_with(np.log(norms)))
    assert advice.threshold == 3.1  # rounded: nobody sets 3.137
    assert "At 3.1, the 90th percentile, one in ten of them would have been shortened" in advice.reason
    assert re.search(rf"^Of 180 norms \(.* left out\) the most extreme is {words} times what was usual", advice.reason)
    assert "only a run with it shows whether that helps" in advice.reason


@pytest.mark.parametrize(("largest", "threshold"), [(9.9, None), (10.1, 1.0)])
def test_a_tail_begins_at_ten_times_the_median(largest, threshold):
    assert advise(run_with(np.log([1.0] * 99 + [largest]))).threshold == threshold


def test_norms_that_fall_as_the_net_learns_have_no_tail_and_those_that_grow_have():
    falling = np.linspace(7, 0, 200)
    assert advise(run_with(falling)).threshold is None
    assert advise(run_with(falling[::-1])).threshold == pytest.approx(math.exp(7 * 0.91), rel=0.05)


@pytest.mark.parametrize(
    ("fields", "words"), [({"loss": 1e9}, "The run diverged: "), ({"skipped": 1.0}, "The run broke: ")]
)
def test_a_run_that_diverged_or_broke_is_told_of_its_learning_rate_first(fields, words):
    run = run_with([0.0] * 40)
    for name, value in fields.items():
        run.history.rows[name][1:] = [value] * 39
    assert advise(run).reason.startswith(f"{words}lower the learning rate or the gain first. ")


def test_lost_updates_ask_for_a_threshold_without_any_tail():
    advice = advise(run_with([math.log(2.0)] * 60 + [math.nan, math.inf], skipped=(60, 61)))
    assert advice.threshold == 2.0
    start = "2 updates overflowed; of 54 norms (the first 6 iterations left out) the most extreme is 1 times what"
    assert advice.reason.startswith(start)


def test_norms_beyond_the_floating_point_range():
    advice = advise(run_with([700.0] * 60 + [900.0] * 40))
    assert advice.percentiles[100] == math.inf
    assert math.isfinite(advice.threshold)


def test_a_run_that_is_too_short():
    with pytest.raises(InputError, match="the run shows 18 gradient norms; advice needs at least 20: train longer"):
        advise(run_with([0.0] * 20))


@pytest.fixture(scope="module")
def too_fast():
    """A calm net, and steps so long that the readout's weights grow without limit unless they are clipped.

    Neither run is sensitive to rounding; the norms that the threshold comes from are given.
    """
    norms = np.log([1.0] * 38 + [20.0] * 2)
    return run_with(norms, gain=0.5, optimizer="sgd", learning_rate=0.5, iterations=60)


def test_the_effect_is_that_of_a_run_with_the_threshold(too_fast):
    shares = []
    advice = advise(too_fast, verify=True, on_progress=shares.append)
    effect = advice.effect
    plain = train(too_fast.config)
    clipped = train(too_fast.config.replace(clip="norm", clip_threshold=advice.threshold))
    for run, loss, skipped in (
        (plain, effect.loss_without, effect.skipped_without),
        (clipped, effect.loss_with, effect.skipped_with),
    ):
        assert loss == pytest.approx(np.mean(run.history.rows["loss"][-6:]))
        assert skipped == sum(run.history.rows["skipped"])
    assert effect.loss_with < 1 < 1e9 < effect.loss_without
    assert effect.outcome == "helped" and "without: it helped." in str(effect)
    above = np.exp(plain.history.rows["log_grad_norm_before"]) > advice.threshold
    assert effect.share_clipped == np.mean(clipped.history.rows["clipped"]) > 0
    assert effect.share_above == np.mean(above)
    counts = f" It clipped {sum(clipped.history.rows['clipped']):.0f} of 60 updates, where {above.sum()} norms without"
    assert counts in str(effect)
    assert effect.iterations == 60 and str(effect) in str(advice)
    assert shares == sorted(shares) and len(shares) == 120 and shares[-1] == 1


def test_a_verification_can_be_cancelled(too_fast):
    seen = []

    def on_progress(share):
        seen.append(share)
        if share > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        advise(too_fast, verify=True, on_progress=on_progress)
    assert len(seen) < 120


def test_losses_that_are_not_finite_count_as_infinite():
    norms = np.log([1.0] * 30 + [50.0, 40.0] * 5)
    run = run_with(norms, activation="relu", gain=1e20, dtype="float32", iterations=40)
    effect = advise(run, verify=True).effect
    assert (effect.skipped_without, effect.loss_without) == (40, math.inf)
    assert "and not finite without: it " in str(effect)
    assert str(effect).endswith(f" {effect.skipped_with} updates overflowed with it, 40 without.")


@pytest.mark.parametrize(
    ("without", "with_it", "outcome", "words"),
    [
        (1.0, 0.79, "helped", "1 without: it helped."),
        (1.0, 0.81, "no difference", "1 without: it made no difference."),
        (0.81, 1.0, "no difference", "0.81 without: it made no difference."),
        (0.79, 1.0, "harm", "0.79 without: it did harm, so do without it."),
        (math.inf, math.inf, "no difference", "not finite without: it made no difference."),
    ],
)
def test_a_fifth_of_the_loss_is_a_difference(without, with_it, outcome, words):
    effect = Effect(300, without, with_it, 0, 0, 0.1, 0.1)
    assert effect.outcome == outcome and words in str(effect)


@pytest.mark.parametrize(
    ("clipped", "above", "words"),
    [
        (196, 31, "where 31 norms without it were above: with it the net went where its gradient is larger."),
        (10, 60, "where 60 norms without it were above: with it the net went where its gradient is smaller."),
        (60, 31, ""),
    ],
)
def test_a_share_clipped_that_is_far_from_the_expected_one_is_explained(clipped, above, words):
    text = str(Effect(300, 1.0, 1.0, 0, 0, clipped / 300, above / 300))
    assert text.endswith(f"It clipped {clipped} of 300 updates" + (f", {words}" if words else "."))


def test_norms_of_a_training_made_elsewhere():
    norms = np.where(np.arange(200) % 50 == 49, 300.0, np.random.default_rng(0).uniform(1, 2, 200))
    advice = advise(norms)
    assert advice.threshold == pytest.approx(2, rel=0.2) and advice.share_clipped is None
    assert "clipped so far" not in str(advice) and "No threshold was tried" not in str(advice)
    assert advise(list(norms)) == advice
    assert advise([*norms, math.inf]).reason.startswith("1 update overflowed")
    with pytest.raises(InputError, match="the run shows 3 gradient norms; advice needs at least 20"):
        advise([1.0, 2.0, 3.0])
    with pytest.raises(
        InputError, match="verify: expected a training run of gradlab, got norms alone; leave verify out"
    ):
        advise(norms, verify=True)
