"""Scaled numbers: mantissas and exponents that stand for numbers of any size, exactly."""

from fractions import Fraction

import numpy as np
import pytest

from gradlab.engine.scaled import (
    EMPTY,
    Scaled,
    bring_near_one,
    largest_by_model,
    powers_of_two,
    side_by_side,
    size_exponents,
    stacked,
)

RNG = np.random.default_rng(0)


def exact(scaled):
    """The numbers as fractions; zeros may have any exponent, which would take long to write out."""
    e = np.broadcast_to(scaled.exponents, scaled.shape)
    pairs = zip(scaled.mantissas.flat, e.flat, strict=True)
    return [Fraction(float(m)) * Fraction(2) ** int(k) if m else Fraction(0) for m, k in pairs]


def wild(shape, shared):
    """Random numbers over 2^-3000 ... 2^3000, one exponent along the `shared` axes; a block of zeros among them."""
    sizes = [1 if axis in shared else n for axis, n in enumerate(shape)]
    mantissas = RNG.normal(size=shape)
    mantissas[0, 0] = 0
    return Scaled(mantissas, RNG.integers(-3000, 3000, sizes).astype(np.int32))


@pytest.mark.parametrize("axes", [-1, (1,), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("shared", [(2,), (1, 2), (0, 1, 2)])
def test_numbers_with_one_exponent_along_more_axes(axes, shared):
    numbers = wild((2, 4, 5), shared)
    same = Scaled.of(numbers, axes)
    top = np.abs(same.mantissas).max(axis=axes)
    assert (((top >= 0.5) & (top < 1)) | (top == 0)).all()
    every = axes if isinstance(axes, tuple) else (axes,)
    assert all(same.exponents.shape[axis] == 1 for axis in every)
    largest = np.broadcast_to(same.exponents, same.shape).ravel()
    for before, after, e in zip(exact(numbers), exact(same), largest, strict=True):
        least = Fraction(2) ** max(int(e) - 1074, -6000)
        assert abs(before - after) <= least  # what flushes is far below


def test_plain_numbers_stay_as_they_are():
    x = RNG.normal(size=(2, 3))
    assert Scaled.of(x).is_plain and Scaled.of(x).plain() is x
    numbers = Scaled(x, np.full((2, 1), 3, dtype=np.int32))
    assert Scaled.of(numbers) is numbers and not numbers.is_plain
    np.testing.assert_array_equal(numbers.plain(), 8 * x)
    np.testing.assert_array_equal(numbers.over(np.int32(1)), 4 * x)
    np.testing.assert_array_equal(numbers[0].plain(), 8 * x[0])
    np.testing.assert_array_equal(numbers[:1].map(lambda m: 2 * m).plain(), 16 * x[:1])


def test_norms_of_any_size():
    numbers = Scaled(np.array([[3.0, 4.0], [0.0, 0.0], [3.0, 4.0]]), np.array([[5000], [7], [-9000]], dtype=np.int32))
    expected = [np.log(5) + 5000 * np.log(2), -np.inf, np.log(5) - 9000 * np.log(2)]
    np.testing.assert_allclose(numbers.log_norm(-1), expected, rtol=1e-14)
    assert numbers.log_norm((0, 1)) == pytest.approx(expected[0])
    assert numbers.sizes(-1).ravel().tolist() == [5003, EMPTY, -8997]


def test_an_exponent_in_the_depths_is_zero():
    numbers = Scaled(np.array([[1.0], [1.0]]), np.array([[EMPTY + 5], [3]], dtype=np.int32))
    assert Scaled.of(numbers, (0, 1)).mantissas.ravel().tolist() == [0.0, 0.5]
    assert numbers.log_norm(-1)[0] < -(2**28)


def test_numbers_are_brought_near_one_in_place():
    x = np.array([[3e200, -1.0], [0.0, 0.0], [0.0, 1e-300]])
    before, exponents = x.copy(), bring_near_one(np, x, -1)
    np.testing.assert_array_equal(np.ldexp(x, exponents[:, None]), before)
    assert exponents[1] == 0 and (np.abs(x[[0, 2]]).max(axis=-1) >= 0.5).all() and np.abs(x).max() < 1
    assert size_exponents(np, before, -1).tolist() == [exponents[0], EMPTY, exponents[2]]
    assert powers_of_two(np, np.array([-2, 3]), "float32").tolist() == [0.25, 8.0]


def test_numbers_beside_and_on_each_other():
    """Whatever is not far below the largest of its row, or of its block, is still there."""
    rows = [Scaled(RNG.normal(size=(3, n)), np.array([[k], [0], [-4000]], np.int32)) for n, k in ((2, 3000), (4, 2990))]
    joined = side_by_side(*rows)
    assert exact(joined) == [x for n in range(3) for row in rows for x in exact(row[n : n + 1])]
    blocks = [Scaled(RNG.normal(size=(2, 3)), np.full((1, 1), k, np.int32)) for k in (-5000, -5010, EMPTY)]
    whole = stacked(blocks)
    assert whole.shape == (3, 2, 3) and whole.exponents.shape == (1, 1, 1)
    assert exact(whole)[:12] == exact(blocks[0]) + exact(blocks[1]) and not whole.mantissas[2].any()
    plain = side_by_side(*(Scaled.of(r.mantissas) for r in rows))
    np.testing.assert_array_equal(plain.mantissas, np.concatenate([r.mantissas for r in rows], axis=-1))


def test_one_block_alone_is_beside_and_on_nothing():
    for numbers in (wild((2, 3, 4), (2,)), Scaled.of(RNG.normal(size=(2, 3, 4)))):
        assert exact(side_by_side(numbers)) == exact(numbers)
        assert exact(stacked([numbers])[0]) == exact(numbers)


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("models", [0, 1, 2])
def test_the_largest_number_of_each_model_has_no_sign(models, before):
    shape = (2, 3, 4, 5, 6)
    found = largest_by_model(-np.abs(RNG.normal(size=shape)) - 1, models, before)
    assert found.shape == shape[before : before + models] and (found > 1).all()
    array = np.zeros(shape)
    array[1, 2, 3, 4, 5] = -7.0
    found = largest_by_model(array, models, before)
    assert found.ravel().tolist() == [0] * (found.size - 1) + [7]
    alone = largest_by_model(np.full((1,) * 5, -3.0), models, before)
    assert alone.ravel().tolist() == [3.0]
    nothing = largest_by_model(np.zeros((*shape[: before + models], 0)), models, before)
    assert nothing.shape == found.shape and not nothing.any()
