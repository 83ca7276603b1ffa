"""The error wall of one unit: its slopes, its place, what is refused."""

import numpy as np
import pytest

import gradlab
from gradlab.errors import InputError
from gradlab.theory import error_wall


@pytest.mark.parametrize("w, b", [(5.2, -2.3), (4.0, -2.0), (-3.0, 1.0), (0.0, 0.0)])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_the_slopes_are_those_of_the_error(w, b, steps):
    h, found = 1e-6, error_wall(w, b, steps)
    by_weight = (error_wall(w + h, b, steps).error - error_wall(w - h, b, steps).error) / (2 * h)
    by_bias = (error_wall(w, b + h, steps).error - error_wall(w, b - h, steps).error) / (2 * h)
    np.testing.assert_allclose([found.by_weight, found.by_bias], [by_weight, by_bias], rtol=1e-5, atol=1e-9)


def test_it_is_the_error_of_an_elman_unit():
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="sigmoid")
    params = cell.init(0)
    params = {name: np.zeros_like(p) for name, p in params.items()} | {
        "W_hh": np.full_like(params["W_hh"], 5.0),
        "b_h": np.full_like(params["b_h"], -2.4),
    }
    traj = gradlab.unroll(cell, params, np.zeros((50, 1, 1)), initial_state=np.full((1, 1, 1), 0.5))
    last = float(traj.states[-1, 0, 0, 0])
    grads = gradlab.bptt(traj, np.concatenate([np.zeros((49, 1, 1)), np.full((1, 1, 1), 2 * (last - 0.7))]))
    found = error_wall(5.0, -2.4)
    assert found.error == pytest.approx((last - 0.7) ** 2, rel=1e-12)
    assert found.by_weight == pytest.approx(grads.params["W_hh"].item(), rel=1e-10)
    assert found.by_bias == pytest.approx(grads.params["b_h"].item(), rel=1e-10)


def test_arrays_that_fit_together_give_a_map():
    found = error_wall(np.linspace(3, 7, 5), np.linspace(-4, 0, 4)[:, None], steps=20)
    assert {part.shape for part in found} == {(4, 5)}
    assert found.error[2, 3] == error_wall(6.0, np.linspace(-4, 0, 4)[2], steps=20).error


def test_the_wall_is_where_one_fixed_point_gives_way_to_another():
    """At w = 6 both fixed points are equally far from the middle at b = -w / 2: the state starts there."""
    b = np.linspace(-4, -2, 201)
    steepest = b[np.abs(error_wall(6.0, b).by_bias).argmax()]
    assert steepest == pytest.approx(-3.0, abs=0.02)
    assert np.ptp(error_wall(6.0, np.array([-3.3, -2.7])).error) > 0.3


def test_what_is_no_number_is_refused():
    with pytest.raises(InputError, match="w holds inf at index .*; it must be finite"):
        error_wall(np.inf, 0.0)
    with pytest.raises(InputError, match=r"expected shapes that fit together, got \(2,\) and \(3,\)"):
        error_wall(np.zeros(2), np.zeros(3))
    with pytest.raises(InputError, match="steps: expected"):
        error_wall(1.0, 0.0, steps=0)
