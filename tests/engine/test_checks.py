"""The public check of cells: it passes for every registered cell and catches a derivative wrong by 0.1 %."""

from dataclasses import dataclass

import pytest

from gradlab import check_cell, make_cell
from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS
from gradlab.cells.lstm import LSTM
from gradlab.cells.peephole_lstm import PeepholeLSTM
from gradlab.engine.check_cell import CellCheckError

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
