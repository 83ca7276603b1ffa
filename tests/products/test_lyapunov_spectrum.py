"""Lyapunov spectra of systems with known exponents, and what is made of the exponents."""

import re

import numpy as np
import pytest
from scipy.special import polygamma

from gradlab import Cancelled, make_cell
from gradlab.products.lyapunov import lyapunov, lyapunov_of_map
from gradlab.products.spectrum import entropy_rate, kaplan_yorke
from studies import chaos_gradients, lyapunov_random_rnn
from studies.chaos_gradients import calibration, systems

from .test_lyapunov import driven, net

# known exponents


@pytest.mark.parametrize("name", systems())
def test_maps_and_flows_have_their_published_exponents(name):
    """Within three standard errors, these are small, and the sum is exact."""
    for row in calibration(name, systems(seed=3)[name], steps=3000, warmup=500):
        assert row.passed, row
        assert row.tolerance < 0.2


def test_henon_map_from_one_orbit():
    system = systems()["Henon map"]
    found = lyapunov_of_map(system.step, system.jacobian, system.start[0], steps=4000)
    assert (np.abs(found.exponents - system.known) < 3 * found.stderr).all()
    assert (found.stderr < 0.015).all()
    np.testing.assert_allclose(found.exponents.sum(), np.log(0.3), atol=1e-12)
    np.testing.assert_allclose(found.kaplan_yorke, 1.258, atol=0.02)


def newman(n, steps):
    """Exponents of products of Gaussian matrices, variance 1/n, and the standard errors of `steps` of them."""
    half = (n - np.arange(n)) / 2
    return 0.5 * (np.log(2 / n) + polygamma(0, half)), np.sqrt(polygamma(1, half) / (4 * steps))


def gaussian_product(n, steps, seed=0, **options):
    rng = np.random.default_rng(seed)
    return lyapunov_of_map(
        lambda x: x, lambda x: rng.normal(0, n**-0.5, (n, n)), np.zeros(n), steps=steps, warmup=50, **options
    )


def test_gaussian_products_follow_newmans_law():
    found = gaussian_product(8, 3000, seed=1)
    exact, error = newman(8, found.steps)
    assert (np.abs(found.exponents - exact) < 4 * error).all()
    assert (found.stderr > error / 2).all() and np.median(found.stderr / error) < 2  # of one run, and rather too large


@pytest.mark.slow
def test_long_gaussian_products_follow_newmans_law():
    found = gaussian_product(20, 20_000)
    exact, error = newman(20, found.steps)
    assert (np.abs(found.exponents - exact) < 4 * error).all()
    assert abs((found.exponents - exact).sum()) < 4 * np.sqrt((error**2).sum())
    assert found.converged


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
@pytest.mark.parametrize(("gain", "theory"), [(1.5, 0.065217), (2.0, 0.154724), (3.0, 0.310249)])
def test_a_large_tanh_net_follows_mean_field(gain, theory, seed):
    cell = make_cell("elman", input_size=1, hidden_size=800)
    found = lyapunov(cell, cell.init(seed, gain=gain), steps=1500, warmup=500, k=1)
    assert -0.015 <= float(found.exponents[0]) - theory <= 0.005


@pytest.mark.study
@pytest.mark.parametrize("study", [chaos_gradients, lyapunov_random_rnn])
def test_the_studies_find_what_they_claim(study):
    rows, figure = study.study()
    assert [str(row) for row in rows if not row.passed] == []
    assert figure.data


# what is made of the exponents


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([0.41922, -1.62319], 1 + 0.41922 / 1.62319),
        ([0.9056, 0, -14.5723], 2 + 0.9056 / 14.5723),
        ([-0.1, -0.2], 0),
        ([0.0, -1.0], 1),
        ([0.5, 0.2], 2),
        ([1.0, -0.4, -0.5, -1.0], 3.1),
        ([0.3, -np.inf], 1),
        ([-np.inf, -np.inf], 0),
    ],
)
def test_kaplan_yorke_dimension(exponents, dimension):
    np.testing.assert_allclose(kaplan_yorke(np.array(exponents)), dimension)


def test_a_dimension_needs_enough_exponents():
    assert np.isnan(kaplan_yorke(np.array([0.5, 0.2]), complete=False))
    np.testing.assert_allclose(kaplan_yorke(np.array([[1.0, -1], [-2, -2]]), complete=False), [1.5, 0])
    cell, params = net(40, gain=3.0)
    found = lyapunov(cell, params, steps=200, k=2)
    assert np.isnan(found.kaplan_yorke)
    assert np.isnan(found.entropy_rate)
    assert "the dimension and the entropy rate need more exponents than these" in found.notes


def test_an_entropy_rate_needs_all_positive_exponents():
    leading = np.array([[0.5, 0.5, -0.1], [0.2, -0.1, -0.3]])
    np.testing.assert_allclose(entropy_rate(leading), [0.7, 0.5, 0])
    np.testing.assert_allclose(entropy_rate(leading, complete=False), [np.nan, 0.5, 0])
    cell, params = net(40, gain=3.0)
    whole = lyapunov(cell, params, steps=200)
    # Clearly positive, and some clearly negative ones too, however sums are rounded.
    positive, some_negative = (
        int((whole.exponents > clear).sum()) for clear in (0.05, -0.05)
    )  # whatever rounding does
    for k, known in ((positive, False), (some_negative + 1, True)):
        found = lyapunov(cell, params, steps=200, k=k)
        assert np.isnan(found.kaplan_yorke)
        np.testing.assert_allclose(found.entropy_rate, whole.entropy_rate if known else np.nan, atol=0.02)
        assert any(note == "the dimension needs more exponents than these" for note in found.notes) == known


def test_errors_over_samples_and_finite_time_means():
    cell, params = net(10)
    found = lyapunov(cell, params, driven(300, 6))
    np.testing.assert_allclose(found.exponents, found.samples.mean(axis=-1))
    np.testing.assert_allclose(found.spread, found.samples.std(axis=-1, ddof=1))
    assert (found.stderr >= 0.999 * found.spread / np.sqrt(6)).all()
    assert (np.diff(found.exponents) <= 0).all()
    assert (np.diff(found.running_steps) > 0).all()
    np.testing.assert_allclose(found.running[-1], found.exponents)
    half = lyapunov(cell, params, driven(300, 6)[: 30 + found.running_steps[-2]], warmup=30)
    np.testing.assert_allclose(found.running[-2], half.exponents, atol=1e-9)


def test_a_settled_spectrum_has_converged_and_a_short_or_drifting_one_not():
    rng = np.random.default_rng(0)

    def ramp(slope):
        step = iter(range(10**6))

        def jacobian(x):
            return np.exp(rng.normal(0, 0.1, (8, 1, 1)) + slope * next(step))

        return lyapunov_of_map(lambda x: x, jacobian, np.zeros((8, 1)), steps=900)

    assert ramp(0.0).converged
    assert ramp(0.0).notes == []
    assert any(re.search("exponents? drift", note) for note in ramp(1e-3).notes)
    cell, params = net(30, gain=2.0)
    short = lyapunov(cell, params, driven(1))
    assert not short.converged
    assert "too few steps" in short.notes[0]
    noisy = lyapunov(cell, params, driven(60))
    assert any("standard errors are above 0.01" in note for note in noisy.notes)


def test_what_is_printed():
    cell, params = net(3, models=(2,))
    lines = str(lyapunov(cell, params, driven(1000, 4))).splitlines()
    assert lines[0] == "3 Lyapunov exponents over 900 steps, in nats per step"
    assert [line.count("+-") for line in lines[1:3]] == [3, 3]
    assert "dimension 0, entropy rate 0" in lines[1]
    assert "converged" in lines[3]


# progress


def test_progress_and_cancelling():
    cell, params = net(10)
    shares = []
    lyapunov(cell, params, driven(200), on_progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 5
    assert shares[-1] == 1

    def cancel(share):
        if share > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        lyapunov(cell, params, driven(200), on_progress=cancel)


def test_of_many_finite_time_means_every_second_is_kept():
    """After 128 and 256 marks the spacing doubles."""
    factors = np.exp(np.random.default_rng(4).normal(size=300))
    step = iter(factors)
    found = lyapunov_of_map(lambda x: x, lambda x: np.full((1, 1), next(step)), np.zeros(1), steps=300, warmup=0)
    np.testing.assert_array_equal(found.running_steps, np.arange(4, 301, 4))
    means = np.cumsum(np.log(factors)) / np.arange(1, 301)
    np.testing.assert_allclose(found.running[:, 0], means[3::4], atol=1e-12)


def test_a_direction_that_was_lost_in_the_warmup_only_counts():
    step = iter(range(60))
    found = lyapunov_of_map(
        lambda x: x, lambda x: np.diag([2.0, 0.0 if next(step) < 5 else 0.5]), np.zeros(2), steps=60, warmup=20
    )
    np.testing.assert_allclose(found.exponents, np.log([2.0, 0.5]), atol=1e-9)
