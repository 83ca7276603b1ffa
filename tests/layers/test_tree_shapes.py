"""Made trees: their shapes, and what cannot be made."""

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.layers import SHAPES, grow


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nodes", [1, 2, 3, 17, 64])
def test_each_has_as_many_nodes_as_wanted_and_two_children_at_most(shape, nodes):
    trees = grow(shape, nodes, 5, np.random.default_rng(1))
    assert (trees.steps, trees.samples) == (nodes, 5)
    assert (trees.lengths == nodes).all() and trees.children.max(initial=0) <= 2


@pytest.mark.parametrize(("shape", "depth"), [("balanced", 6), ("chain", 99)])
def test_how_deep_they_are(shape, depth):
    assert grow(shape, 100, 3, np.random.default_rng(2)).depths.max(axis=0).tolist() == [depth] * 3


def test_random_ones_differ_and_lie_between_the_others():
    trees = grow("random", 200, 20, np.random.default_rng(3))
    depths = trees.depths.max(axis=0)
    assert depths.min() > 7 and depths.max() < 60 and len(np.unique(depths)) > 3
    again = grow("random", 200, 4, np.random.default_rng(3))
    np.testing.assert_array_equal(again.parents, trees.parents[:, :4])  # the first ones of more


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("balancd", 3, 2), "unknown tree 'balancd'. Did you mean 'balanced'"),
        (("chain", 0, 2), "nodes: expected .* got 0"),
        (("chain", 3, 0), "samples: expected .* got 0"),
    ],
)
def test_what_cannot_be_made(given, message):
    with pytest.raises(InputError, match=message):
        grow(*given, np.random.default_rng(0))
