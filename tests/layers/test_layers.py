"""Layers: derivatives by value on every library, recurrent layers in nets, drawing, messages."""

from dataclasses import replace

import numpy as np
import pytest

import gradlab
from gradlab.arrays import namespace
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.gpu_check.nets import NETS, OUT, B, D, H, T, cell, translator
from gradlab.layers import Dense, Dropout, Embedding, EncoderDecoder, Last, LayerNorm, Once, Pass, Residual, Sequential
from gradlab.layers.recurrent import Recurrent, recurrent_tapes
from gradlab.quantities import Recorder

from ..contract import LIBRARIES, each_library, each_way
from ..networks import Network, network, slope, slopes
from ..strict import strict

NEAR = {"float64": 1e-8, "float32": 2e-5}  # of the largest derivative of an array
each_net = pytest.mark.parametrize("name", NETS)


def host(value):
    return gradlab.to_numpy(value)


def assert_slopes(name, models, grads, dtype):
    """Gradients against differences."""
    found = {key: host(g).astype(float) for key, g in grads.items()}
    assert found.keys() == network(name, models).arrays().keys()
    for text, direction, expected in slopes(name, models):
        along = sum((found[key] * d).sum() for key, d in direction.items())
        scale = max(np.linalg.norm(found[key]) * np.linalg.norm(d) for key, d in direction.items())
        assert along == pytest.approx(expected, abs=NEAR[dtype] * max(scale, 0.01)), f"{name}: {text}"


@each_way
@each_net
def test_gradients(name, library, dtype, models):
    xp = LIBRARIES[library]()
    net = network(name, models).moved(xp, dtype)
    grads = net.gradients()
    for key, array in net.arrays().items():
        assert namespace(grads[key]) is xp and str(grads[key].dtype) == dtype and grads[key].shape == array.shape
    assert_slopes(name, models, grads, dtype)


@pytest.mark.parametrize("name", ["dense", "layer norm", "embedding", "many to one", "encoder and decoder"])
def test_the_check_notices_an_error_of_a_thousandth(name):
    grads = network(name).gradients()
    for key in grads:
        with pytest.raises(AssertionError):
            assert_slopes(name, (), grads | {key: grads[key] * 1.001}, "float64")


def test_models_may_share_one_input():
    net = network("stack", (3,))
    shared = replace(net, x=net.x[:, 0])
    together = replace(net, x=np.repeat(net.x[:, :1], 3, axis=1))
    np.testing.assert_array_equal(shared.forward()[0], together.forward()[0])
    for layer in (Dense(D, OUT), LayerNorm(D)):
        params = layer.init(0, models=(3,))
        y, tape = layer.forward(params, net.x[:, :1])
        assert y.shape[:3] == (T, 3, B)
        grads = layer.backward(params, tape, np.ones_like(y))[1]
        y, tape = layer.forward(params, np.repeat(net.x[:, :1], 3, axis=1))
        for name, expected in layer.backward(params, tape, np.ones_like(y))[1].items():
            np.testing.assert_allclose(grads[name], expected, rtol=1e-14)


# recurrent layers


def test_a_recurrent_layer_is_unroll_and_bptt():
    net = network("recurrent")
    y, tape = net.forward()
    traj = gradlab.unroll(net.layer.cell, net.params, net.x, net.initial)
    np.testing.assert_array_equal(y, traj.states[1:, 0])
    for clip in (None, ("step_norm", 0.5)):
        expected = gradlab.bptt(traj, net.dy, net.dL_dfinal, clip)
        dx, grads = net.backward(tape, clip=clip)
        assert tape.clipped == (clip is not None)
        np.testing.assert_array_equal(dx, expected.inputs)
        np.testing.assert_array_equal(tape.gradients.log_norms, expected.log_norms)
        for name in grads:
            np.testing.assert_array_equal(grads[name], expected.params[name])


def test_clipping_and_recording_reach_every_recurrent_layer():
    net = network("translator")
    _, tape = net.forward()
    net.backward(tape, clip=("step_norm", 1e-3), observe=Recorder)
    tapes = recurrent_tapes(tape)
    assert list(tapes) == ["encoder.1", "encoder.2", "decoder.1", "decoder.2"]
    for name, own in tapes.items():
        assert f"{name}.W_hh" in net.params
        joint = np.logaddexp.reduce(2 * own.gradients.log_norms, axis=1) / 2
        assert joint.max() <= np.log(1e-3) + 1e-12 and own.clipped
        dense = gradlab.jacobian(own.trajectory).dense()
        found = own.observer
        np.testing.assert_allclose(found.frobenius.values, np.linalg.norm(dense, axis=(-2, -1)), rtol=1e-12)
        gates = own.trajectory.gates.mean(axis=(-2, -1)).T
        np.testing.assert_allclose(found.gates.mean, gates, atol=1e-14)
    net.backward(tape)
    assert all(own.observer is None and not own.clipped for own in tapes.values())


def test_gradients_exist_after_a_backward_pass():
    _, tape = network("recurrent").forward()
    with pytest.raises(ValueError, match="call backward first"):
        tape.initial_gradient  # noqa: B018
    assert list(recurrent_tapes(tape)) == [""]


def test_the_gradient_of_the_whole_state_passes_from_decoder_to_encoder():
    """Of h and of c, each as differences of a decoder that starts from the state have it."""
    net = network("encoder and decoder")
    _, tape = net.forward()
    net.backward(tape)
    params = {n.removeprefix("decoder."): p for n, p in net.params.items() if n.startswith("decoder.")}
    handed, start = tape.last.gradients.adjoints[-1], tape.last.trajectory.states[-1]
    assert handed.shape == (2, B, H)
    for index in np.ndindex(*handed.shape):

        def loss(h, index=index):
            moved = start.copy()
            moved[index] += h
            return (net.layer.decoder.forward(params, net.x[1], how=Pass(initial_state=moved))[0] * net.dy).sum()

        assert handed[index] == pytest.approx(slope(loss), abs=1e-10)
    assert (np.abs(handed).max(axis=(1, 2)) > 0.05).all()


# drawing


def test_a_seed_means_the_same_weights_everywhere():
    net = translator()
    params, single = net.init(5), net.init(5, dtype="float32")
    assert list(params) == list(single) and "decoder.3.W_hy" in params
    for name, value in params.items():
        np.testing.assert_array_equal(single[name], value.astype(np.float32))
    generator = net.init(np.random.default_rng(5))
    assert all((generator[name] == params[name]).all() for name in params)
    assert (net.init(6)["encoder.0.W_emb"] != params["encoder.0.W_emb"]).all()
    assert net.init(5, models=(3,))["decoder.1.W_hh"].shape == (4, 3, H, H)


def test_scales_of_drawn_weights():
    dense = Dense(400, 50).init(0)
    assert dense["W_hy"].std() == pytest.approx(0.05, rel=0.02) and not dense["b_y"].any()
    assert Embedding(100, 50).init(0)["W_emb"].std() == pytest.approx(1, rel=0.03)
    lstm = Recurrent(make_cell("lstm", input_size=2, hidden_size=3), forget_bias=5.0)
    np.testing.assert_array_equal(lstm.init(0)["b_h"][1], 5)
    assert (LayerNorm(3).init(0)["gamma"] == 1).all() and not LayerNorm(3).init(0)["beta"].any()


def test_dropout():
    x = np.ones((50, 4, 100))
    layer = Dropout(0.25)
    y, tape = layer.forward({}, x, how=Pass(np.random.default_rng(1)))
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(layer.forward({}, x, how=Pass(np.random.default_rng(1)))[0], y)
    moved = layer.forward({}, strict.asarray(x.astype(np.float32)), how=Pass(np.random.default_rng(1)))[0]
    np.testing.assert_array_equal(moved.get() == 0, y == 0)
    np.testing.assert_array_equal(layer.backward({}, tape, x)[0], y)
    for same, tape in (layer.forward({}, x), Dropout(0).forward({}, x, how=Pass(np.random.default_rng(1)))):
        np.testing.assert_array_equal(same, x)
        np.testing.assert_array_equal(layer.backward({}, tape, y)[0], y)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("axes", [(), (1,)], ids=["no axis", "axis of 1"])
def test_dropout_below_models_that_share_one_input(axes, rate):
    """Each model is as if alone with the same draw."""
    layer, rng = Sequential(Dropout(rate), cell("lstm"), Dense(H, OUT)), np.random.default_rng(3)
    x, dy = rng.normal(size=(T, *axes, B, D)), rng.normal(size=(T, 3, B, OUT))
    net = Network(layer, layer.init(3, models=(3,)), x, dy=dy)
    grads = net.gradients()
    assert grads["x"].shape == (T, 3, B, D) and grads["x"].any()
    whole = replace(net, x=np.repeat(x.reshape(T, 1, B, D), 3, axis=1))
    found = replace(whole, params={name: grads[name] for name in net.params}, x=grads["x"])
    for m in range(3):
        alone = whole.of_model(m).gradients()
        for key, expected in alone.items():
            np.testing.assert_allclose(found.of_model(m).arrays()[key], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rng", [None, np.random.default_rng(1)], ids=["evaluation", "training"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((4, 2, 3), int), "x: expected float32 or float64, got int64"),
        (np.ones((4, 2, 3), bool), "x: expected float32 or float64, got bool"),
        (np.ones((4, 2, 3), np.float16), "x: expected float32 or float64, got float16"),
        (np.full((4, 2, 3), "1"), "x: expected float32 or float64, got <U1"),
        ([[[1.0]]], "expected a NumPy or CuPy array, got list"),
        ("x", "expected a NumPy or CuPy array, got str"),
    ],
)
def test_dropout_of_what_is_no_real_number(x, message, rng):
    with pytest.raises(InputError, match=message):
        Dropout(0.3).forward({}, x, how=Pass(rng))


def test_layer_norm_has_the_jacobian_norm_of_the_books():
    """||J||_F^2 = (d - 2) / s^2 without gamma, beta and epsilon."""
    d, layer = 9, LayerNorm(9)
    x = 100 * np.random.default_rng(0).normal(size=(1, d))
    y, tape = layer.forward(layer.init(0), x)
    rows = [layer.backward(layer.init(0), tape, np.eye(d)[i : i + 1])[0] for i in range(d)]
    assert np.square(rows).sum() == pytest.approx((d - 2) / x.var(), rel=1e-6)
    assert y.mean() == pytest.approx(0, abs=1e-12) and y.var() == pytest.approx(1, rel=1e-6)


@each_library
@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e38])
def test_layer_norm_of_numbers_whose_squares_overflow_or_vanish(scale, library):
    xp, layer = LIBRARIES[library](), LayerNorm(4)
    x = scale * np.array([[1.0, 2.0, -3.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    params = {name: xp.asarray(p) for name, p in layer.init(0, dtype="float32").items()}
    y, tape = layer.forward(params, xp.asarray(x.astype(np.float32)))
    np.testing.assert_allclose(host(y), (x - x.mean(axis=-1, keepdims=True)) / deviation, rtol=2e-6, atol=1e-37)
    np.testing.assert_allclose(host(tape.inverse_deviation), 1 / deviation, rtol=2e-5)


def test_a_gradient_of_the_input_that_overflows_is_returned_as_it_is():
    net = Sequential(Dense(2, 2), Dense(2, 2))
    params = {name: np.full_like(p, 1e150) for name, p in net.init(0).items()}
    _, tape = net.forward(params, x_of(3, 2))
    with np.errstate(over="ignore"):
        dx, grads = net.backward(params, tape, np.full((3, 2), 1e10))
    assert np.isposinf(dx).all() and np.isfinite(grads["0.b_y"]).all()


# messages


def x_of(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Dense(0, 2), "input_size: expected a positive integer, got 0"),
        (lambda: Dense(2, 1.5), "output_size: expected a positive integer, got 1.5"),
        (lambda: Dense(2, 2, "sofmax"), "unknown activation 'sofmax'. Did you mean 'softmax'"),
        (lambda: Embedding(0, 2), "vocabulary: expected a positive integer"),
        (lambda: Embedding(2, 0), "size: expected a positive integer"),
        (lambda: LayerNorm(0), "size: expected a positive integer"),
        (lambda: Once(0), "steps: expected a positive integer"),
        (lambda: Dropout(1.0), r"rate: expected a probability in \[0, 1\), got 1.0"),
        (lambda: Dropout("0.5"), r"rate: expected a probability in \[0, 1\), got '0.5'"),
        (lambda: Residual(3), r"Residual: expected a layer such as Recurrent\(cell\), got 3"),
        (lambda: Recurrent("lstm"), r"Recurrent: expected a cell such as make_cell\('lstm', ...\), got 'lstm'"),
        (
            lambda: Recurrent(cell("lstm").cell, gian=2),
            "unknown option of a cell's init 'gian'. Did you mean 'gain'\\? Valid: bias_scale, ",
        ),
        (lambda: Recurrent(cell("lstm").cell, dtype="float32"), "unknown option of a cell's init 'dtype'"),
        (lambda: Sequential(), "Sequential: expected layers such as .* got none"),
        (lambda: Sequential(3), "Sequential: expected layers such as"),
        (lambda: EncoderDecoder(Dense(2, 2), cell("lstm")), "encoder: expected a Recurrent, or a Sequential with one"),
        (lambda: EncoderDecoder(cell("lstm"), Once(2)), "decoder: expected a Recurrent"),
        (lambda: Dense(2, 2).init(-1), "seed: expected a whole number from 0 on"),
        (lambda: Dense(2, 2).init(0, dtype="float16"), "dtype: expected float32 or float64"),
        (lambda: Dense(3, 2).forward({}, x_of(4, 3)), "parameters of Dense.*: expected W_hy, b_y, got none"),
        (
            lambda: run(Dense(3, 2), x_of(4, 5, 2)),
            r"x: expected shape \(T, B, 3\), time first, or \(B, 3\); got \(4, 5, 2\)",
        ),
        (lambda: run(Dense(3, 2), x_of(4, 5, 6, 3)), r"x: expected shape \(T, B, 3\)"),
        (
            lambda: Dense(3, 2).forward(Dense(3, 2).init(0, models=(4,)), x_of(5, 2, 6, 3)),
            r"x: expected shape \(T, 4, B, 3\), time first, or \(4, B, 3\); got \(5, 2, 6, 3\)",
        ),
        (lambda: run(Dense(3, 2), x_of(3)), r"x: expected shape \(T, B, 3\)"),
        (lambda: run(Dense(3, 2), x_of(4, 5, 3), np.array([1, 2])), r"lengths: expected shape \(5,\), got \(2,\)"),
        (lambda: run(Dense(3, 2), x_of(4, 2, 3), np.array([1, 5])), "lengths: expected values from 0 to T=4"),
        (lambda: run(Dense(3, 2), strict.asarray(x_of(4, 3))), "x is a strict array but the parameters are numpy"),
        (lambda: run(Dense(3, 2), x_of(4, 3).astype(complex)), "x: expected real numbers"),
        (lambda: run(Embedding(3, 2), x_of(4, 3)), "x: expected whole numbers, got float64"),
        (lambda: run(Embedding(3, 2), np.array([[0, 3]])), "x: expected symbols from 0 to 2, got 0 to 3"),
        (lambda: run(Embedding(3, 2), np.array([[0, -1]])), "x: expected symbols from 0 to 2, got -1 to 0"),
        (lambda: run(Embedding(3, 2), np.zeros((2, 2, 2), int)), r"x: expected shape \(T, B\), time first, or \(B\)"),
        (lambda: run(Residual(Dense(3, 2)), x_of(4, 3)), r"Residual: expected .* input's shape \(4, 3\), got \(4, 2\)"),
        (lambda: run(Dense(3, 2), x_of(0, 5, 3)), r"x: expected shape \(T, B, 3\), .* got \(0, 5, 3\)"),
        (lambda: run(LayerNorm(3), x_of(4, 0, 3)), r"x: expected shape \(T, B, 3\), .* got \(4, 0, 3\)"),
        (lambda: run(Embedding(3, 2), np.zeros((0, 2), int)), r"x: expected shape \(T, B\), .* got \(0, 2\)"),
        (lambda: run(Last(), x_of(0, 2, 3)), r"x: expected shape \(T, B, F\), time first, got \(0, 2, 3\)"),
        (lambda: run(Last(), x_of(4, 0, 3), np.zeros(0, int)), r"x: expected shape .* got \(4, 0, 3\)"),
        (lambda: run(pair(), x_of(2, 1, D)), r"x: expected the pair \(the encoder's, the decoder's\), got ndarray"),
        (lambda: run(pair(), (x_of(2, 1, D),) * 3), "x: expected the pair .* got 3 values"),
        (lambda: run(pair(), (x_of(2, 1, D),) * 2, np.array([1, 2])), "lengths: expected the pair .* got ndarray"),
        (lambda: pair().output_lengths([np.array([1])]), "lengths: expected the pair .* got 1 value$"),
        (lambda: run(Last(), x_of(4, 3)), r"x: expected shape \(T, B, F\), time first, got \(4, 3\)"),
        (lambda: run(Last(), x_of(4, 2, 3), np.array([1.0, 2])), "lengths: expected whole numbers"),
        (
            lambda: run(EncoderDecoder(cell("lstm"), cell("gru")), (x_of(2, 1, D), x_of(2, 1, D))),
            "initial_state: expected",
        ),
    ],
)
def test_bad_input(mistake, message):
    with pytest.raises(InputError, match=message):
        mistake()


@pytest.mark.parametrize("layer", [Dense(D, D), Sequential(Dense(D, D)), Residual(Dense(D, D))], ids=str)
def test_a_state_without_a_recurrent_layer(layer):
    params, x = layer.init(0), x_of(4, 2, D)
    with pytest.raises(InputError, match="initial_state: no layer of .* takes one; leave it out"):
        layer.forward(params, x, how=Pass(initial_state=x_of(1, 2, D)))
    y, tape = layer.forward(params, x)
    with pytest.raises(InputError, match="dL_dfinal: no layer of .* takes one; leave it out"):
        layer.backward(params, tape, y, Pass(dL_dfinal=x_of(1, 2, D)))


def pair():
    return EncoderDecoder(cell("lstm"), cell("lstm"))


def run(layer, x, lengths=None):
    return layer.forward(layer.init(0), x, lengths)


@pytest.mark.parametrize("layer", [Dense(D, OUT), LayerNorm(D), Dropout(0.1), Last(), cell("gru"), Once(3)], ids=str)
def test_a_gradient_of_another_shape(layer):
    _, tape = run(layer, x_of(4, 2, D))
    with pytest.raises(InputError, match="(dy|dL_dh): expected shape"):
        layer.backward(layer.init(0), tape, x_of(4, 3, 5))


def test_wrong_parameters_are_named():
    net = Sequential(Dense(3, 2), Dense(2, 2))
    with pytest.raises(InputError, match="parameter '2.W_hy' belongs to no layer; names begin with one of: 0, 1"):
        net.forward(net.init(0) | {"2.W_hy": x_of(2, 2)}, x_of(4, 3))
    params = Dense(3, 2).init(0)
    with pytest.raises(InputError, match=r"b_y: expected shape \(2,\), got \(3,\)"):
        Dense(3, 2).forward(params | {"b_y": x_of(3)}, x_of(4, 3))
    with pytest.raises(InputError, match="W_hy: expected float32 or float64"):
        Dense(3, 2).forward(params | {"W_hy": np.zeros((2, 3), int)}, x_of(4, 3))
    with pytest.raises(InputError, match="b_y: expected float64 as W_hy, got float32; convert it"):
        Dense(3, 2).forward(params | {"b_y": np.zeros(2, np.float32)}, x_of(4, 3))
