"""Loss gradients that come as scaled numbers, of whatever size."""

import numpy as np
import pytest

import gradlab
from gradlab.engine.scaled import Scaled

from ..contract import EPS, random_problem


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("exponent", [-2000, -160, 160, 2000])
@pytest.mark.parametrize("steps", [5, 60])
def test_a_scaled_loss_scales_every_gradient(steps, exponent, dtype):
    problem = random_problem("lstm", sizes=(steps, 2, 3, 4)).moved(np, dtype)
    traj, direct = problem.unroll(), 0 * problem.dL_dh
    direct[-3] = problem.dL_dh[-3]  # the last steps have none
    found = gradlab.bptt(traj, Scaled(direct, np.full((steps, 2, 1), exponent, np.int32)))
    expected = gradlab.bptt(traj, direct)
    shift = exponent * np.log(2)
    np.testing.assert_allclose(found.log_norms, expected.log_norms + shift, rtol=0, atol=1e-3)
    for name, logs in expected.log_param_norms.items():
        np.testing.assert_allclose(found.log_param_norms[name], logs + shift, rtol=0, atol=1e-3)


def test_scaled_losses_of_many_sizes_add_up():
    """Each step's loss 2^-200 times the next one's: none is lost."""
    problem = random_problem("elman", sizes=(12, 2, 3, 4)).moved(np, "float32")
    exponents = 200 * (np.arange(12, dtype=np.int32) - 20)[:, None, None] + np.zeros((1, 2, 1), np.int32)
    traj = problem.unroll()
    rising = gradlab.bptt(traj, Scaled(problem.dL_dh, exponents[::-1].copy()))
    for t in (1, 6, 12):  # the loss of step t alone decides there, as it is far above those behind
        alone = 0 * problem.dL_dh
        alone[t - 1] = problem.dL_dh[t - 1]
        own = gradlab.bptt(traj, alone).log_norms[t] + exponents[12 - t, 0, 0] * np.log(2)
        np.testing.assert_allclose(rising.log_norms[t], own, rtol=1e-5)
