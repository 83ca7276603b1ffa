"""Untied: the recurrent net where all steps have the same weights, a feed-forward net where they have not."""

import numpy as np
import pytest

from gradlab.cells import CELLS, make_cell
from gradlab.errors import InputError
from gradlab.layers import Pass, Recurrent, Untied
from gradlab.layers.base import prefixed

from ..contract import each_models, random_problem

SIZES = (5, 3, 2, 4)  # T, B, D, H
X = np.zeros((3, 1, 2))


def tied(problem, steps=5):
    """The same parameters at every step."""
    found = {}
    for t in range(steps):
        found |= prefixed(str(t), problem.params)
    return found


@each_models
@pytest.mark.parametrize("lengths", [None, np.array([5, 0, 3])], ids=["full", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_with_the_same_weights_it_is_the_recurrent_net(name, lengths, models):
    """Outputs and input gradients agree, and the steps' gradients make the recurrent net's together."""
    problem = random_problem(name, models, SIZES)
    nets = Recurrent(problem.cell), Untied(problem.cell, 5)
    onward, back = Pass(initial_state=problem.initial), Pass(dL_dfinal=problem.dL_dfinal)
    found = []
    for net, params in zip(nets, (problem.params, tied(problem)), strict=True):
        y, tape = net.forward(params, problem.x, lengths, onward)
        found.append((y, *net.backward(params, tape, problem.dL_dh, back)))
    (y, dx, grads), (own_y, own_dx, own_grads) = found
    np.testing.assert_allclose(own_y, y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(own_dx, dx, rtol=1e-11, atol=1e-13)
    for key, gradient in grads.items():
        together = sum(own_grads[f"{t}.{key}"] for t in range(5))
        np.testing.assert_allclose(together, gradient, rtol=1e-11, atol=1e-12)


def test_a_linear_net_multiplies_the_matrices_of_its_steps():
    cell = make_cell("elman", input_size=2, hidden_size=4, activation="identity")
    net = Untied(cell, 6, recurrent_init="orthogonal", gain=1.5)
    params = net.init(0)
    _, tape = net.forward(params, np.zeros((6, 1, 2)))
    u = np.zeros((6, 1, 4))
    u[-1] = np.random.default_rng(0).normal(size=(1, 4))
    net.backward(params, tape, u)
    expected = u[-1, 0]
    for t in reversed(range(6)):
        expected = expected @ params[f"{t}.W_hh"][0]
    np.testing.assert_allclose(tape.children["0"].initial_gradient[0, 0], expected, rtol=1e-12)
    assert np.linalg.norm(expected) == pytest.approx(1.5**6 * np.linalg.norm(u))
    assert not np.allclose(params["0.W_hh"], params["1.W_hh"])


@pytest.mark.parametrize("factor", [1e-30, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_any_magnitude_pass(factor, dtype):
    """factor^39 is 10^-1170 or 10^1170 at the first step."""
    cell = make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    net = Untied(cell, 40)
    params = {name: np.zeros_like(p) for name, p in net.init(0, dtype=dtype).items()}
    for t in range(40):
        params[f"{t}.W_hh"] += np.asarray(factor, dtype)
        params[f"{t}.W_xh"] += np.asarray(1, dtype)
    x, dy = np.zeros((40, 1, 1), dtype), np.zeros((40, 1, 1), dtype)
    dy[-1] = 1
    _, tape = net.forward(params, x)
    dx, grads = net.backward_scaled(params, tape, dy)
    expected = np.log(float(np.asarray(factor, dtype))) * np.arange(39, -1, -1)
    np.testing.assert_allclose(dx.log_norm(-1)[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose([float(grads[f"{t}.b_h"].log_norm((0, -1))) for t in range(40)], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("use", "message", "field"),
    [
        (lambda net, p: net.forward(p, np.zeros((4, 1, 2))), "x: expected 3 steps, one for each set of weights", "x"),
        (lambda net, p: net.forward(p, np.zeros((3, 1, 5))), r"x: expected shape \(T, B, 2\)", "x"),
        (lambda net, p: net.forward(p, X, np.array([4])), "lengths: expected values from 0 to T=3", "lengths"),
        (lambda net, p: net.forward(p | {"3.b_h": p["0.b_h"]}, X), "parameter '3.b_h' belongs to no", "params"),
        (lambda net, p: Untied(net.layer.cell, 0), "steps: expected a positive integer, got 0", "steps"),
        (lambda net, p: Untied(net.layer.cell, 2, gian=1), "unknown option of a cell's init 'gian'", "gian"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(use, message, field):
    net = Untied(make_cell("elman", input_size=2, hidden_size=3), 3)
    with pytest.raises(InputError, match=message) as error:
        use(net, net.init(0))
    assert error.value.field == field


def test_clipping_inside_backpropagation_is_refused():
    net = Untied(make_cell("elman", input_size=2, hidden_size=3), 3)
    params = net.init(0)
    y, tape = net.forward(params, np.ones((3, 1, 2)))
    with pytest.raises(InputError, match="clip: Untied has no loop to clip inside; clip the update instead") as error:
        net.backward(params, tape, y, Pass(clip=("step_norm", 1.0)))
    assert error.value.field == "clip"
