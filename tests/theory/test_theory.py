"""Mean-field theory against published numbers, closed forms, adaptive quadrature, brute force and its own map."""

import math

import numpy as np
import pytest

from gradlab import theory
from gradlab.cells.activations import ACTIVATIONS
from gradlab.errors import InputError
from gradlab.theory.gaussian import moments
from gradlab.theory.phases import chi_1, variance

from .test_theory_gaussian import adaptive

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)
INF = math.inf
TABLE = [  # tanh: sigma_w, sigma_b, q*, chi_1, 1/2 ln chi_1, xi
    (0.5, 0, 0, 0.25, -0.693147, 0.721348),
    (1.0, 0, 0, 1, 0, INF),
    (1.5, 0, 0.7933540426, 1.1393232250, 0.06521721, -7.666688),
    (1.05, 0.1, 0.1126783498, 0.9205274469, -0.04140423, 12.076061),
    (1.76, 0.05, 1.4235905652, 1.2498575648, 0.11151480, -4.483710),
    (2.0, 0.5, 2.4797104611, 1.2722295538, 0.12038546, -4.153326),
]
CRITICAL = [  # tanh: sigma_b, critical sigma_w, q*
    (0, 1, 0),
    (0.01, 1.04212585, 0.04570908),
    (0.05, 1.12253900, 0.15369194),
    (0.1, 1.19340073, 0.27330091),
    (0.2, 1.30414584, 0.51207850),
    (0.3, 1.39558398, 0.76347477),
    (0.5, 1.54967391, 1.31793900),
    (1.0, 1.85558910, 3.03639639),
]


# the variance and chi_1


@pytest.mark.parametrize(("w", "b", "q", "chi", "rate", "depth"), TABLE)
def test_published_values_of_tanh(w, b, q, chi, rate, depth):
    found = theory.mean_field("tanh", w, b)
    assert found.q == pytest.approx(q, abs=1e-9)
    assert found.chi == pytest.approx(chi, abs=1e-9)
    assert found.log_rate == pytest.approx(rate, abs=1e-8 if chi > 0.3 else 1e-6)
    assert found.depth == pytest.approx(depth, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "w", "b", "q", "chi"),
    [("relu", 0.9, 0.1, 0.0168067227, 0.405), ("sigmoid", 2, 0.5, 1.4766289676, 0.1621536775)],
)
def test_published_values_of_others(name, w, b, q, chi):
    found = theory.mean_field(name, w, b)
    assert (found.q, found.chi) == (pytest.approx(q, abs=1e-10), pytest.approx(chi, abs=1e-10))


def test_the_famous_pair_is_of_variances():
    found = theory.mean_field("tanh", math.sqrt(1.76), math.sqrt(0.05))
    assert found.q == pytest.approx(0.5694628, abs=1e-7)
    assert found.chi == pytest.approx(0.9997964, abs=1e-7)
    assert theory.mean_field("tanh", 1.76, 0.05).phase == "chaotic"


@pytest.mark.parametrize(("gain", "rate"), [
    (1.1, 0.005069), (1.25, 0.023535), (1.5, 0.065217), (2, 0.154724), (2.5, 0.237177), (3, 0.310249), (5, 0.532428),
    (10, 0.856435), (20, 1.192413), (50, 1.644404), (1.05, 0.5743 * 0.05**2), (1.01, 0.6453 * 0.01**2),
])  # fmt: skip
def test_rates_of_tanh_without_input(gain, rate):
    assert theory.mean_field("tanh", gain).log_rate == pytest.approx(rate, abs=max(6e-7, 1e-4 * rate))


@pytest.mark.parametrize("rest", [1e-3, 1e-6, 1e-9])
def test_near_the_onset_the_variance_is_tiny_and_right(rest):
    """sigma_w^2 (1 - 2 q + 17/3 q^2 ...) = 1."""
    found = theory.mean_field("tanh", 1 + rest)
    assert found.q == pytest.approx(rest, rel=max(20 * rest, 1e-6))
    assert found.chi - 1 == pytest.approx(4 / 3 * rest**2, rel=10 * rest, abs=1e-12)
    assert theory.mean_field("tanh", 1 - rest).q == 0


@each_activation
def test_the_variance_is_a_fixed_point_by_adaptive_quadrature(name):
    phi = ACTIVATIONS[name]
    found = theory.mean_field(name, 0.8, 0.3, 0.2)
    assert found.q == pytest.approx(0.64 * adaptive(lambda a: phi.value(np, a) ** 2, found.q) + 0.13, rel=1e-10)
    assert found.chi == pytest.approx(0.64 * adaptive(lambda a: phi.slope(np, a) ** 2, found.q), rel=1e-10)


@each_activation
def test_the_variance_is_where_iterating_from_a_small_state_ends(name):
    square = moments(ACTIVATIONS[name])[0]
    w, drive = np.array([[0.5], [1.1], [1.6], [2.5]]), np.array([1e-8, 0.3])
    q = np.broadcast_to(drive, (4, 2))
    for _ in range(1500):
        q = np.minimum(w * w * square(q) + drive, 1e13)
    found = variance(ACTIVATIONS[name], w, drive)
    np.testing.assert_allclose(found, np.where(q < 1e12, q, INF), rtol=1e-7)


def test_selu_normalises_itself():
    """Klambauer et al. 2017: mean 0 and variance 1 are fixed at sigma_w = 1; the gradient grows by 1.0716 (theirs)."""
    found = theory.mean_field("selu", 1.0)
    assert found.q == pytest.approx(1, abs=1e-7)
    assert found.chi == pytest.approx(1.071575, abs=1e-6)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "identity", "softplus", "elu", "silu"])
def test_states_that_grow_without_limit(name):
    found = theory.mean_field(name, 1.8, 0.5)
    phi = ACTIVATIONS[name]
    assert (found.phase, found.q) == ("divergent", INF)
    assert found.chi == pytest.approx(1.8**2 * 0.5 * sum(phi.slope(np, np.array([-1e6, 1e6])) ** 2), rel=1e-12)
    assert math.isnan(found.c_star) and math.isnan(found.slope_c)
    assert "grows until it overflows" in found.fails


def test_he_initialisation_is_critical_and_keeps_any_variance():
    he = theory.mean_field("relu", math.sqrt(2))
    assert (he.phase, he.chi, he.log_rate, he.depth) == ("critical", 1, 0, INF)
    assert "Every variance is kept" in he.fails
    assert theory.mean_field("relu", math.sqrt(2), 0.1).phase == "divergent"
    assert "Every variance" not in theory.mean_field("tanh", 1.0).fails


def test_a_variance_may_be_large_and_still_have_a_limit():
    """q = sigma_v^2 / (1 - sigma_w^2 / 2)."""
    found = theory.mean_field("relu", 1.4142, 0.0, 1000.0)
    assert found.q == pytest.approx(1e6 / (1 - 1.4142**2 / 2), rel=1e-8)
    assert found.q > 1e10
    assert found.phase == "ordered"


def test_several_fixed_points_are_named():
    """gelu's slope grows from 1/2 at 0 to 1: a quiet state stays quiet, a loud one grows for ever."""
    found = theory.mean_field("gelu", 1.8)
    assert (found.q, found.phase) == (0, "ordered")
    assert found.fixed_points == (0, pytest.approx(0.154657, abs=1e-6))
    assert "other fixed points (q = 0.1547)" in found.fails
    phi = ACTIVATIONS["gelu"]
    q = found.fixed_points[1]
    assert 1.8**2 * adaptive(lambda a: phi.value(np, a) ** 2, q) == pytest.approx(q, rel=1e-9)
    assert "The fixed points q = 0 repel" in theory.mean_field("elu", 1.8).fails


def test_nothing_is_left_where_there_are_no_weights():
    found = theory.mean_field("tanh", 0.0, 0.3)
    assert (found.q, found.chi, found.log_rate, found.depth) == (pytest.approx(0.09), 0, -INF, 0)


def test_an_activation_of_ones_own_will_do():
    assert theory.mean_field(ACTIVATIONS["tanh"], 2.0, 0.5) == theory.mean_field("tanh", 2.0, 0.5)


# the correlation


@pytest.mark.parametrize(("w", "b", "c", "slope", "depth"), [
    (1.05, 0.1, 1, 0.92053, 12.076),
    (1.5, 0.1, 0.180084, 0.93486, 14.845),
    (2.0, 0.5, 0.520946, 0.85645, 6.453),
])  # fmt: skip
def test_published_correlations(w, b, c, slope, depth):
    found = theory.mean_field("tanh", w, b)
    assert found.c_star == pytest.approx(c, abs=1e-6)
    assert found.slope_c == pytest.approx(slope, abs=1e-5)
    assert found.depth_c == pytest.approx(depth, abs=1e-3)


@pytest.mark.parametrize(("name", "w", "b", "v"), [("tanh", 2, 0.3, 0.2), ("hard_tanh", 1.6, 0.2, 0), ("sin", 2, 0, 1)])
def test_the_correlation_ends_where_its_map_leads(name, w, b, v):
    found = theory.mean_field(name, w, b, v)
    c = 0.9
    for _ in range(150):
        c = theory.correlation_map(name, c, found.q, w, b, v)[0]
    assert found.phase == "chaotic"
    assert c == pytest.approx(found.c_star, abs=1e-6)


def test_without_input_and_bias_two_chaotic_states_become_unrelated():
    found = theory.mean_field("tanh", 1.5)
    assert found.c_star == 0
    assert found.slope_c == pytest.approx(2.25 * adaptive(lambda a: 1 - np.tanh(a) ** 2, found.q) ** 2, rel=1e-9)


@pytest.mark.parametrize("name", ["tanh", "softsign", "elu", "relu"])
def test_the_map_of_correlations_has_the_slope_it_says_and_keeps_one(name):
    q, scales = theory.mean_field(name, 0.9, 0.2, 0.4).q, (0.9, 0.2, 0.4)
    low, high = (theory.correlation_map(name, 0.4 + d, q, *scales)[0] for d in (-1e-4, 1e-4))
    assert theory.correlation_map(name, 0.4, q, *scales)[1] == pytest.approx((high - low) / 2e-4, rel=1e-6)
    kept, slope = theory.correlation_map(name, 1.0, q, *scales)
    assert (kept, slope) == (pytest.approx(1, abs=1e-9), pytest.approx(float(chi_1(ACTIVATIONS[name], 0.9, q))))


def test_different_inputs_lower_the_correlation():
    q = theory.mean_field("tanh", 0.9, 0.1, 0.5).q
    same, other = (theory.correlation_map("tanh", 0.5, q, 0.9, 0.1, 0.5, r)[0] for r in (1.0, 0.0))
    assert same - other == pytest.approx(0.25 / q)


# the critical line and the map


@pytest.mark.parametrize(("b", "w", "q"), CRITICAL)
def test_published_critical_line_of_tanh(b, w, q):
    found = float(theory.critical_line("tanh", b))
    assert found == pytest.approx(w, abs=6e-9)
    assert theory.mean_field("tanh", found, b).q == pytest.approx(q, abs=2e-8 if b else 1e-15)


def test_critical_line_of_a_sine_in_closed_form():
    """sigma_w^2 (1 + exp(-2 q)) / 2 = 1 and sigma_b^2 = q - tanh q."""
    q = np.geomspace(1e-3, 8, 12)
    found = theory.critical_line("sin", np.sqrt(q - np.tanh(q)))
    np.testing.assert_allclose(found, np.sqrt(2 / (1 + np.exp(-2 * q))), rtol=1e-10)


@each_activation
@pytest.mark.parametrize("b", [0.0, 0.1, 0.5])
def test_the_critical_line_is_where_a_scan_first_crosses_one(name, b):
    w = np.arange(0.025, 12, 0.05)
    phi = ACTIVATIONS[name]
    q = variance(phi, w, b * b)
    above = (chi_1(phi, w, q) >= 1) & np.isfinite(q)
    found = float(theory.critical_line(name, b))
    if above.any():
        assert w[above.argmax()] - 0.05 <= found <= w[above.argmax()]
    elif not math.isnan(found):  # the scan steps over it, as all diverges soon after
        below, beyond = (theory.mean_field(name, found + d, b) for d in (-1e-4, 1e-4))
        assert below.chi < 1 < beyond.chi
        assert np.isinf(q[w > found + 1e-4]).all()


def test_input_and_bias_add_up_and_broadcast():
    b, v = np.array([[0.0], [0.3]]), np.array([0.0, 0.4, 1.0])
    line = theory.critical_line("tanh", b, v)
    assert line.shape == (2, 3)
    np.testing.assert_allclose(line, theory.critical_line("tanh", np.sqrt(b**2 + v**2)), rtol=1e-12)
    assert np.shape(theory.critical_line("tanh", 0.1)) == ()


def test_the_map_is_the_theory_at_every_point():
    w, b = np.linspace(0, 3, 7), np.array([0.0, 0.05, 0.7])
    found = theory.phase_map("tanh", ("sigma_w", w), ("sigma_b", b), sigma_v=0.3)
    for row, column in np.ndindex(3, 7):
        point = theory.mean_field("tanh", w[column], b[row], 0.3)
        for name in ("q", "chi", "log_rate", "depth"):
            assert found[name][row, column] == pytest.approx(getattr(point, name), rel=1e-12)


def test_any_two_parameters_span_the_map():
    found = theory.phase_map("relu", ("sigma_v", [0.0, 1.0]), ("sigma_b", [0.0, 0.5, 1.0]), sigma_w=1.0)
    np.testing.assert_allclose(found["q"], 2 * (np.array([[0.0], [0.25], [1.0]]) + np.array([0.0, 1.0])), rtol=1e-12)
    turned = theory.phase_map("relu", ("sigma_b", [0.0, 0.5, 1.0]), ("sigma_w", [1.0, 1.5]))
    assert turned["chi"].shape == (2, 3)
    np.testing.assert_allclose(turned["chi"][1], 1.125)
    assert np.isinf(turned["q"][1, 1:]).all()


# words and bad input


@pytest.mark.parametrize("law", theory.WHERE.values(), ids=theory.WHERE)
def test_every_law_says_where_it_holds_and_fails(law):
    assert law.label and law.holds.endswith(".") and law.fails.endswith(".")


def test_a_point_says_what_is_particular_to_it_first():
    driven, still = theory.mean_field("tanh", 0.9, 0.1, 0.5), theory.mean_field("tanh", 0.9)
    assert driven.holds == theory.WHERE["mean_field"].holds
    assert driven.fails == theory.WHERE["mean_field"].fails
    assert (
        still.fails
        == f"Without input and bias the state dies out, and the spectral radius of its Jacobian decides. {driven.fails}"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.mean_field("tanhh", 1.0), r"unknown activation 'tanhh'. Did you mean 'tanh'\?"),
        (lambda: theory.critical_line("step", 0.1), "unknown activation 'step'"),
        (
            lambda: theory.mean_field("tanh", -0.1),
            r"sigma_w: expected a standard deviation .* from 0 to 1000, got -0.1",
        ),
        (lambda: theory.mean_field("tanh", 1.0, math.nan), "sigma_b: expected a standard deviation .* got nan"),
        (lambda: theory.mean_field("tanh", 1.0, 0.0, math.inf), "sigma_v: expected a standard deviation .* got inf"),
        (lambda: theory.mean_field("tanh", 1001), "sigma_w: expected a standard deviation .* to 1000, got 1001"),
        (lambda: theory.mean_field("tanh", "wide"), "sigma_w: expected a standard deviation, got 'wide'"),
        (
            lambda: theory.mean_field("tanh", np.ones(2)),
            r"sigma_w: expected one standard deviation, got an array of shape \(2,\)",
        ),
        (
            lambda: theory.phase_map("tanh", ("sigma_w", [1.0]), ("sigma_b", [0.0]), sigma_v=[0.1, 0.2, 0.3]),
            r"sigma_v: expected one standard deviation, got an array of shape \(3,\)",
        ),
        (lambda: theory.critical_line("tanh", [0.1, -2.0]), "sigma_b: expected a standard deviation .* got -2"),
        (
            lambda: theory.phase_map("tanh", ("gain", [1.0]), ("sigma_b", [0.0])),
            "unknown parameter 'gain'. .*Valid: sigma_w, sigma_b, sigma_v",
        ),
        (
            lambda: theory.phase_map("tanh", ("sigma_w", [1.0]), ("sigma_w", [0.0])),
            r"expected sigma_w and others of .*, each once; got \['sigma_w', 'sigma_w'\]",
        ),
        (
            lambda: theory.phase_map("tanh", ("sigma_v", [1.0]), ("sigma_b", [0.0])),
            r"expected sigma_w and others .* got \['sigma_v', 'sigma_b'\]",
        ),
        (
            lambda: theory.phase_map("tanh", ("sigma_w", [1.0]), ("sigma_b", [-1.0])),
            "sigma_b: expected a standard deviation .* got -1",
        ),
        (lambda: theory.correlation_map("tanh", 1.1, 1.0, 1.0), "c: expected a correlation from -1 to 1, got 1.1"),
        (
            lambda: theory.correlation_map("tanh", 1.0, 1.0, 1.0, input_correlation=-2.0),
            "input_correlation: expected a correlation from -1 to 1, got -2.0",
        ),
        (lambda: theory.correlation_map("tanh", 0.5, 0.0, 1.0), "q: expected a positive variance, got 0.0"),
        (lambda: theory.correlation_map("tanh", 0.5, INF, 1.0), "q: expected a positive variance, got inf"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
