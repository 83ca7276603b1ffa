"""The state Jacobian as an operator: masked steps, hard spectra, zero matrices, chunks, extreme magnitudes."""

import re

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.engine.jacobian import StateJacobian
from gradlab.engine.lanczos import largest_singular_values
from gradlab.engine.operator import Operator
from gradlab.errors import InputError

from ..contract import assert_near, joint, random_problem

each_cell = pytest.mark.parametrize("name", CELLS)


def linear_net(matrix, steps=3, batch=2, dtype="float64"):
    """A trajectory all of whose Jacobians are `matrix`."""
    size = len(matrix)
    cell = make_cell("elman", input_size=1, hidden_size=size, activation="identity")
    params = {"W_xh": np.zeros((1, size, 1)), "W_hh": np.asarray(matrix)[None], "b_h": np.zeros((1, size))}
    params = {name: p.astype(dtype) for name, p in params.items()}
    return gradlab.unroll(cell, params, np.zeros((steps, batch, 1), dtype))


def with_singular_values(sigma, seed=0):
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(len(sigma), len(sigma))))[0] for _ in range(2))
    return (u * sigma) @ v.T


# sizes and masks


@each_cell
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (33, 2, 1, 3), (65, 1, 2, 2)])
def test_every_view_of_the_operator_agrees(name, sizes):
    problem = random_problem(name, sizes=sizes)
    traj = problem.unroll()
    jacobian, dense = gradlab.jacobian(traj), gradlab.jacobian(traj).dense()
    assert isinstance(jacobian, StateJacobian)
    side = len(traj.cell.states) * sizes[3]
    assert dense.shape == (sizes[0], sizes[1], side, side)
    basis = np.eye(side).reshape(side, 1, len(traj.cell.states), 1, sizes[3]) + np.zeros((side, *traj.states[1:].shape))
    columns, rows = (joint(method(basis), ()) for method in (jacobian.apply, jacobian.apply_transpose))
    assert_near(np.moveaxis(columns, 0, -1), dense)
    assert_near(np.moveaxis(rows, 0, -2), dense)
    assert_near(jacobian.frobenius(), np.linalg.norm(dense, axis=(-2, -1)))
    assert_near(jacobian.spectral(1e-10), np.linalg.svd(dense, compute_uv=False)[..., 0], factor=10)


@each_cell
def test_beyond_a_samples_length_it_is_the_identity(name):
    problem = random_problem(name, sizes=(34, 3, 2, 3))
    lengths = np.array([34, 5, 0])
    jacobian, full = (gradlab.jacobian(problem.unroll(lengths=n)) for n in (lengths, None))
    inside = np.arange(1, 35)[:, None] <= lengths
    side = len(full.traj.cell.states) * 3
    expected = np.where(inside[..., None, None], full.dense(), np.eye(side))
    assert_near(jacobian.dense(), expected)
    assert_near(jacobian.frobenius(), np.linalg.norm(expected, axis=(-2, -1)))
    assert_near(jacobian.spectral(1e-10), np.linalg.svd(expected, compute_uv=False)[..., 0], factor=10)
    v = np.random.default_rng(0).normal(size=full.traj.states[1:].shape)
    np.testing.assert_array_equal(joint(jacobian.apply(v), ())[~inside], joint(v, ())[~inside])
    paths = jacobian.paths()
    assert_near(sum(path.dense() for path in paths.values()), expected)
    assert_near(paths["carry"].dense()[~inside], np.broadcast_to(np.eye(side), ((~inside).sum(), side, side)))


@each_cell
def test_paths_of_a_path_are_itself(name):
    jacobian = gradlab.jacobian(random_problem(name).unroll())
    for key, path in jacobian.paths().items():
        assert list(path.paths()) == [key]


def test_the_gates_paths_are_their_recurrent_weights():
    """Without gate k's recurrent weights, path k is zero and the others stay."""
    problem = random_problem("lstm")
    states = problem.unroll().states
    for k, gate in enumerate(problem.cell.gates):
        params = {**problem.params, "W_hh": problem.params["W_hh"].copy()}
        params["W_hh"][k] = 0
        # the same states, so that nothing else differs: what W r would have added comes as an input instead
        traj = gradlab.Trajectory(problem.cell, params, problem.x, states, problem.unroll().gate_inputs)
        without, full = gradlab.jacobian(traj).paths(), gradlab.jacobian(problem.unroll()).paths()
        assert not without[gate].dense().any()
        assert full[gate].dense().any()
        for other in set(full) - {gate}:
            assert_near(without[other].dense(), full[other].dense())


# the spectral norm


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "sigma",
    [
        np.linspace(1, 0.1, 40),
        np.r_[1, 1, 1, np.zeros(37)],
        np.geomspace(1, 1e-12, 40),
        np.r_[1 + 1e-9, np.ones(39)],
        np.r_[5, 0.99 * 5, np.full(38, 4.9)],
        np.ones(1),
    ],
    ids=["even", "low rank", "geometric", "nearly equal", "cluster", "scalar"],
)
def test_spectral_norm_of_hard_spectra(sigma, seed):
    found, bound = gradlab.jacobian(linear_net(with_singular_values(sigma, seed))).spectral_with_bound(1e-6)
    error = np.abs(found / sigma.max() - 1)
    assert (error < 1e-6).all()
    assert (error <= bound + 1e-12).all()


@pytest.mark.parametrize("tol", [1e-9, 1e-2])
@pytest.mark.parametrize("scale", [1e-160, 1e-44, 1e-30, 1e30, 1e44, 1e160])
def test_spectral_norm_at_extreme_magnitudes(scale, tol):
    matrix = with_singular_values(np.linspace(2, 0.1, 12)) * scale
    np.testing.assert_allclose(gradlab.jacobian(linear_net(matrix)).spectral(tol), 2 * scale, rtol=10 * tol)


def test_a_tolerance_below_the_last_digit_ends_where_the_digits_do():
    """After all steps that there are, with a bound that is one."""
    found, bound = gradlab.jacobian(
        linear_net(with_singular_values(np.linspace(1, 0.1, 40)), dtype="float32")
    ).spectral_with_bound(1e-12)
    assert (np.abs(found - 1) <= bound).all() and (bound < 1e-4).all() and found.dtype == np.float32


@pytest.mark.parametrize("tol", [0, -1.0, np.nan, np.inf, "small"])
def test_a_tolerance_is_a_positive_number(tol):
    with pytest.raises(InputError, match="tol: expected a positive number, got"):
        gradlab.jacobian(linear_net(np.eye(2))).spectral(tol)


@pytest.mark.parametrize(("tol", "dtypes"), [(1e-2, ["float32"]), (1e-4, ["float32"]), (0.99e-4, []), (1e-9, [])])
def test_a_coarse_tolerance_is_reached_in_single_precision(tol, dtypes, monkeypatch):
    seen, astype = [], Operator.astype
    monkeypatch.setattr(Operator, "astype", lambda self, dtype: seen.append(dtype) or astype(self, dtype))
    assert gradlab.jacobian(linear_net(2 * np.eye(3))).spectral(tol).dtype == np.float64
    assert seen == dtypes


def test_a_tiny_and_a_huge_jacobian_in_one_trajectory():
    """Slopes of a saturated unit, far below those of the others."""
    cell = make_cell("elman", input_size=1, hidden_size=3)
    params = {"W_xh": np.ones((1, 3, 1)), "W_hh": np.eye(3)[None], "b_h": np.zeros((1, 3))}
    x = np.zeros((4, 1, 1))
    x[1] = 60.0
    jacobian = gradlab.jacobian(gradlab.unroll(cell, params, x))
    sigma = np.linalg.norm(jacobian.dense(), 2, axis=(-2, -1))
    assert sigma.min() < 1e-50 < 0.5 < sigma.max()
    for tol in (1e-2, 1e-6):
        np.testing.assert_allclose(jacobian.spectral(tol), sigma, rtol=tol)


def test_spectral_norm_of_zero_is_zero():
    found, bound = gradlab.jacobian(linear_net(np.zeros((4, 4)))).spectral_with_bound()
    assert not found.any()
    assert not bound.any()


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_the_bound_is_one_for_random_matrices(tol):
    """For tolerances as loose as 0.03 it may be none: a residual bounds the distance to some singular value only."""
    rng = np.random.default_rng(3)
    matrices = rng.normal(size=(60, 50, 50))
    sigma = np.linalg.norm(matrices, 2, axis=(-2, -1))
    found, bound = largest_singular_values(
        np,
        lambda v: np.einsum("bij,bj->bi", matrices, v),
        lambda u: np.einsum("bij,bi->bj", matrices, u),
        np.zeros((60, 50)) + rng.normal(size=50),
        (1,),
        tol,
    )
    assert (np.abs(found / sigma - 1) <= bound + 1e-12).all()
    assert (bound <= max(tol, 1e-4)).all()
    assert (found <= sigma * (1 + 1e-12)).all()


def test_the_result_does_not_depend_on_the_blocks(monkeypatch):
    traj = random_problem("lstm", sizes=(20, 3, 2, 4)).unroll()
    whole = gradlab.jacobian(traj).spectral(1e-9)
    monkeypatch.setattr("gradlab.engine.jacobian.BLOCK_VALUES", 1)
    np.testing.assert_allclose(gradlab.jacobian(traj).spectral(1e-9), whole, rtol=1e-9)


def test_it_is_reproducible():
    traj = random_problem("gru").unroll()
    np.testing.assert_array_equal(gradlab.jacobian(traj).spectral(), gradlab.jacobian(traj).spectral())


# the Frobenius norm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frobenius_norm_where_terms_cancel(dtype):
    """E + D W = 0 exactly: leaky units whose recurrent weight undoes the carry."""
    cell = make_cell("elman", input_size=1, hidden_size=4, activation="identity", leak=0.5)
    params = {"W_xh": np.zeros((1, 4, 1)), "W_hh": -np.eye(4)[None], "b_h": np.zeros((1, 4))}
    params = {name: p.astype(dtype) for name, p in params.items()}
    traj = gradlab.unroll(cell, params, np.ones((3, 2, 1), dtype))
    assert not gradlab.jacobian(traj).dense().any()
    np.testing.assert_allclose(gradlab.jacobian(traj).frobenius(), 0, atol=np.sqrt(np.finfo(dtype).eps))


def test_shares_with_cancellation_sum_to_one():
    """A share may be negative: carry 1/2 against a recurrent weight of -3/2."""
    cell = make_cell("elman", input_size=1, hidden_size=1, activation="identity", leak=0.5)
    params = {"W_xh": np.zeros((1, 1, 1)), "W_hh": np.full((1, 1, 1), -3.0), "b_h": np.zeros((1, 1))}
    jacobian = gradlab.jacobian(gradlab.unroll(cell, params, np.ones((3, 1, 1))))
    norms, shares = jacobian.split(np.ones((3, 1, 1, 1)))
    np.testing.assert_allclose(norms[:, :, 0], [[0.5] * 3, [1.5] * 3])
    np.testing.assert_allclose(shares[:, :, 0], [[-0.5] * 3, [1.5] * 3])


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_shares_do_not_depend_on_the_magnitude_of_the_adjoint(scale):
    problem = random_problem("lstm")
    jacobian, u = gradlab.jacobian(problem.unroll()), np.random.default_rng(0).normal(size=(5, 2, 2, 4))
    np.testing.assert_allclose(jacobian.split(u * scale)[1], jacobian.split(u)[1], rtol=1e-9)


def test_where_nothing_is_passed_back_there_is_no_share():
    jacobian = gradlab.jacobian(random_problem("lstm").unroll())
    assert np.isnan(jacobian.split(np.zeros((5, 2, 2, 4)))[1]).all()


# bad input


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 2, 4), r"v: expected shape \(5, 2, 2, 4\) or \(K, \*\(5, 2, 2, 4\)\), got \(5, 2, 4\)"),
        ((5, 1, 2, 4), "v: expected shape"),
        ((2, 3, 5, 2, 2, 4), "v: expected shape"),
    ],
)
def test_wrong_tangents(shape, message):
    jacobian = gradlab.jacobian(random_problem("lstm").unroll())
    with pytest.raises(InputError, match=message):
        jacobian.apply(np.zeros(shape))
    with pytest.raises(InputError, match=message.replace("v:", "u:")):
        jacobian.apply_transpose(np.zeros(shape))


@each_cell
@pytest.mark.parametrize("backwards", [False, True])
def test_one_step_after_the_other(name, backwards):
    problem = random_problem(name, sizes=(35, 2, 1, 3))
    traj = problem.unroll()
    jacobian, dense = gradlab.jacobian(traj), gradlab.jacobian(traj).dense()
    states = len(traj.cell.states)
    basis = np.eye(states * 3).reshape(-1, states, 1, 3) + np.zeros((1, 1, 2, 1))
    steps = list(jacobian.each_step(2, 34, backwards))
    assert [step.t for step in steps] == (list(range(34, 2, -1)) if backwards else list(range(3, 35)))
    for step in steps:
        columns, rows = (joint(method(basis), ()) for method in (step.apply, step.apply_transpose))
        assert_near(np.moveaxis(columns, 0, -1), dense[step.t - 1])
        assert_near(np.moveaxis(rows, 0, -2), dense[step.t - 1])


@pytest.mark.parametrize("backwards", [False, True])
def test_steps_of_several_chunks_come_in_order(backwards):
    jacobian = gradlab.jacobian(linear_net(np.eye(2), steps=300))
    steps = [step.t for step in jacobian.each_step(5, 290, backwards)]
    assert steps == (list(range(290, 5, -1)) if backwards else list(range(6, 291)))


@pytest.mark.parametrize("models", [(), (3,)], ids=["one", "models"])
def test_a_jacobian_that_cannot_be_multiplied_is_named(models):
    """The first that is not finite, else the largest: of step 3 of sample 1, and of the model that it is of."""
    problem = random_problem("lstm", models)
    at = (2, 1) if models else (1,)
    for worst in (np.inf, 1e300):
        traj = problem.unroll()
        step = next(step for step in gradlab.jacobian(traj).each_step() if step.t == 3)
        for d in step.part.gates.values():
            d[(0, *at)] = worst
        where = f"in sample 1{' of model (2,)' if models else ''}; choose a span without that step"
        with pytest.raises(InputError, match=re.escape(where)) as error:
            step.refuse()
        assert "the Jacobian of step 3 is not finite" in str(error.value) and "lengths of at most 2" in str(error.value)
