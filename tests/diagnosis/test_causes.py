"""Causes that match: which part of a net is blamed follows from the numbers beside it."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import gradlab
from gradlab.cells.activations import Activation
from gradlab.diagnosis import diagnose
from gradlab.diagnosis.causes import cause
from gradlab.diagnosis.factors import measure
from gradlab.runs.attributes import overflow

SMALL = {"hidden_size": 8, "batch_size": 2, "steps": 20}


@cache
def measured(cell="elman", **fields):
    return measure(gradlab.analyze(cell=cell, **SMALL | fields))


def said(word, cell="elman", rate=0.5, **changed):
    return cause(word, replace(measured(cell), log_rate=math.log(rate), **changed))


def network(activation, units=6, seed=0, dtype="float64", steps=20, samples=5, **params):
    """A vanilla net of one's own, and its input; params: new arrays, or what the drawn ones are multiplied by."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=units, activation=activation)
    drawn = cell.init(seed)
    drawn |= {name: value * drawn[name] if np.isscalar(value) else value for name, value in params.items()}
    drawn = {name: value.astype(dtype) for name, value in drawn.items()}
    return cell, drawn, np.random.default_rng(seed).normal(size=(steps, samples, 2)).astype(dtype)


def analyzed(*given, **options):
    cell, params, x = network(*given, **options)
    return gradlab.analyze(cell=cell, params=params, x=x)


# overflow


@pytest.mark.parametrize("activation", ["relu", "identity", "selu"])
@pytest.mark.parametrize(("dtype", "factor"), [("float32", 1e38), ("float64", 1e308)])
@pytest.mark.parametrize(("units", "seed"), [(1, 3), (6, 0), (17, 1)])
def test_an_overflow_by_the_input_is_none_of_the_weights(activation, dtype, factor, units, seed):
    cell, params, x = network(activation, units, seed, dtype, steps=40, samples=8, W_xh=1.0)
    params["W_xh"], x = params["W_xh"] * np.asarray(factor / 10, dtype), x * 10
    found = diagnose(gradlab.analyze(cell=cell, params=params, x=x))
    assert found.word == "overflow"
    assert found.cause.startswith("The input and the biases drive the units out of range: they bring up to ")
    assert f"{dtype} ends at " in found.cause and "outweigh" not in found.cause


def test_so_is_one_by_the_biases():
    bias = np.zeros((1, 6))
    bias[0, 2] = 3e38
    cause = diagnose(analyzed("relu", dtype="float32", b_h=bias, W_hh=np.eye(6)[None])).cause
    assert cause.startswith(
        "The input and the biases drive the units out of range: they bring up to 3×10^38 to a unit, the state"
    )


@pytest.mark.parametrize("scale", [2.0, 50.0])
def test_an_overflow_by_growth_says_what_grows(scale):
    cause = diagnose(analyzed("identity", steps=1100, samples=2, W_hh=scale * np.eye(6)[None])).cause
    assert cause.startswith("The state grows out of range: input and biases bring up to ")
    assert f"The weights outweigh the slope of identity: 1.00 (slope) x {scale:.2f} (weights)" in cause


class Exponential(Activation):
    """exp: what is no number's logarithm overflows."""

    name = "exponential of a test"

    def value(self, xp, a):
        return xp.exp(a)

    def slope(self, xp, a):
        return xp.exp(a)


@pytest.mark.parametrize(("dtype", "bias"), [("float32", 100.0), ("float64", 800.0)])
def test_an_overflow_of_the_activation_is_of_neither(dtype, bias):
    cell, params, x = network(Exponential(), dtype=dtype, b_h=np.full((1, 6), bias))
    cause = diagnose(gradlab.analyze(cell=cell, params=params, x=x)).cause
    assert cause.startswith("What a step makes of its arguments is out of range: input and biases bring up to ")
    assert f" {bias:.0f} to a unit, the state 0 at step 1" in cause


def test_what_brought_the_first_sample_out_of_range_is_recorded():
    """Exactly, beyond the range of numbers: 1e200 x 1e200 in one sample, at step 3."""
    cell, params, x = network("relu", samples=4, W_xh=np.full((1, 6, 2), 1e200), W_hh=np.eye(6)[None])
    x[...] = 0.0
    x[2, 1] = x[4, 3] = 0.5e200
    x[1, 1] = 1.0
    first, second = overflow(gradlab.analyze(cell=cell, params=params, x=x))
    assert (first["sample"], first["step"]) == (1, 3)
    assert first["drive"] == pytest.approx(400 * math.log(10))
    assert first["state"] == pytest.approx(200 * math.log(10) + math.log(2))
    assert (second["sample"], second["step"], "drive" in second) == (3, 5, False)


def test_a_dataset_that_does_not_know_it_blames_nothing():
    places = [{"sample": 0, "step": 3, "gate": "g"}]
    assert said("overflow", overflow=places) == "The forward pass leaves the finite numbers."
    zero = [places[0] | {"drive": None, "state": 1e4}]
    assert said("overflow", overflow=zero).startswith("The state grows out of range: input and biases bring up to 0 to")


# slope, weights and directions


@pytest.mark.parametrize(
    ("word", "slope", "weights", "rate", "text"),
    [
        ("carried", 0.53, 1.95, 1.0, "Slope and weights balance: 0.53 (slope) x 1.95 (weights) is about 1."),
        ("carried", 0.69, 2.0, 1.0, "~ shrink: a typical one keeps 1.38"),
        ("carried", 0.5, 1.0, 1.0, "~ stretch: a typical one keeps 0.50"),
        ("carried", 0.7, 1.0, 0.71, "Slope and weights keep the gradient within a factor of 100 over these steps: 0.7"),
        ("exploding", 0.8, 2.0, 1.5, "The weights outweigh the slope of tanh: 0.80 (slope) x 2.00 (weights)"),
        ("exploding", 0.4, 2.0, 1.5, "~ stretch: a typical one keeps 0.80"),
        ("vanishing", 0.9, 1.2, 0.5, "~ shrink: a typical one keeps 1.08"),
        ("vanishing", 0.05, 22.0, 0.9, "~ shrink: a typical one keeps 1.10"),
        ("vanishing", 0.9, 0.998, 0.9, "The slope of tanh is only 0.90"),
        ("vanishing", 1.1, 0.998, 0.99, "~ shrink"),
        ("vanishing", 1.0, 0.998, 0.998, "The weights are too small: their scale is 0.998 "),
    ],
)
def test_the_part_that_decides_is_named(word, slope, weights, rate, text):
    found = said(word, rate=rate, slope=slope, weights=weights)
    assert found.startswith(text.replace("~", "The gradient turns into directions that the weights"))


@pytest.mark.parametrize(("word", "rate"), [("vanishing", 1.02), ("exploding", 0.98)])
def test_a_rate_that_changes_is_no_product(word, rate):
    text = f"What slope and weights do changes on the way: it is x{rate:.2f} per step on the whole."
    assert said(word, rate=rate).startswith(text)


@pytest.mark.parametrize(("saturation", "part"), [(0.3, "as 30 % of the units are switched off"), (0.02, "drive")])
def test_few_units_that_are_off_are_no_reason(saturation, part):
    factors = replace(measured(activation="relu"), slope=0.5, weights=0.9, log_rate=math.log(0.45))
    assert part in cause("vanishing", replace(factors, saturation=saturation))


@pytest.mark.parametrize("dead", [0, 1])
def test_what_passes_nothing_on_meets_a_zero_somewhere(dead):
    """All of it at one step, or a unit at each of two: no step is zero, and no path has none."""
    w = np.zeros((1, 2, 2)) if dead else np.array([[[0.0, 1.0], [0.0, 0.0]]])
    found = diagnose(analyzed("identity", units=2, W_hh=w))
    assert found.cause == "Every path back meets a slope, a gate or a weight that is exactly zero."


# carry and gates


@pytest.mark.parametrize(
    ("word", "carry", "gates", "text"),
    [
        ("carried", 0.9, 0.08, "Carry and gates balance: 0.90 by the carry and 0.08 through the gates"),
        ("carried", 0.69, 0.46, "Carry and gates keep the gradient within a factor of 100 over these steps: 0.69 by"),
        ("carried", 0.4, 0.3, "Carry and gates keep the gradient within a factor of 100 over these steps: 0.40 by"),
        ("vanishing", 0.996, 0.002, "A unit forgets too fast: 0.996 by the carry and 0.002 through the gates"),
        ("exploding", 0.996, 0.0061, "Carry and gates together exceed 1: 0.996 by the carry and 0.006 through"),
        ("vanishing", 0.5, -0.0001, "A unit forgets too fast: 0.50 by the carry and 0.00 through the gates"),
        ("vanishing", 1.1, -0.4, "What comes through the gates works against the carry: 1.10 by the carry and -0.40"),
        ("exploding", 2.0, 3e200, "Carry and gates together exceed 1: 2.00 by the carry and 3e+200 through the gates"),
    ],
)
def test_carry_and_gates_add_up_to_what_is_said(word, carry, gates, text):
    assert said(word, "lstm", carry + gates, carry=carry, gates=gates, keep=0.5).startswith(text)


@pytest.mark.parametrize(
    ("keep", "who"), [(0.99, "Carry and gates pass on too little"), (0.6, "A unit forgets too fast")]
)
def test_an_open_gate_does_not_forget(keep, who):
    assert said("vanishing", "lstm", 0.6, carry=0.4, gates=0.2, keep=keep).startswith(who)


@pytest.mark.parametrize(
    ("keep", "start"), [(0.02, "The forget gate is shut"), (0.4, "The forget gate is saturated in")]
)
def test_a_gate_is_shut_where_it_keeps_little(keep, start):
    assert said("saturated", "lstm", 0.3, keep=keep, shut=0.9).startswith(start)


# clipping inside backpropagation


@pytest.mark.parametrize(
    ("word", "free", "clipped", "text"),
    [
        ("exploding", 1.5, 1.01, "Clipping inside backpropagation holds the norm; without it x1.50 per step back. "),
        ("exploding", 1.5, 1.2, "Clipping inside backpropagation makes it x1.20 per step back; without it x1.50. "),
        ("vanishing", 0.5, 0.5, "Clipping inside backpropagation leaves the rate as it is, x0.50 per step back. "),
        ("vanishing", 0.5, 0.4, "Clipping inside backpropagation makes it x0.40 per step back; without it x0.50. "),
    ],
)
def test_clipping_holds_what_grows(word, free, clipped, text):
    assert said(word, rate=free, clipped=True, clipped_log_rate=math.log(clipped)).startswith(text)


def test_of_a_run_without_a_rate_clipping_says_nothing():
    config = gradlab.RunConfig(steps=1, clip="step_norm", clip_threshold=0.5)
    assert diagnose(gradlab.analyze(config)).cause == "There are too few steps to tell a trend from a transient."


# samples that differ


@pytest.mark.parametrize("driven", [3, 9])
def test_the_factors_are_of_the_samples_that_the_verdict_is_about(driven):
    """Of 12, some are driven so hard that no slope is left."""
    cell, params, x = network("tanh", units=16, samples=12, steps=30, W_hh=0.9 * np.eye(16)[None], W_xh=1e-3)
    x[:, :driven] *= 1e5
    ds = gradlab.analyze(cell=cell, params=params, x=x)
    found, own = diagnose(ds), range(driven) if driven > 6 else range(driven, 12)
    typical = math.exp(float(np.log(ds.jacobian_frobenius.isel(sample=list(own))).mean())) / 4
    assert next(f.value for f in found.factors if f.name == "activation slope") == pytest.approx(typical / 0.9)
    assert f"x 0.90 (weights) = {typical:.2g}" in found.verdict.why or f"= {typical:.2f}" in found.verdict.why


@pytest.mark.parametrize("size", [1e30, 1e150])
def test_the_size_of_huge_states_is_finite(size):
    ds = gradlab.analyze(**SMALL)
    ds["state_rms"] = ds.state_rms * 0 + size
    factors = measure(ds)
    assert factors.recurrence == pytest.approx(size * factors.weights)
    assert factors.growth == pytest.approx(0.0)


@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_what_truncation_cuts_is_no_fault_of_the_net(cell):
    found = diagnose(gradlab.analyze(cell=cell, hidden_size=8, batch_size=2, steps=30, truncate=12))
    assert (
        found.cause
        == "Backpropagation is truncated: nothing goes from one of its blocks of 12 steps to the one before."
    )
    whole = diagnose(gradlab.analyze(cell=cell, hidden_size=8, batch_size=2, steps=30, truncate=30))
    assert "truncated" not in whole.cause
