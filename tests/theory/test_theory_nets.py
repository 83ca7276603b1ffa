"""What theory predicts for a very net: which laws apply, from its realised weights, beside the measured rates."""

import math

import numpy as np
import pytest

import gradlab
from gradlab import theory
from gradlab.cells import CELLS
from gradlab.config import RunConfig
from gradlab.config.presets import PRESETS
from gradlab.errors import InputError
from gradlab.runs.build import build

from ..strict import strict


def net(name="elman", models=(), hidden=40, samples=3, activation="tanh", leak=1.0, **init):
    options = {"leak": leak} if name == "elman" else {}
    cell = gradlab.make_cell(name, input_size=5, hidden_size=hidden, activation=activation, **options)
    x = np.random.default_rng(8).normal(size=(30, *models, samples, 5))
    return cell, cell.init(6, models=models, **init), x


def names(found):
    return [p.name for p in found]


# which laws apply


@pytest.mark.parametrize(("options", "expected"), [
    ({}, ["mean_field"]),
    ({"recurrent_init": "orthogonal"}, ["mean_field"]),
    ({"recurrent_init": "sparse", "activation": "relu"}, ["mean_field"]),
    ({"recurrent_init": "antisymmetric"}, []),
    ({"recurrent_init": "identity"}, []),
    ({"leak": 0.5}, []),
    ({"gain": 0.0}, []),
    ({"activation": "identity"}, ["spectral_radius", "mean_field"]),
    ({"activation": "identity", "leak": 0.3}, ["spectral_radius"]),
    ({"activation": "identity", "recurrent_init": "orthogonal"}, ["orthogonal", "spectral_radius", "mean_field"]),
    ({"activation": "identity", "recurrent_init": "identity", "leak": 0.2}, ["orthogonal", "spectral_radius"]),
    ({"activation": "relu", "recurrent_init": "identity"}, ["living_units"]),
    ({"input_scale": 0.0, "gain": 0.7}, ["zero_input", "mean_field"]),
    ({"input_scale": 0.0, "gain": 2.0, "bias_scale": 0.1}, ["mean_field"]),
    ({"name": "lstm"}, ["zero_input"]),
    ({"name": "gru"}, ["zero_input"]),
    ({"name": "peephole_lstm"}, ["zero_input"]),
    ({"name": "minimal_rnn"}, ["minimal_rnn"]),
    ({"name": "minimal_rnn", "input_scale": 0.0}, ["zero_input", "minimal_rnn"]),
    *(({"name": name}, ["zero_input"]) for name in ("min_gru", "min_lstm", "janet")),
    *(({"name": name}, []) for name in ("indrnn", "cornn")),
    *(({"name": name, "input_scale": 0.0}, ["zero_input"]) for name in ("indrnn", "cornn")),
    ({"name": "indrnn", "activation": "identity"}, ["spectral_radius"]),
    ({"name": "lru"}, ["spectral_radius"]),
])  # fmt: skip
def test_which_laws_apply_and_in_which_order(options, expected):
    assert names(theory.predictions(*net(**options))) == expected


@pytest.mark.parametrize("name", ["lru", "indrnn"])
def test_a_diagonal_linear_recurrence_has_the_rate_of_its_largest_factor(name):
    cell, params, x = net(name, activation="identity")
    (found,) = theory.predictions(cell, params, x)
    p = params["p"][0]
    assert float(found.log_rate) == pytest.approx(-np.exp(p).min() if name == "lru" else np.log(np.abs(p).max()))


def test_a_low_rank_network_is_not_taken_for_a_random_one():
    cell, params, x = net()
    rng = np.random.default_rng(0)
    params["W_hh"] = rng.normal(size=(1, 40, 4)) @ rng.normal(size=(4, 40)) / 12
    assert theory.predictions(cell, params, x) == []


def test_a_net_that_never_rests_has_no_rate_at_rest():
    assert names(theory.predictions(*net("lstm", gain=30.0, bias_scale=1.0))) == []


@pytest.mark.parametrize("factor", [1e6, 1e200])
@pytest.mark.parametrize("name", ["elman", "minimal_rnn"])
def test_a_net_beyond_the_range_of_mean_field_has_none(name, factor):
    """The bounded state of tanh has a variance whatever the scales; its gradient's rate is not told."""
    cell, params, x = net(name)
    assert theory.predictions(cell, params, factor * x) == []
    assert theory.predictions(cell, params | {"W_hh": factor * params["W_hh"]}, x) == []


def test_a_rest_on_the_kink_of_a_relu_is_left_out():
    assert names(theory.predictions(*net(activation="relu", input_scale=0.0))) == ["mean_field"]
    options = {"activation": "relu", "input_scale": 0.0, "gain": 0.5, "bias_scale": 0.3}
    assert names(theory.predictions(*net(**options))) == ["zero_input", "mean_field"]


# values


def test_mean_field_uses_the_realised_standard_deviations():
    cell, params, x = net(gain=1.7, bias_scale=0.4, input_scale=0.6, hidden=150)
    (found,) = theory.predictions(cell, params, x)
    w, b = params["W_hh"].std() * math.sqrt(150), params["b_h"].std()
    v = (x @ params["W_xh"][0].T).std()
    assert abs(w / 1.7 - 1) > 1e-4
    assert float(found.log_rate) == pytest.approx(theory.mean_field("tanh", w, b, v).log_rate, abs=0.005)
    assert f"Here sigma_w = {w:.3g}" in found.holds


def test_a_drive_of_its_own_in_every_model():
    cell, params, x = net(models=(3,), hidden=30)
    params["W_hh"] *= np.array([0.5, 1.0, 3.0])[:, None, None]
    x = x * np.array([0.1, 1.0, 0.0])[:, None, None]
    (found,) = theory.predictions(cell, params, x)
    assert found.log_rate.shape == (3,)
    for i in range(3):
        alone = theory.predictions(cell, {name: p[:, i] for name, p in params.items()}, x[:, i])
        assert alone[-1].log_rate == pytest.approx(found.log_rate[i], rel=1e-12)


@pytest.mark.parametrize("models", [(), (2,), (2, 3)])
@pytest.mark.parametrize("name", CELLS)
def test_one_rate_per_model(name, models):
    for found in theory.predictions(*net(name, models)):
        assert np.shape(found.log_rate) == models
        assert np.isfinite(found.log_rate).all()
        assert found.label and found.holds.endswith(".") and found.fails.endswith(".")


@pytest.mark.parametrize("options", [{}, {"activation": "identity", "recurrent_init": "orthogonal"}, {"name": "gru"}])
def test_single_precision_and_another_array_library(options):
    cell, params, x = net(**options)
    exact = theory.predictions(cell, params, x)
    params = {name: p.astype("float32") for name, p in params.items()}
    moved = {name: strict.asarray(p) for name, p in params.items()}
    for other in (
        theory.predictions(cell, params, x.astype("float32")),
        theory.predictions(cell, moved, strict.asarray(x)),
    ):
        assert names(other) == names(exact)
        np.testing.assert_allclose([p.log_rate for p in other], [p.log_rate for p in exact], atol=1e-6)


def test_one_input_for_all_models_and_steps_beyond_the_end():
    cell, params, x = net(models=(2,), samples=3)
    shared = x[:, 0]
    one = theory.predictions(cell, params, shared)
    np.testing.assert_array_equal(
        one[0].log_rate, theory.predictions(cell, params, np.stack([shared] * 2, 1))[0].log_rate
    )
    lengths = np.array([30, 7, 12])
    padded = np.where((np.arange(30)[:, None] < lengths)[..., None], shared, np.nan)
    kept = np.concatenate([shared[:n, i] for i, n in enumerate(lengths)])
    np.testing.assert_allclose(
        theory.predictions(cell, params, padded, lengths)[0].log_rate,
        theory.predictions(cell, params, kept)[0].log_rate,
        rtol=1e-12,
    )


def test_no_input_is_an_input_of_zeros():
    cell, params, x = net(gain=0.8, bias_scale=0.1)
    without, zeros = theory.predictions(cell, params), theory.predictions(cell, params, 0 * x)
    assert names(without) == names(zeros) == ["zero_input", "mean_field"]
    assert [p.log_rate for p in without] == [p.log_rate for p in zeros]


def test_exact_laws_are_exact():
    cell, params, x = net(activation="identity", recurrent_init="orthogonal", gain=0.9)
    orthogonal, radius, _ = theory.predictions(cell, params, x)
    assert orthogonal.log_rate == pytest.approx(math.log(0.9), rel=1e-12)
    assert radius.log_rate == pytest.approx(math.log(0.9), rel=1e-10)
    cell, params, x = net(activation="identity", gain=1.1, hidden=9)
    dense = gradlab.jacobian(gradlab.unroll(cell, params, x)).dense()[0, 0]
    expected = np.log(np.abs(np.linalg.eigvals(dense)).max())
    assert theory.predictions(cell, params, x)[0].log_rate == pytest.approx(expected, rel=1e-12)


def test_an_unlimited_state_is_warned_of():
    (found,) = theory.predictions(*net(activation="relu", gain=2.0))
    assert found.fails.startswith("The variance has no limit")
    assert found.log_rate == pytest.approx(0.5 * math.log(2), abs=0.05)


def test_how_much_the_input_moves_the_gates_is_told():
    cell, params, x = net("lstm", input_scale=0.1)
    (found,) = theory.predictions(cell, params, x)
    assert "Here the input moves the gates' pre-activations by 0.1" in found.holds
    assert "Here" not in theory.predictions(cell, params)[0].holds


# beside what is measured


@pytest.mark.parametrize(("name", "tolerance"), [
    ("vanishing_tanh", 0.06), ("exploding_tanh", 0.06), ("edge", 0.06), ("sigmoid", 0.08), ("orthogonal_tanh", 0.06),
    ("orthogonal_linear", 1e-9), ("irnn", 0.03), ("lstm_forget_0", 0.05), ("lstm_forget_1", 0.05), ("gru", 0.05),
])  # fmt: skip
def test_presets(name, tolerance):
    """The first prediction beside the measured rate; bands set on seed 0."""
    config = PRESETS[name].config().replace(seed=11)
    ds = gradlab.analyze(config, record=["theory"])
    assert float(ds.theory_log_rate[0]) == pytest.approx(gradlab.verdict(ds).log_rate, abs=tolerance)
    assert names(theory.predictions(*build(config))) == list(ds.theory.values)


# as a recorded quantity


def test_recorded_on_request(tmp_path):
    config = RunConfig(activation="identity", recurrent_init="orthogonal", hidden_size=8, batch_size=2, steps=12)
    assert "theory_log_rate" not in gradlab.analyze(config)
    ds = gradlab.analyze(config, record=["theory"])
    assert ds.theory_log_rate.dims == ("theory",)
    assert list(ds.theory.values) == ["orthogonal", "spectral_radius", "mean_field"]
    for p in theory.predictions(*build(config)):
        chosen = ds.theory_log_rate.sel(theory=p.name)
        assert float(chosen) == p.log_rate
        assert [str(chosen[f"theory_{key}"].values) for key in ("label", "holds", "fails")] == [
            p.label,
            p.holds,
            p.fails,
        ]
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")


def test_recorded_for_models_and_left_out_where_nothing_applies():
    cell, params, x = net(models=(2,))
    ds = gradlab.analyze(cell=cell, params=params, x=x, record=["theory"])
    assert ds.theory_log_rate.dims == ("theory", "model")
    cell, params, x = net(leak=0.5)
    assert "theory" not in gradlab.analyze(cell=cell, params=params, x=x, record=["theory"]).dims


# bad input


def test_bad_input():
    cell, params, x = net()
    with pytest.raises(InputError, match=r"W_hh: expected shape \(1, 40, 40\), got \(1, 3, 3\)"):
        theory.predictions(cell, params | {"W_hh": np.zeros((1, 3, 3))}, x)
    params["b_h"][0, 3] = np.nan
    with pytest.raises(InputError, match=r"b_h holds nan at index \(0, 3\)"):
        theory.predictions(cell, params, x)
    params["b_h"][:] = 0
    with pytest.raises(InputError, match=r"x: expected shape \(T, B, 5\).* got \(30, 3, 4\)"):
        theory.predictions(cell, params, x[..., :4])
    for lengths, message in (
        ([30, 3], r"lengths: expected shape \(3,\), got \(2,\)"),
        ([30, 3, 31], "lengths: expected values from 0 to T=30, got 3 to 31"),
        ([30, 3, -1], "lengths: expected values from 0 to T=30, got -1 to 30"),
        ([30.0, 3.0, 1.0], "lengths: expected whole numbers, got float64"),
    ):
        with pytest.raises(InputError, match=message):
            theory.predictions(cell, params, x, lengths)
    x[4, 1] = np.inf
    with pytest.raises(InputError, match="x holds inf at step 5, sample 1"):
        theory.predictions(cell, params, x)
