"""The split of long products by path against dense multiplication of the paths' own matrices."""

import numpy as np

import gradlab
from gradlab.arrays import to_numpy
from gradlab.products import path_split

from ..contract import LIBRARIES, TOLERANCE, each_way, joint, random_problem, transposed
from .test_products import SIZES, dense_products, each_cell


@each_way
@each_cell
def test_split_of_a_span(name, library, dtype, models):
    """Every part from dense products of the paths' own matrices."""
    xp, problem = LIBRARIES[library](), random_problem(name, models, SIZES)
    moved = problem.moved(xp, dtype)
    split = path_split(gradlab.jacobian(moved.unroll()), 9, 4, xp.asarray(problem.dL_dfinal.astype(dtype)))
    dense = {key: path.dense() for key, path in gradlab.jacobian(problem.unroll()).paths().items()}
    gates, whole = list(dense)[1:], sum(dense.values())
    adjoint = joint(problem.dL_dfinal, models)[..., None]

    def pulled(jacobians):
        matrices, logs = dense_products(jacobians, 9, 4)
        return ((transposed(matrices[0]) @ adjoint) * np.exp(logs[0])[..., None, None])[..., 0]

    total = pulled(whole)
    off = [pulled(whole - dense[gate]) for gate in gates]
    parts = [pulled(dense["carry"]), *(total - o for o in off)]
    parts.append(total - sum(parts))
    assert split.names == ("carry", *gates, "interaction")
    scale, tol = np.linalg.norm(total, axis=-1), 500 * TOLERANCE[dtype]
    shares = np.stack([(part * total).sum(axis=-1) for part in parts]) / scale**2
    np.testing.assert_allclose(to_numpy(split.shares), shares, rtol=tol, atol=tol)
    np.testing.assert_allclose(to_numpy(split.shares).sum(axis=0), 1, atol=1e-9)
    norms = np.linalg.norm(np.stack(parts), axis=-1) / scale
    np.testing.assert_allclose(np.exp(to_numpy(split.norms) - np.log(scale)), norms, rtol=tol, atol=tol)
    np.testing.assert_allclose(to_numpy(split.whole), np.log(scale), atol=tol)
    with np.errstate(divide="ignore"):  # an Elman net without its only gate passes nothing back
        expected = np.log(np.linalg.norm(np.reshape(off, (len(gates), *total.shape)), axis=-1))
    np.testing.assert_allclose(to_numpy(split.off), expected, atol=tol)


def test_several_spans_at_once():
    problem = random_problem("gru", sizes=SIZES)
    jacobian = gradlab.jacobian(problem.unroll())
    together = path_split(jacobian, 11, [9, 2], problem.dL_dfinal)
    for i, s in enumerate((9, 2)):
        alone = path_split(jacobian, 11, s, problem.dL_dfinal)
        assert together.names == alone.names
        for name in ("norms", "shares", "whole", "off"):
            np.testing.assert_allclose(getattr(together, name)[i], getattr(alone, name), rtol=1e-12)


@each_cell
def test_over_one_step_it_is_the_split_of_that_step(name):
    problem = random_problem(name)
    grads = problem.bptt()
    jacobian = gradlab.jacobian(grads.traj)
    split = path_split(jacobian, 3, 2, grads.mantissas[3])
    np.testing.assert_allclose(split.shares[:-1], jacobian.split(grads.mantissas[1:])[1][:, 2], atol=1e-12)
    np.testing.assert_allclose(split.shares[-1], 0, atol=1e-12)


def test_without_recurrent_weights_everything_is_carried():
    """An LSTM's c then passes back the product of its forget gates."""
    problem = random_problem("lstm", sizes=(300, 2, 2, 4))
    params = {**problem.params, "W_hh": 0 * problem.params["W_hh"]}
    traj = gradlab.unroll(problem.cell, params, problem.x, problem.initial)
    adjoint = np.stack([0 * problem.dL_dfinal[0], problem.dL_dfinal[1]])
    split = path_split(gradlab.jacobian(traj), 300, 0, adjoint)
    kept = np.log(traj.gates[:, 1]).sum(axis=0) + np.log(np.abs(adjoint[1]))
    top = kept.max(axis=-1)
    expected = top + 0.5 * np.log(np.exp(2 * (kept - top[:, None])).sum(axis=-1))
    np.testing.assert_allclose(split.whole, expected, rtol=1e-12)
    np.testing.assert_allclose(split.norms[0], expected, rtol=1e-12)
    np.testing.assert_allclose(split.shares, np.array([1.0, 0, 0, 0, 0, 0])[:, None] + np.zeros(2), atol=1e-12)
