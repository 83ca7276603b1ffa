"""Clipping of updates and of adjoints: norm, direction and angle, at any magnitude."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.engine.step_clipping import STEP_MODES
from gradlab.errors import InputError
from gradlab.learning.clipping import CLIP_MODES, UPDATE_MODES, clip_update
from gradlab.learning.norms import Norm, angle_between, flatten


def gradients(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return {"W": scale * rng.normal(size=(2, 3, 4)), "b": scale * rng.normal(size=(2, 4))}


def flat(grads):
    return np.concatenate([g.ravel() for g in grads.values()])


def test_the_modes_are_those_of_the_documentation():
    assert CLIP_MODES == ("off", "norm", "value", "step_norm", "step_value")
    assert (*UPDATE_MODES, *STEP_MODES) == CLIP_MODES[1:]


@pytest.mark.parametrize("threshold", [0.1, 1.0, 4.0])
def test_by_norm_keeps_the_direction(threshold):
    grads = gradients()
    clipped = clip_update(grads, "norm", threshold)
    np.testing.assert_allclose(flat(clipped.grads), flat(grads) * threshold / np.linalg.norm(flat(grads)), rtol=1e-14)
    assert clipped.norm_before == pytest.approx(np.linalg.norm(flat(grads)), rel=1e-13)
    assert clipped.norm_after == pytest.approx(threshold, rel=1e-13)
    assert clipped.angle == 0


@pytest.mark.parametrize("threshold", [0.1, 1.0])
def test_by_value_cuts_entries_and_turns_the_gradient(threshold):
    grads = gradients()
    clipped = clip_update(grads, "value", threshold)
    expected = np.clip(flat(grads), -threshold, threshold)
    np.testing.assert_array_equal(flat(clipped.grads), expected)
    assert clipped.norm_after == pytest.approx(np.linalg.norm(expected), rel=1e-13)
    cosine = flat(grads) @ expected / np.linalg.norm(flat(grads)) / np.linalg.norm(expected)
    assert clipped.angle == pytest.approx(math.acos(cosine), rel=1e-9)
    assert clipped.angle > 0.1


@pytest.mark.parametrize("mode", UPDATE_MODES)
@pytest.mark.parametrize("threshold", [1e3, math.inf])
def test_below_the_threshold_nothing_changes(threshold, mode):
    grads = gradients()
    clipped = clip_update(grads, mode, threshold)
    np.testing.assert_array_equal(flat(clipped.grads), flat(grads))
    assert clipped.angle == 0
    assert clipped.log_norm_before == clipped.log_norm_after


@pytest.mark.parametrize("exponent", [-5000, -900, 0, 900, 5000, 1_000_000])
def test_a_gradient_beyond_the_floating_point_range_is_clipped_to_its_exact_norm(exponent):
    grads, threshold = gradients(), 0.75
    clipped = clip_update(grads, "norm", threshold, exponent)
    log_norm = math.log(np.linalg.norm(flat(grads))) + exponent * math.log(2)
    assert clipped.log_norm_before == pytest.approx(log_norm, rel=1e-13)
    if exponent >= 0:
        assert clipped.log_norm_after == pytest.approx(math.log(threshold), abs=1e-9)
        expected = flat(grads) * threshold / np.linalg.norm(flat(grads))
        np.testing.assert_allclose(flat(clipped.grads), expected, rtol=1e-13)
        assert clipped.angle < 1e-7
    else:
        assert clipped.log_norm_after == clipped.log_norm_before
        np.testing.assert_array_equal(flat(clipped.grads), np.ldexp(flat(grads), exponent))
    assert clipped.norm_before == (math.inf if log_norm > 710 else pytest.approx(math.exp(log_norm)))


@pytest.mark.parametrize("exponent", [100, 900, 5000])
def test_by_value_beyond_the_range_leaves_only_signs(exponent):
    grads = gradients()
    clipped = clip_update(grads, "value", 0.5, exponent)
    np.testing.assert_allclose(flat(clipped.grads), 0.5 * np.sign(flat(grads)), rtol=1e-12)
    assert clipped.log_norm_after == pytest.approx(math.log(0.5 * math.sqrt(flat(grads).size)), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-170, 1e160, 1e200])
def test_squares_that_under_or_overflow_do_not_reach_the_norm(scale):
    grads = gradients(scale=scale)
    clipped = clip_update(grads, "norm", 1.0)
    assert clipped.log_norm_before == pytest.approx(
        math.log(np.linalg.norm(flat(gradients()))) + math.log(scale), rel=1e-12
    )
    norm = Norm.of(flatten(list(grads.values())))
    assert math.ldexp(norm.mantissa, norm.exponent) == pytest.approx(
        scale * np.linalg.norm(flat(gradients())), rel=1e-12
    )


@pytest.mark.parametrize("mode", UPDATE_MODES)
@pytest.mark.parametrize("threshold", [1e-3, 1.0, math.inf])
def test_a_zero_gradient_stays_zero(threshold, mode):
    clipped = clip_update({"W": np.zeros((3, 3))}, mode, threshold)
    assert (clipped.log_norm_before, clipped.log_norm_after) == (-math.inf, -math.inf)
    assert clipped.angle == 0
    assert not clipped.grads["W"].any()


@pytest.mark.parametrize("mode", UPDATE_MODES)
def test_single_precision_stays_single(mode):
    grads = {name: g.astype(np.float32) for name, g in gradients().items()}
    assert all(g.dtype == np.float32 for g in clip_update(grads, mode, 0.1).grads.values())


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan])
def test_bad_thresholds(threshold):
    with pytest.raises(InputError, match="clip_threshold: expected a positive number, got"):
        clip_update(gradients(), "norm", threshold)


def test_bad_mode():
    with pytest.raises(InputError, match="unknown update clipping 'nrom'. Did you mean 'norm'\\? Valid: norm, value"):
        clip_update(gradients(), "nrom", 1.0)


def test_an_exploding_update_beyond_the_range_is_clipped():
    ds = gradlab.analyze(recurrent_init="orthogonal", activation="identity", gain=2.0, steps=1200, batch_size=2,
                         input_scale=1e-305, hidden_size=4, clip="norm", clip_threshold=3.0)  # fmt: skip
    before, after = ds.log_update_norm.values
    assert before > 700
    assert after == pytest.approx(math.log(3.0), abs=1e-9)


# angles


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 0.5, math.pi / 2, 3.0, math.pi])
def test_angle_between(angle):
    a = [np.array([1.0, 0.0]), np.zeros(2)]
    b = [7.0 * np.array([math.cos(angle), math.sin(angle)]), np.zeros(2)]
    assert angle_between(a, b) == pytest.approx(angle, rel=1e-4, abs=1e-15)


@pytest.mark.parametrize("size", [2, 5, 40])
def test_opposite_vectors_are_half_a_turn_apart_whatever_the_rounding(size):
    """The chord of two unit vectors may be longer than 2 by a last digit."""
    for v in np.random.default_rng(size).normal(size=(100, size)):
        assert angle_between([v], [-3 * v]) == pytest.approx(math.pi, abs=1e-7)


@pytest.mark.parametrize("power", [-400, -1, 0, 400])
def test_a_norm_whose_squares_are_numbers_needs_no_exponent(power):
    assert Norm.of(np.ldexp([3.0, 4.0], power)) == Norm(math.ldexp(5.0, power), 0)


def test_angle_with_zero_is_zero():
    assert angle_between([np.zeros(3)], [np.ones(3)]) == 0.0


# of adjoints: (S, *M, B, H) with one threshold per model and sample


@pytest.mark.parametrize("models", [(), (3,)])
def test_step_norm_acts_on_the_joint_state_of_each_sample(models):
    rng = np.random.default_rng(0)
    adjoint, threshold = rng.normal(size=(2, *models, 4, 5)), rng.uniform(0.5, 6, (*models, 4))
    clipped = STEP_MODES["step_norm"](np, adjoint, threshold)
    norms, before = (np.sqrt((a**2).sum(axis=(0, -1))) for a in (clipped, adjoint))
    np.testing.assert_allclose(norms, np.minimum(before, threshold), rtol=1e-13)
    np.testing.assert_allclose(clipped, adjoint * (norms / before)[None, ..., None], rtol=1e-12)
    assert (before > threshold).any() and (before < threshold).any()


@pytest.mark.parametrize("models", [(), (3,)])
def test_step_value_cuts_each_entry(models):
    rng = np.random.default_rng(0)
    adjoint, threshold = rng.normal(size=(2, *models, 4, 5)), rng.uniform(0.2, 2, (*models, 4))
    limit = threshold[None, ..., None]
    np.testing.assert_array_equal(STEP_MODES["step_value"](np, adjoint, threshold), np.clip(adjoint, -limit, limit))


@pytest.mark.parametrize("size", [-300, 0, 300])
@pytest.mark.parametrize("mode", STEP_MODES)
def test_an_adjoint_at_the_threshold_stays_bit_for_bit(mode, size):
    rows = np.array([[3.0, 4.0, 0.0], [5.0, 0.0, 12.0], [0.0, 8.0, 15.0], [20.0, 21.0, 0.0]]) * 2.0**size
    threshold = {"step_norm": np.array([5.0, 13.0, 17.0, 29.0]) * 2.0**size, "step_value": rows.max(axis=-1)}[mode]
    np.testing.assert_array_equal(STEP_MODES[mode](np, rows[None], threshold)[0], rows)


@pytest.mark.parametrize("mode", STEP_MODES)
def test_zero_adjoints_and_boundless_thresholds(mode):
    clip, adjoint = STEP_MODES[mode], np.ones((1, 2, 3))
    with np.errstate(all="ignore"):  # as the engine calls them
        assert not clip(np, 0 * adjoint, np.array([1.0, np.inf])).any()
        np.testing.assert_array_equal(clip(np, adjoint, np.array([np.inf, np.inf])), adjoint)
