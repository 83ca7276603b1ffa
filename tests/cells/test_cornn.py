"""coRNN: oscillators without coupling, and the bounds on its gradient."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError

from ..contract import random_problem


def row_sum(w):
    """The largest absolute row sum, the norm on the largest entry."""
    return np.abs(w).sum(axis=-1).max(axis=-1)


def one_step_bound(cell, coupling):
    """What a step multiplies the largest entry of a tangent by at most, where slopes are at most 1."""
    dt, gamma, epsilon = cell.dt, cell.gamma, cell.epsilon
    z_row = abs(1 - dt * epsilon) + dt * (gamma + coupling)
    y_row = abs(1 - dt * dt * gamma) + dt * abs(1 - dt * epsilon) + dt * dt * coupling
    return max(z_row, y_row)


def test_without_coupling_a_unit_is_a_damped_oscillator():
    cell = make_cell("cornn", input_size=1, hidden_size=1, dt=0.001, gamma=4.0, epsilon=0.5)
    params = {name: 0 * p for name, p in cell.init(0).items()}
    start = np.array([1.0, 0.0]).reshape(2, 1, 1)
    y = gradlab.unroll(cell, params, np.zeros((5000, 1, 1)), start).states[:, 0, 0, 0]
    t, w = 0.001 * np.arange(5001), math.sqrt(4.0 - 0.25**2)
    exact = np.exp(-0.25 * t) * (np.cos(w * t) + 0.25 / w * np.sin(w * t))
    np.testing.assert_allclose(y, exact, atol=2e-3)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("options", [{}, {"dt": 0.01, "gamma": 1.0, "epsilon": 1.0}, {"dt": 0.2, "epsilon": 20.0}])
def test_the_jacobian_obeys_its_bound(options, seed):
    """||J_t|| <= max(...) in the norm of the largest entry, step by step, and so the gradient's sum over all steps."""
    cell = make_cell("cornn", input_size=1, hidden_size=1, **options)
    problem = random_problem(cell, sizes=(30, 2, 3, 5), seed=seed)
    traj = problem.unroll()
    bound = one_step_bound(traj.cell, row_sum(problem.params["W_hh"][0]))
    assert (row_sum(gradlab.jacobian(traj).dense()) <= bound * (1 + 1e-12)).all()
    dL_dh = np.zeros((30, 2, 5))
    dL_dh[-1] = np.random.default_rng(seed).normal(size=(2, 5))
    sums = np.abs(gradlab.bptt(traj, dL_dh).adjoints).sum(axis=(1, -1))
    lags = np.arange(29, -1, -1)[:, None]
    assert (sums[1:] <= bound**lags * sums[-1] * (1 + 1e-12)).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_published_bound_on_the_gradient_of_every_parameter(seed):
    """Rusch & Mishra 2021, proposition on gradients, stated for gamma = epsilon = 1 and the damping by the new z:

    where dt (1 + ||W||) / (1 + dt) and dt ||W_z|| / (1 + dt), row sums, are at most dt^r, 1/2 <= r <= 1, and T dt <= 1,
    E = 1/T sum_t |y_t - target_t|^2 / 2 has |dE/dtheta| <= 3/2 (H + Y sqrt(H)), Y the largest target. The old z's
    damping differs from it by dt^2 in a step.
    """
    hidden, steps = 6, 100
    cell = make_cell("cornn", input_size=3, hidden_size=hidden, dt=1 / steps, gamma=1.0, epsilon=1.0)
    rng = np.random.default_rng(seed)
    params = cell.init(seed, bias_scale=1.0)
    w_y, w_z = np.split(params["W_hh"][0], 2, axis=-1)
    assert max(1 + row_sum(w_y), row_sum(w_z)) * cell.dt / (1 + cell.dt) <= cell.dt**0.5
    traj = gradlab.unroll(cell, params, rng.uniform(-1, 1, (steps, 1, 3)))
    target = rng.normal(size=(steps, 1, hidden))
    grads = gradlab.bptt(traj, (traj.states[1:, 0] - target) / steps)
    bound = 1.5 * (hidden + np.abs(target).max() * math.sqrt(hidden))
    assert all(np.abs(g).max() <= bound for g in grads.params.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0}, "dt: expected a positive step size, got 0"),
        ({"gamma": -1.0}, "gamma: expected a squared frequency from 0 on, got -1"),
        ({"epsilon": math.nan}, "epsilon: expected a damping from 0 on, got nan"),
    ],
)
def test_its_constants_are_checked(options, message):
    with pytest.raises(InputError, match=message) as error:
        make_cell("cornn", input_size=1, hidden_size=2, **options)
    assert error.value.field == next(iter(options))
