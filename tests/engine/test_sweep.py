"""What the backward sweep does not do: rescale steps one by one without need, or read what nobody has written."""

from dataclasses import dataclass

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, Cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.engine import adjoint
from gradlab.engine.adjoint import AdjointSweep
from gradlab.engine.backward import Gradients
from gradlab.engine.scaled import Scaled

from ..contract import CHECKS, random_problem
from .test_numbers import assert_exponential, each_dtype, long_run, net


def forbid_single_steps(monkeypatch):
    def refuse(self, t):
        raise AssertionError(f"step {t} is rescaled by itself")

    monkeypatch.setattr(AdjointSweep, "_inject_rescaling", refuse)


@each_dtype
@pytest.mark.parametrize("rate", [0.5, 0.25, 1.0, 2.0])
def test_a_steady_rate_needs_no_step_by_itself(rate, dtype, monkeypatch):
    """However far it leads, a chunk begins near 1 and its steps share an exponent."""
    forbid_single_steps(monkeypatch)
    steps = 2000
    logs = long_run(np.array([[rate]], dtype), dtype, steps)
    assert_exponential(logs, np.log(rate))


@each_dtype
@pytest.mark.parametrize("block", [5, 8, 20, 64])
def test_a_cut_needs_no_step_by_itself(block, dtype, monkeypatch):
    """The last step of a block is zero until the loss there is added: nothing has been lost."""
    forbid_single_steps(monkeypatch)
    cell, params = net(np.array([[0.9]], dtype), dtype)
    traj = gradlab.unroll(cell, params, np.zeros((200, 1, 1), dtype))
    grads = gradlab.bptt(traj, np.ones((200, 1, 1), dtype), truncate=block)
    t = np.arange(1, 201)
    end = np.minimum(-(-t // block) * block, 200)  # of its block
    np.testing.assert_allclose(grads.adjoints[1:, 0, 0, 0], (1 - 0.9 ** (end - t + 1)) / 0.1, rtol=1e-5)


@each_dtype
def test_a_scaled_loss_that_is_zero_at_late_steps_needs_no_step_by_itself(dtype, monkeypatch):
    forbid_single_steps(monkeypatch)
    cell, params = net(np.array([[0.9]], dtype), dtype)
    direct = np.zeros((200, 1, 1), dtype)
    direct[:100:30] = 1.0
    traj = gradlab.unroll(cell, params, np.zeros((200, 1, 1), dtype))
    found = gradlab.bptt(traj, Scaled(direct, np.full((1, 1, 1), 7, np.int32))).adjoints
    np.testing.assert_allclose(found, 2.0**7 * gradlab.bptt(traj, direct).adjoints, rtol=1e-6)
    assert found[1:92].all() and not found[92:].any()


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 200), ("float64", 1500)])
def test_a_gradient_that_fades_far_needs_no_second_look_and_no_subnormal_number(dtype, steps, monkeypatch):
    """Steps too far below the largest adjoint to count are left out, before they slow the products down."""
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    params = {name: p.astype(dtype) for name, p in cell.init(0, recurrent_init="orthogonal", gain=0.5).items()}
    products, seen = Gradients.products, []
    monkeypatch.setattr(Gradients, "_balanced", lambda *arrays: pytest.fail("every factor was brought near 1"))
    monkeypatch.setattr(Gradients, "products", lambda self, *arrays: seen.extend(arrays) or products(self, *arrays))
    x = np.random.default_rng(0).normal(size=(steps, 2, 2)).astype(dtype)
    loss = np.zeros((steps, 2, 3), dtype)
    loss[-1] = 1
    grads = gradlab.bptt(gradlab.unroll(cell, params, x), loss)
    assert np.ptp(grads.exponents) > 0.9 * steps and all(g.any() for g in grads.params.values())
    assert not any(((a != 0) & (np.abs(a) < np.finfo(dtype).tiny)).any() for a in seen)


@each_dtype
def test_a_gradient_that_fades_far_beside_one_that_is_zero_needs_no_second_look(dtype, monkeypatch):
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    params = {name: p.astype(dtype) for name, p in cell.init(0, gain=0.3, bias_scale=0.5).items()}
    monkeypatch.setattr(Gradients, "_balanced", lambda *arrays: pytest.fail("every factor was brought near 1"))
    loss = np.zeros((800, 2, 3), dtype)
    loss[-1] = 1
    grads = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((800, 2, 2), dtype)), loss)
    assert np.ptp(grads.exponents) > 800 and grads.params["W_hh"].any() and not grads.params["W_xh"].any()


@each_dtype
def test_a_sample_without_a_loss_has_no_scale_beside_one_that_is_rescaled_at_every_step(dtype):
    cell, params = net([[1e30]], dtype)
    direct = np.zeros((20, 2, 1), dtype)
    direct[-1, 1] = 1.0
    grads = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((20, 2, 1), dtype)), direct)
    assert (grads.log_norms[:, 0, 0] == -np.inf).all() and not grads.exponents[:, 0].any()
    np.testing.assert_allclose(grads.log_norms[:, 0, 1], np.arange(20, -1, -1) * np.log(1e30), rtol=1e-6)


@each_dtype
def test_norms_of_moderate_adjoints_come_from_the_squares_that_are_there(dtype, monkeypatch):
    monkeypatch.setattr(adjoint, "log_norm", lambda *arrays: pytest.fail("squares were summed again"))
    logs = long_run(np.array([[0.5]], dtype), dtype, 20)
    assert_exponential(logs, np.log(0.5))


@each_dtype
@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_adjoints_that_fade_slowly_keep_their_exponent(cell, dtype):
    """Over several chunks; of an LSTM one state's adjoint is zero at every step but the last."""
    problem = random_problem(cell, sizes=(300, 3, 2, 4)).moved(np, dtype)
    params = {name: 0 * p for name, p in problem.params.items()}
    if cell == "elman":
        params["W_hh"] += 0.98 * np.eye(4, dtype=dtype)
    else:
        params["b_h"][1] = 4.0
    loss = np.zeros_like(problem.dL_dh)
    loss[-1] = 1.0
    grads = gradlab.bptt(gradlab.unroll(problem.cell, params, 0 * problem.x), loss)
    assert grads.mantissas[1].any() and np.ptp(grads.exponents) == 0


# memory


@dataclass(frozen=True, repr=False)
class Idle(Cell):
    """h' = h / 2 + g, m' = g, g = tanh(W h + V x + b): nothing depends on m, nor on the other gate and its weights."""

    name, title = "idle", "Idle"
    gates, candidate, states = ("idle", "g"), "g", ("h", "m")

    @property
    def nonlinearities(self):
        return (ACTIVATIONS["sigmoid"], self.activation)

    def step(self, xp, idle, g, h, m):
        return g + 0.5 * h, 1 * g

    def partials(self, xp, idle, g, h, m, h_new, m_new):
        return {("h", "g"): 1.0, ("m", "g"): 1.0}, {("h", "h"): 0.5}


def results(problem, truncate):
    """All that one backward pass and the Jacobian give."""
    traj = problem.unroll()
    grads = gradlab.bptt(traj, problem.dL_dh, problem.dL_dfinal, truncate=truncate)
    found = {"log norms": grads.log_norms, "adjoints": grads.adjoints, "inputs": grads.inputs} | grads.params
    whole = gradlab.jacobian(traj)
    found["norms"], found["shares"] = whole.split(grads.adjoints[1:])
    for name, part in {"whole": whole, **whole.paths()}.items():
        found |= {f"{name} forwards": part.apply(grads.adjoints[1:]), f"{name} dense": part.dense()}
        found |= {f"{name} back": part.apply_transpose(grads.adjoints[1:]), f"{name} norm": part.frobenius()}
    return found


def spoilt(make):
    """An allocation whose numbers are NaN until they are written."""

    def made(*args, **options):
        array = make(*args, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 255)
        return array

    return made


@pytest.mark.parametrize("truncate", [None, 3])
@pytest.mark.parametrize("cell", [*CELLS, Idle(1, 1, "tanh")], ids=[*CELLS, "idle"])
def test_nothing_is_read_before_it_is_written(cell, truncate, monkeypatch):
    problem = random_problem(cell, (2,))
    expected = results(problem, truncate)
    monkeypatch.setattr(np, "empty", spoilt(np.empty))
    monkeypatch.setattr(np, "empty_like", spoilt(np.empty_like))
    for name, found in results(problem, truncate).items():
        np.testing.assert_array_equal(found, expected[name], err_msg=name)


@pytest.mark.parametrize("check", sorted(set(CHECKS) - {"log_norms"}))  # which are -inf for weights that do nothing
def test_a_gate_and_a_state_that_nothing_depends_on(check):
    CHECKS[check](Idle(1, 1, "tanh"), np, "float64", (3,))
