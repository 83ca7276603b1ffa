"""Zoneout: units that keep their old state at random, in training, and in their share outside of it."""

import numpy as np
import pytest

import gradlab
from gradlab import to_numpy
from gradlab.cells import CELLS, make_cell
from gradlab.errors import InputError
from gradlab.layers import Recurrent
from gradlab.layers.base import Pass

from ..contract import LIBRARIES, assert_near, each_dtype, each_library, each_models, random_problem

SIZES = (6, 3, 2, 4)  # T, B, D, H
STEP = 1e-6


def in_training(seed=3):
    return Pass(np.random.default_rng(seed))


def naive(layer, params, x, hold):
    """h of every step by a plain loop: the cell alone, one step at a time, then what is held."""
    state, out = np.zeros((len(layer.cell.states), x.shape[1], layer.cell.hidden_size)), []
    for x_t, held in zip(x, hold, strict=True):
        new = gradlab.unroll(layer.cell, params, x_t[None], state).states[1]
        state = np.where(held == 1, state, np.where(held == 0, new, held * state + (1 - held) * new))
        out.append(state[0])
    return np.stack(out)


@pytest.mark.parametrize("name", CELLS)
def test_steps_and_expectation(name):
    problem = random_problem(name, sizes=SIZES)
    states = problem.cell.states
    layer = Recurrent(problem.cell, zoneout={states[0]: 0.4})
    y, tape = layer.forward(problem.params, problem.x, how=in_training())
    hold = tape.trajectory.hold
    assert set(np.unique(hold[:, 0])) == {0.0, 1.0} and not hold[:, 1:].any()
    assert_near(y, naive(layer, problem.params, problem.x, hold))
    y, tape = layer.forward(problem.params, problem.x)
    assert (tape.trajectory.hold[:, 0] == 0.4).all()
    assert_near(y, naive(layer, problem.params, problem.x, tape.trajectory.hold))


@each_models
@pytest.mark.parametrize("lengths", [None, np.array([6, 2, 4])], ids=["full", "lengths"])
@pytest.mark.parametrize("how", [in_training, Pass], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_differences(name, how, lengths, models):
    problem = random_problem(name, models, SIZES)
    layer = Recurrent(problem.cell, zoneout=0.3)
    dy = np.random.default_rng(1).normal(size=(6, *models, 3, 4))
    inside = np.ones((6, 3)) if lengths is None else np.arange(6)[:, None] < lengths
    dy = dy * inside.reshape(6, *(1,) * len(models), 3, 1)

    def value(params, x):
        return float((layer.forward(params, x, lengths, how())[0] * dy).sum())

    _, tape = layer.forward(problem.params, problem.x, lengths, how())
    dx, grads = layer.backward(problem.params, tape, dy)
    rng = np.random.default_rng(2)
    for key, array in {**problem.params, "x": problem.x}.items():
        direction = rng.normal(size=array.shape)
        sides = [
            value(problem.params, problem.x + h * direction)
            if key == "x"
            else value(problem.params | {key: array + h * direction}, problem.x)
            for h in (STEP, -STEP)
        ]
        found = float(((dx if key == "x" else grads[key]) * direction).sum())
        assert found == pytest.approx((sides[0] - sides[1]) / (2 * STEP), rel=1e-6, abs=1e-7), key


@each_models
@each_dtype
@each_library
@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "lru"])
def test_every_library_holds_the_same_units(name, library, dtype, models):
    xp, problem = LIBRARIES[library](), random_problem(name, models, SIZES)
    moved, layer, dy = problem.moved(xp, dtype), Recurrent(problem.cell, zoneout=0.5), problem.dL_dh
    expected, tape = layer.forward(problem.params, problem.x, how=in_training())
    slopes = layer.backward(problem.params, tape, dy)
    found, tape = layer.forward(moved.params, moved.x, how=in_training())
    dx, grads = layer.backward(moved.params, tape, moved.dL_dh)
    assert str(found.dtype) == dtype
    assert_near(to_numpy(found), expected, dtype)
    assert_near(to_numpy(dx), slopes[0], dtype, factor=4)
    for key, gradient in grads.items():
        assert_near(to_numpy(gradient), slopes[1][key], dtype, factor=4)


@pytest.mark.parametrize("name", ["elman", "lstm", "cornn"])
def test_the_jacobian_of_a_held_state_is_the_identity(name):
    problem = random_problem(name, sizes=SIZES)
    hold = np.ones((6, len(problem.cell.states), 3, 4))
    traj = gradlab.unroll(problem.cell, problem.params, problem.x, problem.initial, hold=hold)
    np.testing.assert_array_equal(traj.states, np.broadcast_to(problem.initial, traj.states.shape))
    dense = gradlab.jacobian(traj).dense()
    np.testing.assert_array_equal(dense, np.broadcast_to(np.eye(dense.shape[-1]), dense.shape))
    assert gradlab.jacobian(traj.of_samples([1])).dense().shape == (6, 1, *dense.shape[2:])


def test_a_seed_means_the_same_units_and_the_rate_is_their_share():
    cell = make_cell("lstm", input_size=2, hidden_size=50)
    layer, x = Recurrent(cell, zoneout={"c": 0.5, "h": 0.05}), np.zeros((40, 20, 2))
    params = layer.init(0)
    one, again, other = (layer.forward(params, x, how=in_training(s))[1].trajectory.hold for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    np.testing.assert_allclose(one.mean(axis=(0, 2, 3)), [0.05, 0.5], atol=0.01)


def test_without_a_rate_nothing_is_held():
    problem = random_problem("lstm", sizes=SIZES)
    layer = Recurrent(problem.cell, zoneout=0.0)
    plain, held = (
        net.forward(problem.params, problem.x, how=in_training()) for net in (Recurrent(problem.cell), layer)
    )
    np.testing.assert_array_equal(plain[0], held[0])
    assert held[1].trajectory.hold is None and layer == Recurrent(problem.cell)


@pytest.mark.parametrize(
    ("zoneout", "message"),
    [
        (1.0, r"zoneout: expected a probability in \[0, 1\), got 1"),
        (-0.1, r"zoneout: expected a probability in \[0, 1\), got -0.1"),
        ({"h": "0.1"}, r"zoneout: expected a probability in \[0, 1\), got '0.1'"),
        ({"s": 0.1}, "unknown state 's'. Valid: h, c"),
    ],
)
def test_rates_are_checked(zoneout, message):
    with pytest.raises(InputError, match=message) as error:
        Recurrent(make_cell("lstm", input_size=2, hidden_size=3), zoneout=zoneout)
    assert error.value.field == "zoneout"


@pytest.mark.parametrize(
    ("hold", "message"),
    [
        (np.zeros((6, 1, 3, 4)), r"hold: expected shape \(6, 2, 3, 4\), got \(6, 1, 3, 4\)"),
        (np.full((6, 2, 3, 4), 1.5), "hold: expected shares from 0 to 1, of the old state that stays"),
        (np.full((6, 2, 3, 4), np.nan), "hold: expected shares from 0 to 1"),
        (np.zeros((6, 2, 3, 4), int), "hold: expected float32 or float64"),
    ],
)
def test_what_is_held_is_checked(hold, message):
    problem = random_problem("lstm", sizes=SIZES)
    with pytest.raises(InputError, match=message) as error:
        problem.unroll(hold=hold)
    assert error.value.field == "hold"
