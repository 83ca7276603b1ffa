"""A network of layers, analysed: its nodes are those of single cells, its root what the layers' own gradients say."""

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.layers import (
    Bidirectional,
    Dense,
    Embedding,
    EncoderDecoder,
    Last,
    Once,
    Pass,
    Recurrent,
    Sequential,
    recurrent_tapes,
)
from gradlab.quantities.inputs import by_lag
from gradlab.runs.probe import unit_vectors

T, B, D, H, OUT, SYMBOLS = 12, 3, 2, 4, 5, 7
LENGTHS = np.array([12, 5, 8])
OF_THE_WHOLE = ["log_input_grad_norm", "log_input_share"]


def cell(name="lstm", inputs=D, units=H):
    return make_cell(name, input_size=inputs, hidden_size=units)


def deep():
    return Sequential(Bidirectional(cell()), Recurrent(cell("gru", 2 * H, H)), Dense(H, OUT))


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def symbols(*shape):
    return np.random.default_rng(1).integers(0, SYMBOLS, shape)


def logs(array):
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.norm(array, axis=-1))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_one_recurrent_layer_is_its_cell(lengths):
    net, x = Recurrent(cell()), inputs(T, B, D)
    params = net.init(3)
    given = {"params": params, "x": x, "lengths": lengths, "seed": 5}
    single, tree = gradlab.analyze(cell=net.cell, **given), gradlab.analyze(net=net, **given)
    node = tree["layer"].to_dataset().drop_vars(["lag", "input_time"])
    assert set(single.data_vars) - set(node.data_vars) == set(OF_THE_WHOLE)
    xr.testing.assert_allclose(node, single.drop_vars([*OF_THE_WHOLE, "lag", "input_time"]), rtol=1e-12)
    for name in OF_THE_WHOLE:
        xr.testing.assert_allclose(tree[name], single[name], rtol=1e-12)
        assert tree[name].attrs == single[name].attrs
    assert gradlab.verdict(node).word == gradlab.verdict(single).word


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_nodes_and_root_are_the_layers_own_gradients(lengths):
    net, x = deep(), inputs(T, B, D)
    params = net.init(4)
    tree = gradlab.analyze(net=net, params=params, x=x, lengths=lengths, seed=2)
    assert [node.path for node in tree.subtree] == ["/", "/0", "/1", "/2", "/0/forward", "/0/backward"]
    y, tape = net.forward(params, x, lengths)
    probe = np.zeros_like(y)
    ends = np.full(B, T) if lengths is None else lengths
    probe[ends - 1, np.arange(B)] = unit_vectors(y, 2, (B, OUT))
    dx, _ = net.backward(params, tape, probe)
    own = np.arange(T)[:, None] < ends
    for name, t in recurrent_tapes(tape).items():
        found = tree[name.replace(".", "/")].log_grad_norm.transpose("time", "state", "sample")
        np.testing.assert_allclose(found, t.gradients.log_norms, rtol=1e-12)
    np.testing.assert_allclose(tree.log_input_grad_norm, np.where(own, logs(dx), np.nan), rtol=1e-9)
    np.testing.assert_allclose(tree.log_input_share, by_lag(logs(dx), own)[0], rtol=1e-9, atol=1e-12)
    assert tree.log_input_share.attrs["relative_to"] == "lag 0"


def test_places_of_a_pair_are_those_of_the_source_then_of_the_target():
    net = EncoderDecoder(Recurrent(cell()), Sequential(Recurrent(cell()), Dense(H, OUT)))
    x, lengths = (inputs(T, B, D), inputs(6, B, D, seed=1)), (LENGTHS, np.array([6, 6, 2]))
    tree = gradlab.analyze(net=net, params=net.init(0), x=x, lengths=lengths)
    assert tree.sizes["input_time"] == tree.sizes["lag"] == T + 6
    assert [node.path for node in tree.subtree] == ["/", "/encoder", "/decoder", "/decoder/0", "/decoder/1"]
    norms, share = tree.log_input_grad_norm.values, tree.log_input_share.values
    for sample, (source, target) in enumerate(zip(*lengths, strict=True)):
        line = np.concatenate([norms[:source, sample], norms[T : T + target, sample]])[::-1]
        assert np.isfinite(line).all() and np.isnan(norms[:, sample]).sum() == T + 6 - len(line)
        np.testing.assert_allclose(share[: len(line), sample], line - line[0], atol=1e-12)
        assert np.isnan(share[len(line) :, sample]).all()


def test_of_symbols_the_gradient_is_that_by_their_vectors():
    net = Sequential(Embedding(SYMBOLS, D), Recurrent(cell()), Last(), Dense(H, OUT))
    params, x = net.init(0), symbols(T, B)
    tree = gradlab.analyze(net=net, params=params, x=x)
    rest = Sequential(*net.layers[1:])
    vectors = params["0.W_emb"][x]
    own = {f"{int(name[0]) - 1}{name[1:]}": p for name, p in params.items() if not name.startswith("0")}
    expected = gradlab.analyze(net=rest, params=own, x=vectors)
    np.testing.assert_allclose(tree.log_input_grad_norm, expected.log_input_grad_norm, rtol=1e-12)
    pair = EncoderDecoder(Sequential(Embedding(SYMBOLS, D), Recurrent(cell())),
                          Sequential(Embedding(SYMBOLS, D), Recurrent(cell())))  # fmt: skip
    tree = gradlab.analyze(net=pair, params=pair.init(0), x=(symbols(T, B), symbols(4, B)))
    assert np.isfinite(tree.log_input_share).all() and tree.sizes["lag"] == T + 4


def test_a_vector_that_steps_follow_stands_at_the_first_place():
    net = Sequential(Once(T), Recurrent(cell()))
    tree = gradlab.analyze(net=net, params=net.init(0), x=inputs(B, D))
    assert tree.log_input_share.attrs["relative_to"] == "probe"
    assert np.isnan(tree.log_input_share[:-1]).all()
    np.testing.assert_array_equal(tree.log_input_share[-1], tree.log_input_grad_norm[0])
    assert np.isfinite(tree.log_input_grad_norm[0]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_any_magnitude(dtype):
    one = make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    net = Sequential(Recurrent(one), Recurrent(one))
    params = {name: np.full_like(value, 0.25) for name, value in net.init(0, dtype=dtype).items()}
    tree = gradlab.analyze(net=net, params=params, x=np.zeros((3000, 1, 1), dtype))
    lag = np.arange(3000)  # sums of products of two chains: (lag + 1) ways
    np.testing.assert_allclose(tree.log_input_share[:, 0], lag * np.log(0.25) + np.log(lag + 1), rtol=2e-5)


def test_another_loss_stands_beside_the_probe():
    net, x = deep(), inputs(T, B, D)
    params, dL_dy = net.init(4), inputs(T, B, OUT, seed=3)
    plain, tree = (gradlab.analyze(net=net, params=params, x=x, dL_dy=dy) for dy in (None, dL_dy))
    _, tape = net.forward(params, x)
    _, grads = net.backward(params, tape, dL_dy)
    for path in ("0/forward", "0/backward", "1"):
        node, gradients = tree[path], recurrent_tapes(tape)[path.replace("/", ".")].gradients
        np.testing.assert_array_equal(node.log_grad_norm, plain[path].log_grad_norm)
        found = node.log_loss_grad_norm.transpose("time", "state", "sample")
        np.testing.assert_allclose(found, gradients.log_norms, rtol=1e-12)
        whole = [np.log(np.linalg.norm(grads[f"{path.replace('/', '.')}.{name}"])) for name in node.parameter.values]
        np.testing.assert_allclose(node.log_weight_grad_norm, whole, rtol=1e-10)


def test_what_is_asked_for_is_recorded_in_every_layer():
    net = deep()
    given = {"net": net, "params": net.init(0), "x": inputs(T, B, D)}
    tree = gradlab.analyze(**given, record=["products"], without=["dead_units"])
    for path in ("0/forward", "0/backward", "1"):
        assert "log_product_norm" in tree[path] and "dead_units" not in tree[path]


def test_it_is_read_back_whole_from_netcdf(tmp_path):
    net = deep()
    tree = gradlab.analyze(net=net, params=net.init(0), x=inputs(T, B, D), lengths=LENGTHS)
    tree.to_netcdf(tmp_path / "run.nc")
    with xr.open_datatree(tmp_path / "run.nc") as back:
        xr.testing.assert_identical(back.load(), tree)


def test_what_cannot_be_analysed():
    net = deep()
    good = {"net": net, "params": net.init(0), "x": inputs(T, B, D)}
    steep = Sequential(Dense(D, D), Recurrent(make_cell("elman", input_size=D, hidden_size=H, activation="identity")))
    large = {name: np.full_like(p, 1e200) for name, p in steep.init(0).items()}
    for wrong, match in [
        ({"net": "lstm"}, r"net: expected a layer such as .*, got 'lstm'"),
        ({"params": None}, r"analyze\(net=...\) needs params= and x="),
        ({"cell": "gru"}, r"analyze\(net=...\) needs .* and no RunConfig or other network"),
        ({"initial_state": inputs(B, H)}, "with a net of your own, initial_state does not apply; give seed"),
        ({"gain": 2.0}, "with a net of your own, gain does not apply; give seed"),
        ({"dL_dy": inputs(T, B, 2)}, r"dL_dy: expected shape \(12, 3, 5\), got \(12, 3, 2\)"),
        ({"record": ["product"]}, "unknown recording 'product'"),
        ({"params": net.init(0, models=(2,))}, "net: a network is analysed one model at a time"),
        ({"net": steep, "params": large}, r"the forward pass overflowed at step \d+ of layer 1 \(gate .*, sample 0\)"),
    ]:
        with pytest.raises(InputError, match=match):
            gradlab.analyze(**good | wrong)
    with pytest.raises(InputError, match="with a cell of your own, dL_dy does not apply"):
        gradlab.analyze(cell=cell(), params=cell().init(0), x=inputs(T, B, D), dL_dy=inputs(T, B, H))


def test_the_recorder_sees_the_pass_of_the_probe():
    net = Recurrent(cell())
    params, x = net.init(0), inputs(T, B, D)
    _, tape = net.forward(params, x)
    seen = []
    net.backward(params, tape, inputs(T, B, H), Pass(observe=lambda traj: seen.append))
    assert sum(len(lin) for lin in seen) == T
