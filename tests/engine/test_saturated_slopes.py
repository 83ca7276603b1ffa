"""Slopes of saturated units: in single precision as in double, however small they are."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell

from ..contract import EPS
from .test_numbers import each_dtype, net, unit_at_the_end


@pytest.mark.parametrize(("seed", "scale"), [(0, 4.0), (2, 4.0), (2, 5.0)])
def test_the_slope_of_saturated_tanh_in_single_precision(seed, scale):
    """Two units under strong input lose a factor of 100 per step; slopes from values would be off by 8e-3, or zero."""
    cell = make_cell("elman", input_size=3, hidden_size=2)
    x = np.random.default_rng([seed, 9]).normal(size=(150, 8, 3))
    rates = {}
    for dtype in EPS:
        traj = gradlab.unroll(cell, cell.init(seed, input_scale=scale, dtype=dtype), x.astype(dtype))
        logs = gradlab.bptt(traj, unit_at_the_end(150, (), 8, 2, dtype)).log_norms[:, 0]
        rates[dtype] = ((logs[0] - logs[-1]) / 150).mean()
    assert rates["float64"] < -4
    assert rates["float32"] == pytest.approx(rates["float64"], abs=1e-5)


LN_SLOPE = {  # of positive a, exact to rounding however far the unit is saturated
    "tanh": lambda a: math.log(4) - 2 * a - 2 * math.log1p(math.exp(-2 * a)),
    "sigmoid": lambda a: -a - 2 * math.log1p(math.exp(-a)),
    "softsign": lambda a: -2 * math.log1p(a),
}


@each_dtype
@pytest.mark.parametrize("bias", [4.0, 8.0, 12.0, 20.0, 38.0])
@pytest.mark.parametrize("name", LN_SLOPE)
def test_a_saturated_unit_passes_little_but_not_nothing(name, bias, dtype):
    """One unit, constant pre-activation: every step multiplies by w phi'(b), which is small and never zero."""
    cell, params = net([[0.5]], dtype, activation=name)
    params["b_h"][...] = bias
    traj = gradlab.unroll(cell, params, np.zeros((30, 1, 1), dtype))
    logs = gradlab.bptt(traj, unit_at_the_end(30, (), 1, 1, dtype)).log_norms[:, 0, 0]
    expected = [math.log(0.5) + LN_SLOPE[name](a) for a in traj.pre[:, 0, 0, 0].astype(float)]
    np.testing.assert_allclose(np.diff(logs), -np.array(expected), rtol=2e-6)
