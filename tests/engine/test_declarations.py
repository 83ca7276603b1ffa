"""What `check_cell` says of a cell whose declaration is wrong: what was expected and what came, in words."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

import gradlab
from gradlab.arrays import namespace
from gradlab.cells import ACTIVATIONS, Cell
from gradlab.cells.antisymmetric import Antisymmetric
from gradlab.cells.elman import Elman
from gradlab.cells.lstm import LSTM
from gradlab.cells.peephole_lstm import PeepholeLSTM
from gradlab.engine.check_cell import CellCheckError
from gradlab.engine.tracing import Traced

from ..throwaway_cells import Decay, Mixed, Squashed


def refused(base, message, **declared):
    """check_cell's sentence about a cell with other declarations than `base`."""
    cell = type("Wrong", (base,), declared)(3, 5, "tanh")
    with pytest.raises(CellCheckError, match=message):
        gradlab.check_cell(cell)


# names and slices


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"title": None}, "title: expected a text, got None"),
        ({"name": ""}, "name: expected a text, got ''"),
        ({"states": "hc"}, r"states: expected a tuple of one or more names such as \('h',\), got 'hc'"),
        ({"gates": ()}, r"gates: expected a tuple of one or more names such as \('h',\), got \(\)"),
        ({"gates": ["i", "f", "g", "o"]}, "gates: expected a tuple of one or more names .*, got \\['i'"),
        ({"elementwise": "p"}, r"elementwise: expected a tuple of names such as \('h',\), got 'p'"),
        ({"gates": ("i", "f", "g", "h")}, "gates and elementwise: expected names that differ, .* got h twice"),
        ({"elementwise": ("c",)}, "expected names that differ, from 'carry' too, got c twice"),
        ({"gates": ("i", "carry", "g", "o")}, "expected names that differ, from 'carry' too, got carry twice"),
        ({"reads": ("h", "x")}, r"reads: expected a tuple of one or more of the states h, c, got \('h', 'x'\)"),
        ({"reads": ()}, r"reads: expected a tuple of one or more of the states h, c, got \(\)"),
        ({"reads": "h"}, "reads: expected a tuple of one or more of the states h, c, got 'h'"),
        ({"reads": ("h", "h")}, r"reads: expected a tuple of one or more of the states h, c, got \('h', 'h'\)"),
        ({"candidate": "x"}, "candidate: expected one of the gates i, f, g, o, got 'x'"),
        ({"candidate": None}, "candidate: expected one of the gates i, f, g, o, got None"),
        ({"forget_gate": "z"}, "forget_gate: expected None or one of the gates i, f, g, o, got 'z'"),
        ({"input_gate": "c"}, "input_gate: expected None or one of the gates i, f, g, o, got 'c'"),
        ({"roles": {"i": "input", "k": "keep"}}, "roles: expected one of the gates i, f, g, o, got 'k'"),
        ({"driven": slice(0, 5)}, r"driven: expected a slice of the 4 gates i, f, g, o, got slice\(0, 5, None\)"),
        ({"recurrent": slice(-5, None)}, r"recurrent: expected a slice of the 4 gates i, f, g, o, got slice\(-5,"),
        ({"driven": ("i", "f")}, r"driven: expected a slice of the 4 gates i, f, g, o, got \('i', 'f'\)"),
    ],
)
def test_names_and_slices(declared, message):
    refused(LSTM, message, **declared)


def test_a_cell_without_a_candidate():
    class Nameless(Cell):
        name, title, gates = "nameless", "Nameless", ("a",)
        nonlinearities = (ACTIVATIONS["tanh"],)
        step = partials = None

    Nameless.__abstractmethods__ = frozenset()
    with pytest.raises(CellCheckError, match="Nameless: candidate: expected one of the gates a, got None"):
        gradlab.check_cell(Nameless(1, 2, "tanh"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            (ACTIVATIONS["tanh"],) * 3,
            r"expected a tuple of 4 activations, one for each of the gates i, f, g, o, got \(",
        ),
        (("tanh",) * 4, r"expected a tuple of 4 activations, .* got \('tanh'"),
        (ACTIVATIONS["tanh"], "expected a tuple of 4 activations, .* got tanh"),
    ],
)
def test_nonlinearities(values, message):
    refused(LSTM, f"nonlinearities: {message}", nonlinearities=property(lambda self: values))


def test_nonlinearities_that_fail():
    message = "Wrong: nonlinearities raised UnknownName: unknown activation 'tan'. Did you mean 'tanh'"
    refused(Elman, message, nonlinearities=property(lambda self: (ACTIVATIONS["tan"],)))


# step


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda self, xp, g, h: g, "step: expected a tuple of 1 arrays, the new h, got an array of shape"),
        (lambda self, xp, g, h: (g, h), "step: expected a tuple of 1 arrays, the new h, got a tuple of 2"),
        (lambda self, xp, g, h: None, "step: expected a tuple of 1 arrays, the new h, got None"),
        (lambda self, xp, g, h: (0.5,), r"step, the new h: expected an array made from .* \(2, 5\), got 0.5"),
        (
            lambda self, xp, g, h: (np.zeros((2, 5), "float32"),),
            r"step, the new h: expected an array made from the arguments, .* got an array of its own of shape \(2, 5\)",
        ),
        (lambda self, xp, g, h: (np.float64(0.5) * g,), "the new h: expected the arguments' float32 .* got float64"),
        (lambda self, xp, g, h: (g > 0,), "the new h: expected the arguments' float32 .* got bool"),
        (lambda self, xp, g: (g,), r"step\(xp, g, h\) raised TypeError: .*positional arguments but 4 were given"),
        (lambda self, xp, g, h: (g + 1 / 0,), r"step\(xp, g, h\) raised ZeroDivisionError: division by zero"),
    ],
)
def test_step(step, message):
    refused(Elman, message, step=step, state_is_gate=False)


def test_a_new_state_per_unit_alone():
    """An elementwise parameter has no samples."""
    message = r"step, the new c: expected an array .* of shape \(2, 5\), got shape \(1, 5\)"
    refused(Mixed, message, step=lambda self, xp, a, b, h, c, u, s: (a, u))


@pytest.mark.parametrize(
    ("base", "declared"),
    [
        (Elman, {"step": lambda self, xp, g, h: (0.5 * g,)}),
        (Elman, {"step": lambda self, xp, g, h: (h,)}),
        (LSTM, {}),
        (Squashed, {"elementwise": ("p",), "step": lambda self, xp, a, h, p: (a,)}),
    ],
)
def test_a_state_that_is_no_gate(base, declared):
    message = "state_is_gate: expected False, or a step that returns its only gate as its only state, got True"
    refused(base, message, state_is_gate=True, **declared)


# what one kernel can do


def in_place(self, xp, g, h):
    g += h
    return (g,)


def on_a_temporary(self, xp, g, h):
    """This is allowed: the sum is the step's own."""
    new = g * h
    new += 1
    return (new,)


def assigned(self, xp, g, h):
    g[...] = h
    return (g,)


OUTSIDE = {
    "in place": (in_place, "changes an argument in place"),
    "assignment": (assigned, "assigns to a part of an array"),
    "out": (lambda self, xp, g, h: (xp.add(g, h, out=g),), "gives xp.add more than its 2 operands, such as out="),
    "out by position": (lambda self, xp, g, h: (xp.tanh(g, g),), "gives xp.tanh more than its 1 operands"),
    "numpy's out": (lambda self, xp, g, h: (np.add(g, h, out=g),), "changes an argument in place"),
    "index": (lambda self, xp, g, h: (g[..., :1] + h,), "indexes an array"),
    "loop": (lambda self, xp, g, h: (sum(g),), "goes through an array"),
    "condition": (lambda self, xp, g, h: (g if g > 0 else h,), "decides by an array's value"),
    "number": (lambda self, xp, g, h: (float(g) * h,), "converts an array"),
    "method": (lambda self, xp, g, h: (g / g.sum(),), r"uses \.sum of an array"),
    "shape": (lambda self, xp, g, h: (g * g.shape,), r"uses \.shape of an array"),
    "matrices": (lambda self, xp, g, h: (g @ h,), "uses numpy.matmul: it is no elementwise function"),
    "reduction": (lambda self, xp, g, h: (xp.mean(g) + h,), "uses xp.mean: it is no elementwise function"),
    "creation": (lambda self, xp, g, h: (g + xp.zeros_like(h),), "uses xp.zeros_like: it is no elementwise function"),
    "own array": (lambda self, xp, g, h: (g + np.ones(5),), "mixes its arguments with an array of its own"),
    "numpy": (lambda self, xp, g, h: (np.tanh(g),), "uses numpy.tanh: take it from xp"),
    "numpy's where": (lambda self, xp, g, h: (np.where(g > 0, g, h),), "uses numpy.where: take it from xp"),
    "numpy's sum": (lambda self, xp, g, h: (np.sum(g) + h,), "uses numpy.sum: it is no elementwise function"),
    "absolute value": (lambda self, xp, g, h: (abs(g),), "uses numpy.absolute: take it from xp"),
    "plus": (lambda self, xp, g, h: (+g,), "uses numpy.positive: take it from xp"),
    "power": (lambda self, xp, g, h: (2.0**g,), "raises a number to a power: take xp.power"),
    "choice of numbers": (
        lambda self, xp, g, h: (g * xp.where(h > 0, 1.0, 0.01),),
        "makes numbers of truth values alone, in half precision: use xp.where with an array",
    ),
    "mask": (lambda self, xp, g, h: (g * (0.3 * (h > 0)),), "makes numbers of truth values alone, in half precision"),
    "unknown": (lambda self, xp, g, h: (xp.tan_h(g),), "uses xp.tan_h: it is no elementwise function"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_no_kernel_can_do(case):
    step, message = OUTSIDE[case]
    rest = "; it may use operators and elementwise functions of xp only, as one kernel runs it on a GPU"
    refused(Elman, rf"Wrong: step\(xp, g, h\) {message}.*{re.escape(rest)}", step=step, state_is_gate=False)
    refused(
        Elman,
        rf"Wrong: partials\(xp, g, h, h_new\) {message}.*{re.escape(rest)}",
        partials=lambda self, xp, g, h, h_new: ({("h", "g"): step(self, xp, g, h)[0]}, {}),
    )


def test_operators_on_what_a_step_made_itself_are_allowed():
    @dataclass(frozen=True, repr=False)
    class Own(Elman):
        state_is_gate = False
        step = on_a_temporary

        def partials(self, xp, g, h, h_new):
            return {("h", "g"): h}, {("h", "h"): g}

    gradlab.check_cell(Own(2, 3, "tanh"))


# partials


@pytest.mark.parametrize(
    ("partials", "message"),
    [
        (
            lambda *a: {("h", "g"): 1},
            r"partials: expected a tuple of mappings, \(by gates, by states\[, by p\]\), got dict",
        ),
        (lambda *a: ({("h", "g"): 1}, None), r"partials: expected a tuple of mappings, .* got tuple \("),
        (
            lambda *a: ({("h", "x"): 1}, {}),
            r"expected keys \(new state, argument\), of h and of g, h, got \('h', 'x'\)",
        ),
        (
            lambda *a: ({("c", "g"): 1}, {}),
            r"expected keys \(new state, argument\), of h and of g, h, got \('c', 'g'\)",
        ),
        (lambda *a: ({"hg": 1}, {}), r"expected keys \(new state, argument\), of h and of g, h, got 'hg'"),
        (lambda *a: ({("h", "g", 0): 1}, {}), r"of h and of g, h, got \('h', 'g', 0\)"),
        (lambda *a: ({"g": 1}, {}), "of h and of g, h, got 'g'"),
        (lambda *a: ({("h", "g"): 1}, {("h", "g"): 0}), r"partials: expected each key once, got \('h', 'g'\) twice"),
        (lambda *a: ({("h", "g"): None}, {}), "d h / d g: expected a number, or an array made from .*, got None"),
        (lambda *a: ({("h", "g"): "1"}, {}), "d h / d g: expected a number, or an array made from .*, got str '1'"),
        (
            lambda *a: ({("h", "g"): np.ones((1, 5), "float32")}, {}),
            r"d h / d g: expected a number, or an array made .*, of shape \(4, 2, 5\) or \(1, 5\), got an array of its",
        ),
        (
            lambda self, xp, g, h: ({}, {}),
            r"partials\(xp, g, h, h_new\) raised TypeError: .*positional arguments but 5",
        ),
        (
            lambda self, xp, g, h, new: ({("h", "g"): np.float64(1) + 0 * g}, {}),
            "partials, d h / d g: expected the arguments' float32 .*, got float64",
        ),
        (lambda *a: ({}, {}), r"d h / d g is wrong at \(0, 0\): got 0, expected"),
    ],
)
def test_partials(partials, message):
    refused(Elman, message, partials=partials)


def test_a_partial_of_a_shape_that_fits_no_axis():
    """With model axes what depends on an elementwise parameter alone has theirs, too."""

    @dataclass(frozen=True, repr=False)
    class Flat(Mixed):
        def partials(self, xp, *arrays):
            gates, states, p = super().partials(xp, *arrays)
            reduced = Traced(states["h", "h"].values.reshape(-1, 5)[:1])
            return gates, {**states, ("h", "h"): reduced}, p

    message = r"d h / d h: expected .* of shape \(4, 3, 2, 5\) or \(3, 1, 5\), got shape \(1, 5\)"
    with pytest.raises(CellCheckError, match=message):
        gradlab.check_cell(Flat(3, 5, "tanh"))


def test_elementwise_parameters_may_be_made_too():
    """u = sigmoid(p), which keeps a modulus below 1."""

    @dataclass(frozen=True, repr=False)
    class Modulus(Decay):
        def partials(self, xp, b, h, h_new, u):
            return {("h", "b"): 1}, {("h", "h"): u}, {("h", "u"): (h_new - b) / u}

        def weights(self, params):
            return {**params, "p": ACTIVATIONS["sigmoid"].value(np, params["p"])}

        def pull_back(self, params, grads):
            return {**grads, "p": ACTIVATIONS["sigmoid"].slope(np, params["p"]) * grads["p"]}

    assert max(gradlab.check_cell(Modulus(2, 4, "tanh")).values()) < 1e-6


# completed


@pytest.mark.parametrize(
    ("completed", "message"),
    [
        (lambda *a: None, "completed: expected a mapping of gates, got None"),
        (lambda *a: {"x": (a[2], ACTIVATIONS["tanh"])}, "completed: expected one of the gates i, f, g, o, got 'x'"),
        (lambda *a: {"i": a[2]}, r"completed, i: expected \(pre-activation, activation\), got an array of shape"),
        (lambda *a: {"i": (a[2], "tanh")}, r"completed, i: expected \(pre-activation, activation\), got tuple \("),
        (lambda *a: {"i": (0.5, ACTIVATIONS["tanh"])}, "completed, i: expected an array made from .*, got 0.5"),
        (lambda self, xp, *a: {"i": (a[-1], ACTIVATIONS["tanh"])}, r"completed, i: expected .*, got shape \(1, 5\)"),
    ],
)
def test_completed(completed, message):
    refused(PeepholeLSTM, message, completed=completed)


# made weights


def swapped(w):
    return np.swapaxes(w, -1, -2)


def spoiling(params):
    params["W_hh"] *= 2
    return dict(params)


def spoiling_grads(params, grads):
    grads["b_h"] += 1
    return dict(grads)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda p: p["W_hh"], "weights: expected a mapping of W_xh, W_hh, b_h, got an array of its own"),
        (lambda p: {"W_hh": p["W_hh"]}, "weights: expected a mapping of W_xh, W_hh, b_h, got W_hh"),
        (lambda p: {**p, "U": p["W_hh"]}, "weights: expected a mapping of W_xh, W_hh, b_h, got W_xh, W_hh, b_h, U"),
        (
            lambda p: {**p, "W_hh": p["W_hh"][0]},
            r"weights, W_hh: expected an array of shape \(1, 5, 5\) .*, got .* \(5, 5\)",
        ),
        (
            lambda p: {**p, "b_h": np.float64(2) * p["b_h"]},
            "weights, b_h: expected .* type float32, got .* type float64",
        ),
        (lambda p: {**p, "b_h": 0.0}, "weights, b_h: expected an array of shape .*, got 0.0"),
        (spoiling, "weights: expected arguments that are left as they are, got W_hh changed in place"),
        (lambda p: {**p, "W_hh": p["W_hh"] / p["W"]}, "weights raised KeyError: 'W'"),
        (
            lambda p: {**p, "W_hh": p["W_hh"] - p["W_hh"].mean()},
            r"weights with model axes: expected each model made from its own .* \(swapaxes.* got another .* model 0",
        ),
    ],
)
def test_weights(weights, message):
    refused(Antisymmetric, message, weights=lambda self, params: weights(params))


def test_a_transpose_that_mixes_models():
    def weights(self, params):
        return {**params, "W_hh": params["W_hh"] - np.moveaxis(params["W_hh"].T, -1, 0).reshape(params["W_hh"].shape)}

    refused(Antisymmetric, "weights with model axes: expected each model made from its own parameters", weights=weights)


@pytest.mark.parametrize(
    ("pull_back", "message"),
    [
        (lambda p, g: {"W_hh": g["W_hh"]}, "pull_back: expected a mapping of W_xh, W_hh, b_h, got W_hh"),
        (lambda p, g: {**g, "W_hh": g["W_hh"][:, 0]}, r"pull_back, W_hh: expected an array of shape \(1, 5, 5\)"),
        (spoiling_grads, "pull_back: expected arguments that are left as they are, got b_h changed in place"),
        (lambda p, g: {**g, "W_hh": g["W_hh"] ** 2}, "pull_back: expected a linear function of grads, got not twice"),
        (lambda p, g: {**g, "b_h": g["b_h"] + 1}, "pull_back: expected a linear function of grads"),
        (
            lambda p, g: dict(g),
            r"pull_back to W_hh \(transposed derivative of weights\) is wrong at \(0, \d, \d\): got .*, expected",
        ),
        (lambda p, g: {**g, "W_hh": g["W_hh"] + swapped(g["W_hh"])}, "pull_back to W_hh .* is wrong"),
        (lambda p, g: {**g, "W_hh": 1.001 * (g["W_hh"] - swapped(g["W_hh"]))}, "pull_back to W_hh .* is wrong"),
        (
            lambda p, g: {**g, "W_hh": g["W_hh"] - swapped(g["W_hh"]), "b_h": 0 * g["b_h"]},
            "pull_back to b_h .* is wrong",
        ),
    ],
)
def test_pull_back(pull_back, message):
    refused(Antisymmetric, message, pull_back=lambda self, params, grads: pull_back(params, grads))


def test_weights_without_a_pull_back_and_the_other_way_round():
    refused(Elman, "pull_back to W_hh .* is wrong", weights=lambda self, p: {**p, "W_hh": 2 * p["W_hh"]})
    refused(Elman, "pull_back to W_hh .* is wrong", pull_back=lambda self, p, g: {**g, "W_hh": 2 * g["W_hh"]})


def test_weights_that_pull_back_differentiates_elsewhere():
    """sigmoid' at 0 in place of sigmoid' at M."""

    def pull_back(self, params, grads):
        slope = ACTIVATIONS["sigmoid"].slope(namespace(params["W_hh"]), 0 * params["W_hh"])
        return {**grads, "W_hh": slope * grads["W_hh"]}

    refused(Squashed, "pull_back to W_hh .* is wrong", pull_back=pull_back)
