"""Weights as drawn: moments, structure, what gain and spectral radius mean, and streams that do not touch."""

import numpy as np
import pytest
from scipy import stats

from gradlab.cells import CELLS, make_cell
from gradlab.cells.initializers import INITIALIZERS, rescale
from gradlab.errors import InputError

H = 200
STD = {  # std * sqrt(H) of the entries at gain 1
    "gaussian": 1.0,
    "uniform": 1 / np.sqrt(3),
    "glorot_uniform": 1.0,
    "glorot_normal": 1.0,
    "he": np.sqrt(2),
    "orthogonal": 1.0,
    "identity": 1.0,
    "sparse": 1.0,
    "antisymmetric": np.sqrt(2),
}
each_scheme = pytest.mark.parametrize("name", INITIALIZERS)


def draw(name, seed=0, n=H):
    return INITIALIZERS[name](np.random.default_rng(seed), n)


def elman(**init):
    return make_cell("elman", input_size=init.pop("d", 3), hidden_size=init.pop("h", 64)).init(**init)


def test_the_registered_names_are_those_of_the_documentation():
    assert set(INITIALIZERS) == set(STD)


@pytest.mark.parametrize("seed", range(3))
@each_scheme
def test_scale(name, seed):
    """The mean square's standard error is at most sqrt(2) / H relative, kurtosis 3 assumed; 5 of them, doubled."""
    w = draw(name, seed)
    assert w.shape == (H, H) and w.dtype == np.float64
    assert np.sqrt((w**2).mean() * H) == pytest.approx(STD[name], rel=5 * np.sqrt(2) / H)
    if name != "identity":
        assert abs(w.mean()) < 5 * STD[name] / H**1.5


@pytest.mark.parametrize(("name", "law"), [
    ("gaussian", stats.norm(scale=1 / np.sqrt(H))),
    ("glorot_normal", stats.norm(scale=1 / np.sqrt(H))),
    ("he", stats.norm(scale=np.sqrt(2 / H))),
    ("uniform", stats.uniform(-1 / np.sqrt(H), 2 / np.sqrt(H))),
    ("glorot_uniform", stats.uniform(-np.sqrt(3 / H), 2 * np.sqrt(3 / H))),
])  # fmt: skip
def test_distribution(name, law):
    assert stats.kstest(draw(name, 4).ravel(), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_orthogonal(n):
    w = draw("orthogonal", 1, n)
    np.testing.assert_allclose(w @ w.T, np.eye(n), atol=1e-13)


def test_orthogonal_is_uniform_over_the_group():
    """Haar measure: E w_11 = 0 and trace of mean square 1; without the sign correction QR biases the diagonal."""
    traces = [np.trace(draw("orthogonal", seed, 6)) for seed in range(2000)]
    assert abs(np.mean(traces)) < 4 / np.sqrt(2000)
    assert np.var(traces) == pytest.approx(1, abs=0.15)
    signs = [np.sign(np.linalg.det(draw("orthogonal", seed, 3))) for seed in range(400)]
    assert 140 < signs.count(1.0) < 260


def test_identity():
    np.testing.assert_array_equal(draw("identity"), np.eye(H))


@pytest.mark.parametrize(("n", "expected"), [(H, 15), (15, 15), (4, 4)])
def test_sparse_has_15_entries_per_row(n, expected):
    w = draw("sparse", 2, n)
    assert ((w != 0).sum(axis=1) == expected).all()
    columns = np.concatenate([draw("sparse", seed, 30) != 0 for seed in range(60)]).mean(axis=0)
    assert np.abs(columns - 0.5).max() < 0.06


def test_antisymmetric():
    w = draw("antisymmetric")
    np.testing.assert_array_equal(w, -w.T)
    assert np.abs(np.linalg.eigvals(w).real).max() < 1e-12


# what a cell makes of them


@each_scheme
def test_gain_multiplies_the_schemes_own_scale(name):
    one, three = (elman(recurrent_init=name, gain=g)["W_hh"] for g in (1.0, 3.0))
    np.testing.assert_allclose(three, 3 * one, rtol=1e-14)
    np.testing.assert_allclose(one[0], draw_for_cell(name))


def draw_for_cell(name):
    return INITIALIZERS[name](np.random.default_rng([0, 0]), 64)


@pytest.mark.parametrize("radius", [0.5, 1.25])
@pytest.mark.parametrize("name", ["gaussian", "sparse", "antisymmetric"])
def test_spectral_radius_rescales_every_gate(name, radius):
    cell = make_cell("lstm", input_size=2, hidden_size=20)
    w = cell.init(0, recurrent_init=name, spectral_radius=radius, gain=7.0, models=(2,))["W_hh"]
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(w)).max(axis=-1), radius, rtol=1e-12)


def test_a_nilpotent_matrix_has_no_radius_to_rescale():
    with pytest.raises(InputError, match="spectral_radius: the drawn matrix has spectral radius 0"):
        rescale(np.array([[0.0, 1.0], [0.0, 0.0]]), 1.0)


@pytest.mark.parametrize("d", [1, 50])
def test_input_scale_is_a_standard_deviation(d):
    w = elman(d=d, h=400, input_scale=1.7)["W_xh"]
    x = np.random.default_rng(0).normal(size=(d, 200))
    assert (w[0] @ x).std() == pytest.approx(1.7, rel=0.15)
    assert w.std() * np.sqrt(d) == pytest.approx(1.7, rel=5 / np.sqrt(2 * w.size))


def test_bias_scale_is_a_standard_deviation():
    b = make_cell("lstm", input_size=1, hidden_size=1500).init(0, bias_scale=0.3, recurrent_init="identity")["b_h"]
    assert b.std() == pytest.approx(0.3, rel=5 / np.sqrt(2 * b.size))
    assert not elman()["b_h"].any()


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.forget_gate])
def test_forget_bias_is_added_to_the_forget_gate_only(name):
    cell = make_cell(name, input_size=2, hidden_size=30)
    without, shifted = (cell.init(3, bias_scale=0.2, forget_bias=f)["b_h"] for f in (0.0, 2.5))
    difference = shifted - without
    gate = cell.gates.index(cell.forget_gate)
    np.testing.assert_allclose(difference[gate], 2.5, rtol=1e-13)
    assert not np.delete(difference, gate, axis=0).any()


@pytest.mark.parametrize("t_max", [3, 100, 1000])
@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "gru"])
def test_chrono(name, t_max):
    """b_f = ln U(1, T - 1), b_i = -b_f where there is an input gate: exp(b_f) is uniform."""
    cell = make_cell(name, input_size=1, hidden_size=1200)
    b = cell.init(1, forget_bias="chrono", t_max=t_max, recurrent_init="identity")["b_h"]
    offset = b[cell.gates.index(cell.forget_gate)]
    assert stats.kstest(np.exp(offset), stats.uniform(1, t_max - 2).cdf).pvalue > 1e-3
    if cell.input_gate:
        np.testing.assert_array_equal(b[cell.gates.index(cell.input_gate)], -offset)
    others = [g for g, gate in enumerate(cell.gates) if gate not in (cell.forget_gate, cell.input_gate)]
    assert not b[others].any()


# seeds


@pytest.mark.parametrize("name", CELLS)
def test_the_same_seed_gives_the_same_weights(name):
    cell = make_cell(name, input_size=2, hidden_size=9)
    one, again, other = (cell.init(seed, bias_scale=0.5) for seed in (5, 5, 6))
    for key in one:
        np.testing.assert_array_equal(one[key], again[key])
        assert not np.allclose(one[key], other[key]) or not one[key].size


def test_each_parameter_has_a_stream_of_its_own():
    """Changing how one parameter is drawn leaves the others as they were."""
    cell = make_cell("peephole_lstm", input_size=2, hidden_size=9)
    base = cell.init(5, bias_scale=0.5)
    for changed, init in (
        ({"W_hh", "p"}, {"gain": 2.0}),
        ({"W_hh"}, {"recurrent_init": "sparse"}),
        ({"W_xh"}, {"input_scale": 3.0}),
        ({"b_h"}, {"bias_scale": 1.0}),
        ({"b_h"}, {"forget_bias": "chrono", "t_max": 50}),
    ):
        new = cell.init(5, **{"bias_scale": 0.5, **init})
        assert {key for key in base if not np.array_equal(base[key], new[key])} == changed


def test_models_and_gates_are_drawn_independently():
    w = make_cell("lstm", input_size=2, hidden_size=40).init(0, models=(3,))["W_hh"].reshape(12, -1)
    correlations = np.corrcoef(w) - np.eye(12)
    assert np.abs(correlations).max() < 5 / 40


def test_the_numbers_of_each_parameter():
    """Written out a second time, by gate, model and state that is read."""
    cell, models = make_cell("peephole_lstm", input_size=2, hidden_size=4), (2, 3)
    drawn = cell.init(7, gain=1.5, bias_scale=0.2, input_scale=3.0, forget_bias="chrono", t_max=20, models=models)
    hidden, inputs, bias, peephole, chrono = (np.random.default_rng([7, k]) for k in range(5))
    w = [1.5 * INITIALIZERS["gaussian"](hidden, 4) for _ in range(4 * 2 * 3)]
    np.testing.assert_array_equal(drawn["W_hh"], np.reshape(w, (4, *models, 4, 4)))
    np.testing.assert_array_equal(drawn["W_xh"], inputs.normal(0, 3 / np.sqrt(2), (4, *models, 4, 2)))
    expected = bias.normal(0, 0.2, (4, *models, 4))
    offset = np.log(chrono.uniform(1, 19, (*models, 4)))
    expected[cell.gates.index("f")] += offset
    expected[cell.gates.index("i")] -= offset
    np.testing.assert_array_equal(drawn["b_h"], expected)
    np.testing.assert_array_equal(drawn["p"], peephole.normal(0, 1.5 / 2, (3, *models, 4)))


@pytest.mark.parametrize("dtype", ["float32", "f4", np.float32, np.dtype("float32"), "single"])
def test_a_dtype_is_whatever_numpy_takes_for_it(dtype):
    assert all(array.dtype == np.float32 for array in elman(dtype=dtype).values())


@pytest.mark.parametrize(
    ("option", "parameter", "dtype"),
    [
        ({"gain": 1e300}, "W_hh", "float32"),
        ({"input_scale": 1e300}, "W_xh", "float32"),
        ({"bias_scale": 1e300}, "b_h", "float32"),
        ({"forget_bias": 1e300}, "b_h", "float32"),
        ({"bias_scale": 1.7e308}, "b_h", "float64"),
    ],
)
def test_a_weight_beyond_the_range_of_its_dtype(option, parameter, dtype):
    cell = make_cell("peephole_lstm", input_size=2, hidden_size=40)
    with pytest.raises(InputError, match=f"^{parameter}: a weight is beyond the range of {dtype}; take smaller scales"):
        cell.init(0, **option, dtype=dtype)
    assert np.isfinite(cell.init(0, gain=1e37, dtype=dtype)["W_hh"]).all()


def test_single_precision_is_the_rounded_double():
    single, double = (elman(dtype=dtype) for dtype in ("float32", "float64"))
    for key in single:
        assert single[key].dtype == np.float32
        np.testing.assert_array_equal(single[key], double[key].astype(np.float32))


# bad input


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"recurrent_init": "gausian"}, "unknown recurrent initializer 'gausian'. Did you mean 'gaussian'"),
        ({"forget_bias": 1.0}, "forget_bias: Elman has no forget gate; leave forget_bias out or choose a gated cell"),
        ({"device": "tpu"}, "unknown device 'tpu'. Valid: cpu, cuda, auto"),
        ({"seed": -1}, "seed.*-1"),
        ({"dtype": "float33"}, "float32.*float33"),
    ],
)
def test_bad_options(init, message):
    with pytest.raises(InputError, match=message):
        elman(**init)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"forget_bias": "chron"}, "forget_bias: expected a number or 'chrono', got 'chron'"),
        ({"forget_bias": "chrono"}, "t_max: expected the longest lag for forget_bias='chrono', at least 3, got None"),
        ({"forget_bias": "chrono", "t_max": 2}, "t_max: .* at least 3, got 2"),
    ],
)
def test_bad_forget_bias(init, message):
    with pytest.raises(InputError, match=message):
        make_cell("lstm", input_size=2, hidden_size=3).init(0, **init)
