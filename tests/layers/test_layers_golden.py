"""Nets of several layers and losses against PyTorch's own numbers, to 1e-10 or better."""

import numpy as np
import pytest

from gradlab.layers import Dense, Embedding, Last, LayerNorm, Recurrent, Sequential
from gradlab.learning.losses import LOSSES, step_weights

from ..engine.test_golden import assert_equal, from_torch, load, to_torch


def nested(golden, prefix):
    """{"prefix.NAME": value} -> {"NAME": value}."""
    return {name.removeprefix(prefix): value for name, value in golden.items() if name.startswith(prefix)}


def recurrent(kind, golden, layer=0):
    """PyTorch's layer number `layer` as a layer, and its parameters."""
    own = {
        n.replace(f"_l{layer}", "_l0"): v for n, v in nested(golden, "recurrent.").items() if n.endswith(f"_l{layer}")
    }
    cell, params = from_torch(kind, own)
    return Recurrent(cell), params


def head(golden):
    weight = golden["head.weight"]
    return Dense(weight.shape[1], weight.shape[0]), {"W_hy": weight, "b_y": golden["head.bias"]}


def net_of(*pairs):
    """(net, params) of (layer, its parameters)."""
    params = {f"{i}.{name}": value for i, (_, own) in enumerate(pairs) for name, value in own.items()}
    return Sequential(*(layer for layer, _ in pairs)), params


def gradients_of(kind, grads, i, layer=0):
    """Our layer i's gradients under PyTorch's names."""
    own = {name.removeprefix(f"{i}."): g for name, g in grads.items() if name.startswith(f"{i}.")}
    return {f"recurrent.{n.replace('_l0', f'_l{layer}')}": g for n, g in to_torch(kind, own).items()}


def assert_gradients(golden, found):
    expected = nested(golden, "grad/")
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert_equal(gradient, expected[name])


def test_a_two_layer_lstm_with_a_linear_layer():
    golden = load("networks", "stack")
    net, params = net_of(recurrent("lstm", golden), recurrent("lstm", golden, 1), head(golden))
    outputs, tape = net.forward(params, golden["x"])
    value, gradient = LOSSES["mse"](outputs, golden["targets"])
    dx, grads = net.backward(params, tape, gradient)
    assert_equal(outputs, golden["outputs"])
    assert_equal(value, golden["loss"])
    found = gradients_of("lstm", grads, 0) | gradients_of("lstm", grads, 1, layer=1)
    found |= {"head.weight": grads["2.W_hy"], "head.bias": grads["2.b_y"], "x": dx}
    assert_gradients(golden, found)


def test_many_to_one_over_packed_sequences():
    golden = load("networks", "many_to_one")
    net, params = net_of(recurrent("lstm", golden), recurrent("lstm", golden, 1), (Last(), {}), head(golden))
    x = golden["x"].copy()
    for b, length in enumerate(golden["lengths"]):
        x[length:, b] = np.nan
    outputs, tape = net.forward(params, x, golden["lengths"])
    value, gradient = LOSSES["cross_entropy"](outputs, golden["targets"])
    dx, grads = net.backward(params, tape, gradient)
    assert_equal(outputs, golden["outputs"])
    assert_equal(value, golden["loss"])
    found = gradients_of("lstm", grads, 0) | gradients_of("lstm", grads, 1, layer=1)
    found |= {"head.weight": grads["3.W_hy"], "head.bias": grads["3.b_y"], "x": dx}
    assert_gradients(golden, found)


def test_symbols_through_embedding_and_layer_norm():
    golden = load("networks", "embedded")
    embedding = (Embedding(5, 3), {"W_emb": golden["embedding.weight"]})
    norm = (LayerNorm(4), {"gamma": golden["norm.weight"], "beta": golden["norm.bias"]})
    net, params = net_of(embedding, recurrent("rnn_tanh", golden), norm, head(golden))
    lengths = golden["lengths"]
    outputs, tape = net.forward(params, golden["x"], lengths)
    weights = step_weights(lengths, len(golden["x"]))
    value, gradient = LOSSES["cross_entropy"](outputs, golden["targets"], weights)
    dx, grads = net.backward(params, tape, gradient)
    assert dx is None
    assert_equal(outputs[weights], golden["outputs"][weights])
    assert_equal(value, golden["loss"])
    found = gradients_of("rnn_tanh", grads, 1) | {"embedding.weight": grads["0.W_emb"]}
    found |= {"norm.weight": grads["2.gamma"], "norm.bias": grads["2.beta"]}
    assert_gradients(golden, found | {"head.weight": grads["3.W_hy"], "head.bias": grads["3.b_y"]})


@pytest.mark.parametrize("case", ["mse", "cross_entropy", "cross_entropy_masked", "binary_cross_entropy"])
def test_losses(case):
    golden = load("losses", case)
    weights = golden["targets"] != -100 if case == "cross_entropy_masked" else None
    value, gradient = LOSSES[case.removesuffix("_masked")](golden["outputs"], golden["targets"], weights)
    assert_equal(value, golden["value"], 1e-14)
    assert_equal(gradient, golden["gradient"], 1e-14)
