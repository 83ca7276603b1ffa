"""Gradients of trees at any magnitude: exact, and in single precision as in double."""

from fractions import Fraction

import numpy as np
import pytest

from gradlab import to_numpy as host
from gradlab.cells import make_cell
from gradlab.gpu_check.nets import D, H
from gradlab.layers import Tree, Trees

from ..contract import LIBRARIES, each_dtype, each_library
from ..engine.test_numbers import log
from ..networks import Network
from .test_layers_scaled import FACTORS, assert_close, model_axis, scaled_gradients, wide
from .test_tree_layers import each_layer, layer_of
from .test_trees import forest, random_parents


@each_library
def test_a_long_chain_keeps_exact_logarithms(library):
    """3,000 nodes in single precision, each with a quarter of its parent's gradient."""
    xp, n = LIBRARIES[library](), 3000
    layer = Tree(make_cell("elman", input_size=1, hidden_size=1, activation="identity"))
    params = {"W_xh": [[[0.0]]], "W_hh": [[[0.25]]], "b_h": [[1.0]]}
    params = {key: xp.asarray(np.array(value, np.float32)) for key, value in params.items()}
    chain = Trees.of([[*range(1, n), -1]])
    y, tape = layer.forward(params, xp.asarray(np.zeros((n, 1, 1), np.float32)), chain)
    dy = np.zeros((n, 1, 1), np.float32)
    dy[-1] = 1
    _, grads = layer.backward_scaled(params, tape, xp.asarray(dy))
    logs = host(tape.adjoints.log_norm(-1))[0, :, 0]
    np.testing.assert_allclose(logs, np.arange(n)[::-1] * np.log(0.25), rtol=1e-12)
    assert host(grads["b_h"].plain()).item() == pytest.approx(4 / 3, rel=1e-6)


@each_dtype
@pytest.mark.parametrize("w", [64.0, -(2.0**-6), 1.0])
def test_gradients_are_exact_at_any_magnitude(w, dtype):
    """A comb: node t has the chain below it and a leaf of its own; h = w (sum of children) + x, by rational numbers."""
    teeth = 150
    parents = [*range(1, teeth), -1] + list(range(1, teeth)) + [0]  # the chain, then a leaf for each of its nodes
    layer = Tree(make_cell("elman", input_size=1, hidden_size=1, activation="identity"))
    values = {"W_xh": 2.0**-3, "W_hh": w, "b_h": 0.0}
    params = {key: np.full_like(p, values[key]) for key, p in layer.init(0, dtype=dtype).items()}
    trees = Trees.of([parents])
    _, tape = layer.forward(params, np.zeros((len(parents), 1, 1), dtype), trees)
    u = np.random.default_rng(0).integers(1, 9, len(parents))
    dx, grads = layer.backward_scaled(params, tape, trees.arrange([u.astype(dtype)])[..., None])
    adjoints = {}
    for node in [*range(teeth)[::-1], *range(teeth, len(parents))]:
        above = adjoints.get(parents[node], Fraction(0))
        adjoints[node] = Fraction(int(u[node])) + Fraction(w) * above
    for node, at in zip(trees.order[:, 0], range(len(parents)), strict=True):
        exact = log(abs(adjoints[node] / 8))
        assert dx.log_norm(-1)[at, 0] == pytest.approx(exact, rel=1e-6, abs=1e-6)
    assert grads["b_h"].log_norm(-1).item() == pytest.approx(log(abs(sum(adjoints.values()))), rel=1e-6)
    assert not grads["W_hh"].mantissas.any() and not grads["W_xh"].mantissas.any()


@pytest.mark.parametrize("factor", FACTORS, ids=str)
@each_layer
def test_weights_inputs_and_losses_of_any_size(name, factor):
    """Of W_xh, x and dL/dy; of two models one is moderate and must not hide what the other loses."""
    given, rng, layer = [*forest(4, most=12), [1, -1]], np.random.default_rng(8), layer_of(name)
    trees = Trees.of(given)
    sizes = [np.array([f, 1.0])[:, None, None] for f in factor]
    params = {n: p + rng.normal(size=p.shape) * (n == "b_h") for n, p in layer.init(rng, models=(2,)).items()}
    params["W_xh"] = params["W_xh"] * sizes[0]
    x = sizes[1] * rng.normal(size=(trees.steps, 2, trees.samples, D))
    net = Network(layer, params, x, trees, dy=sizes[2] * rng.normal(size=(*x.shape[:-1], H))).moved(np, "float32")
    expected = net.moved(np, "float64").gradients()
    for key, found in scaled_gradients(net).items():
        assert_close(wide(found), expected[key], [model_axis(key) if key in params else 1])


DEEP = {  # layer, factor of W_hh, of x, of dL/dy, and what is added to b_f
    "explodes": ("elman", "child-sum", 1e3, 1e-35, 1e30, 0.0),
    "vanishes": ("elman", "child-sum", 1e-6, 1e30, 1e-30, 0.0),
    "explodes in order": ("elman", "ordered", 1e3, 1e-35, 1e30, 0.0),
    "vanishes in order": ("elman", "ordered", 1e-6, 1e30, 1e-30, 0.0),
    "forgets": ("lstm", "child-sum", 1e-6, 1.0, 1e-30, -14.0),
    "loses all": ("lstm", "child-sum", 1.0, 1.0, 1e-37, -14.0),
}


@each_library
@pytest.mark.parametrize("name", DEEP)
def test_single_precision_finds_what_double_precision_does(name, library):
    """Of trees so high that the gradient of their roots leaves single precision; a second model is moderate."""
    kind, form, weight, signal, loss, forget = DEEP[name]
    activation, rng = {"elman": "identity", "lstm": "tanh"}[kind], np.random.default_rng(2)
    layer = Tree(
        make_cell(kind, input_size=D, hidden_size=H, activation=activation), form, 9 if form == "ordered" else None
    )
    trees = Trees.of([random_parents(rng, 14, 2) for _ in range(4)])
    assert trees.heights.max() > 8
    params = layer.init(rng, models=(2,))
    params["W_hh"] = params["W_hh"] * np.array([weight, 1.0])[:, None, None]
    if kind == "lstm":
        params["b_h"][1] += np.array([forget, 0.0])[:, None]
    factors = [np.array([f, 1.0])[:, None, None] for f in (signal, loss)]
    x, dy = (f * rng.normal(size=(trees.steps, 2, 4, n)) for f, n in zip(factors, (D, H), strict=True))
    dy = dy * (trees.depths == 0)[:, None, :, None]
    net = Network(layer, params, x, trees, dy=dy).moved(np, "float32")
    expected = net.moved(np, "float64").gradients()
    for key, found in scaled_gradients(net.moved(LIBRARIES[library](), "float32")).items():
        truth = expected[key]
        assert_close(wide(found), truth, [model_axis(key)] if key in params else range(truth.ndim - 1))
    plain = net.gradients()["x"][:, 0][trees.own]
    assert not (np.isfinite(plain) & (np.abs(plain) > np.finfo("float32").tiny)).all()  # which could not tell
