"""Tasks: numbers of any size, baselines by hand, what is held out and never learnt from."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from gradlab.tasks import make_task, series


@pytest.fixture(name="write")
def written(tmp_path):
    """A file of that name and content, or array."""

    def write(name, content):
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            np.save(path, content)
        return path

    return write


# numbers of any size

STEEP = np.stack([np.random.default_rng(4).normal(size=60).cumsum(), np.arange(60.0) ** 2], axis=1)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1.7e308 / 60**2])
def test_a_series_of_any_size_is_the_same_series(write, scale):
    plain = make_task("forecast", steps=5, path=write("a.npy", STEEP))
    scaled = make_task("forecast", steps=5, path=write("b.npy", scale * STEEP))
    for ours, theirs in zip(scaled.parts, plain.parts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert scaled.baseline == pytest.approx(plain.baseline, rel=1e-12) and plain.baseline > 0.1


def test_a_series_from_one_end_of_the_numbers_to_the_other(write):
    signs = np.where(np.random.default_rng(5).random(80) < 0.5, -1.0, 1.0)
    task = make_task("forecast", steps=5, path=write("a.npy", 1.7e308 * signs))
    plain = make_task("forecast", steps=5, path=write("b.npy", signs))
    np.testing.assert_allclose(task.parts[0], plain.parts[0], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e307])
def test_labelled_sequences_of_any_size_are_the_same(write, scale):
    def of(name, factor):
        rows = "".join(f"{'ab'[k % 2]},{factor * (k - 3)!r},{factor * (k % 5)!r}\n" for k in range(20))
        return make_task("classification", steps=2, path=write(name, "label,u,v\n" + rows))

    plain, scaled = (of(*one).batch(np.random.default_rng(0), 9) for one in (("a.csv", 1.0), ("b.csv", scale)))
    np.testing.assert_allclose(scaled.x, plain.x, rtol=1e-12, atol=1e-12)
    assert plain.x.std() > 0.5


# what is held out


def test_labelled_sequences_are_scaled_by_those_that_are_learnt_from(write):
    """Zero mean and unit variance over the known values within their lengths, whatever the held-out ones are."""
    rng = np.random.default_rng(6)
    rows = "".join(f"{'ab'[k % 2]},{rng.normal() + k:.3f},{'' if k % 3 else rng.normal()}\n" for k in range(40))
    task = make_task("classification", steps=2, path=write("a.csv", "label,u,v\n" + rows))
    values, lengths = task.rows
    inside = np.arange(2) < lengths[:, None]
    known, held = (values[part][inside[part]] for part in task.parts)
    assert abs(known.mean() - np.concatenate([known, held]).mean()) > 0.001
    batch = task.batch(rng, 8, held_out=True)
    found = batch.x[..., 0].T[np.arange(2) < batch.lengths[:, None]]
    np.testing.assert_allclose(np.sort(found), np.sort((held - known.mean()) / known.std()), rtol=1e-12)


def test_the_unigram_counts_one_more_of_each_character(write):
    """Of 36 known characters 24 are a and 12 are b; c is met in the held-out four for the first time."""
    task = make_task("language_model", steps=3, path=write("a.txt", "aab" * 12 + "bcbc"))
    assert task.baseline == pytest.approx((math.log(39 / 13) + math.log(39 / 1)) / 2)


# Mackey-Glass


def test_mackey_glass_is_exact_where_the_delayed_term_is_linear_between_points(monkeypatch):
    """At one point per time unit, against quadrature from point to point."""
    monkeypatch.setattr(series, "SAMPLING", 1)
    x = [1.2] * 18 + series.mackey_glass.__wrapped__(60, per_unit=1, transient=0)[:, 0].tolist()
    g = [0.2 * past / (1 + past**10) for past in x]
    for i in range(17, len(x) - 1):
        start, rise = g[i - 17], g[i - 16] - g[i - 17]
        gained = quad(lambda s, a=start, b=rise: math.exp(-0.1 * (1 - s)) * (a + b * s), 0, 1)[0]
        assert x[i + 1] == pytest.approx(math.exp(-0.1) * x[i] + gained, rel=1e-12)
