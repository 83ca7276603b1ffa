"""Every cell that the contract allows is analysed, judged, diagnosed, reported and drawn, registered or not."""

import math

import numpy as np
import pytest

import gradlab
from gradlab import plots
from gradlab.cells import CELLS
from gradlab.diagnosis import Change, diagnose, rerunner
from gradlab.diagnosis.factors import measure
from gradlab.runs.verdicts import verdict
from tests.grids import thinned
from tests.throwaway_cells import THROWAWAY

WITHOUT_RECURRENT_WEIGHTS = [name for name, cls in THROWAWAY.items() if not cls.gates[cls.recurrent]]
STEPS = 40


@pytest.fixture
def registered():
    """The throwaway cells, as registered ones, for a while."""
    for name, cls in THROWAWAY.items():
        CELLS.add(name, cls)
    yield
    for name in THROWAWAY:
        CELLS._things.pop(name)


def network(name, activation="tanh"):
    cell = THROWAWAY[name](2, 6, activation)
    return cell, cell.init(0, bias_scale=0.3), np.random.default_rng(0).normal(size=(STEPS, 3, 2))


def analyzed(name, activation="tanh", **options):
    cell, params, x = network(name, activation)
    return gradlab.analyze(cell=cell, params=params, x=x, **options)


@pytest.mark.parametrize(("name", "activation"), thinned(THROWAWAY, ["tanh", "relu"]))
def test_a_cell_of_ones_own_goes_all_the_way(name, activation):
    gradlab.check_cell(THROWAWAY[name](2, 5, activation))
    cell, params, x = network(name, activation)
    ds = gradlab.analyze(cell=cell, params=params, x=x, record=["theory", "products"])
    found = diagnose(ds)
    said = str(found) + found._repr_html_() + str(verdict(ds))
    assert "nan" not in said and "leak" not in said
    assert found.factors and found.cause

    def rerun(change):
        return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

    assert diagnose(ds, rerun).word == found.word
    plots.explore(ds)
    page = plots.html_report(ds, found.verdict.headline, found.advice())
    assert ("<h2>Weights</h2>" in page) == (name not in WITHOUT_RECURRENT_WEIGHTS)


@pytest.mark.parametrize("name", THROWAWAY)
def test_a_registered_cell_goes_all_the_way(registered, name):
    config = gradlab.RunConfig(cell=name, hidden_size=6, batch_size=3, steps=STEPS, bias_scale=0.3, gain=2.0)
    ds = gradlab.analyze(config)
    found = diagnose(ds, rerunner(config))
    assert "nan" not in str(found)
    assert found.word == "carried" or found.remedies or found.nothing_carries
    plots.explore(ds)
    plots.html_report(ds, found.verdict.headline, found.advice())


@pytest.mark.parametrize("name", WITHOUT_RECURRENT_WEIGHTS)
def test_without_recurrent_weights_nothing_comes_through_the_gates(name):
    ds = analyzed(name)
    f = measure(ds)
    assert (f.weights, f.gates, f.recurrence) == (0.0, 0.0, 0.0) and math.isnan(f.radius)
    assert f.slope == pytest.approx(float(ds.activation_slope.mean()))
    texts = {factor.name: factor.text for factor in diagnose(ds).factors}
    assert texts["weight scale"] == "||W||_F / sqrt(H); no gate has recurrent weights"
    with pytest.raises(gradlab.InputError, match="no gate of this cell has recurrent weights: there is no spectrum"):
        plots.weights(ds)


def test_what_a_memory_keeps_is_its_rate():
    found = diagnose(analyzed("throwaway_memory"))
    assert found.log_rate == pytest.approx(math.log(0.9), abs=1e-9)
    assert "0.90 by the carry and 0.00 through the gates (the cell sets the carry)" in found.cause


def test_what_passes_nothing_on_says_why():
    found = diagnose(analyzed("throwaway_feedforward"))
    assert (found.word, found.log_rate, found.verdict.rate) == ("vanishing", None, 0.0)
    assert found.cause.startswith("No gate has recurrent weights, and units keep nothing by themselves")


def test_the_forget_gate_of_a_memory_is_opened(registered):
    cell, params, x = network("throwaway_gated")
    ds = gradlab.analyze(cell=cell, params=params, x=x)

    def rerun(change: Change):
        return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

    best = diagnose(ds, rerun).remedies[0]
    assert best.change.transform[0] == "shift_forget_bias" and best.verified.word == "carried"


@pytest.mark.parametrize("leak", [0.2, 0.6])
def test_the_slope_beside_a_carry_is_the_activations_own(leak):
    """Not that of the whole step, which the carry is a part of."""
    ds = gradlab.analyze(leak=leak, hidden_size=16, batch_size=4, steps=30)
    slope = next(f for f in diagnose(ds).factors if f.name == "activation slope")
    assert slope.value == pytest.approx(float(ds.activation_slope.mean()))
    assert slope.text == "of tanh, mean; at most 1"
