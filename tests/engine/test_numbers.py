"""Adjoints of any magnitude: log norms and parameter gradients against exact rational arithmetic, both precisions."""

import math
from fractions import Fraction

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.learning.clipping import clip_update

from ..contract import EPS
from ..grids import thinned

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
LONG = 10_000


def log(fraction):
    """ln of an exact number; -inf for zero."""
    if not fraction:
        return -math.inf
    exponent = fraction.numerator.bit_length() - fraction.denominator.bit_length()
    return math.log(float(fraction / Fraction(2) ** exponent)) + exponent * math.log(2)


def net(matrices, dtype, activation="identity", d=1):
    """A cell and parameters whose recurrent weights are `matrices` (*M, H, H), without input or bias."""
    matrices = np.asarray(matrices)
    cell = make_cell("elman", input_size=d, hidden_size=matrices.shape[-1], activation=activation)
    models = matrices.shape[:-2]
    params = {name: np.zeros((n, *models, *shape), dtype) for name, (n, shape) in cell.shapes.items()}
    params["W_hh"][0] = matrices
    return cell, params


def unit_at_the_end(steps, models, batch, hidden, dtype, seed=0):
    u = np.random.default_rng(seed).normal(size=(*models, batch, hidden))
    dL_dh = np.zeros((steps, *models, batch, hidden), dtype)
    dL_dh[-1] = u / np.linalg.norm(u, axis=-1, keepdims=True)
    return dL_dh


# one cotangent at the end, 10,000 steps


def long_run(matrices, dtype, steps=LONG):
    """ln ||dL/dh_t|| - ln ||dL/dh_T||, (T+1, *M, B)."""
    cell, params = net(matrices, dtype)
    models = np.shape(matrices)[:-2]
    traj = gradlab.unroll(cell, params, np.zeros((steps, 2, 1), dtype))
    logs = gradlab.bptt(traj, unit_at_the_end(steps, models, 2, cell.hidden_size, dtype)).log_norms[:, 0]
    return logs - logs[-1]


def assert_exponential(logs, log_rate):
    """ln r per step back, within 1e-6 relative plus 1e-2 absolute; log_rate (*M,)."""
    back = np.arange(len(logs) - 1, -1, -1.0).reshape(-1, *(1,) * (logs.ndim - 1))
    expected = back * np.asarray(log_rate)[..., None]
    assert (np.abs(logs - expected) <= 1e-6 * np.abs(expected) + 1e-2).all()


@each_dtype
@pytest.mark.parametrize("rates", [(0.25, 0.5, 0.9, 1.0, 1.1, 2.0), (1e-6, 1e6)], ids=["moderate", "extreme"])
def test_scaled_identities_over_ten_thousand_steps(rates, dtype):
    rates = np.array(rates, dtype)
    assert_exponential(long_run(rates[:, None, None] * np.eye(3, dtype=dtype), dtype), np.log(rates.astype(float)))


@each_dtype
@pytest.mark.parametrize("rates", [(0.25, 0.7, 1.0, 1.4, 2.0), (1e-6, 1e6)], ids=["moderate", "extreme"])
def test_scaled_orthogonal_matrices_over_ten_thousand_steps(rates, dtype):
    q = np.stack([np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0] for seed in range(len(rates))])
    rates = 2.0 ** np.round(np.log2(rates)) if max(rates) > 1e3 else np.array(rates)
    assert_exponential(long_run(rates[:, None, None] * q, dtype), np.log(rates))


@each_dtype
def test_a_net_that_grows_and_a_net_that_fades_share_one_batch(dtype):
    """Model axes and samples have exponents of their own."""
    logs = long_run(np.array([1e-6, 1.0, 1e6], dtype)[:, None, None] * np.eye(2, dtype=dtype), dtype, 2000)
    assert np.isfinite(logs).all()
    assert_exponential(logs, np.log(np.array([1e-6, 1.0, 1e6], dtype).astype(float)))


@each_dtype
def test_both_states_of_an_lstm_over_ten_thousand_steps(dtype):
    """W_hh = 0, constant input: lambda_c shrinks by the forget gate, lambda_h is exactly zero before the last step."""
    cell = make_cell("lstm", input_size=1, hidden_size=2)
    params = {n: np.zeros((k, *s), dtype) for n, (k, s) in cell.shapes.items()}
    params["b_h"][1] = -1.0
    traj = gradlab.unroll(cell, params, np.zeros((LONG, 1, 1), dtype))
    logs = gradlab.bptt(traj, unit_at_the_end(LONG, (), 1, 2, dtype)).log_norms[..., 0]
    forget = float(traj.gates[0, 1, 0, 0])
    assert_exponential((logs[:LONG, 1] - logs[LONG - 1, 1])[:, None], [math.log(forget)])
    assert (logs[:LONG, 0] == -np.inf).all()
    assert logs[LONG, 1] == -np.inf


@each_dtype
@pytest.mark.parametrize("seed", [0, 1])
def test_a_rate_that_changes_from_step_to_step(seed, dtype):
    """Spells of open, half open and all but closed forget gates: lambda_c is the product of those that follow."""
    rng = np.random.default_rng(seed)
    cell = make_cell("lstm", input_size=1, hidden_size=2)
    params = {n: np.zeros((k, *s), dtype) for n, (k, s) in cell.shapes.items()}
    params["W_xh"][1] = 1.0
    drive = np.repeat(rng.choice([8.0, 0.0, -4.0, -30.0], size=(60, 3)), rng.integers(1, 40, 60), axis=0)
    traj = gradlab.unroll(cell, params, drive[..., None].astype(dtype))
    logs = gradlab.bptt(traj, unit_at_the_end(len(drive), (), 3, 2, dtype)).log_norms[:-1, 1]
    closing = -np.logaddexp(0.0, -drive)
    expected = logs[-1] + np.cumsum(closing[-2::-1], axis=0)[::-1]
    assert (np.abs(logs[:-1] - expected) <= 1e-6 * np.abs(expected) + 1e-2).all()


@pytest.mark.parametrize(("steps", "truncate"), [(1, 1), (1, None), (41, None), (41, 3)])
def test_what_falls_out_of_range_at_the_lowest_step_is_not_zero(steps, truncate):
    cell, params = net([[2.0**-100]], "float32")
    direct, t = np.zeros((steps, 1, 1), "float32"), min(2, steps)
    direct[t - 1] = 2.0**-55
    traj = gradlab.unroll(cell, params, np.zeros((steps, 1, 1), "float32"))
    logs = gradlab.bptt(traj, direct, truncate=truncate).log_norms.ravel()
    np.testing.assert_allclose(logs[t - 1 : t + 1], np.array([-155, -55]) * math.log(2), rtol=1e-6)


# a loss at every step, against fractions


def exact_adjoints(w, direct):
    """lambda_t = w lambda_{t+1} + d_t with exact numbers, t = 0..T, d_0 = 0."""
    adjoints = [Fraction(0)]
    for d in direct[::-1]:
        adjoints.append(adjoints[-1] * Fraction(float(w)) + Fraction(float(d)))
    return adjoints[:0:-1], adjoints[-1] * Fraction(float(w))


def scalar_run(weights, direct, dtype):
    """Nets of one unit, one model each; direct (T, M)."""
    weights, direct = np.asarray(weights, dtype), np.asarray(direct, dtype)
    cell, params = net(weights[:, None, None], dtype)
    traj = gradlab.unroll(cell, params, np.zeros((len(direct), 1, 1), dtype))
    return weights, direct, gradlab.bptt(traj, direct[..., None, None])


WEIGHTS = (1e-30, 1e-9, 1e-3, 0.3, 0.99, 1.01, 3.0, 1e3, 1e9, 1e30)
LOSSES = {
    "even": lambda rng, shape: rng.uniform(0.5, 1.5, shape),
    "of all magnitudes": lambda rng, shape: 10.0 ** rng.uniform(-30, 30, shape),
    "rare": lambda rng, shape: np.where(rng.random(shape) < 0.05, rng.uniform(0.5, 1.5, shape), 0.0),
    "rare and huge": lambda rng, shape: np.where(rng.random(shape) < 0.05, 10.0 ** rng.uniform(20, 37, shape), 0.0),
    "rare and tiny": lambda rng, shape: np.where(rng.random(shape) < 0.05, 10.0 ** rng.uniform(-37, -20, shape), 0.0),
    "late": lambda rng, shape: np.where(np.arange(shape[0])[:, None] > 200, 1.0, 0.0) + np.zeros(shape),
    "early": lambda rng, shape: np.where(np.arange(shape[0])[:, None] < 70, 1.0, 0.0) + np.zeros(shape),
}


@pytest.mark.parametrize(("loss", "dtype"), thinned(LOSSES, EPS))
def test_losses_at_every_step(loss, dtype):
    """All terms are positive, so that every digit of the sum is known; -inf exactly where no loss lies above."""
    rng = np.random.default_rng(list(LOSSES).index(loss))
    weights, direct, grads = scalar_run(WEIGHTS, LOSSES[loss](rng, (300, len(WEIGHTS))), dtype)
    for m, w in enumerate(weights):
        upper, first = exact_adjoints(w, direct[:, m])
        expected = np.array([log(a) for a in (first, *upper)])
        found = grads.log_norms[:, 0, m, 0]
        assert ((found == -np.inf) == (expected == -np.inf)).all(), w
        finite = expected > -np.inf
        np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-12, atol=400 * EPS[dtype], err_msg=str(w))
        mantissas = grads.mantissas[finite, 0, m, 0, 0].astype(float)
        exponents = grads.exponents[finite, m, 0]
        np.testing.assert_allclose(np.log(mantissas) + exponents * math.log(2), expected[finite], atol=400 * EPS[dtype])


@each_dtype
def test_log_norms_before_and_after_clipping_at_any_magnitude(dtype):
    """A threshold holds an explosion: before, w times the threshold plus dL; after, the threshold."""
    weights, _, _ = scalar_run((1e3, 1e9), np.ones((60, 2)), dtype)
    cell, params = net(weights[:, None, None], dtype)
    traj = gradlab.unroll(cell, params, np.zeros((60, 1, 1), dtype))
    for threshold in (1e-30, 1.0, 1e30):
        grads = gradlab.bptt(traj, np.ones((60, 2, 1, 1), dtype), clip=("step_norm", threshold))
        adjoint = [Fraction(1)] * 2
        for t in range(60, 0, -1):
            before = [log(a) for a in adjoint]
            adjoint = [min(a, Fraction(threshold)) for a in adjoint]
            np.testing.assert_allclose(grads.log_norms_before[t, 0, :, 0], before, atol=1e-5, rtol=1e-6)
            np.testing.assert_allclose(grads.log_norms[t, 0, :, 0], [log(a) for a in adjoint], atol=1e-5, rtol=1e-6)
            adjoint = [a * Fraction(float(w)) + 1 for a, w in zip(adjoint, weights, strict=True)]


# zero


STEEP = {"float32": (64.0, 1e-25), "float64": (2.0**40, 1e-300)}  # a gain, and a small loss


@each_dtype
@pytest.mark.parametrize("block", [1, 3, 8, 16, 32, 40, 64])
def test_a_small_loss_below_a_cut_keeps_its_size(block, dtype):
    """A gradient that has grown is cut off; what comes after it has a scale of its own."""
    w, small = STEEP[dtype]
    cell, params = net([[w]], dtype)
    direct = np.full((130, 1, 1), small, dtype)
    direct[-1] = 1.0
    logs = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((130, 1, 1), dtype)), direct, truncate=block).log_norms
    expected, adjoint = [], Fraction(0)
    for t in range(130, 0, -1):
        adjoint += Fraction(float(direct[t - 1, 0, 0]))
        expected.append(log(adjoint))
        adjoint *= 0 if (t - 1) % block == 0 else Fraction(w)
    np.testing.assert_allclose(logs[:0:-1, 0, 0], expected, rtol=1e-6, atol=1e-3)


@each_dtype
@pytest.mark.parametrize("dead", [5, 63, 64, 65, 90, 128])
def test_a_small_loss_below_a_dead_unit_keeps_its_size(dead, dtype):
    """A ReLU that is off at one step ends the gradient that has grown until there."""
    w, small = STEEP[dtype]
    cell, params = net([[w]], dtype, activation="relu")
    params["W_xh"][...] = 1.0
    x = np.full((130, 1, 1), 1 - w, dtype)  # keeps h at 1
    x[[0, dead, dead + 1]] = np.array([1.0, -2 * w, 1.0]).reshape(3, 1, 1)
    direct = np.full((130, 1, 1), small, dtype)
    direct[-1] = 1.0
    direct[dead - 20 : dead - 1] = 0.0
    logs = gradlab.bptt(gradlab.unroll(cell, params, x), direct).log_norms[:, 0, 0]
    assert logs[dead] == pytest.approx(math.log(small), rel=1e-6)
    assert np.isfinite(logs).all()


@each_dtype
def test_a_batch_of_which_only_the_sum_is_beyond_the_safe_range(dtype):
    """A loss at the very step at which 64 steps are looked at in between: 16 or 48 steps above the lowest."""
    w, last, steps = {"float32": (4.0, 2.0**11, 24), "float64": (2.0**10, 2.0**19, 48)}[dtype]
    cell, params = net([[w]], dtype)
    direct = np.zeros((64, 16, 1), dtype)
    direct[-1], direct[-1 - steps] = last, last * w**steps
    logs = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((64, 16, 1), dtype)), direct).log_norms[1:, 0]
    expected = np.array([log(a) for a in exact_adjoints(w, direct[:, 0, 0])[0]])
    np.testing.assert_allclose(logs, expected[:, None].repeat(16, 1), rtol=1e-6)


@pytest.mark.parametrize("clip", [None, ("step_norm", 1.0), ("step_value", 1.0)])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_zero_gradients_are_minus_infinity_and_never_nan(name, clip):
    cell = make_cell(name, input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell, cell.init(0), np.ones((40, 2, 2)))
    grads = gradlab.bptt(traj, np.zeros((40, 2, 3)), clip=clip)
    assert (grads.log_norms == -np.inf).all()
    assert (grads.log_norms_before == -np.inf).all()
    assert all((norm == -np.inf).all() for norm in grads.log_param_norms.values())
    assert grads.log_update_norm == -np.inf
    assert not any(g.any() for g in grads.params.values())
    assert not grads.inputs.any()
    assert not grads.exponents.any() and not grads.param_exponent.any()  # zero has no scale


def test_one_dead_sample_does_not_disturb_the_others():
    cell = make_cell("lstm", input_size=2, hidden_size=3)
    x = np.random.default_rng(0).normal(size=(40, 3, 2))
    params, dL_dh = cell.init(0), unit_at_the_end(40, (), 3, 3, "float64")
    dL_dh[:, 1] = 0
    grads = gradlab.bptt(gradlab.unroll(cell, params, x), dL_dh)
    others = gradlab.bptt(gradlab.unroll(cell, params, x[:, [0, 2]]), dL_dh[:, [0, 2]])
    assert (grads.log_norms[:, :, 1] == -np.inf).all()
    np.testing.assert_allclose(grads.log_norms[:, :, [0, 2]], others.log_norms, rtol=1e-13)
    for name, gradient in grads.params.items():
        np.testing.assert_allclose(gradient, others.params[name], rtol=1e-12)


@each_dtype
def test_dead_units_end_the_gradient_exactly(dtype):
    """Every ReLU unit is off from step 20 on: -inf below, the loss's own norm above."""
    cell, params = net(np.eye(2), dtype, activation="relu")
    x = np.ones((30, 1, 1), dtype)
    x[20] = -100
    params["W_xh"][...] = 1
    traj = gradlab.unroll(cell, params, x)
    logs = gradlab.bptt(traj, unit_at_the_end(30, (), 1, 2, dtype)).log_norms[:, 0, 0]
    assert (logs[:21] == -np.inf).all()
    np.testing.assert_allclose(logs[21:], 0, atol=1e-6)


# parameter gradients beyond the range


def growing_net(w, steps, batch, dtype):
    """h stays at 1 while the adjoint grows by w: h' = w h + (1 - w) x, with x = 1 and h_0 = 1."""
    cell, params = net([[w]], dtype)
    params["W_xh"][0] = 1 - w
    traj = gradlab.unroll(cell, params, np.ones((steps, batch, 1), dtype), np.ones((1, batch, 1), dtype))
    assert (traj.states == 1).all()
    return traj


def exact_gradients(w, steps, direct):
    """(dW, dV, db) of `growing_net` for one sample: with h = x = 1 all are the sum of the adjoints."""
    adjoints, _ = exact_adjoints(w, direct)
    return sum(adjoints, Fraction(0))


@pytest.mark.parametrize(("dtype", "steps"), [("float64", 100), ("float64", 600), ("float32", 30), ("float32", 400)])
@pytest.mark.parametrize("w", [1024.0, 0.0009765625, 8.0])
def test_parameter_gradients_beyond_the_range_are_exact(w, steps, dtype):
    traj = growing_net(w, steps, 1, dtype)
    direct = np.ones((steps, 1, 1), dtype)
    grads = gradlab.bptt(traj, direct)
    total = exact_gradients(w, steps, direct[:, 0, 0])
    for name, norm in grads.log_param_norms.items():
        assert float(norm) == pytest.approx(log(total), rel=1e-6, abs=1e-6), name
        mantissa = Fraction(float(grads.param_mantissas[name].ravel()[0]))
        scaled = mantissa * Fraction(2) ** int(grads.param_exponent)
        assert float(scaled / total) == pytest.approx(1, rel=200 * EPS[dtype])
    joint = log(total) + 0.5 * math.log(3)
    assert float(grads.log_update_norm) == pytest.approx(joint, rel=1e-6, abs=1e-6)
    limit = math.log(np.finfo(dtype).max)
    for gradient in grads.params.values():
        assert np.isinf(gradient).all() if log(total) > limit else np.isfinite(gradient).all()


@pytest.mark.parametrize("steps", [50, 200, 2000])
def test_an_overflowing_gradient_is_clipped_to_exactly_the_threshold(steps):
    grads = gradlab.bptt(growing_net(1024.0, steps, 1, "float64"), np.ones((steps, 1, 1)))
    clipped = clip_update(grads.param_mantissas, "norm", 0.5, int(grads.param_exponent))
    assert clipped.log_norm_before == pytest.approx(float(grads.log_update_norm), rel=1e-12)
    assert clipped.log_norm_after == pytest.approx(math.log(0.5), abs=1e-9)
    for gradient in clipped.grads.values():
        np.testing.assert_allclose(gradient, 0.5 / math.sqrt(3), rtol=1e-12)


@each_dtype
def test_a_huge_and_a_tiny_sample_in_one_batch_add_up(dtype):
    """One sample's loss is 1e30 of the other's; each model has its own exponent."""
    traj = growing_net(8.0, 40, 2, dtype)
    direct = np.ones((40, 2, 1), dtype) * np.array([1e30, 1.0], dtype)[:, None]
    grads = gradlab.bptt(traj, direct)
    total = sum(exact_gradients(8.0, 40, direct[:, b, 0]) for b in range(2))
    assert float(grads.log_param_norms["W_hh"]) == pytest.approx(log(total), rel=1e-6)
    only = gradlab.bptt(traj, direct * np.array([0, 1], dtype)[:, None])
    tiny = exact_gradients(8.0, 40, direct[:, 1, 0])
    assert float(only.log_param_norms["W_hh"]) == pytest.approx(log(tiny), rel=1e-6)
    assert (only.log_norms[:, 0, 0] == -np.inf).all()


@each_dtype
def test_a_large_loss_far_back_sets_the_scale_of_the_sum(dtype):
    """The first step's loss dwarfs all that a vanishing net brings from later steps, and the other way round."""
    for at in (0, 399):
        traj = growing_net(0.125, 400, 1, dtype)
        direct = np.full((400, 1, 1), 1e-30, dtype)
        direct[at] = 1e30
        grads = gradlab.bptt(traj, direct)
        total = exact_gradients(0.125, 400, direct[:, 0, 0])
        assert float(grads.log_param_norms["b_h"]) == pytest.approx(log(total), rel=1e-6)
