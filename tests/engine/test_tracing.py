"""Arrays as a fused kernel sees them; what they refuse is tested by cells, in test_declarations."""

import numpy as np
import pytest

from gradlab.cells import ACTIVATIONS
from gradlab.engine.tracing import ELEMENTWISE, NotElementwise, Traced


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_elementwise(activation):
    phi, a = ACTIVATIONS[activation], np.linspace(-3, 3, 7, dtype="float32")
    for function in (phi.value, phi.slope):
        found = function(ELEMENTWISE, Traced(a, given=True))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.values, function(np, a))


def test_numbers_of_the_namespace():
    assert pytest.approx(np.pi) == ELEMENTWISE.pi
    assert ELEMENTWISE.sqrt(4.0) == 2.0
    with pytest.raises(NotElementwise, match="uses .real of an array"):
        Traced(np.ones(2)).real  # noqa: B018
