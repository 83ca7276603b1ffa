"""Scaled numbers into and out of backpropagation: equal to plain ones where those exist, else exact."""

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

import gradlab
from gradlab import to_numpy
from gradlab.cells import make_cell
from gradlab.engine.scaled import Scaled, map_rows, sum_products, sum_rows
from gradlab.errors import InputError

from ..contract import LIBRARIES, MODELS, assert_near, each_dtype, each_way, random_problem

LN2 = np.log(2.0)
each_models = pytest.mark.parametrize("models", MODELS, ids=("one", "models"))
SPREAD = {"float32": 200, "float64": 3000}  # beyond what plain numbers hold


def shifted(array, shift, shape):
    """The array times 2^shift, with random exponents of that shape."""
    exponents = np.random.default_rng(1).integers(-20, 20, shape).astype(np.int32)
    return Scaled(np.ldexp(array, -exponents), exponents + shift)


@each_way
@pytest.mark.parametrize("cell", ["elman", "lstm", "peephole_lstm"])
@pytest.mark.parametrize("sign", [0, 1, -1])
def test_a_loss_gradient_of_any_size(cell, sign, library, dtype, models):
    """2^shift of the loss is 2^shift of every gradient, be it beyond all plain numbers."""
    problem, xp, shift = random_problem(cell, models), LIBRARIES[library](), np.int32(sign * SPREAD[dtype])
    expected = problem.bptt()
    losses = (
        shifted(problem.dL_dh, shift, (*problem.dL_dh.shape[:-1], 1)),
        shifted(problem.dL_dfinal, shift, (1, *problem.dL_dfinal.shape[1:-1], 1)),
    )
    moved = (Scaled(xp.asarray(g.mantissas.astype(dtype)), xp.asarray(g.exponents)) for g in losses)
    found = gradlab.bptt(problem.moved(xp, dtype).unroll(), *moved)
    np.testing.assert_allclose(to_numpy(found.log_norms), expected.log_norms + shift * LN2, rtol=0, atol=2e-3)
    back = {"x": found.scaled_inputs, "adjoints": found.scaled} | found.scaled_params
    truth = {"x": expected.inputs, "adjoints": expected.adjoints} | expected.params
    for name, g in back.items():
        plain = Scaled(g.mantissas, g.exponents - shift).plain()
        assert str(plain.dtype) == dtype
        assert_near(to_numpy(plain), truth[name], dtype, factor=4)


@each_dtype
def test_a_small_loss_in_the_midst_of_larger_ones(dtype):
    """Where no adjoint comes from above, as after a cut, a loss far below 1 is no zero."""
    problem = random_problem("elman", sizes=(30, 2, 3, 4))
    problem.dL_dh[20:, :, 0] = 0  # it need not be of every unit
    exponents = np.zeros((30, 2, 1), np.int32)
    exponents[20:] = -SPREAD[dtype]
    direct = Scaled(problem.dL_dh.astype(dtype), exponents)
    for truncate in (None, 25):
        logs = gradlab.bptt(problem.moved(np, dtype).unroll(), direct, truncate=truncate).log_norms[:, 0]
        alone = gradlab.bptt(problem.unroll(), problem.dL_dh * (np.arange(30) >= 20)[:, None, None], truncate=truncate)
        expected = alone.log_norms[21:, 0] - SPREAD[dtype] * LN2
        np.testing.assert_allclose(logs[21:], expected, rtol=1e-5)
        assert (logs[1:21] > -20).all()


@each_dtype
@pytest.mark.parametrize("cell", ["elman", "lstm"])
@pytest.mark.parametrize("size", [2.0**-110, 2.0**110])
def test_the_gradient_of_the_input_beyond_large_or_small_weights(cell, size, dtype):
    """Adjoints grow to 2^60 and fade to 2^-60 as they are, and the input's weights multiply that by as much again."""
    for gain in (8.0, 1 / 64):
        problem = random_problem(cell, sizes=(20, 2, 3, 4))
        problem = replace(problem, dL_dh=0 * problem.dL_dh)
        params = {n: np.zeros_like(p) if n != "W_hh" else gain * p for n, p in problem.params.items()}
        params["W_xh"] = problem.params["W_xh"] * size
        still = replace(problem, params=params, x=0 * problem.x, initial=0 * problem.initial)
        found = still.moved(np, dtype).bptt().scaled_inputs
        own = replace(still, params=params | {"W_xh": problem.params["W_xh"]}).bptt().inputs
        expected = np.log(np.linalg.norm(own, axis=-1)) + np.log(size)
        np.testing.assert_allclose(found.log_norm(-1), expected, rtol=1e-4)


@each_dtype
def test_no_model_hides_what_another_one_loses(dtype):
    """Large adjoints meet small states in one model, in the other both are moderate: each is as exact as alone."""
    cell = make_cell("elman", input_size=2, hidden_size=3, activation="identity")
    rng, growth = np.random.default_rng(0), np.array([1e4, 1.0])
    params = {name: rng.normal(size=(n, 2, *shape)) for name, (n, shape) in cell.shapes.items()}
    params = {name: p * growth.reshape(1, 2, *(1,) * (p.ndim - 2)) for name, p in params.items() if name != "b_h"}
    params["b_h"] = np.zeros((1, 2, 3))
    x = rng.normal(size=(9, 2, 2, 2)) * np.array([1e-35, 1.0])[:, None, None]
    found, expected = (
        gradlab.bptt(gradlab.unroll(cell, own, x.astype(kind)), np.ones((9, 2, 2, 3), kind)).log_param_norms
        for kind in (dtype, "float64")
        for own in [{name: p.astype(kind) for name, p in params.items()}]
    )
    for name, logs in expected.items():
        np.testing.assert_allclose(found[name], logs, rtol=1e-5)


# the operations

PRODUCT = partial(np.einsum, "tbi,tbj->ij")


def random_rows(dtype, shape, spread):
    rng = np.random.default_rng(3)
    exponents = rng.integers(-spread, spread + 1, (*shape[:-1], 1)).astype(np.int32)
    return Scaled(rng.normal(size=shape).astype(dtype), exponents)


def exact(x):
    """As fractions."""
    x = Scaled.of(x)
    return np.vectorize(lambda m, e: Fraction(float(m)) * Fraction(2) ** int(e), otypes="O")(x.mantissas, x.exponents)


def assert_same(found, expected, axes):
    """Within rounding, of the largest along `axes`."""
    error, largest = np.abs(exact(found) - expected).max(axis=axes), np.abs(expected).max(axis=axes)
    assert np.all(error * 2**16 <= largest)


@each_dtype
@pytest.mark.parametrize("spread", [0, 1500])
def test_sums(spread, dtype):
    a, b = random_rows(dtype, (5, 2, 3), spread), random_rows(dtype, (5, 2, 3), spread // 2)
    assert_same(a + b, exact(a) + exact(b), -1)
    assert_same(sum_rows(a), exact(a).sum(axis=(0, 1)), -1)
    assert (a + b).is_plain == sum_rows(a).is_plain == (spread == 0)
    large = Scaled.of(np.full((5, 2, 3), 0.9 * np.finfo(dtype).max, dtype))
    with np.errstate(over="ignore"):
        assert_same(large + large, 2 * exact(large), -1)
        assert_same(sum_rows(large), exact(large).sum(axis=(0, 1)), -1)


@each_dtype
@pytest.mark.parametrize("spread", [0, 1500])
@pytest.mark.parametrize("power", [0, 100, -100])
def test_products(power, spread, dtype):
    a, rng = random_rows(dtype, (5, 2, 3), spread), np.random.default_rng(4)
    w, b = (np.ldexp(rng.normal(size=shape), power).astype(dtype) for shape in ((3, 4), (5, 2, 3)))
    assert_same(map_rows(np.matmul, a, (w, (-2, -1))), exact(a) @ exact(w), -1)
    total = sum_products(lambda m, n: (m * n).sum(axis=(0, 1)), a, b)
    assert_same(total, (exact(a) * exact(b)).sum(axis=(0, 1)), -1)


@each_dtype
def test_moderate_numbers_stay_plain(dtype):
    """As far from 1 as their squares are normal numbers, beside terms that cancel; one product is enough."""
    products = []

    def product(x, w):
        products.append(x @ w)
        return products[-1]

    for power in (100, -100) if dtype == "float64" else (50, -50):
        rows = np.ldexp(np.array([[1.0, -1.0], [1.0, 1.0]]), power).astype(dtype)
        y = map_rows(product, Scaled.of(rows), (np.eye(2, dtype=dtype), (-2, -1)))
        assert y.is_plain and (y.mantissas == rows).all() and y.mantissas is products.pop() and not products
    a, b = np.array([[[1.0, 2.0]], [[-1.0, 2.0]]], dtype), np.ones((2, 1, 2), dtype)
    assert sum_rows(Scaled.of(a)).is_plain and sum_rows(Scaled.of(a)).mantissas.tolist() == [0, 4]
    total = sum_products(PRODUCT, Scaled.of(a), b)
    assert total.is_plain and total.mantissas.tolist() == [[0, 0], [4, 4]]
    assert sum_products(PRODUCT, Scaled.of(0 * a), b).is_plain and sum_products(PRODUCT, Scaled.of(a), 0 * b).is_plain
    for size in (2.0**50, 2.0**-50):
        assert sum_products(PRODUCT, Scaled.of(a), size * b).is_plain and sum_rows(Scaled.of(size * a)).is_plain
    assert (Scaled.of(a) + Scaled.of(-a)).is_plain and (Scaled.of(a) + Scaled.of(b)).is_plain


def test_a_plain_and_a_scaled_number_add_up():
    plain, scaled = Scaled.of(np.array([[3.0, 1.0]])), Scaled(np.array([[1.0, -1.0]]), np.array([[2]], np.int32))
    assert (plain + scaled).plain().tolist() == (scaled + plain).plain().tolist() == [[7, -3]]


@each_dtype
@pytest.mark.parametrize("power", [-0.9, 0.9])
def test_plain_factors_whose_products_leave_the_range(power, dtype):
    """Each is a number, their product none: it is not taken for zero or infinity."""
    rng, size = np.random.default_rng(6), 2.0 ** (power * {"float32": 120, "float64": 1000}[dtype])
    a, b = ((size * rng.uniform(1, 2, (5, 2, 3))).astype(dtype) for _ in range(2))
    with np.errstate(over="ignore", under="ignore"):
        total = sum_products(lambda m, n: (m * n).sum(axis=(0, 1)), Scaled.of(a), b)
    assert_same(total, (exact(Scaled.of(a)) * exact(Scaled.of(b))).sum(axis=(0, 1)), -1)


@each_dtype
@pytest.mark.parametrize("spread", [0, 1500])
def test_each_model_has_an_exponent_of_its_own(spread, dtype):
    """Sums over steps and samples of (T, M, B, n), the models' numbers far apart."""
    a, rng = random_rows(dtype, (5, 3, 2, 4), spread), np.random.default_rng(4)
    a = Scaled(a.mantissas, a.exponents + np.array([-2, 0, 2], np.int32)[:, None, None] * spread)
    b = rng.normal(size=(5, 3, 2, 4)).astype(dtype)

    def of_model(x, m):
        return Scaled(x.mantissas[m], np.broadcast_to(x.exponents, (3, *x.exponents.shape[1:]))[m])

    rows, products = sum_rows(a), sum_products(partial(np.einsum, "tmbi,tmbj->mij"), a, b)
    assert rows.is_plain == products.is_plain == (spread == 0)
    for m in range(3):
        own = exact(Scaled(a.mantissas[:, m], a.exponents[:, m]))
        assert_same(of_model(rows, m), own.sum(axis=(0, 1)), -1)
        expected = (own[..., :, None] * exact(Scaled.of(b[:, m]))[..., None, :]).sum(axis=(0, 1))
        assert_same(of_model(products, m), expected, (-2, -1))


def test_rows_that_are_zero_stay_plain():
    """Whether they came as zero or the weights have no use for them."""
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
    y = map_rows(np.matmul, Scaled.of(rows), (np.array([[1.0], [0.0]]), (-2, -1)))
    assert y.is_plain and y.mantissas.ravel().tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("exponents", "message"),
    [
        (
            np.zeros((5, 2, 4), np.int32),
            r"dL_dh: expected exponents of shape \(5, 2, 1\), or 1 where shared, got \(5, 2, 4\)",
        ),
        (np.zeros((5, 1), np.int32), r"dL_dh: expected exponents of shape \(5, 2, 1\), .* got \(5, 1\)"),
        (np.zeros((5, 2, 1)), "dL_dh: exponents: expected whole numbers, got float64"),
    ],
)
def test_exponents_that_cannot_be_used(exponents, message):
    problem = random_problem("elman")
    with pytest.raises(InputError, match=message):
        gradlab.bptt(problem.unroll(), Scaled(problem.dL_dh, exponents))
