"""JANET: what its one gate does at its ends, and the shift between forgetting and taking in."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError

from ..contract import each_dtype, random_problem


@each_dtype
def test_a_gate_at_one_carries_state_and_gradient_exactly(dtype):
    cell = make_cell("janet", input_size=3, hidden_size=5)
    params = cell.init(0, forget_bias=200.0, dtype=dtype)
    rng = np.random.default_rng(0)
    start = rng.normal(size=(1, 2, 5)).astype(dtype)
    traj = gradlab.unroll(cell, params, rng.normal(size=(300, 2, 3)).astype(dtype), start)
    np.testing.assert_array_equal(traj.states, np.broadcast_to(start, traj.states.shape))
    dL_dh = np.zeros((300, 2, 5), dtype)
    dL_dh[-1] = rng.normal(size=(2, 5))
    adjoints = gradlab.bptt(traj, dL_dh).adjoints
    np.testing.assert_array_equal(adjoints[:, 0], np.broadcast_to(dL_dh[-1], (301, 2, 5)))


@pytest.mark.parametrize("beta", [-2.0, 0.0, 1.0, 4.0])
def test_what_is_let_in_is_one_minus_the_shifted_gate(beta):
    problem = random_problem(make_cell("janet", input_size=1, hidden_size=1, beta=beta), sizes=(6, 2, 3, 5))
    traj = problem.unroll()
    (s, _), h = np.moveaxis(traj.pre, 1, 0), traj.states[:, 0]
    f, g = np.moveaxis(traj.gates, 1, 0)
    let_in = 1 - 1 / (1 + np.exp(beta - s))
    np.testing.assert_allclose(h[1:], f * h[:-1] + let_in * g, rtol=1e-12)
    gradlab.check_cell(make_cell("janet", input_size=2, hidden_size=4, beta=beta))


@pytest.mark.parametrize("beta", [math.inf, math.nan, "1"])
def test_beta_is_a_number(beta):
    with pytest.raises(InputError, match="beta: expected a number from -100 to 100, got") as error:
        make_cell("janet", input_size=1, hidden_size=2, beta=beta)
    assert error.value.field == "beta"
