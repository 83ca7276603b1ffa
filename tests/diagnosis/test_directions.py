"""Which way a remedy goes: towards 1 on the whole way, to what is the cause, and never to the run as it is."""

import math
from dataclasses import replace

import numpy as np
import pytest

import gradlab
from gradlab.diagnosis import Change, diagnose
from gradlab.diagnosis.changes import Proposal, Remedy, is_clip
from gradlab.diagnosis.findings import NOTHING
from gradlab.diagnosis.trials import tried_out
from tests.diagnosis.test_factors import measured
from tests.diagnosis.test_proposals import gated, proposed, vanilla

LIMIT = math.log(np.finfo(float).max)


def own(weights, x, activation="identity", bias=0.0):
    """A vanilla net of given recurrent weights, its parameters and its run."""
    units = len(weights)
    cell = gradlab.make_cell("elman", input_size=x.shape[-1], hidden_size=units, activation=activation)
    v = np.random.default_rng(0).normal(size=(1, units, x.shape[-1]))
    params = {"W_xh": v, "W_hh": np.asarray(weights)[None], "b_h": np.full((1, units), bias)}
    return cell, params, gradlab.analyze(cell=cell, params=params, x=x)


def chain(units, above):
    """Stable weights whose products grow along a chain of units before they fall."""
    return 0.6 * np.eye(units) + above * np.eye(units, k=1)


def factors_of(found):
    """By how much each remedy multiplies the recurrent weights."""
    return [r.change.transform[1] for r in found.remedies if (r.change.transform or ("",))[0] == "scale_recurrent"]


# towards 1


@pytest.mark.parametrize("word", ["vanishing", "saturated", "exploding", "chaotic", "transient growth"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_where_the_rate_is_on_the_other_side_of_1_than_the_word_no_number_follows_from_it(word, given, turned):
    grows = word not in ("vanishing", "saturated")
    rate = 0.3 if grows != turned else -0.3
    cases = {
        "elman": vanilla(weights=0.9, log_rate=rate, drive=3.0, recurrence=1.0),
        "identity": vanilla("identity", weights=0.9, log_rate=rate),
        "lstm": gated("lstm", carry=0.7, gates=0.6, log_rate=rate),
        "indrnn": replace(measured("indrnn"), carries=True, carry=1.2, gates=0.0, log_rate=rate),
        "leak": replace(measured(leak=0.4), carry=0.6, gates=0.1, log_rate=rate),
    }
    for name, factors in cases.items():
        if name == "leak" and (given or grows):
            continue
        fields = {"lstm": {"cell": "lstm"}, "indrnn": {"cell": "indrnn"}, "leak": {"leak": 0.4}}.get(name, {})
        found = proposed(word, factors, **({"given": True} if given else fields)).values()
        measured_from = [p for p in found if p.retry is not None and "theory of infinite width, for" not in p.why]
        assert bool(measured_from) != turned, name


@pytest.mark.parametrize("above", [2.0, 9.0, 30.0])
@pytest.mark.parametrize("units", [3, 4, 5, 7])
def test_weights_of_a_net_that_grows_are_made_smaller_and_of_one_that_vanishes_larger(units, above):
    for steps in (20, 36, 50):
        x = np.random.default_rng(steps).normal(size=(steps, 3, 2))
        found = diagnose(own(chain(units, above), x)[2], rerun=False)
        grows = found.word in ("exploding", "transient growth")
        assert all((factor < 1) if grows else (factor > 1) for factor in factors_of(found)), (steps, found.word)
        if len(found.verdict.pieces) > 1 and found.word != "carried":
            assert found.nothing_carries and NOTHING in str(found)


def test_a_rate_on_the_whole_predicts_no_course_that_bends():
    remedy = Remedy(Change("a"), "", 0.0)
    assert remedy.carries(100) and remedy.carries(100, straight=True) and not remedy.carries(100, straight=False)


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_whether_a_course_bends_is_asked_of_the_flow_without_clipping(threshold):
    cell, params, ds = own(chain(4, 9.0), np.random.default_rng(36).normal(size=(36, 3, 2)))
    clipped = gradlab.analyze(
        cell=cell, params=params, x=np.zeros((36, 3, 2)), clip="step_norm", clip_threshold=threshold
    )
    found = diagnose(clipped, rerun=False)
    assert len(found.verdict.pieces) == 1 and not found.straight
    assert not diagnose(ds, rerun=False).straight and diagnose(own(np.eye(4), np.ones((36, 3, 2)))[2], False).straight


# never to the run as it is


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (Change("a", transform=("scale_recurrent", 1.0)), False),
        (Change("a", transform=("scale_recurrent", 0.999)), True),
        (Change("a", transform=("scale_bias", 0.0)), True),
        (Change("a", transform=("shift_forget_bias", 0.0)), False),
        (Change("a", transform=("shift_forget_bias", 1.0)), True),
        (Change("a", {"clip": "off"}, ("scale_input", 1.0)), False),
        (Change("a", {"gain": 1.5}), False),
        (Change("a", {"gain": 1.5, "clip": "off"}), False),
        (Change("a", {"gain": 1.6, "clip": "off"}), True),
        (Change("a", {"gain": 1.5, "recurrent_init": "orthogonal"}), True),
        (Change("a", {"clip": "norm"}), True),
    ],
    ids=str,
)
def test_what_changes_the_flow(change, changes):
    assert change.changes(gradlab.RunConfig(gain=1.5, clip="step_norm")) == changes
    assert change.changes(None) == (changes or change.transform is None)


@pytest.mark.parametrize("rate", [1e-5, -1e-5, 4e-4])
def test_a_factor_that_is_1_when_rounded_is_not_proposed(rate):
    found = proposed(
        "exploding" if rate > 0 else "vanishing", vanilla("identity", weights=0.9, log_rate=rate), given=True
    )
    assert all(is_clip(p) for p in found.values())


def test_what_only_a_run_can_tell_is_left_out_where_nothing_is_run():
    both = [Proposal(Change("a"), "", 0.0, blind=True), Proposal(Change("b"), "", 0.0)]
    assert [remedy.change.label for remedy in tried_out(iter(both), None, too_short=False)] == ["b"]
    x = 30 * np.random.default_rng(1).normal(size=(40, 3, 2))
    saturated = diagnose(own(np.eye(6), x, "tanh")[2], rerun=False)
    assert saturated.word == "saturated" and not any("Biases" in r.change.label for r in saturated.remedies)


# to what is the cause


@pytest.mark.parametrize("own_weight", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("activation", ["identity", "leaky_relu"])
def test_an_input_that_drives_the_units_out_of_range_is_made_weaker_and_nothing_else(own_weight, activation):
    """By as much as brings the pass back into range; predicted is the rate as it is, which may carry nothing."""
    x = np.random.default_rng(0).normal(size=(30, 4, 3))
    x[20] = 1e308
    cell, params, ds = own(own_weight * np.eye(5), x, activation)
    found = diagnose(ds, rerun=False)
    assert found.word == "overflow" and "The input and the biases drive the units out of range" in found.cause
    (remedy,) = found.remedies
    kind, scale = remedy.change.transform
    assert kind == "scale_input" and 0 < scale < 1e-3 and remedy.change.label == f"Input weights x {scale:g}"
    again = gradlab.analyze(cell=cell, params=remedy.change.apply_weights(cell, params), x=x)
    assert diagnose(again, rerun=False).word != "overflow"
    assert remedy.predicted_log_rate == found.log_rate
    if activation == "identity":
        assert found.nothing_carries == (own_weight != 1.0)
        tried = diagnose(ds, lambda c: gradlab.analyze(cell=cell, params=c.apply_weights(cell, params), x=x))
        assert [one.change for one in tried.remedies] == [remedy.change] * (own_weight == 1.0)


def driven_out(word="overflow", step=5, drive=LIMIT, **factors):
    place = {"sample": 0, "step": step, "gate": "h", "drive": drive, "state": 1.0}
    return replace(vanilla("relu", log_rate=0.2), overflow=[place], dtype="float64", **factors)


def test_what_input_and_biases_bring_counts_from_a_ten_thousandth_of_the_largest_number():
    edge = LIMIT - math.log(1e4)
    for drive, only in ((edge + 0.1, True), (edge - 0.1, False), (None, False)):
        labels = proposed("overflow", driven_out(drive=drive), given=True)
        assert all(label.startswith("Input weights") for label in labels) == only, drive
    (one,) = proposed("overflow", driven_out(drive=edge + math.log(8.0)), given=True).values()
    assert one.change.transform == ("scale_input", 0.125)


@pytest.mark.parametrize(("step", "blind"), [(1, True), (2, False)])
def test_what_overflows_at_the_first_step_may_do_so_by_its_biases(step, blind):
    (one,) = proposed("overflow", driven_out(step=step), given=True).values()
    assert one.blind == blind


def test_a_drawn_net_that_its_input_drives_out_of_range_gets_a_mild_one():
    (one,) = proposed("overflow", driven_out(), activation="relu", input_scale=1e300, bias_scale=2.0).values()
    assert one.change.fields.items() >= {"input_scale": 1.0, "bias_scale": 0.0}.items() and "gain" in one.change.fields
    assert proposed("overflow", driven_out(), activation="relu") == {}, "they are mild"
    gated_net = driven_out(cell=measured("lstm").cell, carries=True)
    (one,) = proposed("overflow", gated_net, cell="lstm", input_scale=1e300).values()
    assert one.change.fields == {"input_scale": 1.0} and one.predicted_log_rate == 0.2
    assert proposed("overflow", gated_net, cell="lstm") == {}
    assert proposed("overflow", replace(gated_net, log_rate=math.nan, weights=0.0), given=True) == {}
