"""Descent on a function of a few numbers: the way it takes, with and without clipping."""

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.learning import descend
from gradlab.theory import error_wall


def bowl(x, y):
    return 2 * x, 8 * y


def test_every_point_is_a_plain_step_from_the_one_before():
    way = descend(bowl, (1.0, -1.0), 0.1, 3)
    np.testing.assert_allclose(way, [[0.8**n, -(0.2**n)] for n in range(4)], rtol=1e-12)


def test_a_clipped_step_is_as_long_as_the_threshold_allows():
    way = descend(bowl, (3.0, 4.0), 0.5, 1, "norm", 0.2)
    gradient = np.array([6.0, 32.0])
    np.testing.assert_allclose(way[1] - way[0], -0.5 * 0.2 * gradient / np.linalg.norm(gradient), rtol=1e-12)
    np.testing.assert_allclose(np.ptp(descend(bowl, (3.0, 4.0), 0.5, 1, "value", 0.2), axis=0), [0.1, 0.1])


def test_on_the_wall_plain_descent_is_thrown_far_and_clipped_descent_arrives():
    def slopes(w, b):
        return error_wall(w, b)[1:]

    plain, clipped = (descend(slopes, (6.0, -2.6), 1.0, 60, *clip) for clip in ((), ("norm", 0.5)))
    assert np.linalg.norm(np.diff(plain, axis=0), axis=1).max() > 4
    assert np.linalg.norm(np.diff(clipped, axis=0), axis=1).max() == pytest.approx(0.5)
    assert error_wall(*clipped[-1]).error < 0.01 < error_wall(*plain[-1]).error


def test_no_update_stays_at_the_start():
    assert descend(bowl, (3.0, 4.0), 0.5, 0).tolist() == [[3.0, 4.0]]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"slopes: expected \(2,\) of them, got \(3,\)"):
        descend(lambda x, y: (x, y, 0.0), (1.0, 1.0), 0.1, 1)
    with pytest.raises(InputError, match="updates: expected"):
        descend(bowl, (1.0, 1.0), 0.1, -1)
    with pytest.raises(InputError, match="unknown update clipping"):
        descend(bowl, (1.0, 1.0), 0.1, 1, "nrom")
