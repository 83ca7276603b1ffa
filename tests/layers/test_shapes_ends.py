"""The last steps of both directions."""

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.layers import Ends


def test_each_half_is_read_at_its_own_end():
    x = np.arange(24.0).reshape(3, 2, 4)
    y, _ = Ends().forward({}, x, np.array([3, 2]))
    np.testing.assert_array_equal(y, [[*x[2, 0, :2], *x[0, 0, 2:]], [*x[1, 1, :2], *x[0, 1, 2:]]])


def test_what_is_no_pair_of_directions():
    with pytest.raises(InputError, match="x: expected two directions side by side, got 3 features"):
        Ends().forward({}, np.zeros((2, 1, 3)))
