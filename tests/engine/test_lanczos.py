"""Golub-Kahan's steps: how many are taken, where they end, and what is returned with the value."""

import numpy as np
import pytest

from gradlab.engine.lanczos import _largest_eigenvalue, _leading_value, largest_singular_values, leading_triplet


class Counted:
    """A stack of matrices as operators, and how often each of the two was applied."""

    def __init__(self, matrices):
        self.matrices, self.forwards, self.back = matrices, 0, 0

    def apply(self, v):
        self.forwards += 1
        return np.einsum("bij,bj->bi", self.matrices, v)

    def apply_transpose(self, u):
        self.back += 1
        return np.einsum("bij,bi->bj", self.matrices, u)

    def largest(self, tol):
        """The values and bounds from a start that has a part in every direction."""
        return largest_singular_values(np, self.apply, self.apply_transpose, self.start(), (1,), tol)

    def triplet(self, tolerances):
        return leading_triplet(np, self.apply, self.apply_transpose, self.start(), tolerances)

    def start(self):
        return np.ones((len(self.matrices), self.matrices.shape[-1])) + np.arange(self.matrices.shape[-1]) / 7


def drawn(count=3, size=60):
    return np.random.default_rng(0).normal(size=(count, size, size))


def test_it_looks_after_every_fourth_step_and_ends_after_48():
    """Of an orthogonal matrix every vector is a singular vector; a tolerance below the last digit is never reached."""
    q = np.linalg.qr(drawn())[0]
    operators = Counted(q)
    found, bound = operators.largest(1e-6)
    assert (operators.forwards, operators.back) == (4, 4)
    np.testing.assert_allclose(found, 1, rtol=1e-13)
    assert (bound >= 0).all() and (bound < 1e-6).all()
    operators = Counted(drawn())
    operators.largest(1e-40)
    assert (operators.forwards, operators.back) == (49, 48)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1.0, 1e200])
def test_values_of_any_size_lie_within_their_bounds(scale):
    matrices = drawn()
    found, bound = Counted(scale * matrices).largest(1e-3)
    expected = np.linalg.norm(matrices, 2, axis=(-2, -1))
    off = np.abs(found / scale / expected - 1)
    assert (off <= bound).all() and (bound <= 1e-3).all() and (bound > 0).all()
    np.testing.assert_allclose(bound, Counted(matrices).largest(1e-3)[1], rtol=1e-6)


def test_nothing_has_no_largest_value():
    found, bound = Counted(np.zeros((2, 5, 5))).largest(1e-6)
    assert not found.any() and not bound.any()


@pytest.mark.parametrize("tol", [1e-2, 1e-6])
@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_the_value_of_a_bidiagonal_matrix_and_its_residual(k, tol):
    """The residual is the last coupling times the last entry of the left vector; the value's error is its square's."""
    alphas, betas = np.random.default_rng(k).uniform(0.5, 2, size=(2, k, 5))
    betas[k // 2, 0] = 0  # the matrix falls into two
    found, bound = _leading_value(np, alphas, betas, tol)
    for n, (a, b) in enumerate(zip(alphas.T, betas.T, strict=True)):
        u, sigma, _ = np.linalg.svd(np.diag(a) + np.diag(b[:-1], 1))
        residual = b[-1] * abs(u[-1, 0]) / sigma[0]
        assert abs(found[n] / sigma[0] - 1) <= tol**2
        assert residual * (1 - tol**2) <= bound[n] <= residual + tol**2


def test_an_eigenvalue_of_a_part_is_not_taken_for_the_largest_of_all():
    """The first number that is tried, 3, is the largest eigenvalue of the upper two by two exactly."""
    diagonal, off = np.array([[1.0], [1.0], [0.0]]), np.array([[2.0], [2.0]])
    with np.errstate(divide="ignore"):
        low, width = _largest_eigenvalue(np, diagonal, off, 1e-6)
    expected = np.linalg.eigvalsh(np.diag(diagonal[:, 0]) + np.diag(off[:, 0], 1) + np.diag(off[:, 0], -1))[-1]
    assert expected > 3.1 and low[0] == pytest.approx(expected, rel=1e-11) and 0 <= width[0] < 1e-11


def test_a_triplet_is_looked_at_where_a_tolerance_is_given():
    operators = Counted(drawn())
    sigma, left, residual = operators.triplet({2: 0.0, 6: 0.0})
    assert operators.back == 6
    assert sigma.shape == residual.shape == (3, 1) and left.shape == (3, 60)
    operators = Counted(np.repeat(np.eye(5)[None], 2, axis=0))
    operators.triplet({2: 0.0, 6: 0.0})
    assert operators.back == 2


def test_the_residual_of_a_triplet_is_how_far_it_is_from_one():
    """||A^T u - sigma v|| over sigma for the v that A makes u of, as all of B's steps but the last coupling have it."""
    matrices = drawn()
    sigma, left, residual = Counted(matrices).triplet({1: 0.0, 2: 0.0, 12: 0.0})
    np.testing.assert_allclose(np.linalg.norm(left, axis=-1), 1, rtol=1e-12)
    pulled = np.einsum("bij,bi->bj", matrices, left)
    np.testing.assert_allclose((pulled**2).sum(axis=-1), (1 + residual[:, 0] ** 2) * sigma[:, 0] ** 2, rtol=1e-6)
