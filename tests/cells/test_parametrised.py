"""Recurrences made from other parameters: what `weights` and `pull_back` say reaches every gradient and every norm."""

from functools import cache

import numpy as np
import pytest

import gradlab
from gradlab.arrays import to_numpy
from gradlab.cells import Cell
from gradlab.cells.elman import Elman
from gradlab.engine.scaled import Scaled
from gradlab.engine.trajectory import read
from gradlab.learning.pascanu import omega
from gradlab.products.credit import contributions

from ..contract import CHECKS, EPS, LIBRARIES, MODELS, STEP, assert_array, assert_near, each_way, random_problem
from ..throwaway_cells import PARAMETRISED

each_cell = pytest.mark.parametrize("name", PARAMETRISED)
each_library = pytest.mark.parametrize("library", LIBRARIES)
each_dtype = pytest.mark.parametrize("dtype", EPS)
each_models = pytest.mark.parametrize("models", MODELS, ids=("one", "models"))


@each_way
@pytest.mark.parametrize("check", CHECKS)
@each_cell
def test_it_passes_the_contract(name, check, library, dtype, models):
    """Against a naive loop that makes the weights itself, and complex steps of the parameters."""
    CHECKS[check](PARAMETRISED[name](1, 1, "tanh"), LIBRARIES[library](), dtype, models)


@cache
def problem_of(name, models=()):
    return random_problem(PARAMETRISED[name](1, 1, "tanh"), models, seed=2)


def chained(problem, by_weights):
    """Gradients by the weights -> by the parameters: the weights' derivatives are complex steps of each entry."""
    cell, found = problem.cell, {}
    for name, array in problem.params.items():
        found[name] = np.empty(array.shape)
        for index in np.ndindex(*array.shape):
            moved = array.astype(complex)
            moved[index] += 1j * STEP
            made = cell.weights(problem.params | {name: moved})
            found[name][index] = sum((made[n].imag / STEP * by_weights[n]).sum() for n in made)
    return found


@each_models
@each_cell
def test_pull_back_is_the_transposed_derivative(name, models):
    problem, rng = problem_of(name, models), np.random.default_rng(0)
    grads = {n: rng.normal(size=p.shape) for n, p in problem.params.items()}
    expected = chained(problem, grads)
    for n, found in problem.cell.pull_back(problem.params, grads).items():
        assert_near(found, expected[n])


@pytest.mark.parametrize("form", ["paper", "code"])
@each_way
@each_cell
def test_the_regularisers_derivative_is_pulled_back(name, models, library, dtype, form):
    xp, problem = LIBRARIES[library](), problem_of(name, models)
    moved = problem.moved(xp, dtype).bptt()
    value, derivative = omega(moved.traj, moved, form)
    plain, expected = omega_by_chain(name, models, form)
    assert_near(to_numpy(value), plain, dtype)
    assert set(derivative) == set(problem.params)
    for n, found in derivative.items():
        assert_array(found, xp, dtype, expected[n], factor=4)


@cache
def omega_by_chain(name, models, form):
    """Of the same network with the weights as its parameters, and their derivatives chained with the weights'."""
    problem = problem_of(name, models)
    plain = as_parameters(problem).bptt()
    value, derivative = omega(plain.traj, plain, form)
    return value, chained(problem, derivative)


def as_parameters(problem):
    """The problem of a cell that takes the weights themselves."""

    class Plain(type(problem.cell)):
        weights, pull_back = Cell.weights, Cell.pull_back

    cell = Plain(problem.cell.input_size, problem.cell.hidden_size, "tanh")
    params = problem.cell.weights(problem.params)
    return type(problem)(cell, params, problem.x, problem.initial, problem.dL_dh, problem.dL_dfinal)


@pytest.mark.parametrize("lengths", [None, np.array([3, 5])], ids=["full", "lengths"])
@each_way
@each_cell
def test_contributions_of_each_step_are_pulled_back(name, models, library, dtype, lengths):
    """Each step's delta r^T by hand, chained with the weights' derivative."""
    xp, problem = LIBRARIES[library](), problem_of(name, models)
    moved = problem.moved(xp, dtype)
    traj = moved.unroll(lengths=None if lengths is None else xp.asarray(lengths))
    found = contributions(gradlab.bptt(traj, moved.dL_dh, moved.dL_dfinal))
    host = gradlab.bptt(problem.unroll(lengths=lengths), problem.dL_dh, problem.dL_dfinal)
    cell, r = problem.cell, read(problem.cell, host.traj.states[:-1])
    deltas = np.ldexp(host.deltas, host.exponents[1:][None, ..., None])
    assert list(found) == list(cell.shapes)
    for t in range(host.traj.steps):
        gates, own = deltas[: len(cell.gates), t], deltas[len(cell.gates) :, t]
        step = {
            "W_xh": np.einsum("g...bh,...bd->g...hd", gates, problem.x[t]),
            "W_hh": np.einsum("g...bh,...bd->g...hd", gates, r[t]),
            "b_h": gates.sum(axis=-2),
            "p": own.sum(axis=-2),
        }
        for n, gradient in chained(problem, step).items():
            expected = np.log(np.linalg.norm(np.moveaxis(gradient, 0, -1).reshape(*models, -1), axis=-1))
            np.testing.assert_allclose(to_numpy(found[n])[t], expected, atol=200 * EPS[dtype] + 1e-12)


# far from 1


@pytest.mark.parametrize("exponent", [300, -300])
@pytest.mark.parametrize("entry", [0.0, -60.0], ids=["moderate", "tiny slopes"])
@pytest.mark.parametrize("name", [*PARAMETRISED, "antisymmetric"])
def test_gradients_beyond_single_precision(name, entry, exponent):
    """A loss gradient times 2^300 or 2^-300, which float32 cannot hold; sigmoid(-60) has the slope 9e-27."""
    problem = random_problem(PARAMETRISED[name](1, 1, "tanh") if name in PARAMETRISED else name, (3,))
    problem.params["W_hh"][...] += entry if name == "throwaway_squashed" else 0
    single = problem.moved(np, "float32")
    size = (len(problem.x), 3, problem.x.shape[-2], 1)
    grads = gradlab.bptt(single.unroll(), Scaled(single.dL_dh, np.full(size, exponent, np.int32)))
    expected = gradlab.bptt(problem.unroll(), problem.dL_dh)
    assert ((grads.param_exponent * np.sign(exponent)) > 250).all()
    for key, gradient in grads.param_mantissas.items():
        shift = (grads.param_exponent - exponent).reshape(3, *(1,) * (gradient.ndim - 2))
        assert_array(np.ldexp(gradient, shift), np, "float32", expected.params[key], factor=4)
        assert np.abs(expected.params[key]).max() > 0
        logs = expected.log_param_norms[key] + exponent * np.log(2)
        np.testing.assert_allclose(grads.log_param_norms[key], logs, rtol=0, atol=1e-4)


def test_what_overflows_on_the_way_to_the_weights_warns_of_nothing():
    cell = PARAMETRISED["throwaway_squashed"](1, 2, "tanh")
    params = {"W_xh": np.ones((1, 2, 1)), "W_hh": np.full((1, 2, 2), -1e3), "b_h": np.zeros((1, 2))}
    traj = gradlab.unroll(cell, params, np.ones((4, 1, 1)))
    grads = gradlab.bptt(traj, np.ones((4, 1, 2)))
    assert not grads.params["W_hh"].any() and not gradlab.jacobian(traj).dense().any()


# above the engine


def test_theory_reads_the_weights():
    class Halved(Elman):
        def weights(self, params):
            return {**params, "W_hh": 0.5 * params["W_hh"]}

    x = np.random.default_rng(0).normal(size=(30, 4, 3))
    halved, plain = (cls(3, 60, "tanh") for cls in (Halved, Elman))
    params = plain.init(0, gain=1.4)
    found, expected = (
        gradlab.theory.predictions(halved, params, x),
        gradlab.theory.predictions(plain, halved.weights(params), x),
    )
    assert [(p.name, p.log_rate, p.holds) for p in found] == [(p.name, p.log_rate, p.holds) for p in expected]
    assert [p.name for p in found] == ["mean_field"]


@each_cell
def test_its_exponents_are_those_of_its_weights(name):
    problem = problem_of(name)
    plain, x = as_parameters(problem), np.random.default_rng(0).normal(size=(60, 2, 6))
    found, expected = (gradlab.lyapunov(p.cell, p.params, x).exponents for p in (problem, plain))
    np.testing.assert_array_equal(found, expected)
