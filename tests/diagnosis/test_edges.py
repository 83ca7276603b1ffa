"""What predicted rates rest on: a step's typical factor, the roots of it, and factors of parameters."""

import math

import numpy as np
import pytest

from gradlab.cells import make_cell
from gradlab.diagnosis.edges import LOG_FACTORS, chrono_log_rate, edge_gain, parameter_factor, root, rounded, typical
from gradlab.theory import mean_field
from gradlab.theory.phases import LARGEST_SCALE

from ..throwaway_cells import Squashed


def test_a_typical_factor_is_theorys_at_every_scale_that_theory_takes():
    scales = [0.0, 0.5, 2.0, LARGEST_SCALE]
    for s, found in zip(scales, typical("tanh", scales, 1.0), strict=True):
        assert found == pytest.approx(mean_field("tanh", sigma_w=s, sigma_v=1.0).log_rate)
    for s, found in zip(scales, typical("relu", 0.9, scales), strict=True):
        assert found == pytest.approx(mean_field("relu", sigma_w=0.9, sigma_v=s).log_rate)


@pytest.mark.parametrize("wrong", [-0.1, 1.01 * LARGEST_SCALE, math.inf, math.nan])
def test_beyond_theory_there_is_no_typical_factor(wrong):
    for scales in (([1.0, wrong], 1.0), (1.0, [1.0, wrong])):
        assert np.isnan(typical("tanh", *scales)).tolist() == [True, True]
    assert np.isnan(typical("swish_of_my_own", 1.0, [1.0, 2.0, 3.0])).tolist() == [True] * 3


@pytest.mark.parametrize("miss", [-0.3, 0.2])
def test_what_a_run_missed_theory_by_moves_the_edge(miss):
    assert typical("tanh", edge_gain("tanh", 0.5, miss), 0.5)[0] == pytest.approx(-miss, abs=5e-3)
    assert edge_gain("tanh", 0.5, 60.0) is None


def test_a_root_lies_in_the_middle_of_the_last_interval():
    width = 10 / 40**3
    for expected in np.linspace(-4.9, 4.9, 57):
        assert abs(root(lambda s, at=expected: s - at, LOG_FACTORS) - expected) <= 0.501 * width


@pytest.mark.parametrize("zero", [-5.0, -4.5, 0.0, 2.25, 5.0])
def test_a_root_on_the_grid_is_one(zero):
    assert root(lambda s: s - zero, LOG_FACTORS) == pytest.approx(zero, abs=2e-4)


@pytest.mark.parametrize("zero", [-5.1, 5.1])
def test_factors_beyond_e5_are_not_looked_at(zero):
    assert root(lambda s: s - zero, LOG_FACTORS) is None


def test_of_two_roots_the_nearer_to_0_counts_beside_what_is_no_number():
    assert root(lambda s: np.where(s < -1, np.nan, (s - 2) * (s + 3)), LOG_FACTORS) == pytest.approx(2, abs=2e-4)
    assert root(lambda s: (s - 0.5) * (s + 0.6), LOG_FACTORS) == pytest.approx(0.5, abs=2e-4)
    assert root(lambda s: (s - 0.6) * (s + 0.5), LOG_FACTORS) == pytest.approx(-0.5, abs=2e-4)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_fewest_steps_of_a_chrono_bias(steps):
    """u ~ U(1, 2), as for the three steps whose biases can be drawn."""
    u = 1 + (np.arange(200) + 0.5) / 200
    carried = 0.5 * math.log(np.mean((u / (1 + u)) ** (2 * steps))) / steps
    assert chrono_log_rate(steps, 0.0) == pytest.approx(carried, rel=1e-9)


def test_an_input_that_overflows_carries_nothing_that_is_known():
    assert math.isnan(chrono_log_rate(10, math.inf))


def size(cell, params, factor=1.0):
    return np.linalg.norm(cell.weights(params | {"W_hh": factor * params["W_hh"]})["W_hh"])


@pytest.mark.parametrize("amount", [0.3, 0.9, 1.0, 1.7])
@pytest.mark.parametrize("cell", [make_cell("antisymmetric", input_size=1, hidden_size=6), Squashed(1, 6, "tanh")])
def test_weights_that_are_made_become_so_many_times_as_large(cell, amount):
    params = cell.init(0)
    params["W_hh"] -= 3.0
    factor = parameter_factor(cell, params, "W_hh", amount)
    assert size(cell, params, factor) == pytest.approx(amount * size(cell, params), rel=1e-3)


@pytest.mark.parametrize("amount", [-1.0, 0.0, 1e9, math.nan])
def test_a_factor_that_nothing_makes_is_itself(amount):
    cell = Squashed(1, 6, "tanh")
    assert parameter_factor(cell, cell.init(0), "W_hh", amount) == pytest.approx(amount, nan_ok=True)
    cell = make_cell("elman", input_size=1, hidden_size=6)
    assert parameter_factor(cell, cell.init(0), "W_hh", amount) == pytest.approx(amount, nan_ok=True)


@pytest.mark.parametrize(("x", "expected"), [(1.23456, 1.23), (0.00123456, 0.00123), (-98.76, -98.8), (1.0, 1.0)])
def test_three_digits_unless_the_rate_says_otherwise(x, expected):
    assert rounded(x) == rounded(x, math.exp) == rounded(x, None, 1.0) == rounded(x, math.exp, 0.0) == expected


@pytest.mark.parametrize(
    ("error", "expected"), [(0.3, 1.0), (0.2345, 1.0), (0.234, 1.2), (0.0345, 1.2), (0.034, 1.23), (1e-9, 1.23)]
)
def test_as_few_digits_as_move_the_rate_by_no_more(error, expected):
    """On either side."""
    assert rounded(1.2345, lambda x: x, error + 1e-12) == expected
    assert rounded(1.2345, lambda x: -x, error + 1e-12) == expected
