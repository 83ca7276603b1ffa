"""Slopes of units of all degrees of saturation, and pre-activations at a few places."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import gradlab
from gradlab.arrays import to_numpy
from gradlab.cells import ACTIVATIONS, CELLS, make_cell
from gradlab.cells.elman import Elman
from gradlab.engine import linearize as linearization
from gradlab.engine.linearize import linearize

from ..contract import LIBRARIES, each_dtype, each_library, each_way, random_problem


@dataclass(frozen=True, repr=False)
class Doubled(Elman):
    """h' = 2 tanh(...), whose derivative is a number."""

    state_is_gate = False

    def step(self, xp, g, h):
        return (2 * g,)

    def partials(self, xp, g, h, h_new):
        return {("h", "g"): 2}, {}


BOUND = {"float32": 2e-5, "float64": 5e-12}  # as said beside `linearize.SATURATED`
EXACT = {
    "tanh": lambda a: 4 * np.exp(-2 * a) / (1 + np.exp(-2 * a)) ** 2,
    "sigmoid": lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2,
    "softsign": lambda a: 1 / (1 + a) ** 2,
}


def test_all_that_saturate_are_tested():
    assert {name for name, phi in ACTIVATIONS.items() if phi.saturates} == set(EXACT)


@each_library
@each_dtype
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("calm", [1, 200], ids=["many", "few"])
def test_the_error_of_a_slope_is_bounded(name, dtype, library, calm):
    """Of one unit whose pre-activation is its input, alone or among many that are not saturated."""
    xp, cell = LIBRARIES[library](), make_cell("elman", input_size=1, hidden_size=1, activation=name)
    a = np.concatenate(
        [np.geomspace(1e-3, 1e6 if name == "softsign" else 40, 3000), np.zeros(3000 * (calm - 1))]
    ).astype(dtype)
    params = {"W_xh": np.ones((1, 1, 1)), "W_hh": np.zeros((1, 1, 1)), "b_h": np.zeros((1, 1))}
    traj = gradlab.unroll(
        cell, {n: xp.asarray(p.astype(dtype)) for n, p in params.items()}, xp.asarray(a[None, :, None])
    )
    with np.errstate(under="ignore"):
        error = np.abs(to_numpy(linearize(traj, 0, 1).slopes[0])[0, :, 0] / EXACT[name](a.astype(np.longdouble)) - 1)
    assert error.max() < BOUND[dtype]
    level = 1 - linearization.SATURATED[np.dtype(dtype).itemsize]
    assert error[to_numpy(traj.states)[1, 0, :, 0] > level].max() < 8 * np.finfo(dtype).eps
    assert ("pre" in vars(traj)) == (calm == 1)


@pytest.mark.parametrize(("name", "values"), [("tanh", [-0.5, 0.9]), ("sigmoid", [0.1, 0.9]), ("relu", [0.0, 30.0])])
def test_values_that_have_all_digits_need_no_pre_activation(name, values):
    y, phi = np.array(values), ACTIVATIONS[name]
    slope = linearization.slope_at(np, phi, y, lambda places: pytest.fail("a pre-activation was asked for"))
    np.testing.assert_array_equal(slope, phi.slope_from_value(np, y))


@pytest.mark.parametrize("calm", [0, 1000])
@pytest.mark.parametrize("name", EXACT)
def test_slopes_where_all_pre_activations_are_at_hand(name, calm):
    phi, a = ACTIVATIONS[name], np.concatenate([[-20.0, 20.0], np.zeros(calm)])
    slope = linearization.slope_at(np, phi, phi.value(np, a), linearization.known(a))
    np.testing.assert_allclose(slope, EXACT[name](np.abs(a)), rtol=1e-12)


@dataclass(frozen=True, repr=False)
class Drifting(Elman):
    """h' = tanh(W m + V x + b), m' = u: an elementwise parameter is all that one of the states depends on."""

    states, elementwise, state_is_gate = ("h", "m"), ("u",), False

    def step(self, xp, g, h, m, u):
        return g, u + 0 * m

    def partials(self, xp, g, h, m, h_new, m_new, u):
        return {("h", "g"): 1.0}, {}, {("m", "u"): 1.0}


def test_a_state_that_depends_on_an_elementwise_parameter_alone():
    gradlab.check_cell(Drifting(3, 5, "tanh"))


def test_the_derivative_of_a_state_that_is_a_gate_is_the_slope_itself():
    """It is not copied; a derivative of another number is multiplied in."""
    traj = random_problem("elman").unroll()
    lin = linearize(traj, 0, traj.steps)
    assert np.shares_memory(lin.gates[0][1], lin.slopes[0])
    twice = replace(traj, cell=Doubled(traj.cell.input_size, traj.cell.hidden_size, "tanh"))
    np.testing.assert_array_equal(linearize(twice, 0, traj.steps).gates[0][1], 2 * lin.gates[0][1])


@each_way
@pytest.mark.parametrize("name", CELLS)
def test_pre_activations_at_a_few_places(name, library, dtype, models):
    problem = random_problem(name, models).moved(LIBRARIES[library](), dtype)
    traj = problem.unroll()
    xp, rng = traj.xp, np.random.default_rng(0)
    for steps in (slice(None), slice(1, 4), slice(0, 5, 2)):
        for g in range(len(traj.cell.gates)):
            whole = traj.pre[steps, g]
            places = tuple(xp.asarray(rng.integers(0, n, 7)) for n in whole.shape)
            found = to_numpy(traj.pre_at(g, steps, places))
            np.testing.assert_allclose(found, to_numpy(whole[places]), rtol=0, atol=100 * np.finfo(dtype).eps)


def test_models_that_share_an_input():
    cell = make_cell("gru", input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell, cell.init(0, models=(4,)), np.random.default_rng(0).normal(size=(5, 1, 2, 2)))
    places = np.nonzero(np.ones(traj.pre[:, 0].shape))
    np.testing.assert_allclose(traj.pre_at(1, slice(None), places), traj.pre[:, 1].ravel(), atol=1e-12)


@pytest.mark.parametrize("few", [0.0, 1.0])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_gradients_do_not_depend_on_where_slopes_come_from(name, few, monkeypatch):
    problem = random_problem(name, sizes=(40, 3, 2, 5))
    expected = problem.bptt()
    monkeypatch.setattr(linearization, "FEW", few)
    monkeypatch.setattr(linearization, "SATURATED", {4: 0.9, 8: 0.9})
    found = problem.bptt()
    for key, value in expected.params.items():
        np.testing.assert_allclose(found.params[key], value, rtol=1e-9, atol=1e-12)
