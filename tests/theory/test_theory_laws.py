"""Exact laws and gated cells at rest against simulation, the engine's dense Jacobians and published numbers."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize

import gradlab
from gradlab import theory
from gradlab.cells import CELLS
from gradlab.errors import InputError

H = 12

# products of independent Gaussian matrices


def test_newman_published_and_for_large_sizes():
    assert theory.newman_exponents(20, 1.0)[0] == pytest.approx(-0.02542, abs=5e-6)
    x = np.arange(1, 3601) / 4000
    found = theory.newman_exponents(4000, 1.5)[:3600]
    np.testing.assert_allclose(found, math.log(1.5) + 0.5 * np.log1p(-x), atol=2e-3)


def test_newman_sums_to_the_mean_log_determinant_of_one_matrix():
    rng = np.random.default_rng(7)
    logs = np.linalg.slogdet(rng.normal(0, 0.7 / math.sqrt(6), (20_000, 6, 6)))[1]
    exact = theory.newman_exponents(6, 0.7).sum()
    error = math.sqrt((theory.newman_stderr(6, 1) ** 2).sum())
    assert logs.std() == pytest.approx(error, rel=0.03)
    assert abs(logs.mean() - exact) < 4 * error / math.sqrt(20_000)


def test_a_scalar_product_is_a_sum_of_logarithms():
    """E ln |z| = -(gamma + ln 2) / 2, var ln |z| = pi^2 / 8."""
    assert theory.newman_exponents(1, 1.0) == pytest.approx([-0.5 * (np.euler_gamma + math.log(2))])
    assert theory.gaussian_growth(1, 1.0, 3) == (
        pytest.approx(-1.5 * (np.euler_gamma + math.log(2))),
        pytest.approx(3 * math.pi**2 / 8),
    )


def test_growth_of_a_vector():
    assert theory.gaussian_growth(32, 1.0, 200) == (pytest.approx(-3.1575, abs=5e-5), pytest.approx(3.2247, abs=5e-5))
    assert theory.gaussian_growth(32, 2.0)[0] == pytest.approx(theory.newman_exponents(32, 2.0)[0])


# bounds


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
@pytest.mark.parametrize("factor", [0.9, 2.0])
def test_pascanus_bound_is_never_exceeded(activation, factor):
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=H, activation=activation)
    params = cell.init(5, models=(3,))
    gamma, largest = cell.activation.max_slope, np.linalg.norm(params["W_hh"][0], 2, axis=(-2, -1))
    params["W_hh"] *= factor / (gamma * largest[:, None, None])
    x = np.random.default_rng(3).normal(size=(20, 4, 2))
    product = np.eye(H)
    for k, jacobian in enumerate(gradlab.jacobian(gradlab.unroll(cell, params, x)).dense(), 1):
        product = jacobian @ product
        bound = theory.pascanu_bound(activation, params["W_hh"][0], k)
        np.testing.assert_allclose(bound, k * math.log(factor), rtol=1e-12)
        assert (np.log(np.linalg.norm(product, 2, axis=(-2, -1))) <= bound[:, None] + 1e-9).all()


def test_pascanus_bound_is_reached_by_a_linear_rotation():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))[0]
    assert theory.pascanu_bound("identity", 0.9 * q, 50) == pytest.approx(50 * math.log(0.9), rel=1e-12)
    assert theory.pascanu_bound("tanh", np.zeros((2, 2))) == -math.inf
    assert theory.pascanu_bound("tanh", np.zeros((2, 2)), 0) == 0


# chrono


def test_memory_of_a_chrono_initialisation():
    assert theory.chrono_memory(100) == pytest.approx(0.14965, abs=5e-6)
    assert theory.chrono_memory(100, 0) == pytest.approx(1)
    for t_max in (3, 50, 10_000):  # the integral of u / (1 + u)
        assert theory.chrono_memory(t_max, 1) == pytest.approx(1 - math.log(t_max / 2) / (t_max - 2), rel=1e-12)


def test_memory_of_drawn_chrono_biases():
    cell = gradlab.make_cell("lstm", input_size=1, hidden_size=1)
    params = cell.init(11, forget_bias="chrono", t_max=80, models=(20_000,))
    lags = np.array([1, 20, 80, 400])
    shares = (1 / (1 + np.exp(-params["b_h"][1])))[..., 0] ** lags[:, None]
    error = shares.std(axis=1) / math.sqrt(20_000)
    assert (np.abs(shares.mean(axis=1) - theory.chrono_memory(80, lags)) < 4 * error).all()


# gated cells at rest


def gated(name, models=(), seed=2, activation="tanh", **init):
    """A cell and parameters that rest at zero: gate biases at random, but none on the candidate."""
    cell = gradlab.make_cell(name, input_size=1, hidden_size=H, activation=activation)
    params = cell.init(seed, models=models, bias_scale=0.7, **init)
    params["b_h"][cell.gates.index(cell.candidate)] = 0
    if name == "gru":
        params["b_h"][3] = 0
    return cell, params


def dense_rate(cell, params, state=None):
    dense = gradlab.jacobian(gradlab.unroll(cell, params, np.zeros((1, 1, cell.input_size)), state)).dense()
    return np.log(np.abs(np.linalg.eigvals(dense)).max(axis=-1))[0, ..., 0]


@pytest.mark.parametrize("models", [(), (3,)])
@pytest.mark.parametrize("activation", ["tanh", "sin", "identity"])
@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "gru", "minimal_rnn"])
def test_the_rate_at_rest_is_that_of_the_dense_jacobian(name, activation, models):
    cell, params = gated(name, models, activation=activation)
    found = theory.zero_input_rate(cell, params)
    assert found.shape == models
    np.testing.assert_allclose(found, dense_rate(cell, params), rtol=1e-10, atol=1e-12)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "gru"])
def test_the_rate_at_rest_is_that_of_the_reduced_jacobian(name):
    """ln rho(diag(f) + diag(i s) U_g diag(o s)) and ln rho(diag(z) + diag((1 - z) s r) U_n), with slopes s = 1 at 0."""
    cell, params = gated(name)
    gate, w, eye = dict(zip(cell.gates, sigmoid(params["b_h"]), strict=True)), params["W_hh"][2], np.eye(H)
    if name == "gru":
        reduced = gate["z"] * eye + ((1 - gate["z"]) * gate["r"])[:, None] * w
    else:
        reduced = gate["f"] * eye + gate["i"][:, None] * w * gate["o"]
    expected = math.log(np.abs(np.linalg.eigvals(reduced)).max())
    assert theory.zero_input_rate(cell, params) == pytest.approx(expected, rel=1e-9)


def test_a_state_that_settles_slowly_is_waited_for():
    """One unit h = tanh(h + b) loses 2 % of its distance per step."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1)
    params = cell.init(0) | {"W_hh": np.ones((1, 1, 1)), "b_h": np.full((1, 1), 1e-3)}
    rest = optimize.brentq(lambda h: math.tanh(h + 1e-3) - h, 1e-3, 1, xtol=1e-15)
    assert theory.zero_input_rate(cell, params) == pytest.approx(math.log(1 - rest**2), rel=1e-8)


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_a_state_that_rests_on_a_kink_has_no_rate(name):
    cell = gradlab.make_cell(name, input_size=1, hidden_size=6, activation="relu")
    with pytest.raises(InputError, match=r"expected a Jacobian where the network rests; .* rests on a kink"):
        theory.zero_input_rate(cell, cell.init(0))


@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0])
def test_the_rate_of_default_biases_is_the_textbooks(bias):
    def radius(m):
        return math.log(np.abs(np.linalg.eigvals(m)).max())

    f, eye = 1 / (1 + math.exp(-bias)), np.eye(64)
    for name, gate, factor in (("lstm", 2, 0.25), ("gru", 2, 0.5 * (1 - f))):
        cell = gradlab.make_cell(name, input_size=1, hidden_size=64)
        params = cell.init(3, recurrent_init="uniform", forget_bias=bias)
        expected = radius(f * eye + factor * params["W_hh"][gate])
        assert theory.zero_input_rate(cell, params) == pytest.approx(expected, rel=1e-10)


def test_large_lstms_at_pytorchs_initialisation():
    """ln(sigma(b_f) + 1 / (4 sqrt 3)), published: -.4395, -.1331, +.0925; eigenvalues scatter by some 1 / sqrt(H)."""
    cell = gradlab.make_cell("lstm", input_size=1, hidden_size=200)
    for bias, expected in ((0.0, -0.4395), (1.0, -0.1331), (3.0, 0.0925)):
        params = cell.init(0, recurrent_init="uniform", forget_bias=bias)
        assert float(theory.zero_input_rate(cell, params)) == pytest.approx(expected, abs=0.03)


def test_a_gru_that_rests_through_its_inner_bias_has_a_path_through_the_reset_gate():
    cell, params = gated("gru")
    params["b_h"][3] = 0.8
    params["b_h"][0] = -0.8 / (1 + np.exp(-params["b_h"][1]))
    assert gradlab.unroll(cell, params, np.zeros((1, 1, 1))).states[1] == pytest.approx(0, abs=1e-16)
    assert theory.zero_input_rate(cell, params) == pytest.approx(float(dense_rate(cell, params)), rel=1e-9)
    without = params | {"W_hh": params["W_hh"] * np.array([0, 1, 1])[:, None, None]}
    assert abs(theory.zero_input_rate(cell, without) - theory.zero_input_rate(cell, params)) > 1e-3


@pytest.mark.parametrize("name", [name for name in CELLS if name != "antisymmetric"])  # it circles for too long
def test_with_biases_everywhere_the_state_is_let_come_to_rest(name):
    cell = gradlab.make_cell(name, input_size=1, hidden_size=H)
    params = cell.init(4, bias_scale=0.5, gain=0.6, models=(2,))
    state = gradlab.unroll(cell, params, np.zeros((5000, 1, 1))).states[-1]
    assert np.abs(state).max() > 0.01
    np.testing.assert_allclose(theory.zero_input_rate(cell, params), dense_rate(cell, params, state), rtol=1e-8)


@pytest.mark.parametrize(("activation", "doing"), [("tanh", r"still moved by .* per step"), ("relu", "overflowed")])
def test_a_state_that_never_rests_is_told(activation, doing):
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=50, activation=activation)
    with pytest.raises(
        InputError, match=rf"expected a network that comes to rest .* Elman.* {doing}.*gradlab.lyapunov"
    ):
        theory.zero_input_rate(cell, cell.init(0, gain=3.0, bias_scale=0.1))


def test_weights_that_are_not_finite_are_named():
    cell, params = gated("lstm")
    params["W_hh"][2, 1, 0] = np.inf
    with pytest.raises(InputError, match=r"W_hh holds inf at index \(2, 1, 0\)"):
        theory.zero_input_rate(cell, params)


# MinimalRNN


@pytest.mark.parametrize(
    ("w", "v", "mean_b", "log_chi"),
    [(1, 0.5, 0, -1.051), (1, 0.5, 2, -0.258), (1, 0.5, 4, -0.0405), (6, 0.5, 4, 0.255)],
)
def test_published_values_of_minimal_rnn(w, v, mean_b, log_chi):
    assert math.log(theory.minimal_rnn_chi(w, v, 1.0, mean_b)) == pytest.approx(log_chi, abs=5e-4)


@pytest.mark.parametrize(("gain", "bias"), [(1.0, 0.0), (0.8, 2.0), (0.5, 4.0)])
def test_minimal_rnn_measured(gain, bias):
    """The mean of 4 seeds; the band was set on seeds 0-3."""
    rates, predicted = [], []
    for seed in range(40, 44):
        cell = gradlab.make_cell("minimal_rnn", input_size=60, hidden_size=200)
        params = cell.init(seed, gain=gain, forget_bias=bias, input_scale=0.5)
        x = np.random.default_rng(seed).normal(size=(60, 2, 60))
        loss = np.zeros((60, 2, 200))
        loss[-1] = np.random.default_rng([seed, 1]).normal(size=(2, 200))
        logs = gradlab.bptt(gradlab.unroll(cell, params, x), loss).log_norms[:, 0].mean(axis=-1)
        rates.append(np.polyfit(np.arange(60, 14, -1), logs[15:], 1)[0])
        (found,) = theory.predictions(cell, params, x)
        predicted.append(found.log_rate)
    assert found.name == "minimal_rnn"
    assert np.mean(rates) == pytest.approx(np.mean(predicted), abs=0.01)


def test_the_variance_of_minimal_rnn_is_a_fixed_point():
    """Q = R E (1 - u)^2 / (1 - E u^2) solved by bisection over adaptive integrals; iterating approaches it slowly."""
    w, v, mean_b = 20.0, 0.5, 6.0

    def mean(f, state):
        root = math.sqrt(w * w * state + v * v)
        integrand = lambda a: f(sigmoid(mean_b + root * a)) * math.exp(-0.5 * a * a)  # noqa: E731
        return integrate.quad(integrand, -12, 12, points=[-mean_b / root], epsabs=1e-14, limit=400)[0] / math.sqrt(
            2 * math.pi
        )

    state = optimize.brentq(
        lambda q: mean(lambda u: (1 - u) ** 2, q) / mean(lambda u: 1 - u * u, q) - q, 1e-9, 1, xtol=1e-15
    )
    slope = mean(lambda u: (u * (1 - u)) ** 2, state)
    expected = mean(lambda u: u * u, state) + w * w * slope * (state + 1)
    assert theory.minimal_rnn_chi(w, v, 1.0, mean_b) == pytest.approx(expected, rel=1e-9)


def test_gates_that_hardly_open_pass_everything_on():
    assert theory.minimal_rnn_chi(1.0, 0.5, 1.0, 60.0) == pytest.approx(1, abs=1e-15)
    assert theory.minimal_rnn_chi(1.0, 0.0, 0.0) == pytest.approx(0.25)


# bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.newman_exponents(0, 1.0), "n: expected a whole number from 1 on, got 0"),
        (lambda: theory.newman_exponents(3, 0.0), "scale: expected a positive number, got 0.0"),
        (lambda: theory.newman_exponents(3, math.nan), "scale: expected a positive number, got nan"),
        (lambda: theory.newman_stderr(3, 0), "steps: expected a whole number from 1 on, got 0"),
        (lambda: theory.gaussian_growth(3, -1.0), "scale: expected a positive number, got -1.0"),
        (lambda: theory.pascanu_bound("step", np.eye(2)), "unknown activation 'step'"),
        (lambda: theory.pascanu_bound("tanh", np.eye(2), -1), "steps: expected a whole number from 0 on, got -1"),
        (lambda: theory.chrono_memory(2), "t_max: expected the longest lag expected, at least 3, got 2"),
        (lambda: theory.chrono_memory(10, [1, -1]), r"lag: expected numbers of steps from 0 on, got \[1, -1\]"),
        (lambda: theory.minimal_rnn_chi(-1.0, 0.5, 1.0), "sigma_w: expected a standard deviation .* got -1"),
        (lambda: theory.minimal_rnn_chi(1.0, math.inf, 1.0), "sigma_v: expected a standard deviation .* got inf"),
        (lambda: theory.minimal_rnn_chi(1.0, 0.5, math.nan), r"square: expected a number from 0 to 1e\+06, got nan"),
        (lambda: theory.minimal_rnn_chi(1e200, 0.5, 1.0), r"sigma_w: expected .* from 0 to 1000, got 1e\+200"),
        (lambda: theory.newman_exponents(2.5, 1.0), "n: expected a whole number from 1 on, got 2.5"),
        (lambda: theory.pascanu_bound("tanh", np.eye(2), 2.5), "steps: expected a whole number from 0 on, got 2.5"),
        (lambda: theory.pascanu_bound("tanh", np.eye(2), math.nan), "steps: expected a whole number .* got nan"),
        (lambda: theory.pascanu_bound("tanh", np.eye(2)[0]), r"w: expected shape \(\*M, H, H\), got \(2,\)"),
        (lambda: theory.pascanu_bound("tanh", np.ones((2, 3))), r"w: expected shape \(\*M, H, H\), got \(2, 3\)"),
        (lambda: theory.pascanu_bound("tanh", np.nan * np.eye(2)), r"w holds nan at index \(0, 0\)"),
        (lambda: theory.chrono_memory(math.nan), "t_max: expected the longest lag expected, at least 3, got nan"),
        (
            lambda: theory.minimal_rnn_chi(1.0, 0.5, 1.0, math.nan),
            "mean_b: expected a number from -100 to 100, got nan",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
