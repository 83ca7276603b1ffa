"""Bidirectional and attending nets against PyTorch's own numbers, to 1e-10 or better."""

import numpy as np
import pytest

from gradlab.layers import Bidirectional, SelfAttention, Sequential, TransformerBlock

from ..engine.test_golden import assert_equal, from_torch, load, to_torch
from .test_layers_golden import nested

HEADS, WIDTH = 2, 6
DIRECTIONS = {"forward": "", "backward": "_reverse"}
NAMES = {  # of a block's parts, ours and PyTorch's
    "pre": {"feed.first": "linear1", "feed.second": "linear2", "attend.norm": "norm1", "feed.norm": "norm2"},
    "post": {"feed.first": "linear1", "feed.second": "linear2", "attend_norm": "norm1", "feed_norm": "norm2"},
}
KINDS = {"W_hy": "weight", "b_y": "bias", "gamma": "weight", "beta": "bias"}


def alive(golden):
    return np.arange(len(golden["x"]))[:, None] < golden["lengths"]


def run(net, params, golden, lengths):
    """(outputs, tape, dL/dx, gradients), with NaN as padding."""
    x = golden["x"] if lengths is None else np.where(alive(golden)[..., None], golden["x"], np.nan)
    outputs, tape = net.forward(params, x, lengths)
    return outputs, tape, *net.backward(params, tape, golden["dL_dy"])


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru", "lstm"])
def test_two_bidirectional_layers(kind):
    golden, params, layers = load("bidirectional", kind), {}, []
    suffixes = {f"{layer}.{name}": f"_l{layer}{end}" for layer in range(2) for name, end in DIRECTIONS.items()}
    for place, suffix in suffixes.items():
        own = {name.replace(suffix, "_l0"): value for name, value in golden.items() if name.endswith(suffix)}
        cell, found = from_torch(kind, {name: value for name, value in own.items() if "/" not in name})
        params |= {f"{place}.{name}": value for name, value in found.items()}
        layers.append(Bidirectional(cell))
    outputs, _, dx, grads = run(Sequential(*layers[::2]), params, golden, golden["lengths"])
    inside = alive(golden)
    assert_equal(outputs[inside], golden["outputs"][inside])
    assert_equal(dx, golden["grad/x"])
    for place, suffix in suffixes.items():
        own = {name.removeprefix(f"{place}."): g for name, g in grads.items() if name.startswith(place)}
        for name, gradient in to_torch(kind, own).items():
            assert_equal(gradient, golden[f"grad/{name.replace('_l0', suffix)}"])


def attention_params(golden, prefix=""):
    """PyTorch's attention under our names; it has a bias of the keys, which changes nothing."""
    weights = np.split(golden[f"{prefix}in_proj_weight"], 3)
    biases = np.split(golden[f"{prefix}in_proj_bias"], 3)
    parts = ("query", "key", "value")
    params = {f"{part}.W_hy": w for part, w in zip(parts, weights, strict=True)}
    params |= {f"{part}.b_y": b for part, b in zip(parts, biases, strict=True) if part != "key"}
    out = {"output.W_hy": golden[f"{prefix}out_proj.weight"], "output.b_y": golden[f"{prefix}out_proj.bias"]}
    return params | out


@pytest.mark.parametrize("case", ["plain", "causal", "padded", "causal_padded"])
def test_multi_head_attention(case):
    golden = load("attention", case)
    lengths = golden.get("lengths") if "padded" in case else None
    net = SelfAttention(WIDTH, HEADS, causal="causal" in case)
    outputs, tape, dx, grads = run(net, attention_params(golden), golden, lengths)
    inside = np.ones(golden["x"].shape[:2], bool) if lengths is None else alive(golden)
    assert_equal(outputs[inside], golden["outputs"][inside])
    weights = np.moveaxis(tape.reading.weights, -2, 0)
    assert_equal(weights[inside], np.moveaxis(golden["weights"], 2, 0)[inside])
    assert_equal(dx, golden["grad/x"])
    for name, expected in attention_params(nested(golden, "grad/")).items():
        assert_equal(grads[name], expected)


def block_params(golden, place):
    params = {f"attend.attention.{name}": value for name, value in attention_params(golden, "self_attn.").items()}
    for ours, theirs in NAMES[place].items():
        kinds = ("gamma", "beta") if "norm" in ours else ("W_hy", "b_y")
        params |= {f"{ours}.{kind}": golden[f"{theirs}.{KINDS[kind]}"] for kind in kinds}
    return params


@pytest.mark.parametrize("place", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "silu"])
def test_a_transformers_block(place, activation):
    golden = load("blocks", f"{place}_{activation}")
    net = TransformerBlock(WIDTH, HEADS, 5, activation, place)
    params = block_params(golden, place)
    assert params.keys() == net.init(0).keys()
    outputs, _, dx, grads = run(net, params, golden, golden["lengths"])
    inside = alive(golden)
    assert_equal(outputs[inside], golden["outputs"][inside])
    assert_equal(dx, golden["grad/x"])
    for name, expected in block_params(nested(golden, "grad/"), place).items():
        assert_equal(grads[name], expected)
