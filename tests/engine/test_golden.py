"""PyTorch's own numbers, to 1e-10 or better: states, adjoints, gradients, Jacobians, a padded batch, clipped updates.

The conversion from PyTorch's layout is written out here a second time; the one of the package has tests of its own.
"""

from pathlib import Path

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.learning.clipping import clip_update

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {"rnn_tanh": ("elman", "tanh"), "rnn_relu": ("elman", "relu"), "lstm": ("lstm", "tanh"), "gru": ("gru", "tanh")}
CASES = ("batch", "one_step", "one_sample", "scalar", "long")
each_layer = pytest.mark.parametrize("kind", KINDS)
each_case = pytest.mark.parametrize("case", CASES)


def load(file, case=""):
    with np.load(GOLDEN / f"{file}.npz") as arrays:
        return {key.removeprefix(f"{case}/"): value for key, value in arrays.items() if key.startswith(case)}


def blocks(matrix, gates):
    """(G*H, ...) -> (G, H, ...)."""
    return matrix.reshape(gates, -1, *matrix.shape[1:])


def from_torch(kind, golden):
    """(cell, params) of PyTorch's weights: gates i, f, g, o as they are; GRU's r, z, n become n, r, z and r, z, m."""
    name, activation = KINDS[kind]
    hidden, size = golden["weight_hh_l0"].shape[1], golden["weight_ih_l0"].shape[1]
    count = golden["weight_hh_l0"].shape[0] // hidden
    w, u, b, c = (blocks(golden[n], count) for n in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
    if name == "gru":
        params = {"W_xh": w[[2, 0, 1]], "W_hh": u, "b_h": np.stack([b[2], b[0] + c[0], b[1] + c[1], c[2]])}
    else:
        params = {"W_xh": w, "W_hh": u, "b_h": b + c}
    return make_cell(name, input_size=size, hidden_size=hidden, activation=activation), params


def to_torch(kind, grads):
    """Gradients in PyTorch's layout."""
    w, u, b = grads["W_xh"], grads["W_hh"], grads["b_h"]
    b_ih, b_hh = (b, b) if kind != "gru" else (b[[1, 2, 0]], b[[1, 2, 3]])
    w = w[[1, 2, 0]] if kind == "gru" else w
    named = {"weight_ih_l0": w, "weight_hh_l0": u, "bias_ih_l0": b_ih, "bias_hh_l0": b_hh}
    return {name: g.reshape(-1, *g.shape[2:]) for name, g in named.items()}


def assert_equal(found, expected, atol=1e-11):
    """Far below 1e-10, relative to the largest entry or to 1."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol * max(1.0, np.abs(expected).max(initial=0.0)))


def run(kind, case):
    golden = load(kind, case)
    cell, params = from_torch(kind, golden)
    traj = gradlab.unroll(cell, params, golden["x"], golden["states"][0])
    return golden, traj, gradlab.bptt(traj, golden["dL_dh"])


@each_case
@each_layer
def test_states(kind, case):
    golden, traj, _ = run(kind, case)
    assert_equal(traj.states, golden["states"], 1e-13)


@each_case
@each_layer
def test_adjoints(kind, case):
    golden, _, grads = run(kind, case)
    assert_equal(grads.adjoints, golden["adjoints"])
    assert_equal(np.exp(grads.log_norms), np.linalg.norm(golden["adjoints"], axis=-1))


@each_case
@each_layer
def test_gradients(kind, case):
    golden, _, grads = run(kind, case)
    assert_equal(grads.inputs, golden["grad/x"])
    for name, gradient in to_torch(kind, grads.params).items():
        assert_equal(gradient, golden[f"grad/{name}"])


@each_case
@each_layer
def test_jacobians(kind, case):
    golden, traj, _ = run(kind, case)
    jacobian = gradlab.jacobian(traj)
    assert_equal(jacobian.dense(), golden["jacobian"])
    assert_equal(jacobian.frobenius(), np.linalg.norm(golden["jacobian"], axis=(-2, -1)))
    assert_equal(jacobian.spectral(1e-10), np.linalg.svd(golden["jacobian"], compute_uv=False)[..., 0], 1e-9)


@each_case
def test_the_gradient_that_pytorch_retains_at_c(case):
    """`c.retain_grad()` holds lambda_c + o (1 - tanh^2 c) lambda_h, for c_0 lambda_c alone."""
    golden, traj, grads = run("lstm", case)
    (h, c), o = np.moveaxis(grads.adjoints, 1, 0), traj.gates[:, 3]
    retained = c.copy()
    retained[1:] += o * (1 - np.tanh(traj.states[1:, 1]) ** 2) * h[1:]
    assert_equal(retained, golden["retained_c_grad"])


def padded():
    golden = load("lstm_padded")
    cell, params = from_torch("lstm", golden)
    lengths = golden["lengths"]
    traj = gradlab.unroll(cell, params, golden["x"], golden["states"][0], lengths=lengths)
    return golden, traj, gradlab.bptt(traj, golden["dL_dh"], golden["dL_dfinal"])


def test_a_padded_batch():
    golden, traj, grads = padded()
    inside = np.arange(len(golden["x"]) + 1)[:, None] <= golden["lengths"]
    for found, expected in ((traj.states, golden["states"]), (grads.adjoints, golden["adjoints"])):
        valid = np.broadcast_to(inside[:, None], expected.shape[:-1])
        assert_equal(found[valid], expected[valid])
    assert_equal(traj.states[-1], golden["final"])
    assert_equal(grads.inputs, golden["grad/x"])
    for name, gradient in to_torch("lstm", grads.params).items():
        assert_equal(gradient, golden[f"grad/{name}"])
    assert (np.isnan(grads.log_norms[:, 0]) == ~inside).all()


def test_single_precision_agrees_too():
    golden = load("lstm", "batch")
    cell, params = from_torch("lstm", golden)
    single = {name: p.astype(np.float32) for name, p in params.items()}
    x, initial, dL_dh = (golden[name].astype(np.float32) for name in ("x", "states", "dL_dh"))
    grads = gradlab.bptt(gradlab.unroll(cell, single, x, initial[0]), dL_dh)
    assert grads.adjoints.dtype == np.float32
    assert_equal(grads.adjoints, golden["adjoints"], 1e-5)
    assert_equal(grads.inputs, golden["grad/x"], 1e-5)


@pytest.mark.parametrize("case", ["norm", "norm_inactive", "value"])
def test_clipped_updates(case):
    golden = load("clipping")
    grads = {str(i): golden[f"input/{i}"] for i in range(3)}
    limit = float(golden[f"{case}/{'clip_value' if case == 'value' else 'max_norm'}"])
    clipped = clip_update(grads, case.removesuffix("_inactive"), limit)
    for name in grads:
        # PyTorch divides by its norm + 1e-6
        np.testing.assert_allclose(clipped.grads[name], golden[f"{case}/output/{name}"], rtol=1e-6)
    if case != "value":
        assert clipped.norm_before == pytest.approx(float(golden[f"{case}/total_norm"]), rel=1e-12)


@each_case
def test_a_recurrence_made_from_other_parameters(case):
    """AntisymmetricRNN, whose M - M^T - gamma I autograd differentiates by itself."""
    golden = load("antisymmetric", case)
    steps = {name: float(golden[name]) for name in ("epsilon", "gamma")}
    hidden, size = golden["V"].shape
    cell = make_cell("antisymmetric", input_size=size, hidden_size=hidden, **steps)
    params = {"W_xh": golden["V"][None], "W_hh": golden["M"][None], "b_h": golden["b"][None]}
    traj = gradlab.unroll(cell, params, golden["x"], golden["states"][:1])
    grads = gradlab.bptt(traj, golden["dL_dh"])
    assert_equal(traj.states[:, 0], golden["states"], 1e-13)
    assert_equal(grads.inputs, golden["grad/x"])
    assert_equal(grads.adjoints[0, 0], golden["grad/h_0"])
    for name, theirs in {"W_xh": "V", "W_hh": "M", "b_h": "b"}.items():
        assert_equal(grads.params[name][0], golden[f"grad/{theirs}"])
