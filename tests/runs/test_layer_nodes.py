"""What is recorded of layers that do not recur: attention, skip connections, what places depend on each other."""

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.layers import (
    Attention,
    Dense,
    Embedding,
    EncoderDecoder,
    Last,
    Once,
    Recurrent,
    Residual,
    SelfAttention,
    Sequential,
    Transformer,
    TransformerBlock,
    Untied,
)
from gradlab.runs import influence
from gradlab.runs.probe import unit_vectors

T, B, D, H, E = 9, 5, 2, 4, 6
LENGTHS = np.array([9, 4, 7, 1, 9])


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def lstm(inputs=D):
    return Recurrent(make_cell("lstm", input_size=inputs, hidden_size=H))


def norms(array):
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.norm(array, axis=-1))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_attention_of_heads(lengths):
    net, x = SelfAttention(E, 2, causal=True), inputs(T, B, E)
    params = net.init(0)
    node = gradlab.analyze(net=net, params=params, x=x, lengths=lengths)["layer"]
    _, tape = net.forward(params, x, lengths)
    weights = tape.reading.weights  # (B, h, Q, K)
    assert node.attention_weight.dims == ("attention_sample", "head", "query", "key")
    np.testing.assert_array_equal(node.attention_weight, weights[:4])
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(weights * np.log(weights), axis=-1)
    found = node.attention_entropy.transpose("sample", "head", "query").values
    inside = np.arange(T) < (np.full(B, T) if lengths is None else lengths)[:, None]
    for head in range(2):
        np.testing.assert_allclose(found[:, head][inside], entropy[:, head][inside], atol=1e-12)
        assert np.isnan(found[:, head][~inside]).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    assert (np.triu(weights, 1) == 0).all()


def test_the_split_of_what_reaches_an_encoder():
    """What came through the attention and what came back through the recurrence sum to the gradient."""
    net = EncoderDecoder(lstm(), lstm(), Attention(H))
    params, lengths = net.init(0), (LENGTHS, np.array([6, 5, 2, 6, 1]))
    x = inputs(T, B, D), inputs(6, B, D, seed=1)
    tree = gradlab.analyze(net=net, params=params, x=x, lengths=lengths, seed=4)
    y, tape = net.forward(params, x, lengths)
    probe = np.zeros_like(y)
    probe[lengths[1] - 1, np.arange(B)] = unit_vectors(y, 4, (B, 2 * H))
    net.backward(params, tape, probe)
    read = net.attention.read_back(
        {name.removeprefix("attention."): p for name, p in params.items() if name.startswith("attention.")},
        tape.attention,
        gradlab.layers.Scaled.of(probe[..., H:]),
    )[1].plain()
    whole = tape.encoder.gradients.adjoints[1:]
    passed = whole.copy()
    passed[:, 0] -= read
    node, inside = tree["encoder"], np.arange(T)[:, None] < LENGTHS
    parts = {"log_direct_grad_norm": norms(read), "log_recurrent_grad_norm": 0.5 * np.log((passed**2).sum((1, -1)))}
    for name, part in parts.items():
        np.testing.assert_allclose(node[name].values[1:][inside], part[inside], rtol=1e-8, atol=1e-8)
    assert node.direct_share.values[1:][inside].min() > 0.01
    assert tree["attention"].sizes["query"] == 6 and tree["attention"].sizes["key"] == T


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_past_a_layer_and_through_it(lengths):
    net = Sequential(Dense(D, H), Residual(lstm(H)))
    params, x = net.init(0), inputs(T, B, D)
    tree = gradlab.analyze(net=net, params=params, x=x, lengths=lengths)
    node, below = tree["1"], tree["0"].log_output_grad_norm
    inside = np.arange(T)[:, None] < (np.full(B, T) if lengths is None else lengths)
    skip, branch, share = (node[name].values for name in ("log_skip_grad_norm", "log_branch_grad_norm", "skip_share"))
    ends = (np.full(B, T) if lengths is None else lengths) - 1
    np.testing.assert_allclose(skip[ends, np.arange(B)], 0, atol=1e-12)  # the probe
    rest = inside & (np.arange(T)[:, None] != ends)
    assert np.isneginf(skip[rest]).all() and (share[rest] == 0).all()
    np.testing.assert_allclose(branch[rest], below.values[rest], rtol=1e-12)
    assert np.isnan(skip[~inside]).all() and np.isnan(share[~inside]).all()
    assert "jacobian_frobenius" in node  # the recurrent layer's own stands beside it


def dense_jacobian(net, params, x):
    """d out_t / d in_s of one sample (T, E, T, E), by central differences."""
    found = np.empty((*x.shape[:1], E, *x.shape[:1], E))
    for s in range(len(x)):
        for j in range(E):
            step = np.zeros_like(x)
            step[s, 0, j] = 1e-6
            found[:, :, s, j] = (net.forward(params, x + step)[0] - net.forward(params, x - step)[0])[:, 0] / 2e-6
    return found


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_influence_is_that_of_the_jacobian(norm):
    net = TransformerBlock(E, 2, 5, "tanh", norm, causal=True)
    params, x = net.init(0), inputs(T, 2, E)
    node = gradlab.analyze(net=net, params=params, x=x, record=["influence"])["layer"]
    jacobian = dense_jacobian(net, params, x[:, :1])
    expected = np.sqrt((jacobian**2).sum(axis=(1, 3)))
    found = np.exp(node.log_influence.values)
    np.testing.assert_allclose(found, expected, atol=1e-7 * expected.max())
    assert node.log_influence.attrs["estimate"] == 0 and (node.log_influence_stderr == 0).all()
    by_distance = [np.sqrt((np.diagonal(expected, -k) ** 2).mean()) for k in range(T)]
    np.testing.assert_allclose(np.exp(node.log_influence_by_distance), by_distance, rtol=1e-6)


def test_an_estimate_of_influence_lies_within_its_errors(monkeypatch):
    net = Transformer(E, 2, 2, hidden=5)
    params, x = net.init(0), inputs(T, 2, E)
    exact = gradlab.analyze(net=net, params=params, x=x, record=["influence"])
    monkeypatch.setattr(influence, "EXACT_STEPS", T - 1)
    found = gradlab.analyze(net=net, params=params, x=x, record=["influence"])
    for name in ("block1", "block2"):
        ours, truth = found[name], exact[name]
        assert ours.log_influence.attrs["estimate"] == 1
        z = (ours.log_influence - truth.log_influence) / ours.log_influence_stderr
        assert (abs(z) < 6).all() and float(abs(z).mean()) < 2 and float(abs(z).max()) > 0.1


def test_a_tree_of_a_transformer_is_read_back_whole(tmp_path):
    net = Sequential(Dense(D, E), Transformer(E, 2, 2, hidden=5), Last(), Dense(E, 3))
    tree = gradlab.analyze(net=net, params=net.init(0), x=inputs(T, B, D), lengths=LENGTHS, record=["influence"])
    tree.to_netcdf(tmp_path / "run.nc")
    with xr.open_datatree(tmp_path / "run.nc") as back:
        xr.testing.assert_identical(back.load(), tree)
    blocks = [tree[f"1/block{n}"].log_output_grad_norm for n in (1, 2)]
    assert np.isfinite(blocks[0].values[0]).all() and np.isneginf(blocks[1].values[0, 0])


def test_lengths_are_those_of_what_a_layer_takes():
    """Behind Last a sequence has no lengths; a decoder's layer may be called encoder."""
    net = Sequential(lstm(), Last(), Once(6), lstm(H), Dense(H, 3))
    tree = gradlab.analyze(net=net, params=net.init(0), x=inputs(T, B, D), lengths=LENGTHS)
    assert not tree["3"].log_grad_norm.isnull().any() and not tree["4"].log_output_grad_norm.isnull().any()
    assert tree["0"].log_grad_norm.isnull().any()
    net = EncoderDecoder(lstm(), Sequential(encoder=Residual(Dense(D, D)), r=lstm()))
    lengths = LENGTHS, np.full(B, 6)
    tree = gradlab.analyze(net=net, params=net.init(0), x=(inputs(T, B, D), inputs(6, B, D)), lengths=lengths)
    assert not tree["decoder/encoder"].log_output_grad_norm.isnull().any()


def test_what_a_pair_gives_has_the_lengths_of_the_target():
    net, ends = Sequential(EncoderDecoder(lstm(), lstm()), Dense(H, 3)), np.array([6, 5, 2, 6, 1])
    x = inputs(T, B, D), inputs(6, B, D)
    tree = gradlab.analyze(net=net, params=net.init(0), x=x, lengths=(LENGTHS, ends))
    beyond = np.arange(6)[:, None] >= ends
    np.testing.assert_array_equal(tree["0"].log_output_grad_norm.isnull(), beyond)


def test_layers_within_an_encoder_have_its_positions(tmp_path):
    """Beside those of the target, which has another length, wherever the pair stands."""
    parts = [Sequential(Embedding(7, D), lstm(), Dense(H, H), lstm(H)) for _ in range(2)]
    net = Sequential(Sequential(EncoderDecoder(*parts, Attention(H)), Dense(2 * H, 3)), Dense(3, 2))
    x = tuple(np.arange(n * B).reshape(n, B) % 7 for n in (T, 6))
    tree = gradlab.analyze(net=net, params=net.init(0), x=x)
    assert tree["0/0/encoder/0"].log_output_grad_norm.shape == (T, B)
    assert tree["0/0/decoder/0"].log_output_grad_norm.shape == (6, B)
    for path in ("0", "0/0"):
        assert tree[path].log_output_grad_norm.dims == ("target_position", "sample")
    assert tree["0/1"].log_output_grad_norm.sizes["position"] == 6
    tree.to_netcdf(tmp_path / "a.nc")
    with xr.open_datatree(tmp_path / "a.nc") as back:
        xr.testing.assert_identical(back.load(), tree)


def test_of_a_net_with_weights_of_its_own_per_step_every_step_is_there():
    net = Sequential(Untied(make_cell("gru", input_size=D, hidden_size=H), T), Dense(H, 3))
    tree = gradlab.analyze(net=net, params=net.init(0), x=inputs(T, B, D), lengths=LENGTHS)
    assert list(tree["0"].children) == [str(t) for t in range(T)]
    for t in range(T):
        assert (tree[f"0/{t}"].valid_steps == (t < LENGTHS)).all()


@pytest.mark.parametrize("count", [3, 1])
def test_influence_is_of_a_samples_own_places(count):
    net, x = TransformerBlock(E, 2, 5), inputs(T, 2, E)
    params = net.init(0)
    padded = gradlab.analyze(net=net, params=params, x=x, lengths=np.array([count, T]), record=["influence"])["layer"]
    alone = gradlab.analyze(net=net, params=params, x=x[:count], record=["influence"])["layer"]
    for name in ("log_influence", "log_influence_by_distance"):
        own = tuple(slice(0, count) for _ in padded[name].dims)
        np.testing.assert_allclose(padded[name].values[own], alone[name], rtol=1e-10)
        assert padded[name].isnull().sum() == padded[name].size - alone[name].size


def test_influence_at_any_magnitude():
    """What saturated scores leave is tiny, and no zero."""
    net, x = TransformerBlock(E, 2, 5), inputs(T, 1, E)
    params = net.init(0)
    for name in ("attend.attention.query.W_hy", "attend.attention.key.W_hy"):
        params[name] = 16 * params[name]
    node = gradlab.analyze(net=net, params=params, x=x, record=["influence"])["layer"]
    _, tape = net.forward(params, x)
    dy = np.zeros_like(x)
    for t in range(T):
        dy[:] = 0
        dy[t] = 1
        reached = net.backward_scaled(params, tape, dy)[0].log_norm(-1)[:, 0]
        assert (np.isneginf(node.log_influence[t]) <= np.isneginf(reached)).all()
    assert float(node.log_influence.min()) < -370


def test_what_can_be_asked_for():
    net = TransformerBlock(E, 2, 5)
    with pytest.raises(InputError, match="unknown recording 'influense'. Did you mean 'influence'"):
        gradlab.analyze(net=net, params=net.init(0), x=inputs(T, B, E), record=["influense"])
