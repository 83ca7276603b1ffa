"""Errors of means over time against series whose error is known, and of Lyapunov exponents against longer runs."""

import numpy as np
import pytest
from scipy.signal import lfilter

from gradlab import make_cell
from gradlab.products.lyapunov import lyapunov
from gradlab.products.time_errors import TimeErrors

STEPS, LENGTH = 96, 5  # blocks, steps of each


def blocks(series):
    """TimeErrors of series (T, K, B)."""
    sums = series.reshape(STEPS, LENGTH, *series.shape[1:]).sum(axis=1)
    return TimeErrors(sums, np.full((STEPS, series.shape[-1]), float(LENGTH)), 1)


def autoregressive(memory, samples, series=1, seed=0):
    """Mean 0, variance 1, autocorrelation memory^lag."""
    noise = np.random.default_rng(seed).normal(size=(STEPS * LENGTH + 500, series, samples))
    return lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise, axis=0)[500:]


@pytest.mark.parametrize("samples", [1, 4, 32])
@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95, -0.5])
def test_errors_hold_as_often_as_they_say(memory, samples):
    found = blocks(autoregressive(memory, samples, 200))
    scores = np.abs(found.rates) / found.total
    assert (scores < 1).mean() > 0.65 and (scores < 2).mean() > 0.93
    exact = np.sqrt((1 + memory) / (1 - memory) / (STEPS * LENGTH * samples))
    assert 0.9 < np.median(found.total) / exact < (4 if memory < 0 else 2)


@pytest.mark.parametrize("decay", ["exponential", "1/t"])
def test_what_the_start_has_left_is_counted(decay):
    """A transient that moves the mean by far more than chance does."""
    t = np.arange(STEPS * LENGTH)[:, None, None] + 1
    start = np.exp(-t / 80) if decay == "exponential" else 20 / (t + 50)
    found = blocks(start + 0.05 * autoregressive(0.0, 4, 40))
    assert (found.total > found.rates).all() and (found.rates > 20 * 0.05 / np.sqrt(4 * STEPS * LENGTH)).all()


def test_samples_that_are_the_same_are_one():
    series = autoregressive(0.5, 1)
    one, many = blocks(series), blocks(np.repeat(series, 16, axis=-1))
    np.testing.assert_allclose(many.total, one.total, rtol=1e-9)


def test_what_never_varies_has_no_error():
    found = blocks(np.ones((STEPS * LENGTH, 1, 2)))
    assert (found.total[0], found.drift[0], found.rates[0]) == (0, 0, 1)


def test_samples_without_steps_are_left_out():
    series = autoregressive(0.5, 3)
    whole, sums, counts = blocks(series), *(np.array(a) for a in (blocks(series).sums, blocks(series).counts))
    padded = TimeErrors(
        np.concatenate([sums, np.zeros_like(sums[..., :1])], axis=-1),
        np.concatenate([counts, np.zeros_like(counts[:, :1])], axis=-1),
        1,
    )
    np.testing.assert_allclose(padded.total, whole.total, rtol=1e-12)
    np.testing.assert_allclose(padded.rates, whole.rates, rtol=1e-12)


def test_the_first_directions_turning_is_counted_where_the_run_is_slow():
    series = autoregressive(0.99, 4)
    slow, quick = (TimeErrors(one.sums, one.counts, 16) for one in (blocks(series), blocks(autoregressive(0.0, 4))))
    np.testing.assert_allclose(slow.turning, np.log(4) / (STEPS * LENGTH))
    assert (quick.turning < 0.2 * slow.turning).all() and not blocks(series).turning.any()


def test_few_blocks_have_no_error():
    assert np.isnan(TimeErrors(np.ones((3, 2, 4)), np.ones((3, 4)), 1).total).all()


def test_a_slow_net_says_how_far_it_is_from_its_exponent():
    """From 40,000 steps: -0.00554 +- 0.00001. What the start leaves in 1,500 is many times the spread over samples."""
    cell = make_cell("gru", input_size=2, hidden_size=8)
    x = np.random.default_rng(5).normal(size=(1500, 32, 2))
    found = lyapunov(cell, cell.init(0, forget_bias=5.0), x, k=1)
    off = abs(float(found.exponents[0]) + 0.00554)
    assert off > 3 * found.spread[0] / np.sqrt(32)
    assert off < 2 * found.stderr[0] < 0.002
