"""The cells' equations, written out a second time, their Jacobians in closed form, and nets whose gradient is known."""

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.errors import InputError

from ..contract import assert_near, joint, random_problem, transposed

SIZES = (6, 2, 3, 5)  # T, B, D, H


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def affine(params, k_x, k_h, g, x, h):
    """V x + W h + b of gate g, whose input and recurrent weights stand at k_x and k_h (None: it has none)."""
    a = params["b_h"][g] + np.zeros_like(h)
    a = a if k_x is None else a + x @ params["W_xh"][k_x].T
    return a if k_h is None else a + h @ params["W_hh"][k_h].T


def elman(params, x, h):
    return (np.tanh(affine(params, 0, 0, 0, x, h)),)


def lstm(params, x, h, c):
    i, f, g, o = (affine(params, k, k, k, x, h) for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def peephole_lstm(params, x, h, c):
    i, f, g, o = (affine(params, k, k, k, x, h) for k in range(4))
    p_i, p_f, p_o = params["p"]
    new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    return sigmoid(o + p_o * new) * np.tanh(new), new


def gru(params, x, h):
    n, m = affine(params, 0, None, 0, x, h), affine(params, None, 2, 3, x, h)
    r, z = sigmoid(affine(params, 1, 0, 1, x, h)), sigmoid(affine(params, 2, 1, 2, x, h))
    return ((1 - z) * np.tanh(n + r * m) + z * h,)


def minimal_rnn(params, x, h):
    z, u = np.tanh(affine(params, 0, None, 0, x, h)), sigmoid(affine(params, 1, 0, 1, x, h))
    return (u * h + (1 - u) * z,)


def antisymmetric(params, x, h):
    w = params["W_hh"][0] - params["W_hh"][0].T - 0.01 * np.eye(h.shape[-1])
    return (h + 0.01 * np.tanh(x @ params["W_xh"][0].T + h @ w.T + params["b_h"][0]),)


def gru_v1(params, x, h):
    r, z = (sigmoid(affine(params, k, k, k, x, h)) for k in range(2))
    return ((1 - z) * np.tanh(affine(params, 2, 2, 2, x, r * h)) + z * h,)


def mgu(params, x, h):
    f = sigmoid(affine(params, 0, 0, 0, x, h))
    return ((1 - f) * h + f * np.tanh(affine(params, 1, 1, 1, x, f * h)),)


def lem(params, x, y, z):
    s, r = (sigmoid(affine(params, k, k, k, x, y)) for k in range(2))
    z = (1 - s) * z + s * np.tanh(affine(params, 2, 2, 2, x, y))
    return (1 - r) * y + r * np.tanh(affine(params, 3, 3, 3, x, z)), z


def indrnn(params, x, h):
    return (np.tanh(affine(params, 0, None, 0, x, h) + params["p"][0] * h),)


def cornn(params, x, y, z):
    w_y, w_z = np.split(params["W_hh"][0], 2, axis=-1)
    force = np.tanh(y @ w_y.T + z @ w_z.T + x @ params["W_xh"][0].T + params["b_h"][0])
    z = z + 0.06 * (force - 66.0 * y - 15.0 * z)
    return y + 0.06 * z, z


def min_gru(params, x, h):
    n, z = np.tanh(affine(params, 0, None, 0, x, h)), sigmoid(affine(params, 1, None, 1, x, h))
    return (z * h + (1 - z) * n,)


def min_lstm(params, x, h):
    i, f, g = (affine(params, k, None, k, x, h) for k in range(3))
    i, f = sigmoid(i), sigmoid(f)
    return (f / (f + i) * h + i / (f + i) * np.tanh(g),)


def janet(params, x, h):
    s, g = (affine(params, k, k, k, x, h) for k in range(2))
    return (sigmoid(s) * h + (1 - sigmoid(s - 1.0)) * np.tanh(g),)


def lru(params, x, h, k):
    nu, theta, log_gamma = params["p"]
    turn = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    b_x = np.tanh(affine(params, 0, None, 0, x, h)) + 1j * np.tanh(affine(params, 1, None, 1, x, h))
    s = turn * (h + 1j * k) + np.exp(log_gamma) * b_x
    return s.real, s.imag


FORMULAS = (elman, lstm, peephole_lstm, gru, minimal_rnn, antisymmetric)
FORMULAS += (indrnn, cornn, min_gru, min_lstm, janet, lru, gru_v1, mgu, lem)
EQUATIONS = {f.__name__: f for f in FORMULAS}


def test_every_cell_has_its_equations_here():
    assert set(EQUATIONS) == set(CELLS)


@pytest.mark.parametrize("name", EQUATIONS)
def test_states_follow_the_equations(name):
    problem = random_problem(name, sizes=SIZES)
    states = [tuple(problem.initial)]
    for x in problem.x:
        states.append(EQUATIONS[name](problem.params, x, *states[-1]))
    assert_near(problem.unroll().states, np.array(states))


@pytest.mark.parametrize(("leak", "lengths", "shared"), [(1.0, None, True), (0.5, None, False), (1.0, [4, 2], False)])
def test_one_array_holds_states_and_gates_where_they_are_the_same(leak, lengths, shared):
    cell = make_cell("elman", input_size=3, hidden_size=5, leak=leak)
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    traj = gradlab.unroll(cell, cell.init(0), x, lengths=None if lengths is None else np.array(lengths))
    assert np.shares_memory(traj.states, traj.gate_inputs) == shared


@pytest.mark.parametrize("leak", [0.25, 1.0])
def test_leaky_elman(leak):
    cell = make_cell("elman", input_size=3, hidden_size=5, leak=leak)
    problem = random_problem(cell, sizes=SIZES)
    traj = problem.unroll()
    h = problem.initial[0]
    for t, x in enumerate(problem.x):
        g = elman(problem.params, x, h)[0]
        h = (1 - leak) * h + leak * g
        assert_near(traj.states[t + 1, 0], h)
        expected = (1 - leak) * np.eye(5) + leak * (1 - g * g)[..., None] * problem.params["W_hh"][0]
        assert_near(gradlab.jacobian(traj).dense()[t], expected)


def test_gru_jacobian_in_closed_form():
    problem = random_problem("gru", sizes=SIZES)
    traj = problem.unroll()
    h, (n_in, r, z, m) = traj.states[:-1, 0], np.moveaxis(traj.gate_inputs, 1, 0)
    n = np.tanh(n_in + r * m)
    (u_r, u_z, u_m), d = problem.params["W_hh"], (1 - z) * (1 - n * n)
    terms = ((h - n) * z * (1 - z), u_z), (d * r, u_m), (d * m * r * (1 - r), u_r)
    assert_near(gradlab.jacobian(traj).dense(), z[..., None] * np.eye(5) + sum(a[..., None] * u for a, u in terms))


def test_peephole_jacobian_of_the_cell_state_in_closed_form():
    """The output gate sees the new c, so its peephole enters dh/dc twice."""
    problem = random_problem("peephole_lstm", sizes=SIZES)
    traj, (p_i, p_f, p_o) = problem.unroll(), problem.params["p"]
    c, new = traj.states[:-1, 1], traj.states[1:, 1]
    i, f, g, o = np.moveaxis(traj.gates, 1, 0)
    carry = f + c * f * (1 - f) * p_f + g * i * (1 - i) * p_i
    w = o * (1 - np.tanh(new) ** 2) + np.tanh(new) * o * (1 - o) * p_o
    dense = gradlab.jacobian(traj).dense()
    assert_near(dense[..., 5:, 5:], carry[..., None] * np.eye(5))
    assert_near(dense[..., :5, 5:], (w * carry)[..., None] * np.eye(5))


# nets whose gradient is known


def gradient_curve(name, steps=60, hidden=8, batch=4, activation="tanh", seed=0, **init):
    """ln ||dL/dstate_t|| (T+1, S, B) of a unit cotangent at the end, and the trajectory."""
    cell = make_cell(name, input_size=3, hidden_size=hidden, activation=activation)
    rng = np.random.default_rng([seed, 1])
    traj = gradlab.unroll(cell, cell.init(seed, **init), rng.normal(size=(steps, batch, 3)))
    u = np.zeros((steps, batch, hidden))
    u[-1] = rng.normal(size=(batch, hidden))
    u[-1] /= np.linalg.norm(u[-1], axis=-1, keepdims=True)
    return gradlab.bptt(traj, u).log_norms, traj


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.7])
def test_orthogonal_linear_net_scales_the_norm_by_its_gain(gain):
    logs, _ = gradient_curve("elman", activation="identity", recurrent_init="orthogonal", gain=gain)
    expected = np.log(gain) * np.arange(60, -1, -1)
    np.testing.assert_allclose(logs[:, 0], np.broadcast_to(expected[:, None], (61, 4)), atol=1e-12)


def test_lstm_without_recurrent_weights_loses_the_product_of_its_forget_gates():
    """With W_hh = 0 nothing but c reaches back: dL/dc_0 = dL/dc_T-part times prod f, exactly."""
    cell = make_cell("lstm", input_size=3, hidden_size=5)
    params = cell.init(0, forget_bias=1.0)
    params["W_hh"] = 0 * params["W_hh"]
    traj = gradlab.unroll(cell, params, np.random.default_rng(0).normal(size=(40, 2, 3)))
    final = np.zeros((2, 2, 5))
    final[1] = 1.0
    adjoints = gradlab.bptt(traj, np.zeros((40, 2, 5)), final).adjoints
    forget = traj.gates[:, 1]
    products = np.cumprod(forget[::-1], axis=0)[::-1]
    np.testing.assert_allclose(adjoints[:-1, 1], products, rtol=1e-13)
    assert not adjoints[:, 0].any()


def test_irnn_at_initialisation_passes_living_units_unchanged():
    """Identity weights and ReLU: the adjoint of a unit stays as it is until the unit is dead."""
    cell = make_cell("elman", input_size=3, hidden_size=16, activation="relu")
    params = cell.init(0, recurrent_init="identity")
    traj = gradlab.unroll(cell, params, np.random.default_rng(0).normal(size=(30, 4, 3)))
    u = np.zeros((30, 4, 16))
    u[-1] = 1.0
    adjoints = gradlab.bptt(traj, u).adjoints[:, 0]
    alive = np.cumprod((traj.states[1:, 0] > 0)[::-1], axis=0)[::-1]
    np.testing.assert_array_equal(adjoints[:-1], alive)
    assert 0 < alive[0].mean() < 1


def test_a_sigmoid_net_obeys_its_bound():
    """||J|| <= sigma_max(W) / 4."""
    logs, traj = gradient_curve("elman", activation="sigmoid", gain=1.5)
    bound = 0.25 * np.linalg.norm(traj.params["W_hh"][0], 2)
    assert (gradlab.jacobian(traj).spectral() <= bound).all()
    assert (np.diff(logs[:, 0], axis=0) >= -np.log(bound)).all()


def test_gru_whose_update_gate_is_open_keeps_state_and_gradient():
    """z = 1: h_t = h_{t-1} and J = I."""
    cell = make_cell("gru", input_size=3, hidden_size=5)
    params = cell.init(0, forget_bias=60.0)
    h0 = np.random.default_rng(1).normal(size=(1, 2, 5))
    traj = gradlab.unroll(cell, params, np.random.default_rng(0).normal(size=(20, 2, 3)), h0)
    np.testing.assert_allclose(traj.states, np.broadcast_to(h0, (21, 1, 2, 5)), rtol=1e-14)
    np.testing.assert_allclose(gradlab.jacobian(traj).dense(), np.broadcast_to(np.eye(5), (20, 2, 5, 5)), atol=1e-14)


def test_the_joint_state_carries_what_h_alone_does_not():
    """An LSTM whose gates do not see h: the one-step Jacobian of h alone is zero, the gradient is not."""
    cell = make_cell("lstm", input_size=3, hidden_size=5)
    params = cell.init(0, forget_bias=5.0, input_scale=0.1)
    params["W_hh"] = 0 * params["W_hh"]
    traj = gradlab.unroll(cell, params, np.random.default_rng(0).normal(size=(80, 2, 3)))
    assert not gradlab.jacobian(traj).dense()[..., :5, :5].any()
    u = np.zeros((80, 2, 5))
    u[-1] = 1.0
    logs = gradlab.bptt(traj, u).log_norms
    assert (logs[1, 1] - logs[79, 1] > np.log(0.4)).all()
    assert (logs[1:80, 0] == -np.inf).all()


def test_long_products_of_the_dense_jacobians_give_the_adjoint():
    problem = random_problem("lstm", sizes=(40, 2, 3, 5))
    traj = problem.unroll()
    dense, u = gradlab.jacobian(traj).dense(), np.zeros((40, 2, 5))
    u[-1] = 1.0
    adjoint = joint(np.concatenate([u[-1:], 0 * u[-1:]])[None], ())[0]
    for matrix in dense[::-1]:
        adjoint = (transposed(matrix) @ adjoint[..., None])[..., 0]
    assert_near(joint(gradlab.bptt(traj, u).adjoints, ())[0], adjoint)


# construction and bad input


@pytest.mark.parametrize("name", CELLS)
def test_repr_and_shapes(name):
    cell = make_cell(name, input_size=3, hidden_size=64)
    assert repr(cell) == f"{cell.title}(3 -> 64, tanh)"
    assert {n: p.shape for n, p in cell.init(0).items()} == {n: (k, *s) for n, (k, s) in cell.shapes.items()}
    assert {n: p.shape for n, p in cell.init(0, models=(2, 3)).items()} == {
        n: (k, 2, 3, *s) for n, (k, s) in cell.shapes.items()
    }


def test_repr_is_as_documented():
    assert repr(make_cell("lstm", input_size=3, hidden_size=64, activation="tanh")) == "LSTM(3 -> 64, tanh)"


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm"])
@pytest.mark.parametrize("activation", ["relu", "softsign"])
def test_gated_cells_take_an_activation_for_candidate_and_output(name, activation):
    phi = ACTIVATIONS[activation]
    problem = random_problem(make_cell(name, input_size=1, hidden_size=1, activation=activation))
    traj = problem.unroll()
    gates = dict(zip(traj.cell.gates, np.moveaxis(traj.gates, 1, 0), strict=True))
    if name == "gru":
        h = (1 - gates["z"]) * gates["n"] + gates["z"] * traj.states[:-1, 0]
        pre = traj.gate_inputs[:, 0] + gates["r"] * gates["m"]
        assert_near(gates["n"], phi.value(np, pre))
    else:
        h = gates["o"] * phi.value(np, traj.states[1:, 1])
    assert_near(traj.states[1:, 0], h)


def make(**wrong):
    return make_cell(**{"name": "elman", "input_size": 3, "hidden_size": 4, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"name": "lsmt"},
            "unknown cell 'lsmt'. Did you mean 'lstm'\\? Valid: antisymmetric, .*elman, gru, .*lstm, .*peephole_lstm",
        ),
        ({"activation": "tanhh"}, "unknown activation 'tanhh'. Did you mean 'tanh'\\?"),
        ({"activation": 3}, "unknown activation '3'"),
        ({"input_size": 0}, "input_size: expected a positive integer, got 0"),
        ({"hidden_size": 2.5}, "hidden_size: expected a positive integer, got 2.5"),
        ({"hidden_size": True}, "hidden_size: expected a positive integer, got True"),
        ({"name": "lstm", "leak": 0.5}, "lstm has no option leak. Its options: none"),
        ({"lek": 0.5}, "elman has no option lek. Its options: leak"),
        ({"leak": 0}, r"leak: expected a number in \(0, 1\], got 0"),
        ({"leak": 1.5}, r"leak: expected a number in \(0, 1\], got 1.5"),
    ],
)
def test_bad_cells(wrong, message):
    with pytest.raises(InputError, match=message):
        make(**wrong)


@pytest.mark.parametrize("leak", [float("nan"), "0.5", None])
def test_a_leak_that_is_no_number_is_refused(leak):
    with pytest.raises(InputError, match="leak: expected a number in"):
        make(leak=leak)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p | {"W_hh": p["W_hh"][:, :3]}, r"W_hh: expected shape \(1, 4, 4\), got \(1, 3, 4\)"),
        (lambda p: p | {"W_xh": p["W_xh"][0]}, r"W_xh: expected shape \(1, 4, 3\), got \(4, 3\)"),
        (lambda p: p | {"b_h": p["b_h"][0]}, r"b_h: expected shape \(1, 4\), got \(4,\)"),
        (lambda p: {n: p[n] for n in ("W_xh", "W_hh")}, "parameters of .*: expected W_xh, W_hh, b_h, got W_xh, W_hh"),
        (lambda p: p | {"bias": p["b_h"]}, "expected W_xh, W_hh, b_h, got W_xh, W_hh, b_h, bias"),
        (lambda p: p | {"b_h": np.zeros((1, 3, 4))}, r"b_h: expected shape \(1, 4\), got \(1, 3, 4\)"),
    ],
)
def test_bad_parameters(change, message):
    cell = make()
    with pytest.raises(InputError, match=message):
        gradlab.unroll(cell, change(cell.init(0)), np.zeros((5, 2, 3)))


@pytest.mark.parametrize("dtype", ["int64", "float16", "complex128", "object"])
def test_parameters_of_another_type(dtype):
    cell = make()
    params = {name: p.astype(dtype) for name, p in cell.init(0).items()}
    with pytest.raises(InputError, match=f"W_.h.*{dtype}"):
        gradlab.unroll(cell, params, np.zeros((5, 2, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": np.zeros((5, 2, 4))}, r"x: expected shape \(T, B, 3\), time first, .* got \(5, 2, 4\)"),
        ({"x": np.zeros(5)}, r"x: expected shape \(T, B, 3\)"),
        ({"x": np.zeros((0, 2, 3))}, r"x: expected shape .* got \(0, 2, 3\)"),
        ({"x": np.zeros((5, 6, 2, 3))}, r"x: expected shape .* got \(5, 6, 2, 3\)"),
        (
            {"initial_state": np.zeros((1, 5, 4))},
            r"initial_state: expected shape \(1, 2, 4\), got \(1, 5, 4\) \(batch first\? ",
        ),
        ({"initial_state": np.zeros((2, 2, 4))}, r"initial_state: expected shape \(1, 2, 4\), got \(2, 2, 4\)"),
        (
            {"lengths": np.array([1, 2, 3, 4, 5])},
            r"lengths: expected shape \(2,\), got \(5,\) \(batch first\? use np.swapaxes",
        ),
        ({"lengths": np.array([1, 6])}, "lengths: expected values from 0 to T=5, got 1 to 6"),
        ({"lengths": np.array([-1, 3])}, "lengths: expected values from 0 to T=5, got -1 to 3"),
        ({"lengths": np.array([1.5, 3.0])}, "lengths: expected whole numbers.*float64"),
        ({"x": np.zeros((5, 2, 3), complex)}, "x.*complex128"),
        ({"x": np.zeros((5, 2, 3), object)}, "x.*object"),
    ],
)
def test_bad_data(options, message):
    cell = make()
    with pytest.raises(InputError, match=message):
        gradlab.unroll(cell, cell.init(0), **{"x": np.zeros((5, 2, 3)), **options})
