"""Long products against dense multiplication in float64, closed forms, and each other."""

import dataclasses

import numpy as np
import pytest

import gradlab
from gradlab.arrays import to_numpy
from gradlab.cells import CELLS, make_cell
from gradlab.errors import Cancelled, InputError
from gradlab.products import log_lags, log_norms, norms, path_split, singular_values
from gradlab.products.scaled_vectors import ScaledVectors

from ..contract import (
    CROWDED,
    LIBRARIES,
    TOLERANCE,
    each_library,
    each_models,
    each_way,
    joint,
    random_problem,
)
from ..engine.test_jacobian import linear_net, with_singular_values

each_cell = pytest.mark.parametrize("name", CELLS)
SIZES = (12, 3, 2, 4)  # T, B, D, H


def dense_products(jacobians, t, s):
    """(matrices, logs of their scales) of J_t ... J_{r+1} at r = s..t, rescaled at every step."""
    side, logs = jacobians.shape[-1], np.zeros(jacobians.shape[1:-2])
    product = np.broadcast_to(np.eye(side), jacobians.shape[1:])
    found = [(product, logs)]
    for r in range(t - 1, s - 1, -1):
        product = product @ jacobians[r]
        scale = np.abs(product).max(axis=(-2, -1))
        scale = np.where(scale > 0, scale, 1)
        product, logs = product / scale[..., None, None], logs + np.log(scale)
        found.append((product, logs))
    return [np.stack(arrays) for arrays in zip(*found[::-1], strict=True)]


def expected_norms(jacobians, t, s):
    """ln of Frobenius and spectral norms of the products, (t-s+1, *M, B) each."""
    matrices, logs = dense_products(jacobians, t, s)
    sigma = np.linalg.svd(matrices, compute_uv=False)[..., 0]
    return np.log(np.linalg.norm(matrices, axis=(-2, -1))) + logs, np.log(sigma) + logs


def jordan(r):
    return np.array([[r, 1.0], [0.0, r]])


# norms


@each_way
@each_cell
def test_norms_of_short_products(name, library, dtype, models):
    xp, problem = LIBRARIES[library](), random_problem(name, models, SIZES)
    found = log_norms(gradlab.jacobian(problem.moved(xp, dtype).unroll()), 11, 2)
    frobenius, spectral = expected_norms(gradlab.jacobian(problem.unroll()).dense(), 11, 2)
    assert found.method == "exact"
    assert found.samples == [0, 1, 2]
    assert found.stderr is None
    assert str(found.frobenius.dtype) == str(found.spectral.dtype) == str(found.residual.dtype) == "float64"
    np.testing.assert_allclose(to_numpy(found.frobenius), frobenius, atol=50 * TOLERANCE[dtype])
    error = np.abs(to_numpy(found.spectral) - spectral)
    assert (error <= to_numpy(found.residual) + 50 * TOLERANCE[dtype] + CROWDED.get(name, 0.0)).all()


@each_cell
def test_norms_over_fifty_steps(name):
    problem = random_problem(name, sizes=(50, 4, 3, 10))
    traj = problem.unroll()
    found = log_norms(gradlab.jacobian(traj))
    frobenius, spectral = expected_norms(gradlab.jacobian(traj).dense(), 50, 0)
    np.testing.assert_allclose(found.frobenius, frobenius, rtol=0, atol=1e-10)
    assert (found.spectral <= spectral + 1e-10).all()
    np.testing.assert_allclose(found.spectral, spectral, atol=products_tolerance(found))
    assert (found.residual <= 1e-2).all()


def products_tolerance(found):
    """The residual promises this much; the error is about its square."""
    return float(found.residual.max())


@pytest.mark.parametrize("cell", ["elman", "lstm", "minimal_rnn"])
@pytest.mark.parametrize("scheme", ["identity", "orthogonal", "gaussian"])
def test_the_leading_direction_is_followed_where_it_is_overtaken(cell, scheme):
    """Under W = I the product stays nearly diagonal, and one unit after the other leads."""
    net = make_cell(cell, input_size=3, hidden_size=16)
    params = net.init(5, recurrent_init=scheme)
    traj = gradlab.unroll(net, params, np.random.default_rng(5).normal(size=(80, 3, 3)))
    found = log_norms(gradlab.jacobian(traj)).spectral
    np.testing.assert_allclose(found, expected_norms(gradlab.jacobian(traj).dense(), 80, 0)[1], rtol=0, atol=1e-2)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
@pytest.mark.slow
def test_a_multiple_of_the_identity_over_ten_thousand_steps(factor):
    """Exact in single precision, where direct products have under- or overflown many times over."""
    found = log_norms(gradlab.jacobian(linear_net(factor * np.eye(3), steps=10_000, batch=1, dtype="float32")))
    expected = np.arange(10_000, -1, -1.0) * np.log(float(np.float32(factor)))
    np.testing.assert_allclose(found.frobenius[:, 0], expected + np.log(3) / 2, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.spectral[:, 0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("r", "steps"), [(0.99, 10_000), (0.5, 1000), (1.5, 1000)])
@pytest.mark.parametrize(("dtype", "tol"), [("float32", 1e-5), ("float64", 1e-12)])
def test_a_triangular_matrix(r, steps, dtype, tol):
    """J^k = [[r^k, k r^(k-1)], [0, r^k]]."""
    if dtype == "float64":
        steps = min(steps, 1000)
    found = log_norms(gradlab.jacobian(linear_net(jordan(r), steps=steps, batch=1, dtype=dtype)))
    lags, r = np.arange(steps, -1, -1.0), float(np.dtype(dtype).type(r))
    expected = lags * np.log(r) + 0.5 * np.log(2 + (lags / r) ** 2)
    np.testing.assert_allclose(found.frobenius[:, 0], expected, rtol=tol, atol=tol)


def test_an_orthogonal_matrix_keeps_every_norm():
    q = with_singular_values(np.ones(8))
    found = log_norms(gradlab.jacobian(linear_net(q, steps=500)))
    np.testing.assert_allclose(found.frobenius, np.log(8) / 2, atol=1e-10)
    np.testing.assert_allclose(found.spectral, 0, atol=1e-10)
    np.testing.assert_allclose(singular_values(gradlab.jacobian(linear_net(q, steps=500)), 500, 0).logs, 0, atol=1e-10)


def test_exact_zeros_are_minus_infinity():
    """A nilpotent matrix: its fourth power is zero."""
    found = log_norms(gradlab.jacobian(linear_net(np.diag([2.0, 3.0, 5.0], 1), steps=6)))
    np.testing.assert_allclose(found.frobenius[3:, 0], [np.log(30), np.log(np.hypot(6, 15)), np.log(38) / 2, np.log(2)])
    assert (found.frobenius[:3] == -np.inf).all()
    assert (found.spectral[:3] == -np.inf).all()
    assert not found.residual[:3].any()


@each_cell
def test_beyond_a_samples_length_nothing_is_multiplied(name):
    problem, lengths = random_problem(name, sizes=SIZES), np.array([12, 5, 0])
    found = log_norms(gradlab.jacobian(problem.unroll(lengths=lengths)))
    full = gradlab.jacobian(problem.unroll())
    for sample, length in enumerate(lengths):
        expected = log_norms(full, int(length)).frobenius[:, sample]
        np.testing.assert_allclose(found.frobenius[: length + 1, sample], expected, atol=1e-10)
        np.testing.assert_allclose(found.frobenius[length:, sample], expected[-1], atol=1e-12)


def test_a_huge_step_in_single_precision():
    """Its square overflows, the product of two such steps does, their logarithm does not."""
    found = log_norms(gradlab.jacobian(linear_net(1e30 * jordan(1.0), steps=8, dtype="float32")))
    lags = np.arange(8, -1, -1.0)
    np.testing.assert_allclose(
        found.frobenius[:, 0], lags * 30 * np.log(10) + 0.5 * np.log(2 + lags**2), rtol=1e-6, atol=1e-6
    )


# a part of the samples, and estimates


def test_a_subset_of_the_samples_is_exact(monkeypatch):
    jacobian = gradlab.jacobian(random_problem("lstm", sizes=SIZES).unroll())
    whole = log_norms(jacobian)
    monkeypatch.setattr(norms, "BUDGET", 2.5 * 8**3 * 12)
    found = log_norms(jacobian)
    assert (found.method, found.samples) == ("subset", [0, 1])
    np.testing.assert_allclose(found.frobenius, whole.frobenius[:, :2], rtol=1e-12)
    monkeypatch.setattr(norms, "BUDGET", 1.0)
    assert log_norms(jacobian).method == "probes"
    assert log_norms(jacobian, method="subset").samples == [0]
    assert log_norms(jacobian, method="exact").samples == [0, 1, 2]


@each_library
def test_probes_estimate_the_norm_within_their_error(library):
    """Over many seeds the error is zero on average, and as large as it says."""
    xp, problem = LIBRARIES[library](), random_problem("gru", sizes=(20, 8, 3, 12))
    jacobian = gradlab.jacobian(problem.moved(xp, "float64").unroll())
    exact = to_numpy(log_norms(jacobian, spectral=False).frobenius)
    scores = []
    for seed in range(12):
        found = log_norms(jacobian, method="probes", probes=24, seed=seed)
        assert (found.method, found.spectral) == ("probes", None)
        scores.append((to_numpy(found.frobenius) - exact)[::5] / to_numpy(found.stderr)[::5])
    assert abs(np.mean(scores)) < 0.35
    assert 0.8 < np.std(scores) < 1.5


def test_the_error_of_two_probes_is_half_their_difference():
    """Under the identity, g itself at every time: ln sqrt((a + b) / 2), with d ln = dm / 2m and dm = |a - b| / 2."""
    jacobian = gradlab.jacobian(linear_net(np.eye(3), steps=4))
    found = log_norms(jacobian, method="probes", probes=2, seed=5)
    a, b = (np.random.default_rng(5).normal(size=(2, 1, 2, 3)) ** 2).sum(axis=(1, -1))
    np.testing.assert_allclose(found.frobenius, np.tile(0.5 * np.log((a + b) / 2), (5, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.stderr, np.tile(0.5 * np.abs(a - b) / (a + b), (5, 1)), rtol=1e-12)


def test_an_estimate_of_zero_has_no_error():
    found = log_norms(gradlab.jacobian(linear_net(np.diag([1.0, 1.0], 1), steps=6)), method="probes")
    assert (found.frobenius[:4] == -np.inf).all()
    assert not found.stderr[:4].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_factor_within_the_safe_range_takes_one_product(dtype):
    """Beyond, a second one from vectors near 1; either way the norm is exact."""
    large = {"float32": 2.0**50, "float64": 2.0**400}[dtype]
    vectors, calls, expected = ScaledVectors(np, np.ones((1, 2, 3), dtype), (1, -1)), [], 0.5 * np.log(6)
    for factor, count in ((1.5, 1), (large, 1), (1 / large, 1), (large**2, 2), (large**-2, 2), (1.5, 1)):
        calls.clear()
        vectors.multiply(lambda v, out, f=factor: calls.append(f) or np.multiply(v, f, out=out, dtype=dtype), None)
        expected += np.log(factor)
        assert len(calls) == count
        assert vectors.log_norms() == pytest.approx(expected, rel=1e-6)


def test_the_blocks_of_samples_do_not_show(monkeypatch):
    jacobian = gradlab.jacobian(random_problem("lstm", sizes=SIZES).unroll())
    whole = log_norms(jacobian)
    monkeypatch.setattr(norms, "CACHE_BYTES", 1)
    shares = []
    found = log_norms(jacobian, on_progress=shares.append)
    np.testing.assert_allclose(found.frobenius, whole.frobenius, rtol=1e-12)
    np.testing.assert_allclose(found.spectral, whole.spectral, atol=1e-3)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


# singular values


@pytest.mark.parametrize(("size", "steps"), [(1, 3), (2, 1000), (7, 3000), (24, 300)])
def test_singular_values_of_a_symmetric_matrix_over_any_range(size, steps):
    """|eigenvalue|^T, thousands of powers of ten apart."""
    rng = np.random.default_rng(size)
    q, rates = np.linalg.qr(rng.normal(size=(size, size)))[0], rng.uniform(-1, 0.5, size)
    found = singular_values(gradlab.jacobian(linear_net((q * np.exp(rates)) @ q.T, steps)), steps, 0)
    np.testing.assert_allclose(found.logs[:, 0], steps * np.sort(rates)[::-1], rtol=1e-11, atol=1e-11)


@each_models
@each_library
@each_cell
def test_singular_values_and_alignment(name, library, models):
    xp, problem = LIBRARIES[library](), random_problem(name, models, SIZES)
    traj = problem.moved(xp, "float64").unroll()
    found = singular_values(gradlab.jacobian(traj), 11, [10, 4], 3, adjoint=xp.asarray(problem.dL_dfinal))
    jacobians = gradlab.jacobian(problem.unroll()).dense()
    for i, s in enumerate((10, 4)):
        matrices, logs = dense_products(jacobians, 11, s)
        u, sigma, _ = np.linalg.svd(matrices[0])
        expected = np.moveaxis((np.log(sigma) + logs[0][..., None])[..., :3], -1, 0)
        np.testing.assert_allclose(to_numpy(found.logs)[i], expected, atol=1e-8)
        adjoint = joint(problem.dL_dfinal, models)
        along = (adjoint[..., None, :] @ u)[..., 0, :3] ** 2 / (adjoint**2).sum(axis=-1, keepdims=True)
        pair = (to_numpy(found.alignment)[i], np.moveaxis(along, -1, 0))
        if name == "lru":  # each singular value is there twice: only both directions together are determined
            pair = tuple(values[:2].sum(axis=0) for values in pair)
        np.testing.assert_allclose(*pair, atol=1e-6)


@each_cell
def test_singular_values_multiply_to_the_determinant(name):
    problem = random_problem(name, sizes=(400, 2, 3, 5))
    jacobian = gradlab.jacobian(problem.unroll())
    found = singular_values(jacobian, 400, 0, adjoint=problem.dL_dfinal)
    logs = np.linalg.slogdet(jacobian.dense())[1].sum(axis=0)
    np.testing.assert_allclose(found.logs.sum(axis=0), logs, rtol=1e-6)  # a step's least value is known to eps ||J||
    assert (np.diff(found.logs, axis=0) <= 1e-9).all()
    np.testing.assert_allclose(found.alignment.sum(axis=0), 1, atol=1e-9)
    leading = singular_values(jacobian, 400, 0, 4)
    np.testing.assert_allclose(leading.logs, found.logs[:4], rtol=1e-9)
    assert leading.alignment is None


def test_singular_values_of_a_singular_product():
    found = singular_values(gradlab.jacobian(linear_net(np.diag([2.0, 3.0, 5.0], 1), steps=6)), 6, [4, 0])
    np.testing.assert_allclose(found.logs[0, :2, 0], np.log([15, 6]))
    assert (found.logs[0, 2:] < -30).all()
    assert (found.logs[1] < -30).all()  # rounding errors instead of zero


def test_a_span_of_no_steps_is_the_identity():
    jacobian = gradlab.jacobian(random_problem("lstm").unroll())
    np.testing.assert_allclose(singular_values(jacobian, 3, 3).logs, 0, atol=1e-14)
    np.testing.assert_allclose(log_norms(jacobian, 3, 3).frobenius, np.log(8) / 2)
    split = path_split(jacobian, 3, 3, np.ones((2, 2, 4)))
    np.testing.assert_allclose(split.whole, np.log(8) / 2)


def test_lags():
    assert log_lags(1) == [1]
    assert log_lags(0) == []
    lags = log_lags(1000)
    assert (lags[0], lags[-1]) == (1, 1000)
    assert lags == sorted(set(lags))
    assert 15 <= len(lags) <= 20


# progress and bad input


@pytest.mark.parametrize("method", ["exact", "probes"])
def test_progress_and_cancelling(method):
    jacobian = gradlab.jacobian(random_problem("gru", sizes=SIZES).unroll())

    def cancel(share):
        raise Cancelled

    for work in (
        lambda tell: log_norms(jacobian, method=method, on_progress=tell),
        lambda tell: singular_values(jacobian, 12, 0, on_progress=tell),
        lambda tell: path_split(jacobian, 12, 0, np.ones((1, 3, 4)), on_progress=tell),
    ):
        shares = []
        work(shares.append)
        assert shares == sorted(shares)
        assert shares[0] < 0.5
        assert shares[-1] == pytest.approx(1.0)
        with pytest.raises(Cancelled):
            work(cancel)


@pytest.mark.parametrize(("t", "s"), [(6, 0), (2, 3), (3, -1), (2.5, 0)])
def test_spans_out_of_range(t, s):
    jacobian, message = (
        gradlab.jacobian(random_problem("lstm").unroll()),
        "span: expected whole numbers 0 <= s <= t <= 5",
    )
    for work in (log_norms, singular_values, lambda *span: path_split(*span, np.ones((2, 2, 4)))):
        with pytest.raises(InputError, match=message):
            work(jacobian, t, s)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda j: log_norms(j, method="all"), "unknown method 'all'. Valid: auto, exact, subset, probes"),
        (lambda j: log_norms(j, probes=1), "probes: expected at least 2"),
        (lambda j: singular_values(j, 5, 0, 9), "k: expected 1 to 8, the number of state variables, got 9"),
        (lambda j: singular_values(j, 5, 0, 0), "k: expected 1 to 8"),
        (lambda j: singular_values(j, 5, 0, adjoint=np.ones((2, 4))), r"adjoint: expected shape \(2, 2, 4\)"),
        (lambda j: singular_values(j, 5, []), "s: expected a step or several, got none"),
        (lambda j: path_split(j, 5, 0, np.ones((1, 2, 4))), r"adjoint: expected shape \(2, 2, 4\), got \(1, 2, 4\)"),
    ],
)
def test_bad_input(work, message):
    with pytest.raises(InputError, match=message):
        work(gradlab.jacobian(random_problem("lstm").unroll()))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_jacobian_that_is_not_finite_is_named(value):
    traj = random_problem("lstm", sizes=SIZES).unroll()
    inputs = traj.gate_inputs.copy()
    inputs[6, 1, 1, 2] = value  # a forget gate, which is the carry of c
    jacobian = gradlab.jacobian(dataclasses.replace(traj, gate_inputs=inputs))
    message = "the Jacobian of step 7 is not finite, or too large to multiply, in sample 1; choose a span without that"
    for work in (log_norms, lambda j: log_norms(j, method="probes"), lambda j: singular_values(j, 12, 0)):
        with pytest.raises(InputError, match=message):
            work(jacobian)
    assert np.isfinite(log_norms(jacobian, 12, 7).frobenius).all()


def test_results_are_shown_in_a_line():
    jacobian = gradlab.jacobian(random_problem("lstm").unroll())
    steps, samples = jacobian.traj.steps, jacobian.traj.states.shape[-2]
    assert repr(log_norms(jacobian)) == f"ProductNorms({steps + 1} times, {samples} samples, exact)"
    assert repr(singular_values(jacobian, 4, 1, k=2)) == f"SingularValues(logs (2, {samples}))"
    split = path_split(jacobian, 4, 1, jacobian.traj.states[4])
    assert repr(split) == f"PathSplit(carry, i, f, g, o, interaction; shares (6, {samples}))"
