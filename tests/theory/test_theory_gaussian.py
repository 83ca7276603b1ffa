"""Gaussian averages against closed forms and adaptive quadrature."""

import math

import numpy as np
import pytest
from scipy import integrate, special

from gradlab import theory
from gradlab.cells.activations import ACTIVATIONS
from gradlab.theory.gaussian import CLOSED, average, correlated, correlations, moments, quadrature

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def adaptive(f, q):
    """E f(a), a ~ N(0, q), by adaptive quadrature between the kinks."""
    root = math.sqrt(q)
    edges = [-12 * root, *(k for k in (-1.0, 0.0, 1.0) if abs(k) < 12 * root), 12 * root]

    def density(a):
        return float(f(np.asarray(a))) * math.exp(-0.5 * a * a / q) / math.sqrt(2 * math.pi * q)

    return sum(
        integrate.quad(density, low, high, epsabs=1e-14, epsrel=1e-13, limit=400)[0]
        for low, high in zip(edges, edges[1:], strict=False)
    )


# averages


@each_activation
@pytest.mark.parametrize("q", [1e-4, 0.1, 0.8, 2.5, 10.0])
def test_averages_are_those_of_adaptive_quadrature(name, q):
    phi = ACTIVATIONS[name]
    for f, found in zip((phi.value, phi.slope), moments(phi), strict=True):
        assert float(found(np.array(q))) == pytest.approx(adaptive(lambda a, f=f: f(np, a) ** 2, q), rel=1e-10)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_are_what_quadrature_finds(name):
    q = np.geomspace(1e-12, 2 if name == "sin" else 1e6, 30)  # the panels do not follow a sine's many waves
    for exact, numeric in zip(moments(ACTIVATIONS[name]), quadrature(ACTIVATIONS[name]), strict=True):
        np.testing.assert_allclose(numeric(q), exact(q), rtol=2e-13)


def test_exponential_units_have_closed_forms_too():
    """E exp(k a) over a < 0 is erfcx(-k sqrt(q / 2)) / 2 with k > 0 in absolute value."""
    q = np.geomspace(1e-3, 1e4, 20)
    e1, e2 = (0.5 * special.erfcx(k * np.sqrt(q / 2)) for k in (1, 2))
    square, slope = moments(ACTIVATIONS["elu"])
    np.testing.assert_allclose(square(q), q / 2 + e2 - 2 * e1 + 0.5, rtol=1e-11)
    np.testing.assert_allclose(slope(q), 0.5 + e2, rtol=1e-13)


@each_activation
def test_the_mean_square_grows_with_the_variance(name):
    """What makes the variance that a small state reaches the smallest that attracts."""
    assert (np.diff(moments(ACTIVATIONS[name])[0](np.geomspace(1e-12, 1e12, 300))) >= 0).all()


def test_averages_of_a_shifted_gaussian():
    q, mean = np.array([[0.3], [4.0]]), np.array([-2.0, 0.0, 0.7])
    assert average(np.exp, q, mean).shape == (2, 3)
    np.testing.assert_allclose(average(np.exp, q, mean), np.exp(mean + q / 2), rtol=1e-12)
    np.testing.assert_allclose(average(lambda a: np.maximum(a, 0) ** 2, q), 0.5 * q, rtol=1e-12)


CORRELATED = {  # E phi phi and E phi' phi' of two Gaussians of variance q and correlation c
    "identity": (lambda q, c: q * c, lambda q, c: 1.0),
    "relu": (
        lambda q, c: q / (2 * math.pi) * (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))),
        lambda q, c: (math.pi - math.acos(c)) / (2 * math.pi),
    ),
    "sin": (lambda q, c: math.exp(-q) * math.sinh(q * c), lambda q, c: math.exp(-q) * math.cosh(q * c)),
    "erf": (
        lambda q, c: 2 / math.pi * math.asin(c * q / (q + 2 / math.pi)),
        lambda q, c: 1 / math.sqrt((1 + math.pi * q / 2) ** 2 - (math.pi * q * c / 2) ** 2),
    ),
}


@pytest.mark.parametrize("name", CORRELATED)
@pytest.mark.parametrize("c", [-1.0, -0.4, 0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("q", [0.2, 1.5])
def test_correlated_averages_have_closed_forms(name, c, q):
    phi = ACTIVATIONS[name]
    for f, exact in zip((phi.value, phi.slope), CORRELATED[name], strict=True):
        found = correlated(lambda a, f=f: f(np, a), q, c)
        assert found == pytest.approx(exact(q, c), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("c", [-0.7, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("q", [1e-9, 0.2, 1.5])
def test_closed_forms_of_correlated_sines_are_what_quadrature_finds(q, c):
    phi = ACTIVATIONS["sin"]
    for f, exact in zip((phi.value, phi.slope), correlations(phi), strict=True):
        assert exact(q, c) == pytest.approx(correlated(lambda a, f=f: f(np, a), q, c), rel=1e-9, abs=1e-25)


def test_sines_of_a_large_variance_are_uncorrelated():
    """E sin sin = 1e-1521 at q = 5001: only the shared input is left; copies that are 1e-4 apart still agree."""
    assert theory.correlation_map("sin", 0.3, 5001, 100, 1.0) == (pytest.approx(1 / 5001, rel=1e-12), 0)
    close = theory.correlation_map("sin", 1 - 1e-4, 5001, 100, 1.0)
    agreeing = 5000 * math.exp(-0.5001)
    assert close == (pytest.approx((agreeing + 1) / 5001, rel=1e-10), pytest.approx(agreeing, rel=1e-10))
