"""The plans of the backward pass do nothing that a cell has no need of."""

import numpy as np
import pytest

from gradlab.engine.linearize import linearize
from gradlab.engine.pull_back import PullBack

from ..contract import random_problem


@pytest.mark.parametrize(("cell", "deltas", "states"), [("elman", 1, 1), ("lstm", 3, 7)])
def test_how_many_operations_a_step_takes(cell, deltas, states):
    """An Elman net's adjoint is one product with D and one with W; of an LSTM four gates' products are added up."""
    traj = random_problem(cell).unroll()
    into_deltas, into_states = PullBack(traj).plans(linearize(traj, 0, traj.steps), np.zeros_like(traj.states))
    assert (len(into_deltas), len(into_states)) == (deltas, states)
