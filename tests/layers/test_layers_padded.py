"""Padded batches: equal to each sequence run alone, the identity beyond its end, NaN in recordings there."""

from dataclasses import replace

import numpy as np
import pytest

from gradlab import to_numpy as host
from gradlab.gpu_check.nets import OUT, D, H, cell, stack, translator
from gradlab.layers import Dense, Dropout, Embedding, EncoderDecoder, Last, LayerNorm, Once, Residual, Sequential
from gradlab.layers.recurrent import recurrent_tapes
from gradlab.learning.losses import step_weights
from gradlab.quantities import Recorder
from gradlab.quantities.every_run import jacobian_frobenius
from gradlab.training.tracks import recording_of

from ..contract import LIBRARIES, each_dtype, each_library
from ..networks import Network, network

ALONE = {"float64": 1e-12, "float32": 5e-5}  # sums over samples in which much cancels
LENGTHS, SOURCE_LENGTHS = (4, 1, 3), (2, 6, 5)
PADDED = {
    "recurrent": cell("lstm"),
    "dense": Dense(D, OUT, "softmax"),
    "layer norm": LayerNorm(D),
    "stack": stack(),
    "input layer": Sequential(LayerNorm(D), Dense(D, D, "sigmoid"), cell("gru"), Dense(H, OUT)),
    "residual": Residual(cell("elman", D, D)),
    "many to one": Sequential(cell("gru"), Residual(cell("lstm", H, H)), Last(), Dense(H, OUT)),
    "last of the input": Sequential(Residual(cell("gru", D, D)), Last()),
    "embedding": Sequential(Embedding(7, D), cell("elman")),
    "encoder and decoder": EncoderDecoder(cell("lstm"), Sequential(cell("lstm"), Dense(H, OUT))),
    "translator": translator(),
}


def padded(name, dtype):
    """The net over a padded batch with nonsense in the padding, dy included, and lengths for its input or inputs."""
    layer, rng = PADDED[name], np.random.default_rng(4)
    pair = isinstance(layer, EncoderDecoder)
    lengths = tuple(np.array(own) for own in ((SOURCE_LENGTHS, LENGTHS) if pair else (LENGTHS,)))
    xs = tuple(nonsense_padded(rng, own, name in ("embedding", "translator"), dtype) for own in lengths)
    net = Network(layer, layer.init(3, dtype=dtype), xs if pair else xs[0], lengths if pair else lengths[0])
    dy = rng.normal(size=net.forward()[0].shape).astype(dtype)
    if dy.ndim == 3:
        dy[~step_weights(lengths[-1], len(dy))] = 1e3
    return replace(net, dy=dy)


def nonsense_padded(rng, lengths, symbols, dtype):
    size = (lengths.max(), len(lengths))
    x = rng.integers(0, 7, size) if symbols else rng.normal(size=(*size, D)).astype(dtype)
    x[~step_weights(lengths, len(x))] = -99 if symbols else np.nan
    return x


def alone(net, b, lengths):
    """Sample b over its own length."""
    xs = net.x if isinstance(net.x, tuple) else (net.x,)
    own = tuple(x[: n[b], b : b + 1] for x, n in zip(xs, lengths, strict=True))
    dy = net.dy[: lengths[-1][b], b : b + 1] if net.dy.ndim == 3 else net.dy[b : b + 1]
    return replace(net, x=own if isinstance(net.x, tuple) else own[0], lengths=None, dy=dy)


def assert_close(found, expected, dtype):
    limit = ALONE[dtype] * float(np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@each_dtype
@pytest.mark.parametrize("name", PADDED)
def test_a_padded_batch_equals_each_sequence_alone(name, dtype):
    net = padded(name, dtype)
    lengths = net.lengths if isinstance(net.lengths, tuple) else (net.lengths,)
    y, grads, total = net.forward()[0], net.gradients(), {}
    for b, length in enumerate(LENGTHS):
        single = alone(net, b, lengths)
        own = y[:length, b : b + 1] if y.ndim == 3 else y[b : b + 1]
        assert_close(own, single.forward()[0], dtype)
        for key, gradient in single.gradients().items():
            if key in net.params:
                total[key] = total.get(key, 0) + gradient
            else:
                assert_close(grads[key][: len(gradient), b : b + 1], gradient, dtype)
                if name not in ("residual", "last of the input"):  # which also pass dy on as it is
                    assert not grads[key][len(gradient) :, b].any()
    for key in net.params:
        assert_close(grads[key], total[key], dtype)


@each_library
@pytest.mark.parametrize("name", ["recurrent", "dense", "layer norm", "stack", "many to one", "last"])
def test_lengths_may_differ_between_models(name, library):
    net = network(name, (3,))
    net = replace(net, lengths=np.array([[4, 1], [2, 4], [3, 0]]))
    moved = net.moved(LIBRARIES[library](), "float64")
    y, grads = host(moved.forward()[0]), {key: host(g) for key, g in moved.gradients().items()}
    for m in range(3):
        own = net.of_model(m)
        assert_close(y[:, m] if y.ndim == 4 else y[m], own.forward()[0], "float64")
        of_params = {key: grads[key] for key in net.params}
        found = replace(net, params=of_params, x=grads["x"], initial=grads.get("initial")).of_model(m)
        for key, gradient in own.gradients().items():
            assert_close(found.arrays()[key], gradient, "float64")


@pytest.mark.parametrize(
    "layer",
    [
        cell("lstm"),
        Dense(D, OUT, "softmax"),
        LayerNorm(D),
        Embedding(7, D),
        Dropout(0.4),
        Residual(Dense(D, D)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_comes_back_for_padding_counts_for_nothing(layer):
    """dL/dy that is zero but in the padding; only what hands dL/dy on has a gradient there, of the input."""
    rng, lengths = np.random.default_rng(6), np.array(LENGTHS)
    net = Network(layer, layer.init(3), nonsense_padded(rng, lengths, isinstance(layer, Embedding), "float64"), lengths)
    outside = ~step_weights(lengths, max(LENGTHS))
    dy = rng.normal(size=net.forward()[0].shape) * outside[..., None]
    grads = replace(net, dy=dy).gradients()
    handed_on = isinstance(layer, Dropout | Residual)
    for name, g in grads.items():
        assert not (g[~outside] if name == "x" and handed_on else g).any()
    assert ("x" in grads) == (not isinstance(layer, Embedding))


def test_one_vector_may_become_sequences_of_several_lengths():
    net, lengths = replace(network("one to many"), initial=None, dL_dfinal=None), (3, 1)
    grads, total = replace(net, lengths=np.array(lengths)).gradients(), {}
    for b, length in enumerate(lengths):
        layer = Sequential(Once(length), *net.layer.layers[1:])
        single = replace(net, layer=layer, x=net.x[b : b + 1], dy=net.dy[:length, b : b + 1])
        for key, gradient in single.gradients().items():
            total.setdefault(key, []).append(gradient)
    assert_close(grads["x"], np.concatenate(total["x"]), "float64")
    for key in net.params:
        assert_close(grads[key], sum(total[key]), "float64")


def test_a_sequence_without_steps():
    """Its last step is the initial state, and nothing else of it counts."""
    net = network("many to one")
    net = replace(net, lengths=np.array([0, 3]))
    _, tape = net.forward()
    np.testing.assert_array_equal(tape.children["2"].x[0], net.initial[0, 0])
    grads = net.gradients()
    assert not grads["x"][:, 0].any() and grads["x"][:3, 1].any()


def test_masked_steps_keep_the_state_and_are_nan_in_recordings():
    net = padded("stack", "float64")
    _, tape = net.forward()
    net.backward(tape, observe=Recorder)
    masked = ~step_weights(net.lengths, 4)
    for name, own in recurrent_tapes(tape).items():
        states, recording = own.trajectory.states, recording_of(own)
        for b, length in enumerate(LENGTHS):
            assert (states[length:, :, b] == states[length, :, b]).all()
        norms = recording.loss.log_norms
        assert (np.isnan(norms[1:]) == masked[:, None]).all(), name
        assert (np.isnan(jacobian_frobenius(recording)) == masked).all()
        one = [alone(net, b, (net.lengths,)) for b in range(3)]
        for b, single in enumerate(one):
            _, single_tape = single.forward()
            single.backward(single_tape, observe=Recorder)
            expected = recording_of(recurrent_tapes(single_tape)[name])
            assert_close(np.exp(norms[: LENGTHS[b] + 1, :, b : b + 1]), np.exp(expected.loss.log_norms), "float64")
            norms_of_steps = recording.recorder.frobenius.values[: LENGTHS[b], b : b + 1]
            assert_close(norms_of_steps, expected.recorder.frobenius.values, "float64")
