"""Clippers of a training: each mode against a computation by hand, at any magnitude, over many updates."""

import math
import re

import numpy as np
import pytest

from gradlab import to_numpy
from gradlab.errors import InputError
from gradlab.learning.clipping import CLIPPERS, make_clipper
from gradlab.learning.norms import Norm, row_norms

from ..contract import EPS, LIBRARIES, each_dtype, each_library, each_way

LSTM = {"0.W_xh": (4, (6, 3)), "0.W_hh": (4, (6, 6)), "0.b_h": (4, (6,)), "0.p": (3, (6,))}  # (G, *M, ...)
DENSE = {"1.W": (5, 6), "1.b": (5,)}  # (*M, O, D)
each_mode = pytest.mark.parametrize("mode", CLIPPERS)


def arrays(seed, models=(), scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = {name: (count, *models, *shape) for name, (count, shape) in LSTM.items()}
    shapes |= {name: (*models, *shape) for name, shape in DENSE.items()}
    return {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}


def flat(grads):
    return np.concatenate([to_numpy(g).astype(np.longdouble).ravel() for g in grads.values()])


def norm(grads):
    return np.sqrt((flat(grads) ** 2).sum())


def angle(a, b):
    u, v = flat(a) / norm(a), flat(b) / norm(b)
    return 2 * math.asin(min(1.0, float(np.sqrt(((u - v) ** 2).sum())) / 2))


def by_unit(params, grads, ratio):
    """AGC entry by entry: whatever comes before the last axis names a unit, or a bias vector."""
    after = {name: g.copy() for name, g in grads.items()}
    for name, g in after.items():
        for unit in np.ndindex(*g.shape[:-1]):
            limit = ratio * max(math.hypot(*params[name][unit]), 1e-3)
            size = math.hypot(*g[unit])
            if size > limit:
                g[unit] *= limit / size
    return after


def expected_of(mode, params, grads):
    """(threshold, gradients after clipping) by hand; the threshold is one that some of it exceeds."""
    if mode == "agc":
        return 2.0, by_unit(params, grads, 2.0)
    if mode == "value":
        return 0.7, {name: np.clip(g, -0.7, 0.7) for name, g in grads.items()}
    if mode == "norm":
        return 3.0, {name: g * 3.0 / float(norm(grads)) for name, g in grads.items()}
    return None, grads  # off, and the first update of autoclip


@each_way
@each_mode
def test_a_clipped_gradient_is_that_by_hand(mode, library, dtype, models):
    xp, params, grads = LIBRARIES[library](), arrays(1, models), arrays(2, models, 2.0)
    params, grads = ({name: a.astype(dtype) for name, a in part.items()} for part in (params, grads))
    threshold, expected = expected_of(mode, params, {name: g.astype(float) for name, g in grads.items()})
    moved = [{name: xp.asarray(a) for name, a in part.items()} for part in (params, grads)]
    found = make_clipper(mode, threshold).clip(*moved)
    for name, g in found.grads.items():
        assert type(g) is type(moved[1][name]) and g.dtype == dtype
        np.testing.assert_allclose(to_numpy(g), expected[name], rtol=16 * EPS[dtype])
        np.testing.assert_array_equal(to_numpy(moved[1][name]), grads[name])
    assert found.clipped == (mode in ("norm", "value", "agc"))
    assert found.finite
    assert found.log_norm_before == pytest.approx(math.log(norm(grads)), abs=1e-13)
    assert found.log_norm_after == pytest.approx(math.log(norm(expected)), abs=1e-13)
    assert found.angle == pytest.approx(angle(grads, expected), abs=1e-7 if mode == "norm" else 1e-13)


@each_mode
def test_what_is_not_clipped_are_the_very_arrays(mode):
    params, grads = arrays(1), arrays(2)
    found = make_clipper(mode, 100.0).clip(params, grads)  # a ratio, a percentile, a norm, an entry, whatever
    assert all(found.grads[name] is g for name, g in grads.items())
    assert not found.clipped and found.angle == 0 and found.log_norm_after == found.log_norm_before


AT_LIMIT = [(0, 0), (-3, 0), (7, 0), (-900, 0), (900, 0), (0, 600), (0, -600), (300, 600)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("exponent", "size"), AT_LIMIT)
@each_mode
def test_a_gradient_at_its_limit_is_not_above_it(mode, exponent, size, seed):
    """But one above it by the last digit is. Rows of length 5, 13 and 17 are so without rounding."""
    rows, rng = np.array([[3.0, 4.0, 0.0], [5.0, 0.0, 12.0], [0.0, 8.0, 15.0]]), np.random.default_rng(seed)
    params = {"w": rng.permuted(rows, axis=1)}
    grads = {"w": 0.75 * rng.permuted(rows, axis=1)} | ({} if mode == "agc" else {"b": rng.normal(size=9)})
    vector = flat(grads).astype(float)
    limit = {"norm": math.sqrt(vector @ vector), "value": np.abs(vector).max(), "autoclip": 100}.get(mode, 0.75)
    limit, given = limit if mode == "autoclip" else limit * 2.0**size, np.ldexp(1.0, size - exponent)
    given = {name: g * given for name, g in grads.items()}
    found = make_clipper(mode, limit).clip(params, given, exponent)
    assert not found.clipped and found.log_norm_after == found.log_norm_before
    for name, g in found.grads.items():
        np.testing.assert_array_equal(g, grads[name] * 2.0**size)
    if mode in ("norm", "value", "agc"):
        assert make_clipper(mode, np.nextafter(limit, 0)).clip(params, given, exponent).clipped


def test_the_norm_at_a_whole_place_of_the_history_is_not_above_it():
    for percentile in range(1, 100):
        clipper = make_clipper("autoclip", percentile)
        clipper.state["norms"] = np.delete(np.arange(101.0), percentile)
        assert not clipper.clip({}, {"w": np.array([float(percentile)])}).clipped
        assert clipper.clip({}, {"w": np.array([percentile + 0.5])}).clipped


# adaptive, per output unit


def test_agc_leaves_units_below_their_limit_bit_for_bit():
    params, grads = arrays(1), arrays(2, scale=1e-3)
    grads["0.W_hh"][2, 4] *= 1e5
    found = make_clipper("agc", 0.5).clip(params, grads).grads
    ratio = found["0.W_hh"] / grads["0.W_hh"]
    assert (ratio[2, 4] < 0.1).all()
    ratio[2, 4] = 1
    assert (ratio == 1).all()
    limit = 0.5 * np.linalg.norm(params["0.W_hh"][2, 4])
    assert np.linalg.norm(found["0.W_hh"][2, 4]) == pytest.approx(limit, rel=1e-14)
    assert all((found[name] == g).all() for name, g in grads.items() if name != "0.W_hh")


def test_agc_lets_weights_leave_zero():
    params, grads = {"b": np.zeros((2, 3))}, {"b": np.full((2, 3), 7.0)}
    found = make_clipper("agc").clip(params, grads)
    np.testing.assert_allclose(np.linalg.norm(found.grads["b"], axis=-1), 1e-5, rtol=1e-14)


@pytest.mark.parametrize("scale", [2.0**-700, 2.0**700])
def test_norms_of_rows_of_any_magnitude(scale):
    rows = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(row_norms(scale * rows), scale * row_norms(rows))
    assert not row_norms(np.zeros((2, 3))).any()


def test_agc_clips_each_model_as_if_alone():
    params, grads = arrays(1, (3,)), arrays(2, (3,))
    together = make_clipper("agc", 0.8).clip(params, grads).grads
    for m in range(3):
        own = [{n: a[:, m] if n in LSTM else a[m] for n, a in part.items()} for part in (params, grads, together)]
        alone = make_clipper("agc", 0.8).clip(*own[:2]).grads
        assert all((alone[name] == own[2][name]).all() for name in alone)


# percentile of the history


@pytest.mark.parametrize("percentile", [10, 37.5, 50, 100])
def test_autoclip_follows_the_percentile_of_all_norms_so_far(percentile):
    clipper, norms, clipped = make_clipper("autoclip", percentile), [], 0
    for n, scale in enumerate(np.random.default_rng(0).lognormal(size=60)):
        grads = arrays(n, scale=scale)
        norms.append(float(norm(grads)))
        threshold = np.percentile(norms, percentile)
        found = clipper.clip({}, grads)
        clipped += found.clipped
        assert found.norm_after == pytest.approx(min(norms[-1], threshold), rel=1e-12)
        for name, g in found.grads.items():
            np.testing.assert_allclose(g, grads[name] * min(1, threshold / norms[-1]), rtol=1e-12)
        assert found.angle == 0
    assert 0.5 * (1 - percentile / 100) * 60 <= clipped <= (1 - percentile / 100) * 60 + 8
    np.testing.assert_allclose(clipper.state["norms"], np.sort(norms), rtol=1e-12)


def test_the_first_update_under_autoclip_is_never_clipped():
    for scale in np.geomspace(1e-300, 1e300, 200):  # not by a rounding either
        grads = arrays(0, scale=scale)
        found = make_clipper("autoclip").clip({}, grads)
        assert not found.clipped and all(found.grads[name] is g for name, g in grads.items())


def test_a_clipper_goes_on_from_its_state():
    whole, first, second = (make_clipper("autoclip", 30) for _ in range(3))
    updates = [arrays(n, scale=1 + n % 7) for n in range(20)]
    expected = [whole.clip({}, g) for g in updates]
    for g in updates[:10]:
        first.clip({}, g)
    second.state = {name: np.array(a) for name, a in first.state.items()}
    for g, e in zip(updates[10:], expected[10:], strict=True):
        found = second.clip({}, g).grads
        assert all((found[name] == e.grads[name]).all() for name in found)


@each_mode
def test_only_autoclip_remembers(mode):
    clipper = make_clipper(mode)
    clipper.clip(arrays(1), arrays(2))
    assert list(clipper.state) == (["norms"] if mode == "autoclip" else [])


# sizes that squares cannot hold


@pytest.mark.parametrize("scale", [2.0**-900, 2.0**-400, 2.0**400, 2.0**1010])
@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
def test_huge_and_tiny_gradients_are_clipped_exactly(mode, scale):
    """Gradient and threshold scaled together: the same numbers, scaled."""
    params, grads = arrays(1), arrays(2)
    scaled = {name: g * scale for name, g in grads.items()}
    threshold = {"norm": 2.0, "value": 0.5, "agc": 1.5}[mode]
    expected = make_clipper(mode, threshold).clip(params, grads)
    found = make_clipper(mode, threshold * scale).clip(params, scaled)
    assert found.clipped and expected.clipped
    for name, g in found.grads.items():
        np.testing.assert_allclose(g, expected.grads[name] * scale, rtol=1e-12)
    for log in ("log_norm_before", "log_norm_after"):
        assert getattr(found, log) == pytest.approx(getattr(expected, log) + math.log(scale), abs=1e-11)
    assert found.angle == pytest.approx(expected.angle, abs=1e-14)


@each_dtype
@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
def test_a_huge_gradient_meets_an_ordinary_threshold(mode, dtype):
    params, grads = ({n: a.astype(dtype) for n, a in arrays(s).items()} for s in (1, 2))
    top = max(np.abs(g).max() for g in grads.values())
    grads = {name: g / top * np.finfo(dtype).max for name, g in grads.items()}
    found = make_clipper(mode, 0.01).clip(params, grads)
    small = {name: g.astype(np.longdouble) / np.finfo(dtype).max for name, g in grads.items()}
    expected = {
        "norm": {name: 0.01 * g / norm(small) for name, g in small.items()},
        "value": {name: 0.01 * np.sign(g) for name, g in small.items()},
        "agc": by_unit(params, {name: 1e9 * g for name, g in small.items()}, 0.01),
    }[mode]
    for name, g in found.grads.items():
        np.testing.assert_allclose(g, expected[name].astype(float), rtol=16 * EPS[dtype])
    largest = math.log(np.finfo(dtype).max)
    assert found.log_norm_before == pytest.approx(math.log(norm(small)) + largest, rel=1e-12)
    assert found.log_norm_after == pytest.approx(math.log(norm(expected)), abs=1e-12)
    assert found.angle == pytest.approx(angle(small, expected), abs=1e-7 if mode == "norm" else 1e-12)


# gradients over a power of two


def started(mode):
    """A clipper with the mode's own threshold; one that remembers has seen an ordinary gradient."""
    clipper = make_clipper(mode)
    if mode == "autoclip":
        clipper.clip({}, arrays(5))
    return clipper


@each_dtype
@each_library
@each_mode
@pytest.mark.parametrize("exponent", [-60, -3, 4, 60])
def test_an_exponent_is_a_factor(exponent, mode, library, dtype):
    xp = LIBRARIES[library]()
    params, grads = ({n: a.astype(dtype) for n, a in arrays(s).items()} for s in (1, 2))
    whole = {name: g * np.dtype(dtype).type(2.0**exponent) for name, g in grads.items()}
    params, grads, whole = ({n: xp.asarray(a) for n, a in part.items()} for part in (params, grads, whole))
    expected, found = started(mode), started(mode)
    expected, found = expected.clip(params, whole), found.clip(params, grads, exponent)
    assert found.clipped == expected.clipped
    assert found.clipped == (mode != "off" and exponent > 0) or abs(exponent) < 60
    for name, g in found.grads.items():
        assert g.dtype == dtype
        np.testing.assert_allclose(to_numpy(g), to_numpy(expected.grads[name]), rtol=4 * EPS[dtype], atol=0)
    for field in ("log_norm_before", "log_norm_after"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), abs=1e-12)
    assert found.angle == pytest.approx(expected.angle, abs=1e-12)


@pytest.mark.parametrize("mode", [mode for mode in CLIPPERS if mode != "off"])
@pytest.mark.parametrize("exponent", [2000, 100_000])
def test_gradients_beyond_the_range_are_clipped_exactly(exponent, mode):
    """Every entry, unit and norm is above its threshold, whatever the exponent."""
    params, grads = arrays(1), arrays(2)
    found = started(mode).clip(params, grads, exponent)
    expected = {
        "norm": {name: g / float(norm(grads)) for name, g in grads.items()},
        "value": {name: np.sign(g) for name, g in grads.items()},
        "agc": by_unit(params, {name: 1e30 * g for name, g in grads.items()}, 0.01),
        "autoclip": None,
    }[mode]
    if mode == "autoclip":  # 10 % of the way from the first norm to the largest number
        first, most = float(norm(arrays(5))), np.finfo(float).max
        limit = first + 0.1 * (most - first)
        expected = {name: g * (limit / float(norm(grads))) for name, g in grads.items()}
    assert found.clipped
    for name, g in found.grads.items():
        np.testing.assert_allclose(g, expected[name], rtol=1e-14)
    assert found.log_norm_before == pytest.approx(math.log(norm(grads)) + exponent * math.log(2), rel=1e-13)
    assert found.log_norm_after == pytest.approx(math.log(norm(expected)), rel=1e-13)
    assert found.angle == pytest.approx(angle(grads, expected), abs=1e-7)


@each_mode
def test_gradients_below_the_range_are_left_alone(mode):
    params, grads = arrays(1), arrays(2)
    clipper = started(mode)
    found = clipper.clip(params, grads, -2000)
    assert not found.clipped and not any(g.any() for g in found.grads.values())
    log_norm = math.log(norm(grads)) - 2000 * math.log(2)
    assert found.log_norm_before == found.log_norm_after == pytest.approx(log_norm, rel=1e-13)
    if mode == "autoclip":
        assert list(clipper.state["norms"]) == [0.0, pytest.approx(float(norm(arrays(5))), rel=1e-14)]


# what is not finite


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@each_dtype
@each_mode
def test_a_gradient_that_is_not_finite_comes_back_as_it_is_and_says_so(mode, dtype, bad):
    clipper = make_clipper(mode)
    params, grads = ({n: a.astype(dtype) for n, a in arrays(s).items()} for s in (1, 2))
    grads["1.W"][1, 2] = bad
    found = clipper.clip(params, grads)
    assert not found.finite and not found.clipped
    assert all(found.grads[name] is g for name, g in grads.items())
    assert str(found.norm_before) == str(abs(bad))
    assert all(not len(a) for a in clipper.state.values())


@each_mode
def test_nothing_to_clip_in_zeros(mode):
    zeros = {name: 0 * g for name, g in arrays(0).items()}
    found = make_clipper(mode).clip(zeros, zeros)
    assert found.finite and not found.clipped and found.log_norm_before == -math.inf


# what is refused


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, "1", [2.0]])
@each_mode
def test_thresholds_must_be_positive_numbers(mode, threshold):
    message = re.escape(f"clip_threshold: expected a positive number, got {threshold!r}")
    with pytest.raises(InputError, match=message):
        make_clipper(mode, threshold)


def test_a_percentile_is_at_most_100():
    with pytest.raises(InputError, match="clip_threshold: autoclip expected a percentile of at most 100, got 101"):
        make_clipper("autoclip", 101)


def test_each_mode_has_a_threshold_of_its_own():
    found = {mode: make_clipper(mode).threshold for mode in CLIPPERS}
    assert found == {"off": math.inf, "norm": 1.0, "value": 1.0, "agc": 0.01, "autoclip": 10.0}


@pytest.mark.parametrize("exponent", [1.5, "2", None])
def test_an_exponent_is_a_whole_number(exponent):
    with pytest.raises(InputError, match=f"exponent: expected a whole number, a power of 2, got {exponent!r}"):
        make_clipper("norm").clip(arrays(1), arrays(2), exponent)


def test_unknown_modes():
    with pytest.raises(InputError, match="unknown update clipping 'auto'. Did you mean 'autoclip'\\? Valid: off, norm"):
        make_clipper("auto")


@pytest.mark.parametrize("exponent", [-1000, -535, -500, -400, 400, 535, 1000])
def test_a_norm_whose_squares_lose_digits_or_overflow(exponent):
    """Near the smallest numbers squares are still there, but with few digits left."""
    found = Norm.of(np.ldexp(np.array([1.1, -1.1, 1.1]), exponent))
    assert found.log == pytest.approx(math.log(1.1) + 0.5 * math.log(3) + exponent * math.log(2), rel=1e-15)
