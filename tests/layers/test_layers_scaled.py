"""Gradients that leave the floating-point range between two layers: in single precision as in double, or exact."""

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.gpu_check.nets import NETS, OUT, D, H, cell, random_input
from gradlab.layers import (
    Dense,
    Dropout,
    Embedding,
    EncoderDecoder,
    Last,
    LayerNorm,
    Once,
    Pass,
    Recurrent,
    Residual,
    Scaled,
    Sequential,
)

from ..contract import LIBRARIES, each_dtype
from ..engine.test_numbers import log
from ..networks import Network, network

STEPS = 9
LENGTHS, SOURCE_LENGTHS = np.array([STEPS, 4]), np.array([6, 3])
NEAR = 2e-4  # relative, of float32 after a few dozen products


def linear(inputs=H, units=H):
    """h_t = V x_t + W h_{t-1} + b, whose states grow as its gradient does."""
    return Recurrent(make_cell("elman", input_size=inputs, hidden_size=units, activation="identity"))


DEEP = {  # name -> (layer, what it takes)
    "recurrent": (Sequential(linear(D), linear(), linear(), linear()), "sequence"),
    "between dense layers": (
        Sequential(Dense(D, H), linear(), Dense(H, H), linear(), linear(), Dense(H, OUT)),
        "sequence",
    ),
    "every kind": (
        Sequential(
            LayerNorm(D),
            cell("lstm"),
            Dropout(0.3),
            Residual(cell("gru", H, H)),
            Dropout(0.3),
            linear(),
            Residual(Sequential(linear(), Dense(H, H))),
            linear(),
            Last(),
            Dense(H, OUT),
        ),
        "sequence",
    ),
    "symbols": (Sequential(Embedding(7, D), linear(D), Residual(linear()), linear()), "symbols"),
    "once": (Sequential(LayerNorm(D), Dense(D, H), Once(STEPS), linear(), linear(), linear()), "vector"),
    "encoder and decoder": (
        EncoderDecoder(
            Sequential(Embedding(7, D), linear(D), linear(H, H)), Sequential(linear(D), linear(), Dense(H, OUT))
        ),
        ("symbols", "sequence"),
    ),
}
GROWTH = {"explodes": 1e4, "moderate": 1.0, "vanishes": 1e-5}  # by step and by layer
SIGNAL = {"explodes": 1e-35, "moderate": 1.0, "vanishes": 1e30}  # into the net, so that no state leaves the range
LOSS = {"explodes": 1e33, "moderate": 1.0, "vanishes": 1e-36}


def factors(sizes, array, axis):
    """One factor per model, along the model axis."""
    return np.asarray(sizes).reshape(-1, *(1,) * (array.ndim - 1 - axis))


def model_axis(name):
    return int(name.rpartition(".")[2] in ("W_xh", "W_hh", "b_h"))


@pytest.fixture(scope="module", params=[(name,) for name in GROWTH] + [tuple(GROWTH)], ids="-".join)
def kinds(request):
    return request.param


def deep(name, kinds, padded=False):
    """A net of as many models as kinds, float32, whose gradient does what they say."""
    (layer, takes), rng = DEEP[name], np.random.default_rng(5)
    growth, signal, loss = ([table[kind] for kind in kinds] for table in (GROWTH, SIGNAL, LOSS))
    params = layer.init(rng, models=(len(kinds),))
    for key, p in params.items():
        if key.endswith(("W_xh", "W_hh")) and activation(layer, key) == "identity":
            params[key] = p * factors(growth, p, 1)
        if key.endswith("W_emb"):
            params[key] = p * factors(signal, p, 0)
    x = times(random_input(rng, takes, (len(kinds),), STEPS), signal)
    lengths = (SOURCE_LENGTHS, LENGTHS) if isinstance(x, tuple) else LENGTHS
    net = Network(layer, params, x, lengths if padded else None)
    dy = times(rng.normal(size=net.forward()[0].shape), loss)
    return replace(net, dy=dy).moved(np, "float32")


def times(x, sizes):
    """Each model's real numbers (..., M, B, F) times a factor of its own."""
    if isinstance(x, tuple):
        return tuple(times(part, sizes) for part in x)
    return x * factors(sizes, x, x.ndim - 3) if x.dtype.kind == "f" else x


def activation(layer, key):
    """That of the recurrent layer which a parameter belongs to."""
    for part in [*key.split(".")[:-1], ""]:
        layer = layer.layer if isinstance(layer, Residual) else layer
        layer = layer.layers[int(part)] if part.isdigit() else getattr(layer, part) if part else layer
    return layer.cell.activation.name


def scaled_gradients(net):
    """{name: the scaled gradient}, of parameters and input."""
    _, tape = net.forward()
    dx, grads = net.layer.backward_scaled(net.params, tape, net.dy, Pass(dL_dfinal=net.dL_dfinal))
    inputs = dict(zip(("source", "target"), dx, strict=True)) if isinstance(dx, tuple) else {"x": dx}
    return grads | {name: g for name, g in inputs.items() if g is not None}


def wide(scaled):
    """The numbers in float64 on the host, where none of those here over- or underflows."""
    return np.ldexp(gradlab.to_numpy(scaled.mantissas).astype(float), gradlab.to_numpy(scaled.exponents))


def assert_close(found, expected, kept):
    """Log norm and direction for each index of the axes `kept`: the error is a small part of the norm."""
    axes = tuple(axis for axis in range(found.ndim) if axis not in kept)
    error, norm = (np.sqrt(np.square(array).sum(axis=axes)) for array in (found - expected, expected))
    assert np.isfinite(norm).all() and (error <= NEAR * norm).all()


@pytest.mark.parametrize(("library", "padded"), [("numpy", False), ("numpy", True), ("strict", True), ("cupy", True)])
@pytest.mark.parametrize("name", DEEP)
def test_single_precision_finds_what_double_precision_does(name, library, padded, kinds):
    """Of dL/dx at every step and sample, and of every parameter of every model."""
    net = deep(name, kinds, padded)
    found, expected = scaled_gradients(net.moved(LIBRARIES[library](), "float32")), net.moved(np, "float64").gradients()
    assert found.keys() == expected.keys()
    for key, truth in expected.items():
        assert str(found[key].mantissas.dtype) == "float32"
        assert_close(wide(found[key]), truth, [model_axis(key)] if key in net.params else range(truth.ndim - 1))


@pytest.mark.parametrize("name", DEEP)
def test_plain_numbers_could_not_tell(name, kinds):
    """What is handed from layer to layer here is beyond float32, but in the net that is moderate."""
    _, tape = (net := deep(name, kinds)).forward()
    dx, _ = net.layer.backward(net.params, tape, net.dy)
    x = dx[1] if isinstance(dx, tuple) else dx
    for m, kind in enumerate(kinds if x is not None else ()):
        own = x[..., m, :, :]
        assert np.isinf(own).any() if kind == "explodes" else (own == 0).any() == (kind == "vanishes")


# products of large and small factors, one layer at a time

WEIGHTS = ("W_xh", "W_hy", "W_emb", "gamma")  # what is scaled
FACTORS = [(1e30, 1e-30, 1e30), (1e-30, 1e30, 1e-30), (1e-10, 1e-15, 1e-30), (1e35, 1e-35, 1e37), (1e-35, 1e35, 1e-37)]
ALONE = {
    "identity": (Dense(D, OUT), "sequence"),
    "sigmoid": (Dense(D, OUT, "sigmoid"), "vector"),
    "softmax": (Dense(D, OUT, "softmax"), "sequence"),
    "layer norm": (LayerNorm(D), "sequence"),
    "embedding": (Embedding(7, D), "symbols"),
    "dropout": (Sequential(*[Dropout(0.5)] * 3, Dense(D, D)), "sequence"),
    "elman": (linear(D), "sequence"),
    "lstm": (cell("lstm"), "sequence"),
    "residual": (Residual(Dense(D, D)), "vector"),
}


@pytest.mark.parametrize("factor", FACTORS, ids=str)
@pytest.mark.parametrize("name", ALONE)
def test_weights_inputs_and_losses_of_any_size(name, factor):
    """Two models, of which one is moderate and must not hide what the other loses."""
    layer, takes = ALONE[name]
    rng, sizes = np.random.default_rng(8), [[f, 1.0] for f in factor]
    params = {n: p + rng.normal(size=p.shape) * (n == "b_h") for n, p in layer.init(rng, models=(2,)).items()}
    scaled = {n: p * factors(sizes[0], p, model_axis(n)) for n, p in params.items() if n.rpartition(".")[2] in WEIGHTS}
    net = Network(layer, params | scaled, times(random_input(rng, takes, (2,), 5), sizes[1]))
    net = replace(net, dy=times(rng.normal(size=net.forward()[0].shape), sizes[2])).moved(np, "float32")
    expected = net.moved(np, "float64").gradients()
    for key, found in scaled_gradients(net).items():
        assert_close(wide(found), expected[key], [model_axis(key) if key in params else len(found.shape) - 3])


@each_dtype
@pytest.mark.parametrize("sign", [1, -1])
def test_plain_gradients_that_leave_the_range_only_on_the_way(sign, dtype):
    """Two layers bring the gradient out of it, the lowest brings it back."""
    size = np.float64({"float32": 1e25, "float64": 1e200}[dtype]) ** sign
    for net, names in ((Sequential(Dense(D, H), Dense(H, H), Dense(H, OUT)), "W_hy"), (stack_of(3), "W_xh")):
        params, rng = net.init(0), np.random.default_rng(1)
        scale = {"0": 1 / size, "1": size, "2": size}
        large = {key: (p * (scale[key[0]] if key.endswith(names) else 1)).astype(dtype) for key, p in params.items()}
        x = rng.normal(size=(4, 2, D))
        y, tape = net.forward(large, x.astype(dtype))
        dy = rng.normal(size=y.shape)
        found, _ = net.backward(large, tape, dy.astype(dtype))
        expected, _ = net.backward(params, net.forward(params, x)[1], dy)
        np.testing.assert_allclose(found / size, expected, rtol=2e-4, atol=2e-5)


def stack_of(layers):
    return Sequential(linear(D), *[linear() for _ in range(layers - 1)])


@pytest.mark.parametrize(
    ("layer", "changed", "loss"),
    [
        (Sequential(*[Dropout(0.75)] * 3), {}, 3e37),
        (Dense(D, OUT, "sigmoid"), {"b_y": np.full(OUT, -60.0)}, 1e-30),
        (Dense(D, OUT), {}, 2e38),
    ],
    ids=["dropout", "saturated", "sum over samples"],
)
def test_factors_of_a_layer_itself(layer, changed, loss):
    """What is kept grows by 64, a slope is of 1e-26, and so many samples add up."""
    net = Network(layer, layer.init(0) | changed, np.ones((50, 2, D)))
    net = replace(net, dy=loss * np.random.default_rng(0).random(net.forward()[0].shape)).moved(np, "float32")
    expected = net.moved(np, "float64").gradients()
    for key, found in scaled_gradients(net).items():
        assert expected[key].any()
        assert_close(wide(found), expected[key], range(found.mantissas.ndim - 1))


# exact numbers, and beyond double precision


@each_dtype
@pytest.mark.parametrize(("w", "v"), [(64.0, 2.0**100), (-(2.0**-6), 2.0**-100), (64.0, 2.0**-90)])
def test_a_stack_is_exact_at_any_magnitude(w, v, dtype):
    """h_t = w h_{t-1} + v x_t + b of one unit, at rest in 0, by rational arithmetic."""
    steps, layers = 200, 3
    net = Sequential(*[linear(1, 1)] * layers)
    values = {"W_hh": w, "W_xh": v, "b_h": 0.0}
    params = {name: np.full_like(p, values[name[2:]]) for name, p in net.init(0, dtype=dtype).items()}
    y, tape = net.forward(params, np.zeros((steps, 1, 1), dtype))
    dx, grads = net.backward_scaled(params, tape, np.ones_like(y))
    direct = [Fraction(1)] * steps
    for n in reversed(range(layers)):
        adjoints = list(accumulate(direct[::-1], lambda adjoint, d: adjoint * Fraction(w) + d))[::-1]
        direct = [a * Fraction(v) for a in adjoints]
        total, found = sum(adjoints), grads[f"{n}.b_h"]
        assert found.log_norm(-1).item() == pytest.approx(log(abs(total)), rel=1e-6)
        assert (found.mantissas.item() > 0) == (total > 0)
    np.testing.assert_allclose(dx.log_norm((-2, -1)), [log(abs(d)) for d in direct], rtol=1e-6)
    assert not any(grads[f"{n}.{name}"].mantissas.any() for n in range(layers) for name in ("W_hh", "W_xh"))


@pytest.mark.parametrize(
    ("library", "shift"), [("numpy", 0), ("numpy", 5000), ("numpy", -5000), ("strict", 5000), ("cupy", -5000)]
)
@pytest.mark.parametrize("name", NETS)
def test_scaled_loss_gradients(name, shift, library):
    """2^shift of a loss is 2^shift of every gradient; each step and sample of dL/dy has an exponent of its own."""
    net, rng, xp = network(name, (3,)), np.random.default_rng(2), LIBRARIES[library]()
    expected = net.gradients()
    exponents = rng.integers(-40, 40, (*net.dy.shape[:-1], 1)).astype(np.int32)
    dy = Scaled(*map(xp.asarray, (np.ldexp(net.dy, -exponents), exponents + np.int32(shift))))
    moved = net.moved(xp, "float64")
    final = moved.dL_dfinal
    if final is not None:
        final = Scaled(final, xp.full((1,) * final.ndim, np.int32(shift)))
    for key, g in scaled_gradients(replace(moved, dy=dy, dL_dfinal=final)).items():
        back = wide(Scaled(g.mantissas, g.exponents - shift))
        np.testing.assert_allclose(back, expected[key], rtol=0, atol=1e-11 * np.abs(expected[key]).max(initial=0))


def test_scaled_numbers_have_one_exponent_per_row():
    layer = Dense(D, OUT)
    params = layer.init(0)
    y, tape = layer.forward(params, np.ones((4, 2, D)))
    for wrong in (np.zeros(y.shape, np.int32), np.zeros((4, 1), np.int32), np.zeros((3, 2, 1), np.int32)):
        with pytest.raises(InputError, match=r"dy: expected exponents of shape \(4, 2, 1\), or 1 where shared, got "):
            layer.backward(params, tape, Scaled(y, wrong))
    with pytest.raises(InputError, match="dy: exponents: expected whole numbers, got float64"):
        layer.backward(params, tape, Scaled(y, np.zeros((4, 2, 1))))
    with pytest.raises(InputError, match="dy: expected a NumPy or CuPy array, got list"):
        layer.backward(params, tape, [1.0])
    net = network("recurrent")
    _, tape = net.forward()
    final = Scaled(net.dL_dfinal, np.zeros((*net.dL_dfinal.shape[:-1], 1), np.int32))
    with pytest.raises(InputError, match=r"dL_dfinal: expected exponents of shape \(1, 2, 1\), .* got \(2, 2, 1\)"):
        replace(net, dL_dfinal=final).backward(tape)
