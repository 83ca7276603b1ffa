"""Activations: values from the math module, slopes from differences, and each form of a slope against the others."""

import math

import numpy as np
import pytest

from gradlab import to_numpy
from gradlab.arrays import namespace
from gradlab.cells.activations import ACTIVATIONS
from gradlab.errors import InputError

from ..contract import EPS, LIBRARIES, each_dtype, each_library

SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
FORMULAS = {
    "identity": lambda a: a,
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)) if a > -700 else 0.0,
    "relu": lambda a: max(a, 0.0),
    "leaky_relu": lambda a: a if a > 0 else 0.01 * a,
    "elu": lambda a: a if a > 0 else math.expm1(a),
    "selu": lambda a: SELU[0] * (a if a > 0 else SELU[1] * math.expm1(a)),
    "gelu": lambda a: 0.5 * a * math.erfc(-a / math.sqrt(2)),
    "silu": lambda a: a / (1 + math.exp(-a)) if a > -700 else 0.0,
    "softplus": lambda a: math.log1p(math.exp(-abs(a))) + max(a, 0.0),
    "softsign": lambda a: a / (1 + abs(a)),
    "hard_tanh": lambda a: min(max(a, -1.0), 1.0),
    "erf": lambda a: math.erf(math.sqrt(math.pi) * a / 2),
    "sin": math.sin,
}
KINKS = {
    "relu": (0.0,),
    "leaky_relu": (0.0,),
    "elu": (0.0,),
    "selu": (0.0,),
    "softsign": (0.0,),
    "hard_tanh": (-1.0, 1.0),
}
SMALL = np.linspace(-6.03, 6.01, 301)
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def smooth_points(name):
    """Points of the grid that no kink is near."""
    far = [np.abs(SMALL - kink) > 1e-3 for kink in KINKS.get(name, ())]
    return SMALL[np.all(far, axis=0)] if far else SMALL


def differences(phi, a, h=1e-4):
    """Central differences of fourth order: their error is about h^4."""
    one, two = ((phi.value(np, a + k * h) - phi.value(np, a - k * h)) / (2 * k * h) for k in (1, 2))
    return (4 * one - two) / 3


def test_the_registered_names_are_those_of_the_documentation():
    assert list(ACTIVATIONS) == list(FORMULAS)
    assert all(repr(phi) == name == phi.name for name, phi in ACTIVATIONS.items())
    assert all(line.startswith("phi(a) = ") for line in ACTIVATIONS.describe().values())


@each_activation
def test_values(name):
    a = np.concatenate([SMALL, [0.0, -40.0, 40.0, -1e3, 1e3, 1e-8, -1e-8]])
    expected = [FORMULAS[name](float(x)) for x in a]
    np.testing.assert_allclose(ACTIVATIONS[name].value(np, a), expected, rtol=1e-13, atol=1e-15)


@each_activation
def test_slopes_are_the_derivative(name):
    phi, a = ACTIVATIONS[name], smooth_points(name)
    np.testing.assert_allclose(phi.slope(np, a), differences(phi, a), rtol=0, atol=1e-10)


@each_activation
def test_slope_from_the_value(name):
    phi = ACTIVATIONS[name]
    if phi.slope_from_value is None:
        assert name in ("elu", "selu", "gelu", "silu", "erf", "sin")
        return
    a = smooth_points(name)
    np.testing.assert_allclose(phi.slope_from_value(np, phi.value(np, a)), phi.slope(np, a), rtol=1e-10)


@each_activation
def test_max_slope_is_the_largest(name):
    phi = ACTIVATIONS[name]
    slopes = phi.slope(np, np.linspace(-15, 15, 600_001))
    assert slopes.max() <= phi.max_slope * (1 + 1e-12)
    assert slopes.max() == pytest.approx(phi.max_slope, rel=1e-5)


@each_activation
def test_in_place(name):
    phi = ACTIVATIONS[name]
    a = SMALL.copy()
    phi.in_place(np, a)
    np.testing.assert_allclose(a, phi.value(np, SMALL), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_closed_gate_keeps_its_digits(dtype):
    a = np.array([-15.0, -20.0, -40.0, -80.0], dtype)
    phi, true = ACTIVATIONS["sigmoid"], np.exp(a.astype(float))
    np.testing.assert_allclose(phi.value(np, a), true, rtol=1e-6)
    np.testing.assert_allclose(phi.slope_from_value(np, phi.value(np, a)), true, rtol=1e-6)
    phi.in_place(np, gate := a.copy())
    np.testing.assert_allclose(gate, true, rtol=1e-6)


@each_dtype
@each_library
@each_activation
def test_every_library_and_precision(name, library, dtype):
    xp, phi = LIBRARIES[library](), ACTIVATIONS[name]
    a = smooth_points(name).astype(dtype)
    y = phi.value(xp, xp.asarray(a))
    found = {"value": y, "slope": phi.slope(xp, xp.asarray(a))}
    expected = {"value": phi.value(np, a.astype(float)), "slope": phi.slope(np, a.astype(float))}
    if phi.slope_from_value is not None:
        found["slope_from_value"], expected["slope_from_value"] = phi.slope_from_value(xp, y), expected["slope"]
    for key, array in found.items():
        assert namespace(array) is xp, key
        assert str(array.dtype) == dtype, key
        np.testing.assert_allclose(to_numpy(array), expected[key], rtol=0, atol=30 * EPS[dtype], err_msg=key)


@each_dtype
@each_activation
def test_extreme_pre_activations_give_no_nan_and_no_warning(name, dtype):
    phi = ACTIVATIONS[name]
    a = np.array([-1e30, -1e4, -750.0, -95.0, 0.0, 95.0, 750.0, 1e4, 1e30], dtype)
    with np.errstate(over="ignore", under="ignore"):  # as the engine calls them
        results = [phi.value(np, a), phi.slope(np, a)]
    assert all(np.isfinite(r).all() for r in results)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softsign"])
def test_the_slope_of_a_saturated_unit_keeps_its_digits_in_single_precision(name):
    """From the value, 1 - y^2 has none left: the reason for taking slopes from pre-activations."""
    phi, a = ACTIVATIONS[name], np.array([5.0, 7.0, 8.5, -6.0], np.float32)
    exact = phi.slope(np, a.astype(float))
    np.testing.assert_allclose(phi.slope(np, a), exact, rtol=3e-6)
    if name != "softsign":
        from_value = phi.slope_from_value(np, phi.value(np, a))
        assert np.abs(from_value / exact - 1).max() > 2e-5


@pytest.mark.parametrize("name", [name for name, phi in ACTIVATIONS.items() if phi.saturates])
def test_what_saturates_comes_close_to_one(name):
    assert float(ACTIVATIONS[name].value(np, np.array(1e5))) == pytest.approx(1, abs=1e-4)


def test_unknown_activation():
    with pytest.raises(
        InputError, match="unknown activation 'leakyrelu'. Did you mean 'leaky_relu'\\? Valid: identity, tanh"
    ):
        ACTIVATIONS["leakyrelu"]
