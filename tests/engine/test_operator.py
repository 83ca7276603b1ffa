"""Copies of an operator in another form, and what a late gate's weights see."""

import numpy as np
import pytest

import gradlab
from gradlab.engine.linearize import linearize
from gradlab.engine.operator import Operator

from ..contract import assert_near, each_models, random_problem


def matrices(operator: Operator) -> np.ndarray:
    side = len(operator.cell.states) * operator.cell.hidden_size
    return operator.dense(np.empty((len(operator), *operator.shape, side, side), operator.dtype))


@each_models
@pytest.mark.parametrize("cell", ["lstm", "gru_v1"])
def test_a_copy_has_matrices_of_its_own(cell, models):
    """Also where those of what it is copied from have been made before, and of one step."""
    traj = random_problem(cell, models).unroll()
    whole = gradlab.jacobian(traj)._part(linearize(traj, 0, traj.steps))
    for operator in (whole, whole.step(2)):
        expected = matrices(operator)
        single = matrices(operator.astype("float32"))
        assert single.dtype == np.float32
        assert_near(single, expected, "float32")
        scaled, exponents = operator.near_one()
        assert_near(np.ldexp(matrices(scaled), exponents[..., None, None]), expected)
        assert_near(matrices(operator.of_samples(1)), expected[..., :1, :, :])
        assert_near(matrices(operator.of_samples(1).step(operator.start)), expected[:1, ..., :1, :, :])


@each_models
def test_what_a_late_gates_weights_see(models):
    """Of GRU v1 that is q = r h: dq = r dh + h r (1 - r) W_r dh."""
    traj = random_problem("gru_v1", models).unroll()
    v = np.random.default_rng(0).normal(size=traj.states[1:].shape)
    r, h, moved = traj.gates[:, 0], traj.states[:-1, 0], v[:, 0] @ np.swapaxes(traj.params["W_hh"][0], -1, -2)
    assert_near(gradlab.jacobian(traj).seen_late(v), r * v[:, 0] + h * r * (1 - r) * moved)
