"""Every preset's class and rate, on seeds that did not set the bands, and what each of them is there to show."""

import math
from functools import cache

import numpy as np
import pytest

import gradlab
from gradlab.config import RunConfig
from gradlab.config.presets import PRESETS

EXPECTED = {  # name -> (label, class, band of the factor per step); bands from seeds 3 to 7
    "vanishing_tanh": ("Vanishing tanh", "vanishing", (0.61, 0.68)),
    "exploding_tanh": ("Exploding tanh", "exploding", (1.23, 1.29)),
    "edge": ("Edge", "carried", (0.97, 1.045)),
    "sigmoid": ("Sigmoid", "vanishing", (0.18, 0.25)),
    "orthogonal_linear": ("Orthogonal linear", "carried", (1 - 1e-12, 1 + 1e-12)),
    "orthogonal_tanh": ("Orthogonal tanh", "vanishing", (0.62, 0.69)),
    "irnn": ("IRNN", "carried", (0.955, 1.0)),
    "lstm_forget_0": ("LSTM, forget bias 0", "vanishing", (0.60, 0.67)),
    "lstm_forget_1": ("LSTM, forget bias 1", "vanishing", (0.82, 0.89)),
    "lstm_forget_3": ("LSTM, forget bias 3", "carried", (1.0, 1.05)),
    "lstm_chrono": ("LSTM, chrono", "carried", (0.97, 0.995)),
    "gru": ("GRU", "vanishing", (0.60, 0.68)),
    "clipped_explosion": ("Clipped explosion", "exploding", (1.23, 1.29)),
}
DOCUMENTED = {  # the factors that the documentation names, "about"
    "vanishing_tanh": 0.64,
    "exploding_tanh": 1.25,
    "edge": 1.0,
    "orthogonal_linear": 1.0,
    "orthogonal_tanh": 0.66,
    "lstm_forget_0": 0.63,
    "lstm_forget_1": 0.86,
    "lstm_forget_3": 1.04,
    "lstm_chrono": 0.98,
}
each_preset = pytest.mark.parametrize("name", PRESETS)


@cache
def run(name, seed, batch_size):
    return gradlab.analyze(PRESETS[name].config().replace(seed=seed, batch_size=batch_size))


def test_the_presets_are_those_of_the_documentation():
    assert list(PRESETS) == list(EXPECTED)
    assert {name: (p.label, p.word) for name, p in PRESETS.items()} == {n: e[:2] for n, e in EXPECTED.items()}


@pytest.mark.parametrize(("seed", "batch_size"), [(0, 32), (1, 8), pytest.param(2, 8, marks=pytest.mark.slow)])
@each_preset
def test_class_and_rate(name, seed, batch_size):
    result = gradlab.verdict(run(name, seed, batch_size))
    low, high = EXPECTED[name][2]
    assert result.word == PRESETS[name].word
    assert low <= result.rate <= high


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_documented_factors(name):
    assert gradlab.verdict(run(name, 0, 32)).rate == pytest.approx(DOCUMENTED[name], abs=0.03)


@each_preset
def test_the_common_set_up(name):
    """H = 64, T = 100, B = 32, noise, gain 1 unless it is what the preset shows."""
    preset = PRESETS[name]
    config = preset.config()
    assert isinstance(config, RunConfig)
    assert (config.hidden_size, config.steps, config.batch_size, config.input) == (64, 100, 32, "noise")
    assert config.changes().items() <= preset.fields.items()
    assert len(preset.help) > 10


def test_the_default_is_the_vanishing_net():
    assert PRESETS["vanishing_tanh"].config() == RunConfig()


def test_orthogonal_linear_is_exact_at_every_step():
    np.testing.assert_allclose(run("orthogonal_linear", 0, 32).log_grad_norm, 0, atol=1e-12)


def test_saturation_undoes_orthogonal_weights():
    ds = run("orthogonal_tanh", 0, 32)
    np.testing.assert_allclose(ds.recurrent_singular_values, 1, rtol=1e-12)
    assert float(ds.activation_slope.mean()) < 0.75


def test_sigmoid_stays_below_a_quarter_per_unit_of_weight():
    ds = run("sigmoid", 0, 32)
    assert (ds.jacobian_spectral <= 0.25 * float(ds.recurrent_singular_values.max()) * (1 + 1e-9)).all()


def test_the_lstm_row_is_ordered_and_bias_3_grows():
    rates = [gradlab.verdict(run(f"lstm_forget_{b}", 0, 32)).rate for b in (0, 1, 3)]
    assert rates == sorted(rates)
    assert rates[2] > 1 > rates[1]


def test_largest_possible_factor_above_one_does_not_make_it_grow():
    """tanh at gain 1: the largest singular value is about 1.57, and the gradient shrinks."""
    ds = run("vanishing_tanh", 0, 32)
    assert float(ds.jacobian_spectral.mean()) == pytest.approx(1.57, abs=0.15)
    assert gradlab.verdict(ds).rate < 0.7


def test_clipping_the_update_leaves_the_explosion():
    clipped, plain = (run(name, 0, 32) for name in ("clipped_explosion", "exploding_tanh"))
    np.testing.assert_array_equal(clipped.log_grad_norm, plain.log_grad_norm)
    before, after = clipped.log_update_norm.values
    assert after == pytest.approx(before - math.log(2), abs=1e-9)
    assert PRESETS["clipped_explosion"].tab == "clipping"
