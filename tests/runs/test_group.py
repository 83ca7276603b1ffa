"""A group of samples that are alike, alone: which these are, what is said of it, and where they overflowed."""

import numpy as np
import pytest

import gradlab
from gradlab.errors import InputError
from gradlab.runs.attributes import overflow
from gradlab.runs.group import all_samples, labels, of_group, said_of_group

from .test_verdicts import synthetic


def curves(**groups):
    """A Dataset with so many samples of each word."""
    lags = np.arange(61.0)[:, None]
    rates = {"vanishing": -0.5, "exploding": 0.5, "carried": 0.0}
    return synthetic(np.concatenate([rates[word] * lags * np.ones(n) for word, n in groups.items()], axis=1)[::-1])


@pytest.mark.parametrize(("vanishing", "exploding"), [(5, 3), (2, 9), (1, 1)])
def test_a_group_is_judged_alone(vanishing, exploding):
    ds = curves(vanishing=vanishing, exploding=exploding)
    for word, count in {"vanishing": vanishing, "exploding": exploding}.items():
        chosen = of_group(ds, word)
        found = gradlab.verdict(chosen)
        assert (found.word, found.samples, chosen.sizes["sample"]) == (word, {word: count}, count)
        assert all_samples(chosen) == all_samples(ds) == vanishing + exploding
        verb = {"vanishing": "vanishes", "exploding": "explodes"}[word]
        assert said_of_group(chosen) == [f"This is of {count} of {vanishing + exploding} samples, in which it {verb}."]
    assert said_of_group(ds) == []


def test_their_labels_begin_with_the_largest():
    assert labels(curves(exploding=1, vanishing=5, carried=2)) == {
        "vanishing": "5 vanish",
        "carried": "2 are carried",
        "exploding": "1 explodes",
    }
    assert labels(curves(carried=4)) == {}


def test_one_that_is_not_there():
    with pytest.raises(InputError, match="unknown group 'chaotic'"):
        of_group(curves(vanishing=5, exploding=3), "chaotic")


def test_only_what_is_there_has_overflowed():
    """Two of five samples leave the finite numbers: of the others, nobody is told of an overflow."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="relu")
    params = {"W_xh": np.ones((1, 1, 1)), "W_hh": 1e8 * np.ones((1, 1, 1)), "b_h": np.zeros((1, 1))}
    x = np.broadcast_to(np.array([1.0, -1.0, 1.0, -1.0, -1.0])[:, None], (80, 5, 1))
    ds = gradlab.analyze(cell=cell, params=params, x=x)
    assert [place["sample"] for place in overflow(ds)] == [0, 2]
    for samples, places in (([1, 3, 4], []), ([2, 4], [2]), (0, [0])):
        assert [place["sample"] for place in overflow(ds.isel(sample=samples))] == places
    assert "overflow" not in str(gradlab.verdict(ds.isel(sample=[1, 3, 4])))
