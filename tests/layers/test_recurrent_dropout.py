"""Recurrent dropout: candidates that are zero at random, in training alone."""

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
WITHIN = ("gru", "indrnn", "lru", "lem")  # whose step forms the candidate, or which have two
OTHERS = [name for name in CELLS if name not in WITHIN]


def in_training(seed=3):
    return Pass(np.random.default_rng(seed))


def test_an_lstm_by_its_formula():
    """c = f c + i d(g): of the source's three forms the one that it advises."""
    problem = random_problem("lstm", sizes=SIZES)
    y, tape = Recurrent(problem.cell, dropout=0.4).forward(problem.params, problem.x, how=in_training())
    factor = tape.trajectory.candidate_factor
    assert set(np.unique(factor)) == {0.0, 1 / 0.6}
    h = c = np.zeros((3, 4))
    for t, x in enumerate(problem.x):
        w, v, b = (problem.params[name] for name in ("W_hh", "W_xh", "b_h"))
        i, f, g, o = (x @ v[k].T + h @ w[k].T + b[k] for k in range(4))
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
        c = f * c + i * factor[t] * np.tanh(g)
        h = o * np.tanh(c)
        assert_near(y[t], h)


@each_models
@pytest.mark.parametrize("lengths", [None, np.array([6, 2, 4])], ids=["full", "lengths"])
@pytest.mark.parametrize("zoneout", [0.0, 0.3])
@pytest.mark.parametrize("name", OTHERS)
def test_gradients_are_those_of_differences(name, zoneout, lengths, models):
    problem = random_problem(name, models, SIZES)
    layer = Recurrent(problem.cell, dropout=0.4, zoneout=zoneout)
    inside = np.ones((6, 3)) if lengths is None else np.arange(6)[:, None] < lengths
    dy = problem.dL_dh * inside.reshape(6, *(1,) * len(models), 3, 1)

    def value(arrays):
        params = {key: array for key, array in arrays.items() if key != "x"}
        return float((layer.forward(params, arrays["x"], lengths, in_training())[0] * dy).sum())

    _, tape = layer.forward(problem.params, problem.x, lengths, in_training())
    dx, grads = layer.backward(problem.params, tape, dy)
    rng, arrays, found = np.random.default_rng(2), {**problem.params, "x": problem.x}, grads | {"x": dx}
    for key, array in arrays.items():
        direction = rng.normal(size=array.shape)
        above, below = (value(arrays | {key: array + h * direction}) for h in (STEP, -STEP))
        slope = float((found[key] * direction).sum())
        assert slope == pytest.approx((above - below) / (2 * STEP), rel=1e-6, abs=1e-7), key


@each_models
@each_dtype
@each_library
@pytest.mark.parametrize("name", ["elman", "lstm", "min_lstm"])
def test_every_library_drops_the_same_units(name, library, dtype, models):
    xp, problem = LIBRARIES[library](), random_problem(name, models, SIZES)
    moved, layer = problem.moved(xp, dtype), Recurrent(problem.cell, dropout=0.5)
    expected, tape = layer.forward(problem.params, problem.x, how=in_training())
    slopes = layer.backward(problem.params, tape, problem.dL_dh)
    found, tape = layer.forward(moved.params, moved.x, how=in_training())
    dx, grads = layer.backward(moved.params, tape, moved.dL_dh)
    assert_near(to_numpy(found), expected, dtype)
    assert_near(to_numpy(dx), slopes[0], dtype, factor=4)
    for key, gradient in grads.items():
        assert_near(to_numpy(gradient), slopes[1][key], dtype, factor=4)


def test_what_is_kept_is_never_lost():
    """With a forget gate of 1 and every candidate dropped the cell state stays."""
    cell = make_cell("lstm", input_size=2, hidden_size=3)
    params, start = cell.init(0, forget_bias=60.0), np.ones((2, 1, 3))
    traj = gradlab.unroll(cell, params, np.ones((50, 1, 2)), start, candidate_factor=np.zeros((50, 1, 3)))
    np.testing.assert_array_equal(traj.states[:, 1], 1.0)
    assert traj.of_samples([0]).candidate_factor.shape == (50, 1, 3)
    assert (traj.gates[:, 2] != 0).all()  # the gate is recorded as it was


def test_outside_training_and_without_a_rate_nothing_is_dropped():
    problem = random_problem("lstm", sizes=SIZES)
    plain = Recurrent(problem.cell).forward(problem.params, problem.x, how=in_training())[0]
    for layer, how in ((Recurrent(problem.cell, dropout=0.5), Pass()), (Recurrent(problem.cell), in_training())):
        y, tape = layer.forward(problem.params, problem.x, how=how)
        np.testing.assert_array_equal(y, plain)
        assert tape.trajectory.candidate_factor is None


@pytest.mark.parametrize("activation", ["tanh", "identity"])
@pytest.mark.parametrize("name", WITHIN)
def test_where_the_candidate_is_no_gates_value_it_is_refused(name, activation):
    cell = make_cell(name, input_size=2, hidden_size=3, activation=activation)
    message = f"the candidate of {cell.title} is no single gate's value that a factor could reach; use zoneout"
    with pytest.raises(InputError, match=f"dropout: {message}") as error:
        Recurrent(cell, dropout=0.2)
    assert error.value.field == "dropout"
    with pytest.raises(InputError, match=f"candidate_factor: {message}"):
        gradlab.unroll(cell, cell.init(0), np.zeros((4, 1, 2)), candidate_factor=np.ones((4, 1, 3)))


@pytest.mark.parametrize("rate", [1.0, -0.1, "0.1", float("nan")])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(InputError, match=r"dropout: expected a probability in \[0, 1\), got") as error:
        Recurrent(make_cell("lstm", input_size=2, hidden_size=3), dropout=rate)
    assert error.value.field == "dropout"


def test_a_factor_of_another_shape_is_refused():
    problem = random_problem("lstm", sizes=SIZES)
    with pytest.raises(InputError, match=r"candidate_factor: expected shape \(6, 3, 4\), got \(6, 3, 1\)"):
        problem.unroll(candidate_factor=np.ones((6, 3, 1)))
