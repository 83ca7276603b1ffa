"""Chaos needs an exponent: transient growth of stable nets is none, and what few steps cannot tell is not told."""

import math
import re

import numpy as np
import pytest
import scipy

import gradlab
from gradlab.diagnosis import diagnose, exponent
from gradlab.diagnosis.exponent import LARGEST, leading_exponent
from gradlab.diagnosis.factors import measure
from gradlab.importers import save_layer
from gradlab.runs.build import build


def own(weights, steps, activation="identity", samples=8, seed=0):
    """A net of these recurrent weights under noise."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=len(weights), activation=activation)
    params = cell.init(seed) | {"W_hh": np.asarray(weights, float)[None]}
    return gradlab.analyze(cell=cell, params=params, x=np.random.default_rng(seed).normal(size=(steps, samples, 2)))


def shear(n, diagonal=0.8, off=3.0):
    return diagonal * np.eye(n) + off * np.eye(n, k=1)


@pytest.mark.parametrize("n", [4, 6, 12])
@pytest.mark.parametrize("steps", [12, 16, 20])
def test_transient_growth_of_a_stable_linear_net_is_not_chaos(n, steps):
    found = diagnose(own(shear(n), steps))
    assert found.word == "transient growth"
    assert re.search(r"in the long run a step makes it x0.80 \(leading exponent -0.223 .*of a linear net", found.cause)
    departure, norm = 3 * math.sqrt(n - 1), math.sqrt(n * 0.64 + 9 * (n - 1))
    assert f"Henrici's departure {departure:.2f}, of a norm of {norm:.2f}" in found.cause


@pytest.mark.parametrize("seed", range(4))
def test_so_it_is_where_the_directions_are_turned(seed):
    turn = scipy.stats.ortho_group.rvs(5, random_state=seed)
    assert diagnose(own(turn @ shear(5) @ turn.T, 16, seed=seed)).word == "transient growth"


def test_growth_in_the_long_run_of_a_linear_net_is_unstable():
    found = diagnose(own(1.5 * np.eye(5), 40))
    assert found.word == "exploding" and "it is unstable, not chaotic" in found.cause


@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_a_transient_of_a_net_that_settles_is_seen_by_continuing_it(activation, tmp_path):
    """Without input a stable shear stays near 0, where its slopes are 1."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=6, activation=activation)
    params = cell.init(0) | {"W_hh": shear(6, 0.5, 4.0)[None], "W_xh": np.zeros((1, 6, 2))}
    (tmp_path / "net.safetensors").write_bytes(save_layer(cell, params))
    ds = gradlab.analyze(
        weights=str(tmp_path / "net.safetensors"), activation=activation, steps=12, batch_size=4, input_size=2
    )
    found = diagnose(ds, rerun=False)
    assert found.word == "transient growth" and "over 900 steps" in found.cause


@pytest.mark.parametrize("seed", range(3))
def test_a_chaotic_net_is_one_by_its_exponent(seed):
    ds = gradlab.analyze(gain=3.0, hidden_size=32, batch_size=4, steps=60, seed=seed)
    found = diagnose(ds, rerun=False)
    assert found.word == "chaotic"
    assert "leading exponent 0." in found.cause and "over 900 steps of 8 samples" in found.cause


def test_data_of_ones_own_tell_as_much_as_they_have_steps():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=32)
    params, rng = cell.init(0, gain=4.0), np.random.default_rng(1)
    short, long = (
        diagnose(gradlab.analyze(cell=cell, params=params, x=rng.normal(size=(steps, 8, 2)))) for steps in (30, 300)
    )
    assert short.word == "exploding" and "chaotic or a transient, 30 steps cannot tell" in short.cause
    assert long.word == "chaotic" and "over 270 steps of 8 samples" in long.cause


def test_the_exponent_of_ones_own_data_is_that_of_the_products():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=24)
    params = cell.init(3, gain=4.0)
    x = np.random.default_rng(2).normal(size=(400, 16, 2))
    ds = gradlab.analyze(cell=cell, params=params, x=x)
    found, known = leading_exponent(ds, measure(ds), None), gradlab.lyapunov(cell, params, x, k=1)
    assert found.value == pytest.approx(
        float(known.exponents[0]), abs=4 * math.hypot(found.error, float(known.stderr[0]))
    )
    assert found.sign == 1 and found.bounded and found.samples == 16


def test_samples_of_another_group_are_left_out():
    """Half of the samples are held where tanh is flat: the exponent is of those that grow."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=24)
    params = cell.init(0, gain=4.0)
    x = np.random.default_rng(0).normal(size=(200, 9, 1)) * np.r_[np.ones(5), np.full(4, 1e3)][:, None]
    ds = gradlab.analyze(cell=cell, params=params, x=x)
    assert leading_exponent(ds, measure(ds), None).samples == 5


def test_the_weights_are_those_of_the_run_however_long_it_goes_on():
    """Chrono biases depend on the length: those of the run are kept, and so is what they carry."""
    config = gradlab.RunConfig(cell="lstm", forget_bias="chrono", gain=12.0, hidden_size=16, batch_size=4, steps=40)
    ds = gradlab.analyze(config)
    cell, params, _ = build(config)
    x = np.random.default_rng(9).normal(size=(1000, 8, config.input_size))
    known = gradlab.lyapunov(cell, params, x, k=1)
    found = leading_exponent(ds, measure(ds), config)
    assert found.value == pytest.approx(
        float(known.exponents[0]), abs=4 * math.hypot(found.error, float(known.stderr[0]))
    )


@pytest.mark.parametrize(("units", "continued"), [(LARGEST, True), (LARGEST + 1, False)])
def test_a_run_is_continued_unless_it_is_huge(units, continued, monkeypatch):
    ds = gradlab.analyze(gain=3.0, hidden_size=8, batch_size=2, steps=20)
    monkeypatch.setattr(exponent, "_continued", lambda config: "continued")
    config = gradlab.RunConfig(gain=3.0, hidden_size=units)
    assert (leading_exponent(ds, measure(ds), config) == "continued") == continued
    assert leading_exponent(ds, measure(ds), None) != "continued"


@pytest.mark.parametrize(("room", "samples"), [(0.5, 1), (1, 1), (2.9, 2), (3, 3), (100, 8)])
def test_a_continued_run_has_as_many_samples_as_there_is_room_for(room, samples, monkeypatch):
    config = gradlab.RunConfig(cell="lstm", hidden_size=6, batch_size=2, steps=20)
    monkeypatch.setattr(exponent, "MOST", int(room * 60 * 2 * 6))  # of 60 steps of two states
    assert exponent._over(config, 60).samples == samples


@pytest.mark.parametrize(("steps", "known"), [(49, False), (50, True)])
def test_fifty_steps_of_a_continued_run_say_something(steps, known):
    assert (exponent._over(gradlab.RunConfig(hidden_size=6, steps=20), steps) is not None) == known


@pytest.mark.parametrize("steps", [60, 120])
def test_a_leaky_linear_net_is_known_exactly_too(steps):
    """h' = (1 - a) h + a W h, on whose data a long transient looks like growth for ever."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=30, activation="identity", leak=0.5)
    params = cell.init(0) | {"W_hh": shear(30, 0.8, 0.6)[None]}
    ds = gradlab.analyze(cell=cell, params=params, x=np.random.default_rng(0).normal(size=(steps, 4, 2)))
    found = leading_exponent(ds, measure(ds), None)
    assert found.value == pytest.approx(math.log(0.5 + 0.5 * 0.8), abs=0.01) and found.sign == -1


def test_a_transient_longer_than_ones_data_is_not_taken_for_growth_for_ever():
    """A stable tanh net near 0, whose directions lean on each other, over 60 steps of hardly any input."""
    turn = np.linalg.qr(np.random.default_rng(51).normal(size=(13, 13)))[0]
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=13)
    params = cell.init(0) | {"W_hh": (turn @ shear(13, 0.8, 1.129) @ turn.T)[None]}
    x = np.zeros((60, 6, 2))
    x[:3] = np.random.default_rng(1).normal(size=(3, 6, 2)) * 1e-7
    found = diagnose(gradlab.analyze(cell=cell, params=params, x=x))
    assert found.word == "exploding" and "60 steps cannot tell" in found.cause
    assert "unstable" not in found.cause


@pytest.mark.parametrize("n", [3, 4])
def test_what_grows_as_a_power_of_the_steps_is_not_said_to_grow_for_ever(n):
    turn = scipy.stats.ortho_group.rvs(n, random_state=2)
    found = diagnose(own(turn @ shear(n, 1.0, 3.0) @ turn.T, 40))
    assert found.word == "exploding" and "It need not grow for ever" in found.cause


def test_a_factor_that_is_hardly_more_than_1_shows_that_it_is_more():
    turn = scipy.stats.ortho_group.rvs(6, random_state=1)
    found = diagnose(own(1.0024 * turn, 2000, samples=2), rerun=False)
    assert found.verdict.headline == "The gradient explodes: x1.002 per step back."
    assert "1.00 (slope) x 1.00 (weights) = 1.002 is more than a step can bear" in found.cause
