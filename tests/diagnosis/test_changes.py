"""A change of given weights, and what is said of one that was tried."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gradlab import analyze, diagnose
from gradlab.cells import CELLS, make_cell
from gradlab.diagnosis import Change, Diagnosis
from gradlab.diagnosis.changes import Proposal, Remedy, is_clip, scales_multipliers
from gradlab.diagnosis.findings import NOTHING
from gradlab.errors import InputError
from tests.diagnosis.test_draws_rules import verdict_of
from tests.throwaway_cells import Memory


def transformed(cell, kind, amount):
    """Names of the parameters that a transformation changes, and the new ones; the old ones stay as they are."""
    params = cell.init(0, bias_scale=0.5)
    before = {name: p.copy() for name, p in params.items()}
    found = Change("a", transform=(kind, amount)).apply_weights(cell, params)
    for name, p in before.items():
        np.testing.assert_array_equal(params[name], p)
    return [name for name in found if not np.array_equal(found[name], before[name])], found, before


@pytest.mark.parametrize(
    ("cell", "kind", "name"),
    [
        ("lstm", "scale_recurrent", "W_hh"),
        ("indrnn", "scale_recurrent", "p"),
        ("lstm", "scale_input", "W_xh"),
        ("lstm", "scale_bias", "b_h"),
    ],
)
def test_a_factor_multiplies_one_parameter(cell, kind, name):
    changed, found, before = transformed(make_cell(cell, input_size=2, hidden_size=3), kind, 0.25)
    assert changed == [name]
    np.testing.assert_array_equal(found[name], 0.25 * before[name])


@pytest.mark.parametrize("cell", ["lstm", "gru", "min_gru"])
def test_a_shift_is_added_to_the_forget_gates_bias_alone(cell):
    cell = make_cell(cell, input_size=2, hidden_size=3)
    changed, found, before = transformed(cell, "shift_forget_bias", -1.5)
    assert changed == ["b_h"]
    moved = np.zeros_like(before["b_h"])
    moved[cell.gates.index(cell.forget_gate)] = -1.5
    np.testing.assert_allclose(found["b_h"] - before["b_h"], moved, atol=1e-15)


def test_without_a_transformation_the_weights_stay():
    cell = make_cell("lstm", input_size=2, hidden_size=3)
    params = cell.init(0)
    found = Change("a", {"gain": 2.0}).apply_weights(cell, params)
    assert found is not params and all(found[name] is p for name, p in params.items())


def test_what_has_no_recurrent_weights_cannot_be_scaled():
    with pytest.raises(InputError, match="Memory has no recurrent weights that a factor scales"):
        transformed(Memory(2, 3, "tanh"), "scale_recurrent", 2.0)
    scaled = {name for name, cell in CELLS.items() if scales_multipliers(cell)}
    assert "indrnn" in scaled and not scaled & {"elman", "lstm", "min_gru"} and not scales_multipliers(Memory)


@pytest.mark.parametrize(("clip", "found"), [({}, False), ({"clip": "off"}, False), ({"clip": "norm"}, True)])
def test_what_clips(clip, found):
    assert is_clip(Proposal(Change("a", clip), "", 0.0)) == found
    assert is_clip(Remedy(Change("a", clip), "", 0.0)) == found
    assert Remedy(Change("a", clip), "", 0.0).carries(10) != found


def remedy(held=0, draws=0, corrections=0, run=True, word="carried"):
    verified = verdict_of(math.log(0.98), word) if run else None
    return Remedy(Change("Gain 2", {"gain": 2.0}), "It helps.", math.log(0.95), verified, corrections, held, draws)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (remedy(run=False), "Gain 2: x0.95 per step back (predicted from this run, not verified)"),
        (remedy(), "Gain 2: x0.95 per step back predicted, x0.98 when run with these weights: carried"),
        (
            remedy(corrections=2),
            "Gain 2: x0.95 per step back predicted after 2 corrections, x0.98 when run with these weights: carried",
        ),
        (
            remedy(6, 8),
            "Gain 2: x0.95 per step back predicted, x0.98 when run: carried in 6 of 8 fresh draws",
        ),
        (
            remedy(5, 8),
            "Gain 2: x0.95 per step back predicted, x0.98 when run: carried in 5 of 8 fresh draws: depends on the draw",
        ),
        (
            remedy(8, 8, word="vanishing"),
            "Gain 2: x0.95 per step back predicted, x0.98 when run: carried in 8 of 8 fresh draws, not in this one",
        ),
        (
            remedy(5, 8, word="vanishing"),
            "Gain 2: x0.95 per step back predicted, x0.98 when run: carried in 5 of 8 fresh draws: depends on the draw",
        ),
        (
            Remedy(Change("Clip", {"clip": "norm"}), "", 0.5),
            "Clip: a safety measure for training",
        ),
    ],
)
def test_what_is_said_of_a_remedy(one, text):
    assert one.text == text


def test_what_a_remedy_rests_on():
    assert remedy().reason == "It helps." and remedy(run=False).where == ""
    assert remedy(corrections=1).reason == "It helps. Predicted after 1 correction."
    proposal = Proposal(Change("a"), "why", 0.25)
    found = proposal.remedy(verdict_of(0.0), 3)
    assert (found.change, found.why, found.predicted_log_rate, found.corrections) == (proposal.change, "why", 0.25, 3)
    assert proposal.remedy().verified is None and proposal.remedy().corrections == 0


@pytest.mark.parametrize(
    ("rate", "stderr", "text"),
    [
        (None, None, "ln of the factor per step -inf, exactly zero"),
        (-0.12345, None, "ln of the factor per step -0.1235"),
        (-0.00001, 0.5, "ln of the factor per step 0.0000 +- 0.5 (standard error over samples)"),
        (0.1, 0.0, "ln of the factor per step 0.1000 +- less than 0.00001 (standard error over samples)"),
        (0.1, 1e-5, "ln of the factor per step 0.1000 +- less than 0.00001 (standard error over samples)"),
        (0.1, 1.1e-5, "ln of the factor per step 0.1000 +- 1e-05 (standard error over samples)"),
    ],
)
def test_a_rate_as_it_is_cited(rate, stderr, text):
    found = Diagnosis(replace(verdict_of(rate), samples={"vanishing": 1}), "vanishing", stderr, "Because.", [], [])
    assert found.rate_text == text and found.word_text == f"Diagnosis: vanishing; {text}."


@pytest.mark.parametrize(("steps", "known"), [(0, False), (1, False), (2, True)])
def test_less_than_two_steps_have_no_rate(steps, known):
    text = Diagnosis(
        verdict_of(0.1, steps=steps, samples={"too short": 1}), "too short", None, "Because.", [], []
    ).rate_text
    assert text == ("ln of the factor per step 0.1000" if known else "no rate of less than two steps")


@pytest.mark.parametrize(
    ("word", "remedies", "untried", "advice"),
    [
        ("vanishing", [], "", [NOTHING]),
        ("vanishing", [], "Too large.", [NOTHING, "Too large."]),
        ("carried", [], "", []),
        ("too short", [], "", []),
        ("vanishing", [remedy()], "", ["Try:", f"1. {remedy().text}", "   It helps."]),
        ("vanishing", [remedy(5, 8)], "", [NOTHING, "Try:", f"1. {remedy(5, 8).text}", "   It helps."]),
    ],
)
def test_advice_in_lines(word, remedies, untried, advice):
    found = Diagnosis(verdict_of(-0.5), word, None, "Because.", [], remedies, untried)
    assert found.advice() == advice and found.nothing_carries == (NOTHING in advice)
    assert (NOTHING in found._repr_html_()) == found.nothing_carries


@pytest.mark.parametrize(("samples", "said"), [({"vanishing": 20}, True), ({"vanishing": 1}, False), ({}, False)])
def test_why_several_samples_have_no_standard_error_is_said(samples, said):
    found = Diagnosis(replace(verdict_of(-0.5), samples=samples), "vanishing", None, "Because.", [], [])
    reason = " (no standard error, as some samples are exactly zero or too short)"
    assert found.rate_text == f"ln of the factor per step -0.5000{reason if said else ''}"


def test_samples_that_are_exactly_zero_leave_no_error_behind_in_silence():
    """9 of 20 units of one input each, switched off: their gradient is exactly zero, the others' is carried half."""
    cell = make_cell("elman", input_size=1, hidden_size=1, activation="relu")
    params = {"W_xh": np.ones((1, 1, 1)), "W_hh": np.full((1, 1, 1), 0.5), "b_h": np.zeros((1, 1))}
    x = np.broadcast_to(np.r_[np.ones(11), -np.ones(9)][:, None], (30, 20, 1)).copy()
    found = diagnose(analyze(cell=cell, params=params, x=x))
    assert found.verdict.samples == {"vanishing": 20} and found.stderr is None
    assert "no standard error, as some samples are exactly zero or too short" in str(found)
