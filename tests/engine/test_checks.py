"""The public check of cells: it passes for every registered cell and catches a derivative wrong by 0.1 %."""

from dataclasses import dataclass

import numpy as np
import pytest

from gradlab import check_cell, make_cell
from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS
from gradlab.cells.lstm import LSTM
from gradlab.cells.peephole_lstm import PeepholeLSTM
from gradlab.engine import check_cell as check
from gradlab.engine.check_cell import CellCheckError, _case, _compare, _partials
from gradlab.engine.jacobian import StateJacobian
from gradlab.errors import InputError

from ..grids import thinned

KINKED = ("relu", "leaky_relu", "hard_tanh", "selu", "elu")
SMOOTH = [name for name in ACTIVATIONS if name not in KINKED]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_registered_cell_passes(name, seed):
    errors = check_cell(name, seed=seed)
    assert {"dL / d W_hh", "dL / d x", "dL / d initial_state", "Frobenius norm", "spectral norm"} <= set(errors)


@pytest.mark.parametrize(("name", "activation"), thinned(CELLS, SMOOTH, 3))
def test_every_smooth_activation_passes(name, activation):
    check_cell(make_cell(name, input_size=2, hidden_size=4, activation=activation), steps=4)


def scaled(mapping, key, factor):
    return {**mapping, key: mapping[key] * factor}


@pytest.mark.parametrize("key", [("h", "i"), ("h", "f"), ("h", "g"), ("h", "o"), ("c", "i"), ("c", "f"), ("c", "g")])
def test_a_gate_derivative_wrong_by_a_thousandth_is_caught(key):
    @dataclass(frozen=True, repr=False)
    class Wrong(LSTM):
        def partials(self, xp, *arrays):
            d_gate, d_state = super().partials(xp, *arrays)
            return scaled(d_gate, key, 1.001), d_state

    with pytest.raises(CellCheckError, match=f"d {key[0]} / d {key[1]} is wrong"):
        check_cell(Wrong(3, 5, "tanh"))


@pytest.mark.parametrize("key", [("h", "c"), ("c", "c")])
def test_a_state_derivative_wrong_by_a_thousandth_is_caught(key):
    @dataclass(frozen=True, repr=False)
    class Wrong(LSTM):
        def partials(self, xp, *arrays):
            d_gate, d_state = super().partials(xp, *arrays)
            return d_gate, scaled(d_state, key, 0.999)

    with pytest.raises(CellCheckError, match=f"d {key[0]} / d {key[1]} is wrong"):
        check_cell(Wrong(3, 5, "tanh"))


def test_a_parameter_derivative_left_out_is_caught():
    @dataclass(frozen=True, repr=False)
    class Wrong(PeepholeLSTM):
        def partials(self, xp, *arrays):
            d_gate, d_state, d_p = super().partials(xp, *arrays)
            return d_gate, d_state, {key: value for key, value in d_p.items() if key != ("h", "p_o")}

    with pytest.raises(CellCheckError, match="d h / d p_o is wrong.*got 0, expected"):
        check_cell(Wrong(3, 5, "tanh"))


def test_a_slope_wrong_by_a_thousandth_is_caught(monkeypatch):
    tanh = ACTIVATIONS["tanh"]
    monkeypatch.setattr(type(tanh), "slope_from_value", lambda self, xp, y: 1.001 * (1 - y * y))
    with pytest.raises(CellCheckError, match="dL / d"):
        check_cell("elman")


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("apply", "J v"),
        ("apply_transpose", "<J\\^T u, v>"),
        ("frobenius", "Frobenius norm"),
        ("spectral", "spectral norm"),
    ],
)
def test_a_wrong_operator_is_caught(method, wrong, monkeypatch):
    right = getattr(StateJacobian, method)
    monkeypatch.setattr(StateJacobian, method, lambda self, *arrays: 1.001 * right(self, *arrays))
    with pytest.raises(CellCheckError, match=f"{wrong} is wrong at"):
        check_cell("lstm")


def test_what_is_wrong_is_named_with_its_place_and_what_was_expected():
    case = _case(LSTM(3, 3, "tanh"), 1, 2, np.random.default_rng(0))
    for name, found, expected in _partials(case, 0):
        assert _compare(name, found, expected) == np.abs(found - expected).max() < 1e-8
        for off in (1.0, -1.0):
            wrong = found + off * (np.arange(found.size) == 4).reshape(found.shape)
            with pytest.raises(CellCheckError, match=rf"{name} is wrong at \(1, 1\): got .*, expected .*"):
                _compare(name, wrong, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps: expected .*, got 0"),
        ({"batch_size": 0}, "batch_size: expected .*, got 0"),
        ({"seed": -1}, "seed: expected .*, got -1"),
    ],
)
def test_sizes_that_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        check_cell("elman", **arguments)


def test_a_name_stands_for_a_cell_of_three_inputs_and_five_units(monkeypatch):
    made = []
    monkeypatch.setattr(check, "check_declaration", lambda cell: made.append((cell.input_size, cell.hidden_size)))
    check_cell("elman")
    assert made == [(3, 5)]
