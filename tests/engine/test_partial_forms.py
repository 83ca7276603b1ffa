"""Partial derivatives may be numbers, arrays per unit alone, or arrays of every step and sample: the results agree."""

import numpy as np
import pytest

import gradlab
from gradlab import to_numpy

from ..contract import CHECKS, LIBRARIES, TIGHT, assert_array, each_way, random_problem
from ..throwaway_cells import Mixed


class Full(Mixed):
    """The same with every partial derivative of every step and sample."""

    def partials(self, xp, a, b, h, *rest):
        found = super().partials(xp, a, b, h, *rest)
        return tuple({k: (float(v) if isinstance(v, float) else v) + 0 * h for k, v in m.items()} for m in found)


@each_way
@pytest.mark.parametrize("check", CHECKS)
def test_the_contract(check, library, dtype, models):
    CHECKS[check](Mixed(1, 1, "tanh"), LIBRARIES[library](), dtype, models)


def results(cell, library, dtype, models, lengths):
    """Everything that is made of partial derivatives, by name."""
    xp = LIBRARIES[library]()
    problem = random_problem(cell, models).moved(xp, dtype)
    traj = problem.unroll(lengths=None if lengths is None else xp.asarray(lengths))
    grads, jac = gradlab.bptt(traj, problem.dL_dh, problem.dL_dfinal), gradlab.jacobian(traj)
    vectors = traj.states[1:]
    found = {"adjoints": grads.adjoints, "inputs": grads.inputs, "dense": jac.dense(), **grads.params}
    found |= {"J v": jac.apply(vectors), "J^T u": jac.apply_transpose(vectors)}
    return found | {"frobenius": jac.frobenius(), "spectral": jac.spectral(TIGHT[dtype])}


@pytest.mark.parametrize("lengths", [None, np.array([3, 5])], ids=["full", "lengths"])
@each_way
def test_every_result_is_that_of_full_arrays(library, dtype, models, lengths):
    found = results(Mixed(1, 1, "tanh"), library, dtype, models, lengths)
    expected = results(Full(1, 1, "tanh"), "numpy", dtype, models, lengths)
    for name, array in found.items():
        assert_array(array, LIBRARIES[library](), dtype, to_numpy(expected[name]), factor=2)


def test_the_public_check_takes_every_form():
    found, expected = (gradlab.check_cell(cls(3, 5, "tanh")) for cls in (Mixed, Full))
    assert set(found) == set(expected) and max(found.values()) < 1e-6
