"""Pascanu's regulariser: its value by definition, its immediate derivative, and the closed form of Elman's network."""

from dataclasses import replace
from functools import cache
from itertools import count

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.errors import InputError
from gradlab.learning.pascanu import FORMS, omega

from ..contract import (
    LIBRARIES,
    STEP,
    assert_array,
    assert_near,
    each_dtype,
    each_models,
    each_way,
    joint,
    random_problem,
)

each_cell = pytest.mark.parametrize("cell", CELLS)
each_form = pytest.mark.parametrize("form", FORMS)
UNSATURATED = 0.9998  # of a gate


def pulled_back(traj, adjoints):
    """J^T lambda (T, *M, B, S*H) from dense matrices."""
    return np.einsum("...ij,...i->...j", gradlab.jacobian(traj).dense(), joint(adjoints[1:], traj.models))


def from_ratio(ratio, form):
    """Omega (*M,) from the ratios of norms of a batch in which every step counts; ratios may be complex."""
    if form == "paper":
        return ((ratio - 1) ** 2).sum(axis=0).mean(axis=-1)
    return ((ratio**2 - 1) ** 2).mean(axis=(0, -1))


def definition(traj, adjoints, form):
    """Omega (*M,) and its derivative with respect to the W of J = E + D W by complex steps: all else is held.

    J is linear in W, so its change with one entry of W is the difference of two Jacobians.
    """
    size = np.linalg.norm(joint(adjoints[1:], traj.models), axis=-1)
    start, w = pulled_back(traj, adjoints), traj.params["W_hh"]
    slope = np.empty_like(w)
    for index in np.ndindex(w.shape[0], *w.shape[-2:]):
        at = (index[0], ..., *index[1:])
        more = w.copy()
        more[at] += 1
        change = pulled_back(replace(traj, params=traj.params | {"W_hh": more}), adjoints) - start
        u = start + 1j * STEP * change
        slope[at] = from_ratio(np.sqrt((u * u).sum(axis=-1)) / size, form).imag / STEP
    return from_ratio(np.linalg.norm(start, axis=-1) / size, form), slope


@cache
def reference(cell, models, form):
    """Of the first net that is nowhere saturated: there slopes come from pre-activations, which follow another W."""
    problems = (random_problem(cell, models, seed=seed) for seed in count(3))
    runs = ((problem, problem.bptt()) for problem in problems)
    problem, grads = next((p, g) for p, g in runs if np.abs(g.traj.gates).max(initial=0) < UNSATURATED)
    return problem, *definition(grads.traj, grads.adjoints, form)


@each_way
@each_form
@each_cell
def test_value_and_derivative_are_those_of_the_definition(cell, form, library, dtype, models):
    xp = LIBRARIES[library]()
    problem, expected, slope = reference(cell, models, form)
    grads = problem.moved(xp, dtype).bptt()
    value, derivative = omega(grads.traj, grads, form)
    assert str(value.dtype) == "float64"
    assert_near(np.asarray(value.get() if xp is not np else value), expected, dtype)
    for name, p in grads.traj.params.items():
        assert_array(derivative[name], xp, dtype, slope if name == "W_hh" else np.zeros(p.shape))


@pytest.mark.parametrize("seed", range(5))
def test_one_step_of_elman_in_closed_form(seed):
    """With v = phi' lambda, u = W^T v, n = ||u||, m = ||lambda||: dOmega/dW = 2 (n/m - 1) / (m n) v u^T."""
    problem = random_problem("elman", sizes=(1, 1, 2, 6), seed=seed)
    grads = problem.bptt()
    w, h, lam = problem.params["W_hh"][0], grads.traj.states[1, 0, 0], grads.adjoints[1, 0, 0]
    v = (1 - h**2) * lam
    u = w.T @ v
    n, m = np.linalg.norm(u), np.linalg.norm(lam)
    value, derivative = omega(grads.traj, grads)
    assert float(value) == pytest.approx((n / m - 1) ** 2, rel=1e-13)
    expected = 2 * (n / m - 1) / (m * n) * np.outer(v, u)
    np.testing.assert_allclose(derivative["W_hh"][0], expected, rtol=0, atol=1e-15 * max(1, np.abs(expected).max()))
    value, derivative = omega(grads.traj, grads, "code")
    q = n**2 / m**2
    assert float(value) == pytest.approx((q - 1) ** 2, rel=1e-13)
    expected = 4 * (q - 1) / m**2 * np.outer(v, u)
    np.testing.assert_allclose(derivative["W_hh"][0], expected, rtol=0, atol=2e-15 * max(1, np.abs(expected).max()))


# what counts


def linear_run(gain, steps, dtype, last=1.0):
    """Adjoints that change by exactly `gain` at every step, from the last one on."""
    cell = make_cell("elman", input_size=1, hidden_size=2, activation="identity")
    rotation = gain * np.array([[0.0, -1.0], [1.0, 0.0]])
    params = {"W_xh": np.zeros((1, 2, 1)), "W_hh": rotation[None], "b_h": np.zeros((1, 2))}
    traj = gradlab.unroll(cell, {n: p.astype(dtype) for n, p in params.items()}, np.zeros((steps, 1, 1), dtype))
    direct = np.zeros((steps, 1, 2), dtype)
    direct[-1] = last
    return traj, gradlab.bptt(traj, direct)


@each_dtype
@pytest.mark.parametrize("gain", [0.25, 1.0, 4.0])
def test_adjoints_beyond_the_range_count_like_all_others(gain, dtype):
    steps = 1200
    value, derivative = omega(*linear_run(gain, steps, dtype))
    assert float(value) == pytest.approx(steps * (gain - 1) ** 2, rel=1e-5, abs=1e-9)
    one = omega(*linear_run(gain, 1, dtype))[1]["W_hh"]  # the rotation turns the adjoint by a right angle each step
    expected = 0.5 * steps * (one + np.array([[0, -1], [1, 0]]) @ one @ np.array([[0, 1], [-1, 0]]))
    np.testing.assert_allclose(derivative["W_hh"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_the_published_code_leaves_out_adjoints_below_its_bound(cell):
    problem = random_problem(cell, sizes=(9, 3, 2, 4), seed=1)
    traj = problem.unroll()
    scale = 1e-10 / np.linalg.norm(joint(problem.bptt().adjoints[1:], ()), axis=-1)
    direct = np.median(scale) * problem.dL_dh
    grads = gradlab.bptt(traj, direct)
    size = np.linalg.norm(joint(grads.adjoints[1:], ()), axis=-1)
    live = size**2 >= 1e-20
    assert live.any() and not live.all()
    ratio = np.linalg.norm(pulled_back(traj, grads.adjoints), axis=-1) / size
    assert float(omega(traj, grads, "code")[0]) == pytest.approx(((ratio**2 - 1) ** 2)[live].mean(), rel=1e-12)
    assert float(omega(traj, grads)[0]) == pytest.approx(from_ratio(ratio, "paper"), rel=1e-12)


@each_models
@each_cell
def test_padded_samples_count_over_their_own_lengths(cell, models):
    problem, lengths = random_problem(cell, models, seed=2), np.array([3, 5])
    traj = problem.unroll(lengths=lengths)
    value, derivative = omega(traj, gradlab.bptt(traj, problem.dL_dh))
    alone = []
    for b, length in enumerate(lengths):
        x, direct = problem.x[:length, ..., b : b + 1, :], problem.dL_dh[:length, ..., b : b + 1, :]
        own = gradlab.unroll(problem.cell, problem.params, x, problem.initial[..., b : b + 1, :])
        alone.append(omega(own, gradlab.bptt(own, direct)))
    assert_near(value, np.mean([v for v, _ in alone], axis=0))
    assert_near(derivative["W_hh"], np.mean([d["W_hh"] for _, d in alone], axis=0))


@each_form
@each_cell
def test_steps_that_no_loss_reaches_do_not_count(cell, form):
    problem = random_problem(cell, seed=4)
    direct = problem.dL_dh.copy()
    direct[2:] = 0
    traj = problem.unroll()
    short = gradlab.unroll(problem.cell, problem.params, problem.x[:2], problem.initial)
    found, expected = omega(traj, gradlab.bptt(traj, direct), form), omega(short, gradlab.bptt(short, direct[:2]), form)
    assert_near(found[0], expected[0])
    assert_near(found[1]["W_hh"], expected[1]["W_hh"])
    value, derivative = omega(traj, gradlab.bptt(traj, 0 * direct), form)
    assert not value.any() and not any(d.any() for d in derivative.values())


def test_unknown_forms():
    grads = random_problem("elman").bptt()
    with pytest.raises(InputError, match="unknown form of Omega 'papr'. Did you mean 'paper'\\? Valid: paper, code"):
        omega(grads.traj, grads, "papr")
