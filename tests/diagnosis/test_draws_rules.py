"""Verdicts over draws of weights and input: their median and spread, which draws are made, and when no more are."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.diagnosis import Change
from gradlab.diagnosis.changes import Proposal, Remedy, most_carried
from gradlab.diagnosis.draws import Draws, Runs, affected, judged
from gradlab.diagnosis.trials import tried_out
from gradlab.runs.cost import work
from gradlab.runs.verdicts import FACTOR, Verdict
from tests.diagnosis.test_diagnosis import SMALL, synthetic

TUNING, SECONDS, FRESH, HOLDS = (
    4,
    1.5,
    8,
    6,
)  # draws and seconds that correct, draws that verify, and of those that hold
CHANGE = Change("a", {"gain": 2.0})


def verdict_of(log_rate, word="carried", steps=20, samples=None):
    return Verdict(word, steps, None, None, log_rate, None, 0, samples={word: 4} if samples is None else samples)


def draws_of(words, seeds=range(0), fresh=range(0)):
    """Draws whose run of seed n is carried where words[n] is true; seeds that were run, this draw's as None."""
    ran = []

    def rerun(change):
        seed = change.fields.get("seed")
        ran.append(seed)
        right = words if seed is None or isinstance(words, bool) else words[seed]
        return synthetic(np.linspace(0.0 if right else -60.0, 0.0, 21))

    return Draws(rerun, np.arange(4), seeds, fresh, lambda change: None), ran


# runs


def test_the_rate_of_several_draws_is_their_median_and_their_spread_one_over_those_that_left_something():
    runs = Runs([verdict_of(rate) for rate in (-0.3, 0.1, 0.5, None)])
    assert runs.log_rate == pytest.approx(-0.1)
    assert runs.spread == pytest.approx(np.std([-0.3, 0.1, 0.5], ddof=1))
    assert Runs([verdict_of(0.2)]).spread == 0.0 and Runs([verdict_of(0.2), verdict_of(None)]).spread == 0.0
    assert Runs([verdict_of(0.2), verdict_of(0.4)]).spread == pytest.approx(0.1 * math.sqrt(2))


@pytest.mark.parametrize(("steps", "infinite"), [(0, True), (1, True), (2, False)])
def test_a_run_that_left_nothing_to_measure_counts_as_infinite(steps, infinite):
    assert (Runs([verdict_of(0.3, steps=steps)]).log_rate == math.inf) == infinite


@pytest.mark.parametrize(("held", "most"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_most_draws_are_more_than_half_of_them(held, most):
    verdicts = [verdict_of(0.0)] * held + [verdict_of(-1.0, "vanishing")] * (4 - held)
    assert Runs(verdicts).carried == most


@pytest.mark.parametrize(
    ("word", "samples", "most"),
    [
        ("carried", {"carried": 3, "vanishing": 2}, True),
        ("carried", {"carried": 2, "vanishing": 2}, False),
        ("carried", {"vanishing": 1}, False),
        ("vanishing", {"carried": 3}, False),
    ],
)
def test_most_samples_are_more_than_half_of_them(word, samples, most):
    assert most_carried(verdict_of(0.0, word, samples=samples)) == most


# which draws


@pytest.mark.parametrize("steps", [20, 4000, 400_000])
def test_the_draws_of_a_configuration(steps):
    """Up to four that correct, fewer of what takes longer but one; then eight fresh ones, never the run's own."""
    config, ds = gradlab.RunConfig(**SMALL | {"seed": 7, "steps": steps}), synthetic(np.linspace(0.0, 1.0, 21))
    draws = Draws.of(ds, config, None, None)
    count = min(TUNING, max(1, int(SECONDS / work(config))))
    assert draws.seeds == range(8, 8 + count) and draws.fresh == range(8 + TUNING, 8 + TUNING + FRESH)
    assert {20: count == TUNING, 400_000: count == 1}.get(steps, True)
    for given in (None, config.replace(weights="a.safetensors")):
        draws = Draws.of(ds, given, None, None)
        assert not draws.seeds and not draws.fresh


def test_a_change_is_run_in_this_draw_and_with_other_seeds():
    draws, ran = draws_of({8: True, 9: False}, range(8, 10))
    found = draws.tuning(CHANGE)
    assert ran == [None, 8, 9] and [v.word for v in found.verdicts] == ["carried", "carried", "vanishing"]


@pytest.mark.parametrize(
    ("carried", "held", "made"),
    [
        ([True] * 8, 8, 8),
        ([False] * 8, 0, FRESH - HOLDS + 1),
        ([True, True, False, True, False, True, True, True], 6, 8),
        ([True, False, True, False, True, False, True, True], 3, 6),
        ([True] * 5 + [False] * 3, 5, 8),
    ],
)
def test_no_more_draws_are_made_once_too_many_have_failed(carried, held, made):
    draws, ran = draws_of(dict(enumerate(carried)), fresh=range(8))
    assert draws.held(CHANGE) == (held, made) and ran == list(range(made))


def test_without_fresh_draws_none_is_made():
    assert draws_of(True)[0].held(CHANGE) == (0, 0)


def test_each_run_is_announced():
    told = []
    draws = Draws(lambda change: synthetic(np.zeros(21)), np.arange(4), range(3, 5), range(0), told.append)
    draws.tuning(CHANGE)
    assert [change.fields.get("seed") for change in told] == [None, 3, 4] and told[0] is CHANGE


def test_a_verdict_is_of_the_samples_that_overflowed_or_that_the_first_one_was_about():
    ds = synthetic(np.linspace(-60.0, 0.0, 21)[:, None] + np.zeros(4))
    samples = ds.sizes["sample"]
    assert affected(ds).tolist() == list(range(samples))
    ds = ds.assign_attrs(overflow=[{"sample": 1, "step": 3, "gate": "g"}])
    assert judged(ds, np.array([1])).word == "overflow"
    assert judged(ds, np.array([0])).word == "vanishing"
    assert judged(ds, np.array([0, samples, samples + 3])).word == "vanishing"
    assert sum(judged(ds, np.array([0, 2])).samples.values()) == 2


def test_nothing_is_affected_where_there_are_no_samples():
    assert affected(synthetic(np.zeros((21, 0)))).tolist() == []


# remedies


@pytest.mark.parametrize(
    ("held", "draws", "holds"), [(0, 0, True), (HOLDS, FRESH, True), (HOLDS - 1, FRESH, False), (FRESH, FRESH, True)]
)
def test_a_remedy_holds_where_it_carries_here_and_in_enough_draws(held, draws, holds):
    assert Remedy(CHANGE, "", 0.0, verdict_of(0.0), 0, held, draws).holds == holds
    assert not Remedy(CHANGE, "", 0.0, verdict_of(-1.0, "vanishing"), 0, held, draws).holds
    assert not Remedy(CHANGE, "", 0.0, None, 0, held, draws).holds
    assert Remedy(CHANGE, "", 0.0, verdict_of(0.0), 0, held, draws).carries(10) == holds


@pytest.mark.parametrize(("steps", "last"), [(0, 1), (1, 1), (2, 1), (11, 10)])
def test_a_remedy_that_is_not_run_carries_as_predicted(steps, last):
    for share, carried in ((0.999, True), (1.001, False)):
        for sign in (1, -1):
            assert Remedy(CHANGE, "", sign * share * FACTOR / last).carries(steps) == carried


def proposals(*log_rates):
    return iter([Proposal(Change(f"{n}", {"gain": 1.0 + n}), "", rate) for n, rate in enumerate(log_rates)])


def test_what_is_not_carried_when_run_is_left_out_and_of_doubtful_ones_the_best_comes_alone():
    for held, doubtful in ((8, False), (5, True), (4, True), (3, True), (2, False)):
        order = [True] * held + [False] * (8 - held)
        draws, _ = draws_of(dict(enumerate(order)), fresh=range(8))
        words = list(tried_out(proposals(0.0, 0.0), draws, too_short=False))
        if held >= HOLDS:
            assert [one.change.label for one in words] == ["0", "1"] and all(one.holds for one in words)
        else:
            assert [(one.change.label, one.holds) for one in words] == ([("0", False)] if doubtful else [])


def test_without_anything_that_runs_them_remedies_come_as_predicted():
    found = list(tried_out(proposals(0.5, -0.5), None, too_short=False))
    assert [one.predicted_log_rate for one in found] == [0.5, -0.5] and not any(one.verified for one in found)


def test_more_steps_and_clipping_are_run_once_and_come_whatever_that_shows():
    draws, ran = draws_of(False, range(3), range(8))
    found = list(tried_out(proposals(0.0), draws, too_short=True))
    assert [one.verified.word for one in found] == ["vanishing"] and ran == [None]
    clip = Proposal(Change("clip", {"clip": "norm"}), "", 0.5)
    assert len(list(tried_out(iter([clip]), draws, too_short=False))) == 1 and ran == [None, None]
