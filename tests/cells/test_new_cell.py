"""One new file is all that a new cell takes: the update-gate RNN is found, passes the contract and can be chosen."""

import sys

import numpy as np
import pytest

import gradlab
import gradlab.cells
from gradlab.cells import CELLS
from gradlab.config import RunConfig, controls
from gradlab.errors import InputError

from ..contract import CHECKS, EPS, LIBRARIES, MODELS, assert_near, random_problem

SOURCE = '''"""Update-gate RNN (Collins, Sohl-Dickstein & Sussillo 2017): h_t = g h_{t-1} + (1 - g) c."""

from dataclasses import dataclass

from gradlab.cells.activations import ACTIVATIONS
from gradlab.cells import Cell, register


@register
@dataclass(frozen=True, repr=False)
class UpdateGate(Cell):
    """Update-gate RNN: one gate between the old state and a candidate."""

    name = "new_update_gate"
    title = "UGRNN"
    gates = ("g", "c")
    candidate = "c"
    forget_gate = "g"

    @property
    def nonlinearities(self):
        return (ACTIVATIONS["sigmoid"], self.activation)

    def step(self, xp, g, c, h):
        return (g * h + (1 - g) * c,)

    def partials(self, xp, g, c, h, h_new):
        return {("h", "g"): h - c, ("h", "c"): 1 - g}, {("h", "h"): g}
'''
NAME = "new_update_gate"


@pytest.fixture(scope="module")
def new_cell(tmp_path_factory):
    """The cell's file on the path of gradlab.cells, found by discover(); all is as before afterwards."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / f"{NAME}.py").write_text(SOURCE, "utf-8")
    gradlab.cells.__path__.append(str(folder))
    gradlab.cells.discover()
    yield NAME
    gradlab.cells.__path__.remove(str(folder))
    CELLS._things.pop(NAME)
    sys.modules.pop(f"gradlab.cells.{NAME}")
    vars(gradlab.cells).pop(NAME)


@pytest.mark.parametrize("models", MODELS, ids=("one", "models"))
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("check", CHECKS)
def test_it_passes_the_contract(new_cell, check, library, dtype, models):
    CHECKS[check](new_cell, LIBRARIES[library](), dtype, models)


def test_it_passes_the_public_check(new_cell):
    errors = gradlab.check_cell(new_cell)
    assert max(errors.values()) < 1e-6


def test_its_equations(new_cell):
    problem = random_problem(new_cell)
    (v_g, v_c), (w_g, w_c), (b_g, b_c) = (problem.params[name] for name in ("W_xh", "W_hh", "b_h"))
    h, states = problem.initial[0], problem.unroll().states
    for t, x in enumerate(problem.x):
        g = 1 / (1 + np.exp(-(x @ v_g.T + h @ w_g.T + b_g)))
        h = g * h + (1 - g) * np.tanh(x @ v_c.T + h @ w_c.T + b_c)
        assert_near(states[t + 1, 0], h)


def test_it_can_be_chosen_everywhere(new_cell):
    assert NAME in controls()["cell"].choices()
    config = RunConfig(cell=NAME, forget_bias=2.0, steps=30, batch_size=4, hidden_size=6)
    assert controls()["forget_bias"].applies_if(config)
    ds = gradlab.analyze(config)
    assert tuple(ds.gate.values) == ("g", "c")
    assert tuple(ds.path.values) == ("carry", "g", "c")
    np.testing.assert_allclose(ds.path_share.sum("path"), 1, rtol=1e-10)
    assert "carry" in gradlab.verdict(ds).why
    assert repr(gradlab.make_cell(NAME, input_size=3, hidden_size=4)) == "UGRNN(3 -> 4, tanh)"
    assert CELLS.describe()[NAME] == "Update-gate RNN: one gate between the old state and a candidate."
    with pytest.raises(InputError, match=f"Did you mean '{NAME}'"):
        RunConfig(cell="new_update_gat")


def test_a_wrong_derivative_of_it_is_caught(new_cell):
    """The contract itself, on a candidate's partial derivative that is off by a thousandth."""

    class Wrong(CELLS[NAME]):
        def partials(self, xp, *arrays):
            gates, states = super().partials(xp, *arrays)
            return {**gates, ("h", "c"): 1.001 * gates[("h", "c")]}, states

    wrong = Wrong(1, 1, "tanh")
    for check in ("gradients", "dense", "products", "norms", "paths", "log_norms"):
        with pytest.raises(AssertionError):
            CHECKS[check](wrong, np, "float64", ())
    CHECKS["states"](wrong, np, "float64", ())
