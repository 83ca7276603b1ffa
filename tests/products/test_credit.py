"""Credit assignment against BPTT of each step's loss alone, and against BPTT of them all."""

import numpy as np
import pytest

import gradlab
from gradlab.arrays import to_numpy
from gradlab.cells import CELLS
from gradlab.engine.linearize import linearize
from gradlab.engine.trajectory import read
from gradlab.errors import Cancelled, InputError
from gradlab.products.credit import contributions, journeys, triangle

from ..contract import LIBRARIES, TOLERANCE, each_way, random_problem
from ..engine.test_jacobian import linear_net

each_cell = pytest.mark.parametrize("name", CELLS)
SIZES = (9, 3, 2, 4)  # T, B, D, H


def alone(dL_dh, t):
    """The loss gradient of step t only."""
    only = np.zeros_like(dL_dh)
    only[t - 1] = dL_dh[t - 1]
    return only


def joint_logs(grads):
    """ln of the joint state's adjoint (T+1, *M, B), -inf at masked steps, which no gradient reaches."""
    with np.errstate(divide="ignore"):
        squares = np.exp(2 * np.where(np.isnan(grads.log_norms), -np.inf, grads.log_norms)).sum(axis=1)
        return 0.5 * np.log(squares)


@each_way
@each_cell
def test_each_row_is_the_gradient_of_that_steps_loss(name, library, dtype, models):
    xp, problem = LIBRARIES[library](), random_problem(name, models, SIZES)
    moved = problem.moved(xp, dtype)
    found = triangle(moved.unroll(), moved.dL_dh, samples=(2, 0))
    assert str(found.dtype) == "float64"
    assert found.shape == (10, 10, *models, 2)
    for t in range(1, 10):
        expected = joint_logs(gradlab.bptt(problem.unroll(), alone(problem.dL_dh, t)))[..., [2, 0]]
        np.testing.assert_allclose(to_numpy(found)[t], expected, atol=20 * TOLERANCE[dtype])
    assert (to_numpy(found)[0] == -np.inf).all()
    assert (to_numpy(found)[np.triu_indices(10, 1)] == -np.inf).all()


@each_cell
@pytest.mark.parametrize("truncate", [None, 1, 4])
@pytest.mark.parametrize("lengths", [None, np.array([9, 4, 0])], ids=["full", "lengths"])
def test_rows_under_truncation_and_lengths(name, truncate, lengths):
    problem = random_problem(name, sizes=SIZES)
    traj = problem.unroll(lengths=lengths)
    found = triangle(traj, problem.dL_dh, samples=range(3), truncate=truncate)
    for t in range(1, 10):
        expected = joint_logs(gradlab.bptt(traj, alone(problem.dL_dh, t), truncate=truncate))
        np.testing.assert_allclose(found[t], expected, atol=1e-10)


@each_cell
@pytest.mark.parametrize("truncate", [None, 4])
def test_the_parts_sum_to_the_parameters_gradient(name, truncate):
    """dL/dW = sum_t sum_{k <= t} of outer(D_k^T J_{k+1}^T ... J_t^T dL_t, r_{k-1}), and column k is BPTT's step k."""
    problem = random_problem(name, sizes=SIZES)
    traj = problem.unroll()
    grads = gradlab.bptt(traj, problem.dL_dh, truncate=truncate)
    deltas = np.ldexp(grads.deltas, grads.exponents[1:][None, ..., None])[: len(traj.cell.gates)][traj.cell.recurrent]
    r, total = read(traj.cell, traj.states[:-1]), 0.0
    for rows, k, vectors in journeys(traj, problem.dL_dh, range(3), range(10), truncate):
        assert rows == slice(0, 10)
        parts = np.ldexp(vectors.mantissas, vectors.exponents[:, None, ..., None])
        np.testing.assert_allclose(parts.sum(axis=0), grads.adjoints[k], atol=1e-12)
        if k > 0:
            step = np.stack([outer(traj, k, part, r[k - 1]) for part in parts])
            seen = [
                traj.middle[k - 1] if traj.cell.late and g == len(deltas) - 1 else r[k - 1] for g in range(len(deltas))
            ]
            found = outer_products(deltas[:, k - 1], seen)
            np.testing.assert_allclose(step.sum(axis=0), found, atol=1e-12)
            total = total + step.sum(axis=0)
    pulled = traj.cell.pull_back(traj.params, traj.params | {"W_hh": total})
    np.testing.assert_allclose(pulled["W_hh"], grads.params["W_hh"], rtol=1e-10, atol=1e-12)


def outer(traj, k, adjoint, r):
    """sum over samples of (D_k^T adjoint) r^T per recurrent gate, adjoint (S, B, H), from the linearisation itself."""
    lin = linearize(traj, k - 1, k)
    deltas = np.zeros((len(traj.cell.gates) + len(traj.cell.elementwise), *adjoint.shape[1:]))
    for s, (span, d) in lin.gates.items():
        deltas[span] += d[:, 0] * adjoint[s]
    seen = [r] * len(traj.cell.recurrent_gates)
    if traj.cell.late:
        seen[-1] = traj.middle[k - 1]
        back = deltas[len(traj.cell.gates) - 1] @ traj.weights["W_hh"][-1]
        for g, d in lin.middle_gates.items():
            deltas[g] += d[0] * back
    return outer_products(deltas[: len(traj.cell.gates)][traj.cell.recurrent], seen)


def outer_products(deltas, seen):
    """sum over samples of each gate's delta (B, H) times what its weights saw (B, R*H)."""
    found = [d.T @ s for d, s in zip(deltas, seen, strict=True)]
    return np.stack(found) if found else np.zeros((0, SIZES[3], SIZES[3]))


@each_cell
def test_contributions_are_those_of_the_parts(name):
    """Per step and parameter, and their sum in the one-sample, one-step case."""
    problem = random_problem(name, sizes=(1, 1, 2, 4))
    grads = problem.bptt()
    for key, logs in contributions(grads).items():
        with np.errstate(divide="ignore"):  # a parameter may be empty
            expected = np.log(np.linalg.norm(grads.params[key]))
        assert logs[0] == pytest.approx(expected, abs=1e-10), key


def test_contributions_where_the_gradient_overflows_and_vanishes():
    for factor in (1e30, 1e-30):
        traj = linear_net(np.full((1, 1), factor), steps=40, batch=1)
        traj.x[...] = 1.0
        direct = np.zeros((40, 1, 1))
        direct[-1] = 1.0
        logs = contributions(gradlab.bptt(traj, direct))
        np.testing.assert_allclose(logs["b_h"], np.log(factor) * np.arange(39, -1, -1), rtol=1e-12)


def test_a_long_triangle_is_a_straight_line():
    traj = linear_net(0.25 * np.eye(3), steps=400, dtype="float32")
    found = triangle(traj, np.ones((400, 2, 3), "float32"), times=[400, 7, 200])
    np.testing.assert_allclose(found[0, :, 0], np.log(0.25) * np.arange(400, -1, -1) + np.log(3) / 2, rtol=1e-6)
    np.testing.assert_allclose(found[1, :8, 0], np.log(0.25) * np.arange(7, -1, -1) + np.log(3) / 2, rtol=1e-6)
    assert (found[1, 8:] == -np.inf).all()
    assert np.isfinite(found[2, :201]).all()


def test_many_losses_travel_in_blocks(monkeypatch):
    problem = random_problem("lstm", sizes=SIZES)
    whole = triangle(problem.unroll(), problem.dL_dh)
    monkeypatch.setattr("gradlab.products.credit.BLOCK", 3)
    np.testing.assert_allclose(triangle(problem.unroll(), problem.dL_dh), whole, rtol=1e-12)


def test_progress_and_cancelling(monkeypatch):
    problem = random_problem("gru", sizes=SIZES)
    monkeypatch.setattr("gradlab.products.credit.BLOCK", 4)
    shares = []
    triangle(problem.unroll(), problem.dL_dh, on_progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) == 3
    assert shares[-1] == 1.0

    def cancel(share):
        raise Cancelled

    with pytest.raises(Cancelled):
        triangle(problem.unroll(), problem.dL_dh, on_progress=cancel)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": (3,)}, r"samples: expected one or more of 0..2, got \[3\]"),
        ({"samples": ()}, "samples: expected one or more"),
        ({"times": [10]}, r"times: expected one or more of 0..9, got \[10\]"),
        ({"times": []}, "times: expected one or more"),
        ({"dL_dh": np.zeros((9, 3, 5))}, r"dL_dh: expected shape \(9, 3, 4\)"),
    ],
)
def test_bad_input(options, message):
    problem = random_problem("elman", sizes=SIZES)
    with pytest.raises(InputError, match=message):
        triangle(problem.unroll(), **{"dL_dh": problem.dL_dh, **options})
