"""Frobenius norms at any magnitude: J times a power of two has that power times the norm, to the last digit."""

import numpy as np
import pytest

import gradlab
from gradlab.arrays import to_numpy
from gradlab.cells import CELLS, make_cell
from gradlab.engine.frobenius import RowProducts, frobenius_norms
from gradlab.engine.linearize import linearize
from gradlab.engine.operator import Operator, Weights

from ..contract import LIBRARIES, each_dtype, each_library, each_way, random_problem
from .test_jacobian import linear_net, with_singular_values

EXTREMES = {"float32": (-120, 120), "float64": (-1015, 1015)}  # log2; norms of the problems here are below 2^7


def times(operator: Operator, factors: int, weights: int) -> Operator:
    """D times 2^factors, W times 2^weights and E times both, for weights = 0 of what a late gate adds, too."""
    part, xp = operator._copy(), operator.xp
    part.weights = Weights(
        xp, list(operator.weights.gates), [xp.ldexp(w, weights) for w in operator.weights.gates.values()]
    )
    part.carry = {key: xp.ldexp(e, factors + weights) for key, e in operator.carry.items()}
    part.gates = {key: xp.ldexp(d, factors) for key, d in operator.gates.items()}
    if operator.late is not None:
        part.late = operator.late.map(lambda d: d)
        part.late.rows = {key: xp.ldexp(d, factors) for key, d in operator.late.rows.items()}
    return part


@each_way
@pytest.mark.parametrize("name", CELLS)
def test_a_power_of_two_times_a_jacobian_has_that_times_its_norm(name, library, dtype, models):
    problem = random_problem(name, models).moved(LIBRARIES[library](), dtype)
    operator = gradlab.jacobian(traj := problem.unroll())._part(linearize(traj, 0, traj.steps))
    expected, shift = to_numpy(gradlab.jacobian(traj).frobenius()), np.finfo(dtype).maxexp // 2
    for power in EXTREMES[dtype]:
        for weights in (0,) if operator.late is not None else (0, shift, -shift):
            moved = times(operator, power - weights, weights) if abs(power - weights) < 2 * shift - 8 else None
            if moved is not None:
                found = frobenius_norms(moved, RowProducts(moved.weights))
                np.testing.assert_array_equal(to_numpy(found), np.ldexp(expected, power))


@each_dtype
def test_moderate_norms_are_not_taken_twice(dtype, monkeypatch):
    monkeypatch.setattr(Operator, "near_one", lambda self: pytest.fail("numbers were brought near 1"))
    for power in {"float32": (-12, 12), "float64": (-90, 90)}[dtype]:
        matrix = (with_singular_values(np.linspace(1, 0.1, 5)) * 2.0**power).astype(dtype)
        jacobian = gradlab.jacobian(linear_net(matrix, dtype=dtype))
        np.testing.assert_allclose(jacobian.frobenius(), np.linalg.norm(matrix.astype(float)), rtol=1e-5)
    assert gradlab.jacobian(linear_net(0.1 * np.eye(3))).spectral(1e-6) == pytest.approx(0.1, rel=1e-5)
    assert not gradlab.jacobian(linear_net(np.eye(3))).paths()["carry"].frobenius().any()


@each_library
@each_dtype
def test_the_norms_of_all_magnitudes(dtype, library):
    """Down to the smallest normal number, up to the largest, several at once."""
    xp, tiny, huge = LIBRARIES[library](), *(float(f(np.finfo(dtype))) for f in (lambda i: i.tiny, lambda i: i.max))
    for size in (4 * tiny, tiny**0.75, tiny**0.5, 1.0, huge**0.5, huge / 4):
        matrix = (with_singular_values(np.linspace(1, 0.1, 5)) * size).astype(dtype)
        traj = linear_net(matrix, dtype=dtype)
        params = {name: xp.asarray(p) for name, p in traj.params.items()}
        jacobian = gradlab.jacobian(gradlab.unroll(traj.cell, params, xp.asarray(traj.x)))
        over, eps = (matrix.astype(np.longdouble) / size).astype(float), np.finfo(dtype).eps
        np.testing.assert_allclose(to_numpy(jacobian.frobenius()) / size, np.linalg.norm(over), rtol=10 * eps)
        sigma = to_numpy(jacobian.spectral(1e-6)) / size
        np.testing.assert_allclose(sigma, np.linalg.norm(over, 2), rtol=1e-6)


@each_library
@pytest.mark.parametrize(("dtype", "a"), [("float32", 27.0), ("float32", 40.0), ("float64", 190.0), ("float64", 350.0)])
def test_saturated_units_beside_others(library, dtype, a):
    """Every step of a run where one saturates all units: ||J|| = 2.9e-24 at a = 27."""
    xp = LIBRARIES[library]()
    cell = make_cell("elman", input_size=1, hidden_size=3)
    w = np.diag([1.0, 2.0, 3.0]) - 0.5
    params = {"W_xh": np.ones((1, 3, 1)), "W_hh": w[None], "b_h": np.zeros((1, 3))}
    x = np.zeros((4, 2, 1))
    x[1] = a
    arrays = {name: xp.asarray(p.astype(dtype)) for name, p in params.items()}
    jacobian = gradlab.jacobian(gradlab.unroll(cell, arrays, xp.asarray(x.astype(dtype))))
    dense = to_numpy(jacobian.dense()).astype(np.longdouble)
    exact = np.sqrt((dense * dense).sum(axis=(-2, -1)))
    assert exact[1].max() < np.sqrt(np.finfo(dtype).tiny) < exact[0].min()
    found, (norms, _) = jacobian.frobenius(), jacobian.split(xp.asarray(np.ones((4, 1, 2, 3), dtype)))
    for norm in (found, norms[-1]):
        np.testing.assert_allclose(to_numpy(norm), exact.astype(float), rtol=10 * np.finfo(dtype).eps)


@each_dtype
def test_rows_of_opposite_magnitudes(dtype):
    """Where one unit's weights are as small as its slope is large, neither is lost beside the other units."""
    size = {"float32": 1e25, "float64": 1e200}[dtype]
    w = (np.array([1 / size, 1.0, size])[:, None] * (np.ones((3, 3)) + np.eye(3))).astype(dtype)
    d = np.array([size, 1e-3, 1 / size]).astype(dtype) * np.ones((2, 1, 3), dtype)
    operator = gradlab.jacobian(traj := linear_net(np.eye(3), 2, 1, dtype))._part(linearize(traj, 0, 2))
    operator.weights, operator.gates = Weights(np, [0], [w]), {(0, 0): d}
    exact = np.linalg.norm((d[0, 0].astype(np.longdouble)[:, None] * w).astype(float))
    found = frobenius_norms(operator, RowProducts(operator.weights))
    np.testing.assert_allclose(found, exact, rtol=10 * np.finfo(dtype).eps)
