"""What is known of attention: its reach, the Jacobian of a read, where blocks should normalise; masks, errors."""

import re

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.layers import (
    Attention,
    Bidirectional,
    EncoderDecoder,
    Last,
    Pass,
    Positions,
    Recurrent,
    Scaled,
    SelfAttention,
    Sequential,
    Transformer,
    TransformerBlock,
)
from gradlab.layers.attending import by_key
from gradlab.layers.transformer import sinusoids

GRU = make_cell("gru", input_size=2, hidden_size=3)


@pytest.mark.parametrize("score", ["additive", "dot"])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_attention_reaches_where_the_recurrence_does_not(name, score):
    """At initialisation and lag 299 of 300 the recurrence leaves nothing, a pooled read about 1 / T of the gradient."""
    steps, inputs, units = 300, 3, 32
    cell = make_cell(name, input_size=inputs, hidden_size=units)
    x = np.random.default_rng(0).normal(size=(steps, 8, inputs))
    reached = []
    for pool in (Last(), Attention(units, score)):
        net = Sequential(Recurrent(cell), pool)
        tree = gradlab.analyze(net=net, params=net.init(1), x=x, seed=1)
        reached.append(np.exp(np.median(tree.log_input_grad_norm[0])))
    assert reached[0] < 1e-12 and reached[1] > 0.1 / steps


def test_the_jacobian_of_a_read():
    """||d ctx / d h_k||_F^2 = a_k^2 [F + 2 (h_k - ctx) . q + |h_k - ctx|^2 |q|^2] of ctx = softmax(H q)^T H."""
    size, steps, rng = 5, 7, np.random.default_rng(2)
    net, memory = Attention(size, "dot", query_size=3), rng.normal(size=(steps, 1, size))
    params, queries = net.init(3), rng.normal(size=(1, 1, 3))
    context, tape = net.read(params, queries, memory, (None, None))
    q = params["query.W_hy"] @ queries[0, 0] / np.sqrt(size)
    a, apart = tape.reading.weights[0, 0, 0], memory[:, 0] - context[0, 0]
    expected = a**2 * (size + 2 * apart @ q + (apart**2).sum(-1) * (q @ q))
    rows = [net.read_back(params, tape, Scaled.of(row[None, None]))[1].plain()[:, 0] for row in np.eye(size)]
    np.testing.assert_allclose((np.stack(rows) ** 2).sum(axis=(0, -1)), expected, rtol=1e-12)


@pytest.mark.slow
def test_where_blocks_normalise_decides_what_depth_does_to_the_last_one():
    """Pre-LN: the last block's gradient falls as 1 / sqrt(blocks); post-LN: it stays (Xiong et al. 2020, theorem 1)."""
    width, seeds = 64, range(200, 224)
    ratios = {
        norm: last_gradient(norm, 64, seeds, width) / last_gradient(norm, 16, seeds, width) for norm in ("pre", "post")
    }
    assert 0.45 < ratios["pre"] < 0.55 and ratios["post"] > 0.75


def last_gradient(norm, blocks, seeds, width):
    """Mean norm of the gradient of the last block's last weights."""
    net, norms = Transformer(width, blocks, 4, norm=norm, hidden=width), []
    for seed in seeds:
        rng, params = np.random.default_rng([seed, 5]), net.init(seed)
        x, dy = rng.normal(size=(2, 8, 8, width))
        _, tape = net.forward(params, x)
        norms.append(np.linalg.norm(net.backward(params, tape, dy)[1][f"block{blocks}.feed.second.W_hy"]))
    return np.mean(norms)


def test_a_causal_block_sees_nothing_after_a_place():
    net, x = Transformer(6, 2, 3, causal=True), np.random.default_rng(0).normal(size=(8, 2, 6))
    params = net.init(0)
    y = net.forward(params, x)[0]
    later = np.concatenate([x[:5], 9 + 0 * x[5:]])
    np.testing.assert_allclose(net.forward(params, later)[0][:5], y[:5], rtol=1e-12)


def test_padding_is_not_read():
    x, lengths = np.random.default_rng(0).normal(size=(8, 3, 6)), np.array([8, 3, 5])
    padded = np.where(np.arange(8)[:, None, None] < lengths[:, None], x, np.nan)
    for net in (Transformer(6, 2, 3), Attention(6), Attention(6, "dot"), SelfAttention(6, 2)):
        params = net.init(0)
        together, _ = net.forward(params, padded, lengths)
        for b, length in enumerate(lengths):
            alone, _ = net.forward(params, x[:length, b : b + 1])
            found = together[:length, b] if together.ndim == 3 else together[b]
            np.testing.assert_allclose(found, alone[..., 0, :], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("score", ["additive", "dot"])
def test_of_no_steps_nothing_is_pooled(score):
    net, lengths = Attention(3, score), np.array([5, 0])
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    x[:, 1] = np.nan
    params = net.init(0)
    y, tape = net.forward(params, x, lengths)
    dx, grads = net.backward(params, tape, np.ones((2, 3)))
    assert np.isfinite(y[0]).all() and not y[1].any() and not dx[:, 1].any()
    assert all(np.isfinite(g).all() for g in grads.values())


def test_positions_pass_nothing_to_padding():
    for net in (Positions(4), Positions(4, 5)):
        params = net.init(0)
        _, tape = net.forward(params, np.ones((3, 2, 4)), np.array([3, 1]))
        dx, _ = net.backward(params, tape, np.ones((3, 2, 4)))
        np.testing.assert_array_equal(dx[:, 1, 0], [1, 0, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_key_that_only_faint_queries_read_keeps_its_digits(dtype):
    weights = np.array([[[[1.0, 0.0], [0.5, 0.5]]]], dtype)
    found = by_key(Scaled(weights, np.array([-3000, 10], np.int32).reshape(1, 1, 2, 1)))
    np.testing.assert_array_equal(found.exponents.ravel(), [10, 10])
    found = by_key(
        Scaled(np.array([[[[1.0, 0.0], [0.0, 0.5]]]], dtype), np.array([-3000, 10], np.int32).reshape(1, 1, 2, 1))
    )
    np.testing.assert_array_equal(found.exponents.ravel(), [-3000, 10])
    np.testing.assert_array_equal(found.mantissas[0, 0], [[1, 0], [0, 0.5]])


def test_gradients_of_attention_above_a_chain_that_fades():
    """Self-attention that is causal, below a chain that passes 0.25 on and leaves a place its own gradient alone."""
    steps = 600
    chain = Recurrent(make_cell("elman", input_size=1, hidden_size=1, activation="identity"))
    net = Sequential(SelfAttention(1, causal=True), chain, Last())
    params = {name: np.full_like(value, 0.25) for name, value in net.init(0).items()}
    for name in ("0.query.W_hy", "0.key.W_hy"):
        params[name][...] = 0  # uniform weights over what is before
    tree = gradlab.analyze(net=net, params=params, x=np.zeros((steps, 1, 1)))
    at = np.arange(1, steps + 1)
    shares = 0.25 ** (steps - at) / at  # of what a place gets, each one before it gets the same part
    expected = np.log(np.cumsum(shares[::-1])[::-1]) + 3 * np.log(0.25)
    np.testing.assert_allclose(tree.log_input_grad_norm[:, 0], expected, rtol=1e-10)


def test_sinusoids_are_those_of_the_source():
    found = sinusoids(50, 6)
    for t, i in ((0, 0), (7, 1), (49, 2)):
        angle = t / 10_000 ** (2 * i / 6)
        np.testing.assert_allclose(found[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], rtol=1e-12, atol=1e-15)


def test_bidirectional_directions_are_recurrent_layers_from_both_ends():
    net, x, lengths = Bidirectional(GRU), np.random.default_rng(0).normal(size=(6, 2, 2)), np.array([6, 4])
    params = net.init(0)
    y, _ = net.forward(params, x, lengths)
    for name, part, flip in (("forward", y[..., :3], 1), ("backward", y[..., 3:], -1)):
        own = {key.removeprefix(f"{name}."): p for key, p in params.items() if key.startswith(name)}
        for b, length in enumerate(lengths):
            alone, _ = Recurrent(GRU).forward(own, x[:length, b : b + 1][::flip])
            np.testing.assert_allclose(part[:length, b], alone[::flip, 0], rtol=1e-12)
    summed, _ = Bidirectional(GRU, "sum").forward(params, x, lengths)
    np.testing.assert_allclose(summed, y[..., :3] + y[..., 3:], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SelfAttention(6, 4), "heads: 4 heads cannot share a width of 6 evenly"),
        (lambda: Transformer(6, 2, 5), "heads: 5 heads cannot share a width of 6 evenly"),
        (lambda: Transformer(6, 0), "blocks: expected a positive integer, got 0"),
        (lambda: TransformerBlock(6, norm="mid"), "unknown norm 'mid'. .*Valid: pre, post"),
        (lambda: TransformerBlock(6, activation="rulu"), "unknown activation 'rulu'. Did you mean 'relu'"),
        (lambda: TransformerBlock(6, dropout=1.0), r"rate: expected a probability in \[0, 1\), got 1.0"),
        (lambda: Attention(4, "cosine"), "unknown score 'cosine'. .*Valid: dot, additive"),
        (lambda: Attention(0), "memory_size: expected a positive integer, got 0"),
        (lambda: Positions(4, 0), "steps: expected a positive integer, got 0"),
        (lambda: Bidirectional(GRU, "mean"), "unknown merge 'mean'. .*Valid: concat, sum"),
        (lambda: Bidirectional("gru"), re.escape("expected a cell such as make_cell('lstm', ...), got 'gru'")),
        (
            lambda: EncoderDecoder(Recurrent(GRU), Recurrent(GRU), attention=3),
            "attention: expected an Attention, got 3",
        ),
        (lambda: Sequential(norm=3), "Sequential: expected layers such as"),
        (lambda: Sequential(**{"a.b": Last()}), r"Sequential: expected names such as norm, got 'a\.b'"),
        (lambda: Sequential(Last(), **{"0": Last()}), "Sequential: expected names such as norm, got '0'"),
        (lambda: Positions(8).forward({}, np.ones((2, 1, 1))), r"x: expected shape \(2, 1, 8\), got \(2, 1, 1\)"),
        (lambda: Positions(4).forward({}, np.ones((2, 1, 4), int)), "x: expected float32 or float64, got int64"),
        (lambda: TransformerBlock(4, hidden=0), "output_size: expected a positive integer, got 0"),
        (lambda: Attention(4).forward(Attention(4).init(0), np.ones((2, 4))), r"x: expected shape \(T, B, F\)"),
        (lambda: positions(5), "x: 6 steps, but only 5 positions are learned"),
        (
            lambda: Bidirectional(GRU).forward({}, 0, how=Pass(initial_state=1)),
            "initial_state: no layer of .* takes one",
        ),
    ],
)
def test_what_cannot_be(make, match):
    with pytest.raises(InputError, match=match):
        make()


def positions(steps):
    net = Positions(4, steps)
    net.forward(net.init(0), np.ones((6, 2, 4)))
