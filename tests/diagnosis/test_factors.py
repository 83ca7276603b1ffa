"""What follows from the factors of a run, whatever run that was: the word, the cause, the kind of activation."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy
import xarray as xr

import gradlab
from gradlab.cells.activations import ACTIVATIONS
from gradlab.diagnosis.causes import cause, factor_lines, refined
from gradlab.diagnosis.factors import Exponent, measure
from gradlab.runs.verdicts import Verdict

SMALL = {"hidden_size": 8, "batch_size": 2, "steps": 20}


@cache
def measured(cell="elman", **fields):
    return measure(gradlab.analyze(cell=cell, **SMALL | fields))


def word(verdict, factors, **changed):
    return refined(Verdict(verdict, 20, -9.0, -0.5, -0.5, None, 3), replace(factors, **changed))


# the refined word


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_forget_gate_is_shut_where_most_units_are_saturated_and_keep_little(cell):
    for shut, keep, expected in (
        (0.5, 0.49, "saturated"),
        (1.0, 0.0, "saturated"),
        (0.49, 0.0, "vanishing"),
        (1.0, 0.5, "vanishing"),
        (1.0, 1.0, "vanishing"),
    ):
        assert word("vanishing", measured(cell), shut=shut, keep=keep) == expected, (shut, keep)
        assert word("exploding", measured(cell), shut=shut, keep=keep) == "exploding"


@pytest.mark.parametrize(("activation", "name"), [("relu", "dead units"), ("tanh", "vanishing")])
def test_units_are_dead_where_most_are_and_only_of_one_sided_activations(activation, name):
    factors = measured(activation=activation)
    assert word("vanishing", factors, dead=0.5, saturation=0.0) == name
    assert word("vanishing", factors, dead=0.49, saturation=0.0) == "vanishing"
    assert word("carried", factors, dead=1.0) == "carried"


@pytest.mark.parametrize(("activation", "name"), [("relu", "vanishing"), ("tanh", "saturated")])
def test_units_are_saturated_where_most_are_and_only_of_bounded_activations(activation, name):
    factors = measured(activation=activation)
    assert word("vanishing", factors, dead=0.0, saturation=0.5) == name
    assert word("vanishing", factors, dead=0.0, saturation=0.49) == "vanishing"


def test_where_a_leak_carries_saturation_is_no_reason():
    assert word("vanishing", measured(leak=0.3), saturation=1.0, dead=1.0) == "vanishing"


def test_an_overflow_comes_before_all_else():
    assert word("vanishing", measured(), overflow=[{"sample": 0, "step": 1}]) == "overflow"


@pytest.mark.parametrize(
    ("value", "error", "bounded", "expected"),
    [
        (0.1, 0.0333, True, "chaotic"),
        (0.1, 0.0334, True, "exploding"),
        (0.1, 0.01, False, "exploding"),
        (-0.1, 0.0334, True, "exploding"),
        (-0.1, 0.0333, True, "transient growth"),
        (-0.1, 0.0, True, "transient growth"),
        (0.0, 0.0, True, "exploding"),
    ],
)
def test_growth_is_chaotic_where_three_errors_of_the_exponent_lie_above_0_and_a_transient_below(
    value, error, bounded, expected
):
    exponent = Exponent(value, error, 900, 8, bounded)
    assert word("exploding", measured(), exponent=exponent) == expected
    for other in ("vanishing", "carried"):
        assert word(other, measured(), exponent=exponent) == other


def test_growth_without_an_exponent_is_no_chaos():
    assert word("exploding", measured(), exponent=None) == "exploding"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_ends_of_an_activation_are_those_of_its_values(name):
    """By differences far out, of twice the distance that counts as far."""
    values = ACTIVATIONS[name].value(np, np.array([-90.0, -80.0, 80.0, 90.0]))
    flat = np.abs(np.diff(values)[[0, 2]]) < 0.5  # of 10 for a slope of 1
    factors = replace(measured(), activation=name)
    assert (factors.bounded, factors.one_sided) == (flat.all(), flat[0] and not flat[1])


def test_an_activation_that_is_not_registered_has_neither_end():
    factors = replace(measured(), activation="my own")
    assert (factors.bounded, factors.one_sided, factors.max_slope) == (False, False, 1.0)


# numbers


@pytest.mark.parametrize("steps", [2, 3, 4, 7, 40])
def test_the_growth_of_a_state_is_that_of_its_last_half(steps):
    """By e^0.2 per step in all states together, whatever comes before; unknown for fewer than four times."""
    ds = gradlab.analyze(**SMALL | {"steps": steps, "cell": "lstm"})
    times = np.arange(steps + 1)
    logs = np.where(times < (steps + 1) // 2, 3.0, 0.2 * times)
    ds["state_rms"] = xr.DataArray([0.6, 0.8], dims="state") * xr.DataArray(np.exp(logs), dims="time")
    assert measure(ds).growth == pytest.approx(0.2 if steps > 2 else math.nan, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_departure_from_normality_is_what_the_triangular_part_of_schurs_form_holds(seed):
    """||W||_F^2 = sum |lambda|^2 + ||N||_F^2 with W = Q (D + N) Q^H (Henrici 1962); 0 of a normal matrix."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=6)
    params = cell.init(seed, recurrent_init="gaussian")
    x = np.random.default_rng(seed).normal(size=(12, 2, 2))
    triangular = scipy.linalg.schur(params["W_hh"][0], output="complex")[0]
    expected = np.linalg.norm(np.triu(triangular, 1))
    assert measure(gradlab.analyze(cell=cell, params=params, x=x)).departure == pytest.approx(expected)
    params["W_hh"][0] = scipy.stats.ortho_group.rvs(6, random_state=seed)
    assert measure(gradlab.analyze(cell=cell, params=params, x=x)).departure == pytest.approx(0, abs=1e-6)
    assert math.isnan(measured("lstm").departure)


# the cause


@pytest.mark.parametrize(
    ("slope", "weights", "rate", "start"),
    [
        (0.3, 0.9, 0.25, "The slope of tanh is only 0.30"),
        (0.9, 0.3, 0.25, "The weights are too small: their scale is 0.30"),
        (0.9, 0.9, 0.25, "The gradient turns into directions that the weights shrink: a typical one keeps 0.81"),
        (0.3, 2.0, 0.5, "The slope of tanh is only 0.30"),
        (0.9, 0.3, 0.9, "The weights are too small"),
    ],
)
def test_the_main_cause_is_the_smallest_of_three_factors(slope, weights, rate, start):
    """Slope, scale of the weights, and what is left of the rate."""
    factors = replace(measured(), slope=slope, weights=weights, log_rate=math.log(rate))
    assert cause("vanishing", factors).startswith(start)


@pytest.mark.parametrize(
    ("drive", "source"), [(2.0, "the input and the biases drive"), (1.0, "the state itself drives")]
)
def test_what_drives_units_is_the_larger_of_input_and_state(drive, source):
    factors = replace(measured(), slope=0.3, weights=0.9, log_rate=math.log(0.25), drive=drive, recurrence=1.0)
    assert source in cause("vanishing", factors)


def test_a_small_difference_doubles_in_ln_2_over_the_exponent():
    factors = replace(measured(), growth=0.0, exponent=Exponent(math.log(2) / 7, 0.001, 900, 8, True))
    assert "a small difference doubles every 7 steps" in cause("chaotic", factors)


@pytest.mark.parametrize(("growth", "said"), [(0.1, True), (0.05, True), (0.049, False), (math.nan, False)])
def test_a_forward_pass_that_grows_half_as_fast_is_said_to(growth, said):
    text = cause("exploding", replace(measured(), log_rate=0.1, growth=growth))
    assert ("The forward pass grows as well" in text) == said


def test_a_factor_is_shown_for_what_there_is():
    names = {cell: [line.name for line in factor_lines(measured(cell))] for cell in ("elman", "lstm")}
    assert names["elman"][0] == "activation slope" and names["lstm"][:3] == [
        "carry",
        "through the gates",
        "forget gate",
    ]
    assert "forget gate" not in names["elman"] and "activation slope" not in names["lstm"]


@pytest.mark.parametrize(("fields", "keeper"), [({"leak": 0.5}, "the leak"), ({"cell": "cornn"}, "the cell")])
def test_what_decides_how_much_a_unit_keeps(fields, keeper):
    assert measured(**fields).keeper == keeper
    assert replace(measured(), cell=None).keeper == "the cell"
