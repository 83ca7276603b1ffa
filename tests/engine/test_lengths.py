"""Lengths: which steps belong to which sample, and nothing at all where nothing is padded."""

import numpy as np
import pytest

from gradlab.engine.lengths import Lengths

OWN = Lengths.of(np.array([3, 0, 2]), 4, 0)
INSIDE = np.array([[1, 0, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=bool)
X = np.arange(1.0, 25.0).reshape(4, 3, 2)  # (T, B, n)


def test_without_lengths_everything_comes_back_as_it_is():
    none = Lengths.of(None, 4, 0)
    assert not none.padded
    assert none.keep(X) is X and none[1:].keep(X) is X and none.times.keep(X, np.nan) is X
    assert none.of_samples([0]) is none and none.at_least(1) is none
    np.testing.assert_array_equal(none.take_last(X), X[-1])
    np.testing.assert_array_equal(none.put_last(X[0], 4), np.concatenate([0 * X[:3], X[:1]]))
    np.testing.assert_array_equal(none.mean(X, (0, 1), units=1), X.mean(axis=(0, 1)))
    assert none.count(4) == 4


def test_what_lies_beyond_a_sample_is_replaced():
    np.testing.assert_array_equal(OWN.inside, INSIDE)
    np.testing.assert_array_equal(OWN.keep(X), np.where(INSIDE[..., None], X, 0))
    np.testing.assert_array_equal(OWN.keep(X, np.nan), np.where(INSIDE[..., None], X, np.nan))
    np.testing.assert_array_equal(OWN.keep(X[..., 0], -1.0, units=0), np.where(INSIDE, X[..., 0], -1))
    np.testing.assert_array_equal(OWN[2].keep(X[2]), np.where(INSIDE[2][:, None], X[2], 0))
    np.testing.assert_array_equal(OWN[1:3].keep(X[1:3], X[:2]), np.where(INSIDE[1:3, :, None], X[1:3], X[:2]))
    states = np.stack([X, -X], axis=1)  # (T, S, B, n)
    np.testing.assert_array_equal(OWN.keep(states, states=1), np.where(INSIDE[:, None, :, None], states, 0))
    assert OWN.keep(X.astype("float32"), np.nan).dtype == np.float32


def test_time_0_belongs_to_every_sample():
    np.testing.assert_array_equal(OWN.times.inside, np.concatenate([np.ones((1, 3), dtype=bool), INSIDE]))


def test_means_and_counts_are_of_what_belongs():
    values = X[..., 0]
    expected = np.where(INSIDE, values, 0).sum(axis=0) / np.array([3, np.nan, 2])
    np.testing.assert_allclose(OWN.mean(values, 0), expected)
    assert np.isnan(OWN.mean(values, -1)[3])
    assert OWN.count(4).tolist() == [3, 0, 2]
    assert OWN.count(3, -1).tolist() == [2, 2, 1, 0]


def test_each_sample_has_its_own_last_step():
    np.testing.assert_array_equal(OWN.take_last(X), [X[2, 0], [0, 0], X[1, 2]])
    back = OWN.put_last(X[0], 4)
    np.testing.assert_array_equal(OWN.take_last(back)[[0, 2]], X[0, [0, 2]])
    assert np.count_nonzero(back.any(axis=-1)) == 2
    np.testing.assert_array_equal(OWN.at_least(1).take_last(X)[1], X[0, 1])


def test_each_sample_is_turned_round_by_itself():
    lengths, expected = Lengths.of(np.array([3, 0, 2]), 4, 0), X.copy()
    expected[:3, 0], expected[:2, 2] = X[2::-1, 0], X[1::-1, 2]
    np.testing.assert_array_equal(lengths.flip(X), expected)
    np.testing.assert_array_equal(lengths.flip(lengths.flip(X)), X)
    np.testing.assert_array_equal(Lengths().flip(X), X[::-1])
    models = Lengths.of(np.array([[3, 0, 2], [4, 1, 0]]), 4, 1).flip(np.stack([X, X], axis=1))
    np.testing.assert_array_equal(models[:, 0], expected)
    np.testing.assert_array_equal(models[:, 1], np.stack([X[::-1, 0], X[:, 1], X[:, 2]], axis=1))


@pytest.mark.parametrize("values", [np.array([1, 2]), np.array([[1, 2], [4, 0], [3, 3]])])
def test_model_axes(values):
    lengths = Lengths.of(values, 4, 1)
    x = np.ones((4, 3, 2, 5))  # (T, M, B, n)
    expected = np.arange(1, 5)[:, None, None] <= np.broadcast_to(values, (3, 2))
    np.testing.assert_array_equal(lengths.keep(x)[..., 0], expected)
    np.testing.assert_array_equal(lengths.of_samples([1]).keep(x[:, :, 1:])[..., 0], expected[..., 1:])
