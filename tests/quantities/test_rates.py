"""The fitted rate of every sample: what a verdict on this sample alone says."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS
from gradlab.runs.verdicts import groups

from ..commands import call, parsed
from ..contract import random_problem

LENGTHS = np.array([30, 12, 7, 3, 2, 1])


def alone(ds):
    """ln of the fitted factor per step of each sample's own verdict (sample,)."""
    found = [gradlab.verdict(ds.isel(sample=[n])) for n in range(ds.sizes["sample"])]
    return [math.nan if v.steps < 2 else -math.inf if v.fitted_log_rate is None else v.fitted_log_rate for v in found]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_it_is_that_of_the_samples_own_verdict(name, lengths):
    problem = random_problem(name, (), (30, len(LENGTHS), 2, 5))
    ds = gradlab.analyze(cell=problem.cell, params=problem.params, x=problem.x, lengths=lengths)
    assert ds.fitted_log_rate.dims == ("sample",)
    np.testing.assert_allclose(ds.fitted_log_rate, alone(ds), rtol=1e-9, atol=1e-12)


def test_models_have_their_own():
    problem = random_problem("elman", (3,), (30, 6, 2, 5))
    ds = gradlab.analyze(cell=problem.cell, params=problem.params, x=problem.x, lengths=LENGTHS)
    assert ds.fitted_log_rate.dims == ("model", "sample")
    for model in range(3):
        one = ds.isel(model=model)
        np.testing.assert_allclose(one.fitted_log_rate, alone(one), rtol=1e-9, atol=1e-12)


def test_what_is_exactly_zero_and_what_is_too_short():
    """A relu that the first sample switches off for good; a sample of one step has no rate."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="relu")
    params = {"W_xh": np.ones((1, 1, 1)), "W_hh": 0.5 * np.ones((1, 1, 1)), "b_h": np.zeros((1, 1))}
    x = np.broadcast_to([[-1.0], [1.0], [1.0]], (20, 3, 1))
    found = gradlab.analyze(cell=cell, params=params, x=x, lengths=np.array([20, 20, 1])).fitted_log_rate
    np.testing.assert_allclose(found, [-np.inf, math.log(0.5), np.nan], rtol=1e-12)


def test_the_command_line_names_it():
    told = parsed(call("analyze", "--json", "--steps", 20, "--hidden-size", 8))
    assert told["quantities"]["fitted_log_rate"]["median"] == pytest.approx(told["verdict"]["fitted_log_rate"], abs=0.1)
    assert "fitted_log_rate " in call("list", "quantities").stdout


def mixed(small, large):
    """A run whose first samples are driven into saturation and vanish, and whose last ones are not, and explode."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=8)
    params = cell.init(0, gain=3.0) | {"b_h": np.zeros((1, 8))}
    scale = np.r_[np.full(large, 100.0), np.full(small, 0.01)]
    return gradlab.analyze(cell=cell, params=params, x=scale[:, None] * np.ones((80, 1, 1)))


@pytest.mark.parametrize(("small", "large"), [(3, 5), (4, 2)])
def test_groups_are_chosen_by_it(small, large):
    ds = mixed(small, large)
    found = groups(ds)
    for samples in found.values():
        chosen = ds.isel(sample=samples)
        assert gradlab.verdict(chosen).fitted_log_rate == pytest.approx(float(chosen.fitted_log_rate.median()), rel=0.2)
