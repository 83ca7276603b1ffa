"""Layers over trees: against formulas node by node, chains, trees alone, other orders, any magnitude, messages."""

from dataclasses import replace

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.gpu_check.nets import D, H
from gradlab.layers import (
    Attention,
    Bidirectional,
    Dense,
    Embedding,
    EncoderDecoder,
    Last,
    Recurrent,
    Residual,
    SelfAttention,
    Sequential,
    Tree,
    Trees,
)

from ..contract import LIBRARIES, each_dtype, each_library, each_models
from ..networks import Network
from .test_trees import depth, forest

STEP = 1e-30
LAYERS = {
    "elman": ("elman", {}, {}),
    "leaky softplus": ("elman", {"leak": 0.3, "activation": "softplus"}, {}),
    "lstm": ("lstm", {}, {}),
    "ordered": ("elman", {}, {"form": "ordered", "positions": 40}),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def layer_of(name, **sizes):
    """A layer of that name, by default with few positions; D inputs, H units."""
    cell, options, form = LAYERS[name]
    return Tree(make_cell(cell, input_size=D, hidden_size=H, **options), **form | sizes)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_hand(layer, params, parents, x):
    """h and c of each node of one tree by the formulas of the papers, one after the other; any dtype, x (nodes, D)."""
    cell, (h, c) = layer.layer.cell, ({}, {})
    v, w, b = params["W_xh"], params["W_hh"], params["b_h"]
    for j in sorted(range(len(parents)), key=lambda node: -depth(parents, node)):
        children = [k for k, parent in enumerate(parents) if parent == j]
        if cell.name == "lstm":
            h_sum = sum((h[k] for k in children), np.zeros(H))
            i, g, o = (f(v[n] @ x[j] + w[n] @ h_sum + b[n]) for n, f in ((0, sigmoid), (2, np.tanh), (3, sigmoid)))
            forget = {k: sigmoid(v[1] @ x[j] + w[1] @ h[k] + b[1]) for k in children}
            c[j] = i * g + sum(forget[k] * c[k] for k in children)
            h[j] = o * np.tanh(c[j])
        else:
            matrices = w if layer.form == "ordered" else [w[0]] * len(children)
            a = v[0] @ x[j] + b[0] + sum(m @ h[k] for m, k in zip(matrices, children, strict=False))
            phi = np.tanh if cell.activation.name == "tanh" else lambda a: np.log(1 + np.exp(a))
            h[j] = (1 - cell.leak) * sum((h[k] for k in children), np.zeros(H)) + cell.leak * phi(a)
    return np.array([h[j] for j in range(len(parents))])


def random_batch(name, given, seed=0, scale=0.6):
    """The layer over those trees with a loss of every node; features and dL/dh of each tree as they were given."""
    layer, rng = layer_of(name), np.random.default_rng(seed)
    params = {key: scale * rng.normal(size=p.shape) for key, p in layer.init(0).items()}
    features = [rng.normal(size=(len(own), D)) for own in given]
    trees = Trees.of(given)
    weights = [rng.normal(size=(len(own), H)) for own in given]
    return Network(layer, params, trees.arrange(features), trees, dy=trees.arrange(weights)), features, weights


# by hand


@each_layer
@pytest.mark.parametrize(("seed", "most"), [(0, 30), (1, 30), (2, 30), (3, 30), (4, 500)])
def test_every_node_is_what_the_formulas_say(name, seed, most):
    """Values, and the gradient of everything along a random direction, by complex steps through the formulas."""
    given = forest(seed, most=most)
    net, features, weights = random_batch(name, given, seed)
    y, trees, rng = net.forward()[0], net.lengths, np.random.default_rng(seed + 50)
    grads, along = net.gradients(), 0.0
    moves = {key: rng.normal(size=p.shape) for key, p in net.params.items()}
    params = {key: p + 1j * STEP * moves[key] for key, p in net.params.items()}
    steps = [rng.normal(size=x.shape) for x in features]
    for b, (parents, x, step, u) in enumerate(zip(given, features, steps, weights, strict=True)):
        expected = by_hand(net.layer, params, parents, x + 1j * STEP * step)
        np.testing.assert_allclose(y[: len(x), b], expected.real[trees.order[: len(x), b]], rtol=0, atol=1e-13)
        along += (u * expected.imag).sum() / STEP
    found = sum((grads[key] * moves[key]).sum() for key in moves) + (grads["x"] * trees.arrange(steps)).sum()
    assert found == pytest.approx(along, rel=1e-11)
    assert not y[~trees.own].any() and not grads["x"][~trees.own].any()


def test_a_tree_lstm_of_three_nodes():
    """One unit, one input, two leaves under a root: every number written out."""
    layer = Tree(make_cell("lstm", input_size=1, hidden_size=1))
    v, w, b = (0.5, -0.4, 0.8, 0.3), (0.2, 0.7, -0.6, 0.9), (0.1, 0.2, -0.3, 0.4)  # i, f, g, o
    params = {"W_xh": v, "W_hh": w, "b_h": b}
    params = {key: np.reshape(value, (4, 1) if key == "b_h" else (4, 1, 1)) for key, value in params.items()}
    x = np.array([1.0, -2.0, 0.5]).reshape(3, 1, 1)
    y, tape = layer.forward(params, x, Trees(np.array([[2], [2], [-1]])))
    c1, c2 = 0.6456563062257954 * 0.46211715726000974, 0.289050497374996 * -0.9562374581277391  # i g
    h1, h2 = 0.6681877721681662 * 0.2898191847078571, 0.45016600268752216 * -0.2695707827325625  # o tanh(c)
    i, g, o = sigmoid(0.35 + 0.2 * (h1 + h2)), np.tanh(0.1 - 0.6 * (h1 + h2)), sigmoid(0.55 + 0.9 * (h1 + h2))
    f1, f2 = sigmoid(0.7 * h1), sigmoid(0.7 * h2)
    c = i * g + f1 * c1 + f2 * c2
    np.testing.assert_allclose(y[:, 0, 0], [h1, h2, o * np.tanh(c)], atol=1e-14)
    np.testing.assert_allclose([f1, f2], tape.record.edge_gates[:, 0], atol=1e-14)
    dx, _ = layer.backward(params, tape, np.array([0.0, 0.0, 1.0]).reshape(3, 1, 1))
    slope = o * (1 - np.tanh(c) ** 2)
    dh = o * (1 - o) * 0.9 * np.tanh(c) + slope * (0.2 * i * (1 - i) * g - 0.6 * i * (1 - g * g))
    dh1 = dh + slope * 0.7 * f1 * (1 - f1) * c1
    adjoints = tape.adjoints.plain()
    np.testing.assert_allclose(adjoints[0, :, 0, 0], [dh1, dh + slope * 0.7 * f2 * (1 - f2) * c2, 1.0], atol=1e-14)
    np.testing.assert_allclose(adjoints[1, :, 0, 0], [slope * f1, slope * f2, 0], atol=1e-14)


# chains


@each_models
@each_dtype
@each_library
@pytest.mark.parametrize(
    ("name", "options", "form"),
    [
        ("elman", {}, {}),
        ("elman", {"leak": 0.4}, {}),
        ("lstm", {}, {}),
        ("elman", {}, {"form": "ordered", "positions": 1}),
        ("elman", {"leak": 0.4, "activation": "gelu"}, {"form": "ordered", "positions": 1}),
    ],
    ids=["elman", "leaky", "lstm", "ordered", "leaky and ordered"],
)
def test_a_chain_is_a_recurrent_layer(name, options, form, library, dtype, models):
    """Values, all gradients, and the adjoints of every state; both draw the same parameters from a seed."""
    cell, steps, lengths = make_cell(name, input_size=D, hidden_size=H, **options), 12, np.array([12, 1, 7])
    above = np.arange(1, steps + 1)[:, None]
    chains, own = Trees(np.where(above < lengths, above, -1), lengths), (above <= lengths)[..., None]
    own, rng = own.reshape(steps, *(1,) * len(models), 3, 1), np.random.default_rng(3)
    x, dy = rng.normal(size=(steps, *models, 3, D)), rng.normal(size=(steps, *models, 3, H))
    found = []
    for layer, given in ((Recurrent(cell), lengths), (Tree(cell, **form), chains)):
        net = Network(layer, layer.init(4, models=models), x, given, dy=dy).moved(LIBRARIES[library](), dtype)
        y, tape = net.forward()
        dx, grads = net.backward(tape)
        chain = given is lengths
        adjoints = host(tape.gradients.adjoints)[1:] if chain else np.moveaxis(host(tape.adjoints.plain()), 0, 1)
        arrays = grads | {f"drawn {key}": p for key, p in net.params.items()} | {"x": dx, "y": y}
        arrays = {key: host(array) for key, array in arrays.items()}
        found.append(arrays | {"y": arrays["y"] * own, "adjoints": adjoints * own[:, None]})
    limit = {"float64": 1e-14, "float32": 2e-6}[dtype]
    for key, expected in found[0].items():
        assert str(found[1][key].dtype) == dtype
        np.testing.assert_allclose(found[1][key], expected, rtol=0, atol=limit * max(1.0, np.abs(expected).max()))


def host(array):
    return gradlab.to_numpy(array)


@each_dtype
def test_where_gates_are_saturated(dtype):
    """A slope near 0 keeps its digits, as in a chain."""
    cell, x = make_cell("lstm", input_size=1, hidden_size=1), np.zeros((3, 1, 1), dtype)
    params = Recurrent(cell).init(2, dtype=dtype)
    params["b_h"] = np.array([[30.0], [40.0], [0.4], [25.0]], dtype)
    chain = Trees(np.array([[1], [2], [-1]]))
    nets = [Network(Recurrent(cell), params, x), Network(Tree(cell), params, x, chain)]
    expected, found = (replace(net, dy=np.ones((3, 1, 1), dtype)).gradients() for net in nets)
    for key, truth in expected.items():
        np.testing.assert_allclose(found[key], truth, rtol=1e-6 if dtype == "float32" else 1e-13)
    assert 0 < np.abs(found["b_h"][1]).max() < 1e-14


# order and company


@pytest.mark.parametrize("name", ["elman", "leaky softplus", "lstm"])
def test_a_sum_over_children_knows_no_order(name):
    """The same trees with their nodes in another order, and so other first children."""
    given, rng = forest(3, most=25), np.random.default_rng(9)
    net, features, weights = random_batch(name, given)
    grads = net.gradients()
    swaps = [rng.permutation(len(own)) for own in given]  # new node -> old node
    others = [
        [-1 if own[n] < 0 else int(np.argsort(p)[own[n]]) for n in p] for own, p in zip(given, swaps, strict=True)
    ]
    trees = Trees.of(others)
    x, dy = (trees.arrange([f[p] for f, p in zip(a, swaps, strict=True)]) for a in (features, weights))
    other = replace(net, x=x, dy=dy, lengths=trees)
    found = other.gradients()
    for key in net.params:
        np.testing.assert_allclose(found[key], grads[key], rtol=1e-12, atol=1e-13)
    for b, (own, p) in enumerate(zip(given, swaps, strict=True)):
        n, pairs = len(own), ((net.forward()[0], other.forward()[0]), (grads["x"], found["x"]))
        for old, new in pairs:
            by_node, by_swapped = np.empty((n, old.shape[-1])), np.empty((n, old.shape[-1]))
            by_node[net.lengths.order[:n, b]] = old[:n, b]
            by_swapped[p[trees.order[:n, b]]] = new[:n, b]
            np.testing.assert_allclose(by_swapped, by_node, rtol=0, atol=1e-13)


@each_dtype
@each_layer
def test_a_batch_is_each_tree_alone(name, dtype):
    """What stands beyond a tree's nodes, NaN too, counts for nothing."""
    given = forest(7)
    net, features, weights = random_batch(name, given)
    x, dy = (np.where(net.lengths.own[..., None], array, np.nan) for array in (net.x, net.dy))
    whole = replace(net, x=x, dy=dy).moved(np, dtype)
    y, grads, total = whole.forward()[0], whole.gradients(), {}
    limit = {"float64": 1e-12, "float32": 5e-5}[dtype]
    for b, own in enumerate(given):
        trees = Trees.of([own])
        single = replace(net, x=trees.arrange([features[b]]), dy=trees.arrange([weights[b]]), lengths=trees)
        single = single.moved(np, dtype)
        np.testing.assert_allclose(y[: len(own), b], single.forward()[0][:, 0], rtol=0, atol=limit)
        for key, g in single.gradients().items():
            if key == "x":
                np.testing.assert_allclose(grads["x"][: len(own), b], g[:, 0], rtol=0, atol=limit * np.abs(g).max())
            else:
                total[key] = total.get(key, 0) + g
    for key, g in total.items():
        np.testing.assert_allclose(grads[key], g, rtol=0, atol=limit * np.abs(g).max())


def test_models_may_share_one_input():
    net, *_ = random_batch("lstm", forest(1))
    params = net.layer.init(3, models=(2,))
    rng, shape = np.random.default_rng(1), (*net.x.shape[:1], 2, *net.x.shape[1:-1], H)
    dy = rng.normal(size=shape)
    one = replace(net, params=params, dy=dy)
    both = replace(one, x=np.stack([net.x, net.x], axis=1))
    np.testing.assert_array_equal(one.forward()[0], both.forward()[0])
    for key, expected in both.gradients().items():
        np.testing.assert_allclose(one.gradients()[key], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_trees_of_one_node_and_a_node_of_many_children(name):
    given = [[-1], [-1] + [0] * 3000]
    net, features, weights = random_batch(name, given, scale=0.01)
    y = net.forward()[0]
    for b, parents in enumerate(given):
        if b == 0 or name == "elman":
            expected = by_hand(net.layer, net.params, parents, features[b])
            np.testing.assert_allclose(y[: len(parents), b], expected[net.lengths.order[: len(parents), b]], atol=1e-13)
    lonely = replace(net, x=net.x[:1, :1], dy=net.dy[:1, :1], lengths=Trees.of([[-1]]))
    grads = lonely.gradients()
    assert grads["x"].any() and grads["W_xh"].any() and not grads["W_hh"].any()


# among other layers


def cell(inputs=D):
    return make_cell("gru", input_size=inputs, hidden_size=H)


@pytest.mark.parametrize(
    "rest",
    [
        [Recurrent(cell(H)), Last()],
        [Bidirectional(cell(H)), Last()],
        [Dense(H, H, "sigmoid"), SelfAttention(H), Attention(H)],
        [Residual(Sequential(Dense(H, H), Tree(make_cell("elman", input_size=H, hidden_size=H)))), Last()],
    ],
    ids=["recurrent", "bidirectional", "attention", "residual"],
)
def test_to_other_layers_trees_are_their_lengths(rest):
    """A tree's nodes are the steps of a sequence, and no other step counts."""
    given = forest(5)
    trees = Trees.of(given)
    net, symbols = Sequential(Embedding(7, D), layer_of("lstm"), *rest), np.random.default_rng(0).integers(0, 7, 300)
    symbols = [symbols[: len(own)] for own in given]
    params = net.init(0)
    y, _ = net.forward(params, trees.arrange(symbols), trees)
    for b, own in enumerate(given):
        single = Trees.of([own])
        expected, _ = net.forward(params, single.arrange(symbols[b : b + 1]), single)
        np.testing.assert_allclose(y[b], expected[0], rtol=0, atol=1e-13)


def test_a_decoder_attends_to_the_nodes_of_a_tree():
    encoder = Sequential(layer_of("lstm"), Recurrent(cell(H)))
    net, trees, rng = (
        EncoderDecoder(encoder, Recurrent(cell()), Attention(H)),
        Trees.of(forest(2)),
        np.random.default_rng(0),
    )
    source, target, params = rng.normal(size=(trees.steps, 6, D)), rng.normal(size=(3, 6, D)), net.init(0)
    y, tape = net.forward(params, (source, target), (trees, None))
    source[~trees.own] = np.nan
    np.testing.assert_array_equal(net.forward(params, (source, target), (trees, None))[0], y)
    (dx, _), _ = net.backward(params, tape, np.ones_like(y))
    assert (dx[trees.own] != 0).all() and not dx[~trees.own].any()
    with pytest.raises(InputError, match=r"lengths: expected the pair .*, got Trees"):
        net.forward(params, (source, target), trees)
