"""AntisymmetricRNN: what is known of its eigenvalues, and of its gradient over hundreds of steps."""

import math

import numpy as np
import pytest

import gradlab
from dashboard import form
from gradlab import theory
from gradlab.cells import make_cell
from gradlab.errors import InputError

from ..commands import call, parsed
from ..contract import random_problem

H = 24


def imaginary_eigenvalues(m):
    """w of the eigenvalues i w of M - M^T."""
    values = np.linalg.eigvals(m - m.T)
    assert np.abs(values.real).max() < 1e-13
    return values.imag


@pytest.mark.parametrize(("epsilon", "gamma"), [(0.01, 0.01), (0.1, 0.0), (0.5, 0.8), (2.0, 0.3)])
def test_eigenvalues_where_the_slope_is_1(epsilon, gamma):
    options = {"input_size": 2, "hidden_size": H, "activation": "identity", "epsilon": epsilon, "gamma": gamma}
    cell = make_cell("antisymmetric", **options)
    params = cell.init(3)
    traj = gradlab.unroll(cell, params, np.random.default_rng(0).normal(size=(2, 1, 2)))
    w = imaginary_eigenvalues(params["W_hh"][0])
    squares = np.abs(np.linalg.eigvals(gradlab.jacobian(traj).dense()[0, 0])) ** 2
    np.testing.assert_allclose(np.sort(squares), np.sort((1 - epsilon * gamma) ** 2 + (epsilon * w) ** 2), rtol=1e-12)


def test_the_rate_at_rest_is_that_of_the_fastest_circle():
    cell = make_cell("antisymmetric", input_size=1, hidden_size=H, epsilon=0.2, gamma=0.1)
    params = cell.init(1)
    w = np.abs(imaginary_eigenvalues(params["W_hh"][0])).max()
    expected = 0.5 * math.log((1 - 0.02) ** 2 + (0.2 * w) ** 2)
    assert theory.zero_input_rate(cell, params) == pytest.approx(expected, rel=1e-11)
    (found,) = theory.predictions(cell, params, np.zeros((5, 1, 1)))
    assert (found.name, float(found.log_rate)) == ("zero_input", pytest.approx(expected, rel=1e-11))


def gradient_after(steps, **options):
    """Norm of a unit cotangent of the last step at the first."""
    cell = make_cell("antisymmetric", input_size=3, hidden_size=100, **options)
    x = np.random.default_rng(1).normal(size=(steps, 4, 3))
    dL_dh = np.zeros((steps, 4, 100))
    dL_dh[-1] = np.random.default_rng(2).normal(size=(4, 100))
    dL_dh[-1] /= np.linalg.norm(dL_dh[-1], axis=-1, keepdims=True)
    logs = gradlab.bptt(gradlab.unroll(cell, cell.init(0), x), dL_dh).log_norms[1, 0]
    return np.exp(logs)


def test_small_steps_carry_the_gradient_over_hundreds_of_steps():
    np.testing.assert_allclose(gradient_after(300), 1, atol=0.05)
    assert (gradient_after(300, epsilon=0.1) > 2).all()  # Euler's method needs more diffusion for larger steps


def test_enough_diffusion_makes_the_step_stable():
    """At gamma = epsilon w_max^2 / 2 the largest eigenvalue exceeds 1 by the square of epsilon gamma / 2 or so."""
    cell = make_cell("antisymmetric", input_size=1, hidden_size=H, epsilon=0.05)
    params = cell.init(2)
    gamma = 0.05 * np.abs(imaginary_eigenvalues(params["W_hh"][0])).max() ** 2 / 2
    damped = make_cell("antisymmetric", input_size=1, hidden_size=H, epsilon=0.05, gamma=gamma)
    free, held = (theory.zero_input_rate(one, params) for one in (cell, damped))
    assert free > 0.005
    assert held == pytest.approx((0.05 * gamma) ** 2 / 2, rel=0.05)


def test_its_gradient_is_antisymmetric():
    """Only the antisymmetric part of M matters."""
    gradient = random_problem("antisymmetric", (3,)).bptt().params["W_hh"]
    np.testing.assert_array_equal(gradient, -np.swapaxes(gradient, -1, -2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, "epsilon: expected a positive step size, got 0"),
        ({"epsilon": math.inf}, "epsilon: expected a positive step size, got inf"),
        ({"epsilon": "small"}, "epsilon: expected a positive step size, got 'small'"),
        ({"gamma": -0.1}, "gamma: expected a diffusion from 0 on, got -0.1"),
        ({"gamma": math.nan}, "gamma: expected a diffusion from 0 on, got nan"),
    ],
)
def test_step_size_and_diffusion_are_checked(options, message):
    with pytest.raises(InputError, match=message) as error:
        make_cell("antisymmetric", input_size=1, hidden_size=2, **options)
    assert error.value.field == next(iter(options))


def test_it_can_be_chosen_on_the_command_line_and_in_the_app():
    config = gradlab.RunConfig(cell="antisymmetric", steps=30, hidden_size=8, batch_size=4)
    said = parsed(
        call("analyze", "--cell", "antisymmetric", "--steps", 30, "--hidden-size", 8, "--batch-size", 4, "--json")
    )
    assert (said["config"]["cell"], said["verdict"]["word"]) == ("antisymmetric", "carried")
    assert form.read(form.raw(config)).config == config


def test_it_learns_with_and_without_a_regulariser():
    for omega in (0.0, 0.1):
        fields = {"task": "adding", "steps": 10, "hidden_size": 12, "iterations": 40, "seed": 1, "omega": omega}
        run = gradlab.train(cell="antisymmetric", optimizer="adam", learning_rate=0.03, **fields)
        losses = run.history.rows["loss"]
        assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
