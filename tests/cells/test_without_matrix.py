"""Cells whose units pass the state to themselves alone: what is known of their Jacobians, and how they are drawn."""

import math

import numpy as np
import pytest

import gradlab
from gradlab import theory
from gradlab.cells import CELLS, make_cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.config import controls
from gradlab.errors import InputError

from ..contract import EPS, each_dtype, each_models, random_problem

DIAGONAL = ("indrnn", "lru", "min_gru", "min_lstm")
SIZES = (7, 3, 4, 6)  # T, B, D, H


def dense(traj):
    """The Jacobians (T, *M, B, S*H, S*H)."""
    return gradlab.jacobian(traj).dense()


def diagonals(values):
    """(T, *M, B, H) -> diagonal matrices."""
    return values[..., None] * np.eye(values.shape[-1])


def test_these_are_all_of_them():
    assert {name for name, cell in CELLS.items() if not cell.gates[cell.recurrent]} == set(DIAGONAL)
    assert all(random_problem(name).params["W_hh"].size == 0 for name in DIAGONAL)


@each_models
@pytest.mark.parametrize(("name", "gate"), [("min_gru", 1), ("min_lstm", 1)])
def test_the_jacobian_is_the_gate(name, gate, models):
    traj = random_problem(name, models, sizes=SIZES).unroll()
    np.testing.assert_array_equal(dense(traj), diagonals(traj.gates[:, gate]))


def test_the_gates_of_a_min_lstm_make_one_together():
    problem = random_problem("min_lstm", sizes=SIZES)
    traj = problem.unroll()
    i, f = (1 / (1 + np.exp(-traj.pre[:, g])) for g in range(2))
    np.testing.assert_allclose(traj.gates[:, 0], i / (i + f), rtol=1e-13)
    np.testing.assert_allclose(traj.gates[:, 1], f / (i + f), rtol=1e-13)


@each_dtype
def test_two_closed_gates_of_a_min_lstm_share_the_state(dtype):
    """Both sigmoids underflow; their ratio does not."""
    cell = make_cell("min_lstm", input_size=1, hidden_size=1)
    params = cell.init(0, input_scale=0.0, dtype=dtype)
    params["b_h"][:2, 0] = -2000.0, -2001.0
    traj = gradlab.unroll(cell, params, np.zeros((3, 1, 1), dtype))
    np.testing.assert_allclose(dense(traj), 1 / (1 + math.e), rtol=20 * EPS[dtype])
    assert all(np.isfinite(g).all() for g in gradlab.bptt(traj, np.ones((3, 1, 1), dtype)).params.values())


@each_models
@pytest.mark.parametrize("activation", ["tanh", "relu", "sin"])
def test_the_jacobian_of_an_indrnn_is_slope_times_weight(activation, models):
    problem = random_problem(make_cell("indrnn", input_size=1, hidden_size=1, activation=activation), models, SIZES)
    traj, u = problem.unroll(), problem.params["p"][0][..., None, :]
    a = traj.pre[:, 0] + u * traj.states[:-1, 0]
    np.testing.assert_allclose(dense(traj), diagonals(ACTIVATIONS[activation].slope(np, a) * u), rtol=1e-13, atol=1e-15)


def test_a_linear_indrnn_multiplies_a_units_gradient_by_its_weight():
    cell = make_cell("indrnn", input_size=2, hidden_size=5, activation="identity")
    params = cell.init(3, gain=1.1)
    steps, dL_dh = 400, np.zeros((400, 1, 5))
    dL_dh[-1] = 1.0
    grads = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((steps, 1, 2))), dL_dh)
    np.testing.assert_allclose(grads.adjoints[1, 0, 0], params["p"][0] ** (steps - 1), rtol=1e-11)


# LRU: rotations


def moduli(params):
    """|lambda| (*M, H), in double precision."""
    return np.exp(-np.exp(params["p"][0].astype(float)))


@each_dtype
@each_models
def test_every_singular_value_of_an_lru_is_a_modulus(dtype, models):
    problem = random_problem("lru", models, SIZES).moved(np, dtype)
    found = np.linalg.svd(dense(problem.unroll()).astype(float), compute_uv=False)
    expected = -np.sort(-np.repeat(moduli(problem.params), 2, axis=-1))[..., None, :]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=8 * EPS[dtype])


def test_the_blocks_of_an_lru_are_turned_by_their_phase():
    problem = random_problem("lru", sizes=SIZES)
    blocks = dense(problem.unroll())[0, 0].reshape(2, 6, 2, 6)
    units = blocks[:, range(6), :, range(6)]
    phase = np.exp(problem.params["p"][1])
    turn = np.array([[np.cos(phase), -np.sin(phase)], [np.sin(phase), np.cos(phase)]])
    np.testing.assert_allclose(units, np.moveaxis(moduli(problem.params) * turn, -1, 0), rtol=1e-13)


@each_dtype
@pytest.mark.parametrize("nu", [-9.0, 0.0, 3.0])
def test_the_gradient_of_an_lru_over_many_steps_is_a_power_at_any_magnitude(nu, dtype):
    """|lambda|^T is 0.95, 10^-174 and 10^-8068 after 400 steps; the norm of one unit's pair has no other factor."""
    cell, steps = make_cell("lru", input_size=1, hidden_size=1), 400
    params = cell.init(0, dtype=dtype)
    params["p"][0] = nu
    dL_dh = np.zeros((steps, 1, 1), dtype)
    dL_dh[-1] = 1
    x = np.random.default_rng(0).normal(size=(steps, 1, 1)).astype(dtype)
    logs = gradlab.bptt(gradlab.unroll(cell, params, x), dL_dh).log_norms
    joint = 0.5 * np.logaddexp(2 * logs[:, 0, 0], 2 * logs[:, 1, 0])
    expected = -math.exp(nu) * np.arange(steps - 1, -1, -1)
    np.testing.assert_allclose(joint[1:], expected, rtol=1e-12, atol=4 * steps * EPS[dtype])


@pytest.mark.parametrize(("r_min", "r_max", "max_phase"), [(0.0, 1.0, 2 * math.pi), (0.9, 0.999, 0.3), (0.4, 1.0, 3.0)])
def test_lambda_is_uniform_on_its_ring(r_min, r_max, max_phase):
    cell = make_cell("lru", input_size=2, hidden_size=4000, r_min=r_min, r_max=r_max, max_phase=max_phase)
    params = cell.init(0, models=(2,))
    nu, theta, log_gamma = params["p"]
    modulus, phase = np.exp(-np.exp(nu)), np.exp(theta)
    assert modulus.min() >= r_min and modulus.max() < r_max and phase.max() <= max_phase
    area = (modulus**2 - r_min**2) / (r_max**2 - r_min**2)
    for values in (area, phase / max_phase):
        assert np.abs(np.sort(values.ravel()) - (np.arange(8000) + 0.5) / 8000).max() < 0.02  # Kolmogorov, p = 0.003
    np.testing.assert_allclose(np.exp(2 * log_gamma), 1 - modulus**2, rtol=1e-6)
    assert np.isfinite(cell.init(0, dtype="float32")["p"]).all()


def test_white_noise_gives_every_unit_of_an_lru_the_same_scale():
    cell = make_cell("lru", input_size=3, hidden_size=50, activation="identity", r_max=0.95)
    x = np.random.default_rng(1).normal(size=(300, 200, 3))
    params = cell.init(0)
    params["W_xh"] /= np.linalg.norm(params["W_xh"], axis=-1, keepdims=True)
    squares = np.square(gradlab.unroll(cell, params, x).states[-1]).sum(axis=0).mean(axis=0)
    np.testing.assert_allclose(squares, 2, rtol=0.35)


# drawing


def test_u_is_uniform_up_to_the_gain():
    u = make_cell("indrnn", input_size=2, hidden_size=5000).init(0, gain=1.2)["p"]
    assert u.min() >= 0 and 1.19 < u.max() <= 1.2 and u.mean() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("name", DIAGONAL)
@pytest.mark.parametrize("option", [{"recurrent_init": "orthogonal"}, {"spectral_radius": 0.9}])
def test_without_recurrent_weights_no_scheme_is_taken(name, option):
    cell, (field, value) = make_cell(name, input_size=2, hidden_size=3), next(iter(option.items()))
    message = f"^{field}: {cell.title} has no matrix of recurrent weights; leave {field} out or choose another cell$"
    with pytest.raises(InputError, match=message) as error:
        cell.init(0, **{field: value})
    assert error.value.field == field


@pytest.mark.parametrize("name", ["lru", "min_gru", "min_lstm"])
def test_where_there_is_nothing_to_scale_a_gain_changes_nothing_and_is_not_offered(name):
    one, other = (make_cell(name, input_size=2, hidden_size=3).init(0, gain=gain) for gain in (1.0, 0.5))
    assert all(np.array_equal(one[key], other[key]) for key in one)
    config = gradlab.RunConfig(cell=name)
    applies = {field: control.applies_if(config) for field, control in controls().items()}
    assert not applies["gain"] and not applies["recurrent_init"]
    assert applies["forget_bias"] == (name != "lru")


@pytest.mark.parametrize("name", ["indrnn", "lru", "cornn"])
@pytest.mark.parametrize("bias", [1.0, "chrono"])
def test_without_a_forget_gate_no_forget_bias_is_taken(name, bias):
    with pytest.raises(InputError, match="forget_bias: .* has no forget gate; leave forget_bias out or choose a gated"):
        make_cell(name, input_size=2, hidden_size=3).init(0, forget_bias=bias, t_max=50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r_min": 1.0}, r"r_min: expected a radius in \[0, 1\), got 1"),
        ({"r_max": 1.5}, r"r_max: expected a radius in \(0, 1\], got 1.5"),
        ({"r_min": 0.9, "r_max": 0.5}, "r_min: expected less than r_max = 0.5, got 0.9"),
        ({"max_phase": 0.0}, r"max_phase: expected an angle in \(0, 2 pi\], got 0"),
        ({"max_phase": math.nan}, r"max_phase: expected an angle in \(0, 2 pi\], got nan"),
    ],
)
def test_the_ring_is_checked(options, message):
    with pytest.raises(InputError, match=message) as error:
        make_cell("lru", input_size=1, hidden_size=2, **options)
    assert error.value.field == message.partition(":")[0]


@pytest.mark.parametrize("name", ["min_gru", "min_lstm", "janet"])
@pytest.mark.slow
def test_chrono_biases_keep_over_all_lags(name):
    """At rest a gate keeps u / (1 + u), u ~ U(1, T - 1), of the state."""
    cell = make_cell(name, input_size=1, hidden_size=4000)
    params = cell.init(0, forget_bias="chrono", t_max=200)
    traj = gradlab.unroll(cell, params | {"W_hh": 0 * params["W_hh"]}, np.zeros((1, 1, 1)))
    keep = traj.gates[0, cell.gates.index(cell.forget_gate), 0]
    spans = keep / (1 - keep)
    assert spans.min() >= 1 and spans.max() <= 199 and spans.mean() == pytest.approx(100, abs=3)


@pytest.mark.parametrize("name", DIAGONAL)
def test_theory_knows_the_rate_at_rest(name):
    cell = make_cell(name, input_size=2, hidden_size=20)
    params = cell.init(1)
    expected = {"min_gru": math.log(0.5), "min_lstm": math.log(0.5)}
    largest = {"indrnn": lambda: math.log(params["p"].max()), "lru": lambda: math.log(moduli(params).max())}
    rate = expected[name] if name in expected else largest[name]()
    assert theory.zero_input_rate(cell, params) == pytest.approx(rate, rel=1e-11)
