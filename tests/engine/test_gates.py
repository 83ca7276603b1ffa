"""Gates at their limits: closed ones keep their digits, and either slice of gates may be empty."""

from dataclasses import dataclass

import numpy as np
import pytest

import gradlab
from gradlab import check_cell
from gradlab.cells import Cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.engine.backward import Gradients

from ..contract import random_problem


@pytest.mark.parametrize(
    ("dtype", "bias"), [("float32", -20.0), ("float32", -60.0), ("float64", -40.0), ("float64", 3.0)]
)
def test_the_carry_of_an_lstm_without_recurrence_is_the_product_of_its_forget_gates(dtype, bias):
    cell = gradlab.make_cell("lstm", input_size=1, hidden_size=2)
    params = cell.init(0, gain=0.0, input_scale=0.0, forget_bias=bias, dtype=dtype)
    traj = gradlab.unroll(cell, params, np.zeros((12, 1, 1), dtype))
    final = np.zeros((2, 1, 2), dtype)
    final[1] = 1
    logs = gradlab.bptt(traj, np.zeros((12, 1, 2), dtype), final).log_norms[:, 1, 0]
    one_step = -np.logaddexp(0, -bias)
    np.testing.assert_allclose(logs, 0.5 * np.log(2) + one_step * np.arange(12, -1, -1), rtol=1e-6)


@pytest.mark.parametrize("bias", [-20.0, -40.0])
def test_a_closed_sigmoid_is_not_taken_for_zero(bias):
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="sigmoid")
    params = {"W_xh": np.zeros((1, 1, 1)), "W_hh": np.ones((1, 1, 1)), "b_h": np.full((1, 1), bias)}
    loss = np.zeros((10, 1, 1))
    loss[-1] = 1
    logs = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((10, 1, 1))), loss).log_norms
    assert logs[0, 0, 0] == pytest.approx(10 * bias, rel=1e-6)


@dataclass(frozen=True, repr=False)
class Independent(Cell):
    """h' = tanh(u h + V x + b), u elementwise: nothing feeds back through weights."""

    name, title = "independent", "Independent"
    gates, candidate, elementwise = ("g",), "g", ("u",)
    recurrent = slice(0, 0)

    @property
    def nonlinearities(self):
        return (ACTIVATIONS["identity"],)

    def step(self, xp, g, h, u):
        return (xp.tanh(g + u * h),)

    def partials(self, xp, g, h, h_new, u):
        d = ACTIVATIONS["tanh"].slope(xp, g + u * h)
        return {("h", "g"): d}, {("h", "h"): d * u}, {("h", "u"): d * h}


@dataclass(frozen=True, repr=False)
class Autonomous(Cell):
    """h' = tanh(W h + b): no input drives it."""

    name, title = "autonomous", "Autonomous"
    gates, candidate = ("g",), "g"
    driven = slice(0, 0)

    @property
    def nonlinearities(self):
        return (self.activation,)

    def step(self, xp, g, h):
        return (1 * g,)

    def partials(self, xp, g, h, h_new):
        return {("h", "g"): 1.0}, {}


@pytest.mark.parametrize("kind", [Independent, Autonomous])
def test_either_slice_of_gates_may_be_empty(kind):
    check_cell(kind(3, 5, "tanh"))
    cell = kind(3, 5, "tanh")
    ds = gradlab.analyze(cell=cell, params=cell.init(0), x=np.random.default_rng(0).normal(size=(20, 4, 3)))
    assert np.isfinite(ds.log_grad_norm).all()


@pytest.mark.parametrize("models", [(), (2,)], ids=["one", "models"])
def test_an_input_that_drives_nothing_has_a_gradient_of_zeros(models):
    problem = random_problem(Autonomous(1, 1, "tanh"), models)
    inputs = problem.bptt().inputs
    assert inputs.shape == problem.x.shape and not inputs.any()


def test_a_state_that_overflows_under_finite_gates_is_named():
    """f = i = 1 and g = 1e308: the second step's cell state is beyond the range, and with it h, the first in order."""
    cell = gradlab.make_cell("lstm", input_size=1, hidden_size=2, activation="identity")
    params = {name: np.zeros((n, *shape)) for name, (n, shape) in cell.shapes.items()}
    params["b_h"][[cell.gates.index(gate) for gate in "if"]] = 50.0
    params["b_h"][cell.gates.index("g")] = 1e308
    (found,) = gradlab.unroll(cell, params, np.zeros((4, 1, 1))).overflow
    assert (found.step, found.gate, found.sample, found.model) == (2, "h", 0, ())


def test_a_gate_that_overflows_under_finite_states_is_named():
    cell = Independent(1, 2, "tanh")
    params = {name: np.zeros((n, *shape)) for name, (n, shape) in cell.shapes.items()}
    params["W_xh"][:] = 1e308
    traj = gradlab.unroll(cell, params, np.array([0.0, 1.0, 10.0, 10.0])[:, None, None])
    assert np.isfinite(traj.states).all() and not traj.finite
    assert [(found.step, found.gate) for found in traj.overflow] == [(3, "g")]


def test_each_sample_of_each_model_that_overflows_is_named():
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=2, activation="identity")
    params = cell.init(0, models=(2,), recurrent_init="identity", input_scale=0.0)
    params["W_hh"][:, 1, 1, 1] = 1e100  # one unit of one model
    start = np.zeros((1, 2, 3, 2))
    start[0, :, 1:, 1] = np.array([1.0, 1e-100])
    traj = gradlab.unroll(cell, params, np.zeros((6, 2, 3, 1)), start)
    found = [(one.step, one.gate, one.sample, one.model) for one in traj.overflow]
    assert found == [(4, "g", 1, (1,)), (5, "g", 2, (1,))] and not traj.finite
    assert random_problem("lstm").unroll().finite and not random_problem("lstm").unroll().overflow


def test_masked_carries_are_identities_in_every_unit():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=4)
    x = np.random.default_rng(0).normal(size=(6, 2, 2))
    carry = gradlab.jacobian(gradlab.unroll(cell, cell.init(0), x, lengths=np.array([3, 6]))).paths()["carry"]
    np.testing.assert_allclose(carry.frobenius(), np.linalg.norm(carry.dense(), axis=(-2, -1)), atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "h", "loss"), [("float32", 1e35, 1e8), ("float64", 1e280, 1e60), ("float64", 1e-280, 1e-60)]
)
def test_parameter_gradients_of_extreme_factors_have_exact_norms(dtype, h, loss):
    """Identity weights carry h and the adjoint unchanged: five steps give dL/dW = 5 loss h."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    params = cell.init(0, recurrent_init="identity", input_scale=0.0, dtype=dtype)
    traj = gradlab.unroll(cell, params, np.zeros((5, 1, 1), dtype), np.full((1, 1, 1), h, dtype))
    direct = np.zeros((5, 1, 1), dtype)
    direct[-1] = loss
    norms = gradlab.bptt(traj, direct).log_param_norms
    assert float(norms["W_hh"]) == pytest.approx(np.log(5) + np.log(h) + np.log(loss), rel=1e-6)
    assert float(gradlab.bptt(traj, direct).log_update_norm) >= float(norms["W_hh"]) - 1e-9


def test_a_model_without_a_gradient_has_no_scale_beside_one_of_extreme_factors():
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    params = cell.init(0, models=(2,), recurrent_init="identity", input_scale=0.0, dtype="float32")
    traj = gradlab.unroll(cell, params, np.zeros((5, 2, 1, 1), "float32"), np.full((1, 2, 1, 1), 1e35, "float32"))
    direct = np.zeros((5, 2, 1, 1), "float32")
    direct[-1, 1] = 1e8
    grads = gradlab.bptt(traj, direct)
    assert grads.param_exponent[0] == 0 and not any(g[:, 0].any() for g in grads.params.values())
    np.testing.assert_allclose(grads.log_param_norms["W_hh"], [-np.inf, np.log(5) + 43 * np.log(10)], rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "gain", "steps", "scale"),
    [("relu", 6, 45, 1.0), ("identity", 4, 60, 1e-15), ("relu", 8, 60, 1e-20), ("identity", 0.02, 40, 1e-20)],
)
@pytest.mark.parametrize("seed", [3, 4])
def test_single_precision_finds_what_huge_states_make_of_small_adjoints(activation, gain, steps, scale, seed):
    """States grow as adjoints shrink, from 1e-20 to 1e32: steps far below the largest adjoint count as much."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=8, activation=activation)
    params = {name: p.astype("float32") for name, p in cell.init(seed, gain=gain).items()}
    x = (scale * np.random.default_rng(0).normal(size=(steps, 2, 2))).astype("float32")
    direct = np.zeros((steps, 2, 8), "float32")
    direct[-1] = 1e-3
    found = []
    for dtype in ("float32", "float64"):
        own = {name: p.astype(dtype) for name, p in params.items()}
        grads = gradlab.bptt(gradlab.unroll(cell, own, x.astype(dtype)), direct.astype(dtype))
        found.append((grads.param_exponent, grads.param_mantissas))
    (single_exponent, single), (exponent, double) = found
    for name, mantissa in double.items():
        expected = np.ldexp(mantissa, exponent - single_exponent)
        np.testing.assert_allclose(single[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def linear_gradients(weight, start, loss, steps):
    """In single precision, of a linear net without input: weights (H, H), first state and last loss (H,)."""
    size = len(start)
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=size, activation="identity")
    params = {name: np.zeros((n, *shape), "float32") for name, (n, shape) in cell.shapes.items()}
    params["W_hh"][0] = weight
    direct = np.zeros((steps, 1, size), "float32")
    direct[-1] = loss
    traj = gradlab.unroll(
        cell, params, np.zeros((steps, 1, 1), "float32"), np.array(start, "float32").reshape(1, 1, size)
    )
    return gradlab.bptt(traj, direct)


def test_a_step_whose_weight_is_too_small_for_single_precision_counts_where_its_state_is_huge():
    """lambda_1 = 2^-95 lambda_2 and h_0 = 2^95 h_1: both terms of dL/dW are 2^5."""
    grads = linear_gradients([[2.0**-95]], [2.0**100], [1.0], 2)
    assert grads.params["W_hh"].item() == 2.0**6


def test_small_entries_beside_a_small_one_keep_their_size():
    """Of four products the largest is 2^-60 and the smallest 2^-150, which plain numbers do not have."""
    grads = linear_gradients(np.eye(2), [1.0, 2.0**-60], [2.0**-60, 2.0**-90], 1)
    found = np.ldexp(grads.param_mantissas["W_hh"][0].astype(float), int(grads.param_exponent))
    expected = np.outer([2.0**-60, 2.0**-90], [1.0, 2.0**-60])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("clip", "multiple"), [("norm", 0.5), ("value", 0.1)])
def test_a_multiple_of_a_norm_beyond_the_floating_point_range_is_exact(clip, multiple):
    ds = gradlab.analyze(
        gain=4.0,
        steps=1500,
        activation="identity",
        hidden_size=8,
        batch_size=2,
        clip=clip,
        input_scale=0.0,
        clip_threshold=f"{multiple}x",
    )
    before, after = ds.log_update_norm.values
    assert before > 710
    entries = 1 if clip == "norm" else 8 * (3 + 8 + 1)  # at most so many of that size
    assert np.log(multiple) - 1e-9 < after - before < np.log(multiple) + 0.5 * np.log(entries) + 1e-9
    assert after < before - 0.1


def test_loss_gradients_with_the_batch_first_get_a_hint():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell, cell.init(0), np.zeros((7, 4, 2)))
    with pytest.raises(gradlab.InputError, match=r"dL_dh: expected shape \(7, 4, 3\), got \(4, 7, 3\) \(batch first\?"):
        gradlab.bptt(traj, np.zeros((4, 7, 3)))


@pytest.mark.parametrize("name", ["gain", "bias_scale", "input_scale"])
@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_a_scale_that_nothing_can_be_drawn_with_is_refused(name, scale):
    cell = gradlab.make_cell("gru", input_size=1, hidden_size=2)
    with pytest.raises(gradlab.InputError, match=f"{name}: expected a number from 0 on, got {scale}"):
        cell.init(0, **{name: scale})


@pytest.mark.parametrize(
    ("dtype", "steps", "saturated", "drive"), [("float32", 160, 100, 45.0), ("float64", 1700, 1500, 400.0)]
)
def test_a_model_with_tiny_gradients_is_exact_beside_one_with_moderate_ones(dtype, steps, saturated, drive):
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=2, leak=0.5)
    params = {name: p.astype(dtype) for name, p in cell.init(0, models=(2,)).items()}
    params["W_hh"] *= 0.1
    params["W_xh"][:] = 1.0
    x = np.full((steps, 2, 1, 1), 0.3, dtype)
    x[steps - saturated :, 1] = drive  # the second model passes next to nothing back at its late steps
    loss = np.zeros((steps, 2, 1, 2), dtype)
    loss[-1] = 1

    def norms(models):
        chosen = {name: p[:, models] for name, p in params.items()}
        return gradlab.bptt(gradlab.unroll(cell, chosen, x[:, models]), loss[:, models]).log_param_norms

    together = norms(slice(None))
    for model in range(2):
        for name, alone in norms(slice(model, model + 1)).items():
            np.testing.assert_allclose(together[name][model], alone[0], atol=1e-3, err_msg=name)


def test_a_moderate_gradient_or_one_that_is_zero_because_its_factor_is_needs_no_second_look(monkeypatch):
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    params, loss = cell.init(0, bias_scale=0.5), np.ones((6, 2, 3))
    monkeypatch.setattr(Gradients, "_balanced", lambda *arrays: pytest.fail("every factor was brought near 1"))
    grads = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((6, 2, 2))), loss).params
    assert not grads["W_xh"].any() and grads["W_hh"].any() and grads["b_h"].any()
    grads = gradlab.bptt(gradlab.unroll(cell, params, np.ones((6, 2, 2))), loss).params
    assert all(g.any() for g in grads.values())
    grads = gradlab.bptt(gradlab.unroll(cell, params | {"b_h": 0 * params["b_h"]}, np.zeros((6, 2, 2))), loss).params
    assert not grads["W_hh"].any() and grads["b_h"].any()


def test_what_is_derived_is_the_callers_own():
    cell = gradlab.make_cell("lstm", input_size=2, hidden_size=3)
    grads = gradlab.bptt(gradlab.unroll(cell, cell.init(0), np.ones((6, 2, 2))), np.ones((6, 2, 3)))
    mantissas, logs = grads.mantissas.copy(), {n: g.copy() for n, g in grads.param_mantissas.items()}
    grads.adjoints[...] = 0
    for gradient in grads.params.values():
        gradient[...] = 0
    np.testing.assert_array_equal(grads.mantissas, mantissas)
    for name, gradient in grads.param_mantissas.items():
        np.testing.assert_array_equal(gradient, logs[name])
