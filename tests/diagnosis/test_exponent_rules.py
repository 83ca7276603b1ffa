"""Where an exponent is taken from, over how many steps, what it says; a state's growth and the weights' departure."""

import math
from dataclasses import replace

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS
from gradlab.diagnosis import exponent
from gradlab.diagnosis.exponent import MORE, STEPS, leading_exponent
from gradlab.diagnosis.factors import Exponent, measure, state_growth, without_step_clipping
from tests.diagnosis.test_sentences import PLAIN
from tests.runs.test_verdicts import synthetic

GROWS = replace(PLAIN, radius=1.5)


def grown(rates, steps, jump=0.0, at=0, lengths=None):
    """Curves that grow by these rates per lag, and by a jump between two of the first lags."""
    lags = np.arange(steps, -1, -1.0)[:, None]
    logs = lags * np.asarray(rates, float) + jump * (lags > at)
    if lengths is not None:
        logs = np.where(np.arange(steps + 1)[:, None] > np.asarray(lengths), np.nan, logs)
    return synthetic(logs, lengths)


def with_eigenvalue(value):
    """A curve of 20 steps of a net whose weights have one eigenvalue, however often."""
    ds = grown([0.1], 20)
    own = ("gate_of_it", "index", "part"), np.full((1, ds.sizes["index"], 2), [value.real, value.imag])
    return ds.drop_dims("part", errors="ignore").assign(recurrent_eigenvalues=own).assign_coords(part=["real", "imag"])


@pytest.mark.parametrize("radius", [0.25, 1.0, 1.5])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_of_a_linear_net_it_is_ln_of_the_spectral_radius_of_a_step(radius, kept):
    linear = replace(PLAIN, activation="identity", radius=radius, kept=kept, carries=kept > 0)
    for turned in (1, -1, 1j):
        step = abs(kept + (1 - kept) * radius * turned)
        found = leading_exponent(with_eigenvalue(complex(radius * turned)), linear, None)
        if step == 0:
            assert found is None
            continue
        assert found.value == pytest.approx(math.log(step), abs=1e-12)
        assert (found.error, found.steps, found.samples, found.bounded) == (0.0, 0, 0, found.value < 0)
    for other in ({"activation": "tanh"}, {"cell": CELLS["lstm"]}, {"radius": math.nan}):
        assert leading_exponent(with_eigenvalue(complex(radius)), replace(linear, **other), None) is None
    assert leading_exponent(with_eigenvalue(0j), replace(linear, kept=0.0), None) is None


@pytest.mark.parametrize("units", [2, 4, 64])
def test_what_rounding_makes_of_eigenvalues_is_their_error(units):
    """Those of a Jordan block of n states move by eps^(1/n); of more than four no more is taken."""
    linear = replace(PLAIN, activation="identity", units=units, departure=3.0)
    found = leading_exponent(with_eigenvalue(0.5 + 0j), linear, None)
    assert found.error == pytest.approx(np.finfo(float).eps ** (1 / min(units, 4)) * 3.0 / 0.5)


@pytest.mark.parametrize(("radius", "kept", "known"), [(1.2, 0.0, False), (1.3, 0.0, True), (1.2, 0.9, False)])
def test_where_nothing_can_grow_for_ever_less_than_1000_steps_say_nothing(radius, kept, known):
    """At a mean slope of 0.8: what a step makes of a direction is kept + (1 - kept) slope x radius."""
    factors = replace(PLAIN, radius=radius, kept=kept, carries=kept > 0)
    assert (leading_exponent(grown([0.1, 0.1], 200), factors, None) is not None) == known
    assert leading_exponent(grown([0.1, 0.1], 1001), factors, None) is not None
    gated = replace(factors, cell=CELLS["lstm"], carries=True)
    assert leading_exponent(grown([0.1, 0.1], 200), gated, None) is not None


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_few_steps_say_nothing(off):
    found = leading_exponent(grown([0.1, 0.1], 51 + off), GROWS, None)
    assert (found is None) == (off < 0)


@pytest.mark.parametrize("at", [3, 9, 10])
def test_the_first_tenth_of_a_way_is_left_out(at):
    """Growth by e^5 there has no part in the rate."""
    found = leading_exponent(grown([0.1, 0.1, 0.1], 101, 5.0, at), GROWS, None)
    assert (found.value == pytest.approx(0.1, abs=1e-12)) == (at < 10)
    assert found.samples == 3


def test_the_last_lag_of_a_way_counts():
    steps = 101
    found = leading_exponent(grown([0.1, 0.1], steps, 5.0, steps - 2), GROWS, None)
    assert found.value == pytest.approx(0.1 + 5.0 / found.steps, abs=1e-12)


def test_each_sample_counts_over_its_own_length():
    lengths = [120, 80, 60]
    found = leading_exponent(grown([0.1] * 3, 120, lengths=lengths), GROWS, None)
    assert found.value == pytest.approx(0.1, abs=1e-12)
    found = leading_exponent(grown([0.1, 0.9], 120, lengths=[120, 12]), GROWS, None)  # a tenth of 120 is left out
    assert found.value == pytest.approx(0.1, abs=1e-12)
    found = leading_exponent(grown([0.1, 0.2], 120), GROWS, None)
    assert found.value == pytest.approx(0.15, abs=1e-12) and found.steps == 119 - 11


@pytest.mark.parametrize(("share", "bounded"), [(0.99, True), (1.01, False)])
def test_a_state_that_grows_more_slowly_than_half_of_it_is_bounded(share, bounded):
    found = leading_exponent(grown([0.1, 0.1], 101), replace(GROWS, growth=share * 0.5 * 0.1), None)
    assert found.bounded == bounded


@pytest.mark.parametrize(
    ("value", "asked"), [(0.0, [STEPS, MORE * STEPS]), (0.1, [STEPS]), (-0.1, [STEPS]), (None, [STEPS])]
)
def test_a_run_is_continued_further_where_that_leaves_it_open(value, asked, monkeypatch):
    seen = []
    found = None if value is None else Exponent(value, 0.01, 900, 8, True)
    monkeypatch.setattr(exponent, "_over", lambda config, steps: seen.append(steps) or found)
    assert leading_exponent(grown([0.1], 20), PLAIN, gradlab.RunConfig()) is found and seen == asked


@pytest.mark.parametrize(("value", "error"), [(0.3, 0.1), (-0.3, 0.1), (0.0, 0.0)])
def test_the_sign_of_an_exponent(value, error):
    """Beyond three standard errors."""
    for share, known in ((0.999, True), (1.001, False)):
        found = Exponent(value, share * abs(value) / 3 if error else 0.0, 900, 8, True)
        assert found.sign == (np.sign(value) if known else 0)


# factors


@pytest.mark.parametrize(
    ("slope", "weights", "log"), [(0.5, 3.0, math.log(1.5)), (2.0, 0.25, -math.log(2)), (0.0, 2.0, -math.inf),
    (0.5, 0.0, -math.inf), (math.nan, 1.0, -math.inf)]
)  # fmt: skip
def test_a_typical_factor_is_slope_times_weights(slope, weights, log):
    assert replace(PLAIN, slope=slope, weights=weights).log_typical == pytest.approx(log)


@pytest.mark.parametrize(
    ("logs", "growth"),
    [
        ([0.0, 1.0, 2.0], None),
        ([0.0, 9.0, 1.0, 3.0], 2.0),
        ([5.0, 1.0, 2.0, 4.0, 6.0], 2.0),
        ([5.0, 1.0, 9.0, 2.0, 2.5, 3.0], 0.5),
        ([-np.inf, np.nan, 7.0, 9.0, 1.0, 3.0], 2.0),
    ],
)
def test_the_growth_of_a_state_is_that_of_the_last_half(logs, growth):
    found = state_growth(np.array(logs))
    assert math.isnan(found) if growth is None else found == pytest.approx(growth)


@pytest.mark.parametrize(
    "matrix", [np.diag([0.5, -0.9, 0.2]), np.array([[0.5, 2.0, 0.0], [0.0, 0.5, 1.0], [0, 0, 0.3]])]
)
def test_the_departure_of_weights_from_normality(matrix):
    """Henrici's: what the norm has beyond the eigenvalues."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    ds = gradlab.analyze(cell=cell, params=cell.init(0) | {"W_hh": matrix[None]}, x=np.ones((12, 2, 2)))
    expected = math.sqrt(max((matrix**2).sum() - (np.abs(np.linalg.eigvals(matrix)) ** 2).sum(), 0.0))
    assert measure(ds).departure == pytest.approx(expected, abs=1e-7)
    assert measure(ds).radius == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max())
    assert math.isnan(measure(gradlab.analyze(cell="gru", hidden_size=3, batch_size=2, steps=12)).departure)


def test_without_clipping_at_each_step_a_gradient_is_as_if_there_had_been_none():
    """Scaling a sample's adjoint at a step scales all that comes after it."""
    fields, clip = {"gain": 3.0, "hidden_size": 8, "batch_size": 3, "steps": 12}, {"clip": "step_norm"}
    clipped, free = gradlab.analyze(**fields, **clip, clip_threshold=0.5), gradlab.analyze(**fields)
    assert not np.allclose(clipped.log_grad_norm, free.log_grad_norm)
    np.testing.assert_allclose(without_step_clipping(clipped).log_grad_norm, free.log_grad_norm, atol=1e-10)
    assert without_step_clipping(free) is free
    assert measure(clipped).log_rate == pytest.approx(measure(free).log_rate)
    assert measure(clipped).clipped and not measure(free).clipped
    assert measure(clipped).clipped_log_rate != pytest.approx(measure(free).clipped_log_rate)


def test_nothing_is_clipped_beyond_a_samples_length():
    cell, x = gradlab.make_cell("elman", input_size=2, hidden_size=8), np.random.default_rng(0).normal(size=(12, 3, 2))
    given = {"cell": cell, "params": cell.init(0, gain=3.0), "x": x, "lengths": np.array([12, 11, 12])}
    clipped = gradlab.analyze(**given, clip="step_norm", clip_threshold=0.5)
    free = gradlab.analyze(**given)
    np.testing.assert_allclose(without_step_clipping(clipped).log_grad_norm, free.log_grad_norm, atol=1e-10)
