"""Losses: values against plain formulas, gradients against differences on every library, weights, padding, messages."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from gradlab import to_numpy as host
from gradlab.arrays import namespace
from gradlab.errors import InputError
from gradlab.gpu_check.nets import NETS, T
from gradlab.learning.losses import LOSSES, step_weights

from ..contract import EPS, LIBRARIES, assert_array, each_dtype, each_library, each_way
from ..networks import network, slope

STEPS, SAMPLES, OUTPUTS = 5, 2, 4
NEAR = {"float64": {"rel": 1e-7, "abs": 1e-9}, "float32": {"rel": 1e-4, "abs": 1e-5}}
LEADS = {"sequence": (STEPS, SAMPLES), "vector": (SAMPLES,)}
each_loss = pytest.mark.parametrize("name", LOSSES)
each_lead = pytest.mark.parametrize("lead", LEADS)
each_weighting = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def problem(name, lead, models=(), weighted=False):
    """outputs, targets and weights, of one loss; the targets lack the model axes."""
    rng = np.random.default_rng(11)
    shape = LEADS[lead]
    outputs = 2 * rng.normal(size=(*shape[:-1], *models, shape[-1], OUTPUTS))
    targets = {
        "mse": rng.normal(size=(*shape, OUTPUTS)),
        "cross_entropy": rng.integers(0, OUTPUTS, shape),
        "binary_cross_entropy": rng.random((*shape, OUTPUTS)),
    }[name]
    return outputs, targets, rng.random(shape) if weighted else None


def by_sample(name, y, target):
    """l of one sample's outputs (O,), from the textbook."""
    if name == "mse":
        return np.mean((y - target) ** 2)
    if name == "cross_entropy":
        return -np.log(np.exp(y[target]) / np.exp(y).sum())
    s = 1 / (1 + np.exp(-y))
    return np.mean(-target * np.log(s) - (1 - target) * np.log(1 - s))


def textbook(name, outputs, targets, weights):
    """sum w l / sum w, without model axes."""
    weights = np.ones(outputs.shape[:-1]) if weights is None else weights
    losses = [by_sample(name, outputs[i], targets[i]) for i in np.ndindex(*weights.shape)]
    return np.average(losses, weights=weights.ravel())


def moved(xp, dtype, *arrays):
    return [None if a is None else xp.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]


@each_way
@each_weighting
@each_lead
@each_loss
def test_value_and_gradient(name, lead, weighted, library, dtype, models):
    xp = LIBRARIES[library]()
    outputs, targets, weights = problem(name, lead, models, weighted)
    loss = LOSSES[name]
    value, gradient = loss(*moved(xp, dtype, outputs, targets, weights), model_axes=len(models))
    axis = len(LEADS[lead]) - 1
    single = np.moveaxis(outputs, axis, 0) if models else outputs[None]
    expected = np.reshape([textbook(name, own, targets, weights) for own in single], models)
    assert_array(xp.asarray(value), xp, dtype, expected)
    rng = np.random.default_rng(12)
    exact = host(loss(outputs, targets, weights, model_axes=len(models))[1])
    assert_array(gradient, xp, dtype, exact)
    for _ in range(3):
        direction = rng.normal(size=outputs.shape)

        def along(h, direction=direction):
            return loss(outputs + h * direction, targets, weights, model_axes=len(models))[0].sum()

        assert (exact * direction).sum() == pytest.approx(slope(along), rel=1e-9, abs=1e-11)


@each_loss
def test_every_model_may_have_targets_and_weights_of_its_own(name):
    outputs, targets, weights = problem(name, "sequence", (3,), weighted=True)
    rng = np.random.default_rng(13)
    own = np.stack([rng.permutation(targets) for _ in range(3)], axis=1)
    heavy = np.stack([weights, weights**2, weights > 0.5], axis=1)
    value, gradient = LOSSES[name](outputs, own, heavy, model_axes=1)
    for m in range(3):
        single = LOSSES[name](outputs[:, m], own[:, m], heavy[:, m])
        np.testing.assert_allclose(value[m], single[0], rtol=1e-14)
        np.testing.assert_allclose(gradient[:, m], single[1], rtol=1e-13)


@each_library
@each_loss
def test_padding_takes_no_loss(name, library):
    """Whatever stands there; the value is the mean over the steps within the lengths."""
    xp = LIBRARIES[library]()
    outputs, targets, _ = problem(name, "sequence")
    lengths = np.array([2, 4])
    alive = step_weights(lengths, STEPS)
    expected = textbook(name, outputs, targets, alive.astype(float))
    outputs[~alive] = np.nan
    targets[~alive] = -100 if name == "cross_entropy" else np.nan
    y, t, n = moved(xp, "float64", outputs, targets, lengths)
    value, gradient = LOSSES[name](y, t, step_weights(n, STEPS))
    assert float(value) == pytest.approx(expected, rel=1e-13)
    gradient = host(gradient)
    assert not gradient[~alive].any() and gradient[alive].all()


def test_step_weights():
    assert step_weights(np.array([0, 1, 3]), 3).tolist() == [
        [False, True, True],
        [False, False, True],
        [False, False, True],
    ]
    assert step_weights(np.array([[0, 1], [2, 3]]), 3).shape == (3, 2, 2)


@each_dtype
def test_extreme_logits(dtype):
    """Neither overflow nor a loss of exactly nothing where something is wrong."""
    outputs = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    value, gradient = LOSSES["cross_entropy"](outputs, np.array([1, 1]))
    assert value == pytest.approx(1e4)
    np.testing.assert_array_equal(gradient, np.array([[0.5, -0.5], [0, 0]]))
    value, gradient = LOSSES["binary_cross_entropy"](outputs, np.array([[1, 1], [0, 0]], dtype))
    assert value == pytest.approx(5e3)
    np.testing.assert_array_equal(gradient, np.array([[0, -0.25], [0, 0.25]]))


@each_dtype
@each_library
@pytest.mark.parametrize("logit", [0.0, 1e-3, 3.0, 12.0, 40.0, 80.0])
def test_binary_cross_entropy_keeps_its_digits(logit, library, dtype):
    """Of the class that is right, and of the wrong one: ln(1 + e^-z) and z + ln(1 + e^-z), slopes -s(-z) and s(z)."""
    xp = LIBRARIES[library]()
    outputs = np.array([[logit], [-logit]], dtype)
    z = float(outputs[0, 0])
    for targets, value, rate in (
        ([[1], [0]], math.log1p(math.exp(-z)), -math.exp(-z) / (1 + math.exp(-z))),
        ([[0], [1]], z + math.log1p(math.exp(-z)), 1 / (1 + math.exp(-z))),
    ):
        found, gradient = LOSSES["binary_cross_entropy"](*moved(xp, dtype, outputs, np.array(targets)))
        assert float(found) == pytest.approx(value, rel=4 * EPS[dtype], abs=0)
        np.testing.assert_allclose(host(gradient), [[rate / 2], [-rate / 2]], rtol=4 * EPS[dtype])


@each_dtype
@each_library
@pytest.mark.parametrize("logit", [0.0, 1e-3, 3.0, 12.0, 40.0, 80.0])
def test_cross_entropy_keeps_its_digits(logit, library, dtype):
    """Of two classes whose logits differ by z: as the binary loss has it."""
    xp = LIBRARIES[library]()
    outputs = np.array([[logit, 0], [0, logit]], dtype)
    z = float(outputs[0, 0])
    rates = np.array([-1, 1]) / (1 + math.exp(-z))
    for targets, value, rate in (
        ([0, 1], math.log1p(math.exp(-z)), rates * math.exp(-z)),
        ([1, 0], z + math.log1p(math.exp(-z)), -rates),
    ):
        found, gradient = LOSSES["cross_entropy"](*moved(xp, dtype, outputs, np.array(targets)))
        assert float(found) == pytest.approx(value, rel=4 * EPS[dtype], abs=0)
        np.testing.assert_allclose(host(gradient), [rate / 2, rate[::-1] / 2], rtol=4 * EPS[dtype])


@each_loss
def test_outputs_that_overflowed_give_a_value_that_is_not_finite(name):
    outputs, targets, _ = problem(name, "sequence")
    outputs[1, 0, 2] = np.inf
    value, _ = LOSSES[name](outputs, targets)
    assert not np.isfinite(value)


# nets with a loss

SHAPES = {  # the net, its loss, and whether it has an output at every step
    "one to one": ("mse", False),
    "one to many": ("mse", True),
    "many to one": ("binary_cross_entropy", False),
    "many to many": ("cross_entropy", True),
    "encoder and decoder": ("cross_entropy", True),
    "translator": ("mse", True),
}


@each_way
@pytest.mark.parametrize("name", SHAPES)
def test_a_training_step(name, library, dtype, models):
    """The gradient of the loss value with respect to all parameters, along random directions."""
    assert set(SHAPES) <= set(NETS)
    loss, every = SHAPES[name]
    net, rng = replace(network(name, models), initial=None, dL_dfinal=None), np.random.default_rng(14)
    samples = (T, 2) if every else (2,)
    shape = net.dy.shape[-1:] if loss != "cross_entropy" else ()
    targets = rng.integers(0, 2, samples) if loss == "cross_entropy" else rng.random((*samples, *shape))

    def value_and_gradient(own, *targets):
        y, tape = own.forward()
        value, dy = LOSSES[loss](y, *targets, model_axes=len(models))
        return value, lambda: replace(own, dy=dy).backward(tape)[1]

    xp = LIBRARIES[library]()
    grads = value_and_gradient(net.moved(xp, dtype), *moved(xp, dtype, targets))[1]()
    assert all(namespace(g) is xp for g in grads.values())
    for _ in range(2):
        direction = {key: rng.normal(size=p.shape) for key, p in net.params.items()}

        def along(h, direction=direction):
            params = {key: p + h * direction[key] for key, p in net.params.items()}
            return value_and_gradient(replace(net, params=params), targets)[0].sum()

        found = sum((host(grads[key]) * d).sum() for key, d in direction.items())
        assert found == pytest.approx(slope(along), **NEAR[dtype])


# messages


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "weights", "message"),
    [
        (
            "mse",
            (5, 2, 1),
            np.zeros((2, 1)),
            None,
            r"targets: expected shape \(5, 2, 1\) for outputs \(5, 2, 1\), got \(2, 1\)",
        ),
        ("mse", (2, 1), np.zeros((2, 3)), None, r"targets: expected shape \(2, 1\)"),
        ("mse", (2, 1), np.array([[0], [np.nan]]), None, r"targets holds nan at index \(1, 0\); it must be finite"),
        ("mse", (2, 1), np.zeros((2, 1), complex), None, "targets: expected real numbers"),
        ("mse", (2,), np.zeros(2), None, r"outputs: expected shape \(T, \*M, B, O\) or \(\*M, B, O\), got \(2,\)"),
        ("mse", (2, 2, 2, 2), np.zeros((2, 2, 2, 2)), None, "outputs: expected shape"),
        ("cross_entropy", (5, 2, 3), np.zeros((5, 2, 3), int), None, r"targets: expected shape \(5, 2\)"),
        ("cross_entropy", (2, 3), np.zeros(2), None, "targets: expected class numbers, got float64"),
        ("cross_entropy", (2, 3), np.array([0, 3]), None, "targets: expected classes from 0 to 2, got 0 to 3"),
        ("cross_entropy", (2, 3), np.array([-1, 1]), None, "targets: expected classes from 0 to 2, got -1 to 1"),
        (
            "binary_cross_entropy",
            (2, 1),
            np.array([[0], [1.5]]),
            None,
            "targets: expected numbers from 0 to 1, got 0.0 to 1.5",
        ),
        ("binary_cross_entropy", (2, 1), np.array([[0], [np.nan]]), None, "targets: expected numbers from 0 to 1"),
        ("mse", (5, 2, 1), np.zeros((5, 2, 1)), np.ones((2, 5)), r"weights: expected shape \(5, 2\)"),
        (
            "mse",
            (2, 1),
            np.zeros((2, 1)),
            np.zeros(2),
            "weights: expected numbers from 0 on, not all zero; got a sum of 0.0",
        ),
        ("mse", (2, 1), np.zeros((2, 1)), np.array([-1, 2.0]), "weights: expected numbers from 0 on"),
        ("mse", (2, 1), np.zeros((2, 1)), np.array([np.nan, 2.0]), "weights: expected numbers from 0 on"),
        ("mse", (2, 1), np.zeros((2, 1)), np.array([np.inf, 2.0]), "weights: expected numbers from 0 on"),
    ],
)
def test_bad_input(name, outputs, targets, weights, message):
    with pytest.raises(InputError, match=message):
        LOSSES[name](np.zeros(outputs), targets, weights)


@each_loss
@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0), (0, 3)])
def test_nothing_to_lose(name, shape):
    targets = np.zeros(shape[:-1], int) if name == "cross_entropy" else np.zeros(shape)
    message = f"outputs: expected at least one step, sample and output, got shape {shape}"
    with pytest.raises(InputError, match=re.escape(message)):
        LOSSES[name](np.zeros(shape), targets)


@each_loss
def test_a_single_number(name):
    with pytest.raises(InputError, match=r"outputs: expected shape \(T, \*M, B, O\) or \(\*M, B, O\), got \(\)"):
        LOSSES[name](np.array(0.5), np.array(0))


def test_weights_of_one_model_are_all_zero():
    outputs, targets, _ = problem("mse", "sequence", (3,))
    weights = np.ones(outputs.shape[:-1])
    weights[:, 1] = 0
    with pytest.raises(InputError, match="weights: expected numbers from 0 on, not all zero; got a sum of 0.0"):
        LOSSES["mse"](outputs, targets, weights, model_axes=1)


def test_bad_types():
    with pytest.raises(InputError, match="outputs: expected float32 or float64, got int64"):
        LOSSES["mse"](np.zeros((2, 1), int), np.zeros((2, 1)))
    with pytest.raises(InputError, match="targets is a strict array"):
        LOSSES["mse"](np.zeros((2, 1)), LIBRARIES["strict"]().zeros((2, 1)))
    with pytest.raises(InputError, match=r"targets: expected shape \(5, 2, 4\) for outputs \(5, 3, 2, 4\)"):
        LOSSES["mse"](np.zeros((5, 3, 2, 4)), np.zeros((5, 2)), model_axes=1)
    with pytest.raises(InputError, match="unknown loss 'msee'. Did you mean 'mse'"):
        LOSSES["msee"]  # noqa: B018
