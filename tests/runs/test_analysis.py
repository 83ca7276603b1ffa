"""analyze: its three ways of being called, what the Dataset holds, and what happens to samples that overflow."""

import json
import math
import warnings

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.quantities import QUANTITIES
from gradlab.runs.build import build
from gradlab.runs.probe import probe_gradient

SMALL = {"steps": 24, "batch_size": 5, "hidden_size": 6}
DIMS = {  # as documented
    "log_grad_norm": ("state", "time", "sample"),
    "jacobian_frobenius": ("step", "sample"),
    "jacobian_spectral": ("step", "sample"),
    "jacobian_path_norm": ("path", "step", "sample"),
    "path_share": ("path", "step", "sample"),
    "gate_mean": ("gate", "step"),
    "gate_saturation": ("gate", "step"),
    "activation_slope": ("step",),
    "state_rms": ("state", "time"),
    "log_weight_grad_norm": ("parameter",),
    "log_weight_grad_step_norm": ("parameter", "step"),
    "log_grad_unit": ("time", "unit"),
    "recurrent_eigenvalues": ("recurrent_gate", "index", "part"),
    "recurrent_singular_values": ("recurrent_gate", "index"),
    "spectral_radius": ("recurrent_gate",),
}


def network(name="lstm", models=(), steps=24, batch=5, hidden=6, seed=0, dtype="float64", **init):
    """A network of one's own: cell, params, x."""
    cell = make_cell(name, input_size=3, hidden_size=hidden)
    x = np.random.default_rng([seed, 3]).normal(size=(steps, *models, batch, 3)).astype(dtype)
    return {"cell": cell, "params": cell.init(seed, models=models, dtype=dtype, **init), "x": x}


# the three ways


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_three_ways_to_ask_for_one_run(cell):
    config = gradlab.RunConfig(cell=cell, seed=4, **SMALL)
    by_config, by_fields = gradlab.analyze(config), gradlab.analyze(cell=cell, seed=4, **SMALL)
    xr.testing.assert_identical(by_config, by_fields)
    own_cell, params, x = build(config)
    own = gradlab.analyze(cell=own_cell, params=params, x=x, seed=4)
    xr.testing.assert_equal(by_config, own)
    assert "config" not in own.attrs
    assert gradlab.RunConfig(**json.loads(by_config.attrs["config"])) == config


def test_with_no_argument_at_all():
    ds = gradlab.analyze()
    assert dict(ds.sizes) == {"state": 1, "gate": 1, "path": 2, "recurrent_gate": 1, "parameter": 3, "time": 101,
                              "step": 100, "sample": 32, "unit": 64, "index": 64, "part": 2, "stage": 2,
                              "input_time": 100, "lag": 100}  # fmt: skip
    assert gradlab.verdict(ds).word == "vanishing"


def test_the_same_seed_is_the_same_run_and_another_is_not():
    one, again, other = (gradlab.analyze(seed=seed, **SMALL) for seed in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not np.allclose(one.log_grad_norm[:, 0], other.log_grad_norm[:, 0])


def test_the_seed_sets_the_probe_of_ones_own_network_too():
    one, again, other = (gradlab.analyze(**network(), seed=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not np.allclose(one.log_grad_norm[:, 0], other.log_grad_norm[:, 0])
    xr.testing.assert_equal(one.jacobian_frobenius, other.jacobian_frobenius)


# what the Dataset holds


@pytest.mark.parametrize("cell", ["elman", "lstm", "peephole_lstm", "gru", "minimal_rnn"])
def test_every_documented_variable_is_there(cell):
    ds = gradlab.analyze(cell=cell, **SMALL)
    for name, dims in DIMS.items():
        assert ds[name].dims == dims, name
        assert ds[name].attrs["long_name"] and ds[name].attrs["units"], name
        assert not np.isnan(ds[name]).any(), name
        assert ds[name].attrs["scale"] == ("log" if name.startswith("log_") else "linear")
    assert set(DIMS) <= set(QUANTITIES)
    kind = make_cell(cell, input_size=1, hidden_size=1)
    assert tuple(ds.state.values) == kind.states
    assert tuple(ds.gate.values) == kind.gates
    assert tuple(ds.path.values) == ("carry", *kind.recurrent_gates)
    assert tuple(ds.parameter.values) == tuple(kind.shapes)
    np.testing.assert_array_equal(ds.time, np.arange(25))
    np.testing.assert_array_equal(ds.step, np.arange(1, 25))
    np.testing.assert_array_equal(ds["sample"], np.arange(5))
    np.testing.assert_array_equal(ds.valid_steps, 24)


def test_attributes_name_config_versions_and_device():
    ds = gradlab.analyze(cell="gru", **SMALL)
    versions = json.loads(ds.attrs["versions"])
    assert versions["gradlab"] == gradlab.__version__
    assert versions["numpy"] == np.__version__
    assert (ds.attrs["device"], ds.attrs["dtype"], ds.attrs["cell"]) == ("numpy", "float64", "GRU(3 -> 6, tanh)")
    assert ds.attrs["title"] == "Gradient dynamics of GRU(3 -> 6, tanh) over 24 steps"
    assert 0 <= ds.jacobian_spectral.attrs["residual"] <= 1e-2


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shares_of_paths_sum_to_one(dtype):
    ds = gradlab.analyze(cell="lstm", dtype=dtype, **SMALL)
    np.testing.assert_allclose(ds.path_share.sum("path"), 1, atol=1e-10 if dtype == "float64" else 1e-4)
    assert ds.attrs["dtype"] == dtype


@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_the_gradient_starts_from_a_unit_cotangent_at_the_last_step(cell):
    ds = gradlab.analyze(cell=cell, **SMALL)
    np.testing.assert_allclose(ds.log_grad_norm.sel(state="h", time=24), 0, atol=1e-14)
    if cell == "lstm":
        assert (ds.log_grad_norm.sel(state="c", time=24) == -np.inf).all()


def test_the_curve_is_what_bptt_finds():
    own = network("lstm")
    ds = gradlab.analyze(**own, seed=7)
    traj = gradlab.unroll(own["cell"], own["params"], own["x"])
    grads = gradlab.bptt(traj, probe_gradient(traj, 7))
    np.testing.assert_allclose(ds.log_grad_norm.transpose("time", "state", "sample"), grads.log_norms)
    np.testing.assert_allclose(ds.log_weight_grad_norm, [float(n) for n in grads.log_param_norms.values()])
    np.testing.assert_allclose(ds.jacobian_frobenius, gradlab.jacobian(traj).frobenius())
    np.testing.assert_allclose(ds.jacobian_spectral, gradlab.jacobian(traj).spectral(1e-10), rtol=1e-2)


@pytest.mark.parametrize("options", [{}, {"loss": "every"}, {"clip": "step_norm"}, {"cell": "lstm", "clip": "norm"}])
def test_saved_and_read_back_whole(tmp_path, options):
    ds = gradlab.analyze(**SMALL, **options)
    ds.to_netcdf(tmp_path / "run.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "run.nc"), ds)


def test_overflowed_runs_are_saved_too(tmp_path):
    ds = gradlab.analyze(activation="identity", gain=1e40, **SMALL)
    ds.to_netcdf(tmp_path / "run.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "run.nc"), ds)


# losses


@pytest.mark.parametrize("gain", [0.5, 1.0])
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_a_loss_at_every_step_leaves_the_verdict_as_it_is(cell, gain):
    last, every = (gradlab.analyze(cell=cell, gain=gain, loss=loss, **SMALL) for loss in ("last", "every"))
    xr.testing.assert_equal(last.log_grad_norm, every.log_grad_norm)
    assert gradlab.verdict(last) == gradlab.verdict(every)
    assert "log_loss_grad_norm" not in last
    assert every.log_loss_grad_norm.dims == DIMS["log_grad_norm"]
    assert gradlab.verdict(every).word == "vanishing"
    if cell == "elman" and gain == 0.5:
        share = every.log_loss_grad_norm.sel(state="h").median("sample")
        assert abs(float(share[1] - share[24])) < math.log(2)  # it says nothing about distance


def test_ones_own_loss_gradient_is_a_curve_beside_the_verdicts():
    own = network("gru")
    dL_dh = np.random.default_rng(0).normal(size=(24, 5, 6))
    ds, plain = gradlab.analyze(**own, dL_dh=dL_dh), gradlab.analyze(**own)
    xr.testing.assert_equal(ds.log_grad_norm, plain.log_grad_norm)
    grads = gradlab.bptt(gradlab.unroll(own["cell"], own["params"], own["x"]), dL_dh)
    np.testing.assert_allclose(ds.log_loss_grad_norm.sel(state="h"), grads.log_norms[:, 0])
    np.testing.assert_allclose(ds.log_weight_grad_norm, [float(n) for n in grads.log_param_norms.values()])


# lengths, initial states, models


def test_lengths():
    own, lengths = network("lstm"), np.array([24, 10, 17, 1, 24])
    ds = gradlab.analyze(**own, lengths=lengths)
    np.testing.assert_array_equal(ds.valid_steps, lengths)
    for b, length in enumerate(lengths):
        h = ds.log_grad_norm.sel(state="h")[:, b]
        assert np.isnan(h[length + 1 :]).all()
        assert float(h[length]) == pytest.approx(0, abs=1e-12)
        for name in ("jacobian_frobenius", "jacobian_spectral"):
            assert np.isnan(ds[name][length:, b]).all() and not np.isnan(ds[name][:length, b]).any()
        assert np.isnan(ds.path_share[:, length:, b]).all()
        alone = gradlab.unroll(own["cell"], own["params"], own["x"][:length, b : b + 1])
        np.testing.assert_allclose(
            ds.jacobian_frobenius[:length, b], gradlab.jacobian(alone).frobenius()[:, 0], rtol=1e-12
        )
    inside = np.arange(1, 25)[:, None] <= lengths
    gates = np.where(inside[:, None, :, None], gradlab.unroll(own["cell"], own["params"], own["x"]).gates, np.nan)
    np.testing.assert_allclose(ds.gate_mean, np.nanmean(gates, axis=(-2, -1)).T)


def test_masked_samples_are_left_out_of_the_mean_state():
    own, lengths = network("elman"), np.array([24, 10, 17, 1, 24])
    ds = gradlab.analyze(**own, lengths=lengths)
    states = gradlab.unroll(own["cell"], own["params"], own["x"]).states[:, 0]
    states = np.where((np.arange(25)[:, None] <= lengths)[..., None], states, np.nan)
    np.testing.assert_allclose(ds.state_rms.sel(state="h"), np.sqrt(np.nanmean(states**2, axis=(-2, -1))))


def test_initial_state():
    own = network("lstm")
    initial = np.random.default_rng(1).normal(size=(2, 5, 6))
    ds = gradlab.analyze(**own, initial_state=initial)
    np.testing.assert_allclose(ds.state_rms.isel(time=0), np.sqrt((initial**2).mean(axis=(-2, -1))))


@pytest.mark.parametrize("loss", ["last", "every"])
def test_model_axis(loss):
    own = network("lstm", (3,))
    ds = gradlab.analyze(**own, loss=loss)
    assert ds.sizes["model"] == 3
    assert ds.log_grad_norm.dims == ("state", "time", "model", "sample")
    assert ds.log_weight_grad_norm.dims == ("parameter", "model")
    for m in range(3):
        params = {name: p[:, m] for name, p in own["params"].items()}
        traj = gradlab.unroll(own["cell"], params, own["x"][:, m])
        one = ds.isel(model=m)
        np.testing.assert_allclose(one.jacobian_frobenius, gradlab.jacobian(traj).frobenius())
        np.testing.assert_allclose(one.gate_mean, traj.gates.mean(axis=(-2, -1)).T)
        np.testing.assert_allclose(one.recurrent_singular_values, np.linalg.svd(params["W_hh"], compute_uv=False))
        np.testing.assert_allclose(one.state_rms.T, np.sqrt((traj.states**2).mean(axis=(-2, -1))))
    assert gradlab.verdict(ds).word in ("vanishing", "carried")


# overflow


def test_one_sample_overflows_and_the_others_do_not_notice():
    """Sample 2 alone gets an input that drives it beyond the range."""
    cell = make_cell("elman", input_size=1, hidden_size=4, activation="identity")
    params = cell.init(0, recurrent_init="identity", gain=1e20)
    x = np.zeros((40, 5, 1))
    x[10, 2] = 1.0
    ds, rest = gradlab.analyze(cell=cell, params=params, x=x), [0, 1, 3, 4]
    places = json.loads(ds.attrs["overflow"])
    (place,) = places
    assert (place["sample"], place["step"], place["gate"], place["model"]) == (2, 27, "g", [])
    assert place["state"] == pytest.approx(16 * 20 * np.log(10), rel=1e-3), "16 factors of 10^20 after the one input"
    np.testing.assert_array_equal(ds.valid_steps, [40, 40, 26, 40, 40])
    assert np.isfinite(ds.log_grad_norm[0, :27, 2]).all()
    assert np.isnan(ds.log_grad_norm[0, 27:, 2]).all()
    assert not np.isnan(ds.log_grad_norm[:, :, rest]).any()
    assert float(ds.log_grad_norm[0, 26, 2]) == pytest.approx(0, abs=1e-12)
    text = str(gradlab.verdict(ds))
    assert "The forward pass overflowed at step 27 (gate g, sample 2)." in text


def test_what_single_precision_cannot_hold_is_refused(tmp_path):
    with pytest.raises(InputError, match="^W_hh: a weight is beyond the range of float32"):
        gradlab.analyze(gain=1e200, dtype="float32", **SMALL)
    with pytest.raises(InputError, match="W_hh: a weight is beyond the range of float32"):
        gradlab.train(gain=1e200, dtype="float32", iterations=1, steps=8)
    np.save(tmp_path / "a.npy", np.full((30, 9, 2), 1e200))
    with pytest.raises(InputError, match="^x holds inf at step 1, sample 0; it must be finite"):
        gradlab.analyze(input=str(tmp_path / "a.npy"), dtype="float32", **SMALL)


def test_when_all_overflow_the_first_is_named_and_the_prefix_analysed():
    ds = gradlab.analyze(activation="identity", gain=1e20, **SMALL)
    places = json.loads(ds.attrs["overflow"])
    assert [p["sample"] for p in places] == [0, 1, 2, 3, 4]
    steps = np.array([p["step"] for p in places])
    np.testing.assert_array_equal(ds.valid_steps, steps - 1)
    assert ((steps >= 14) & (steps <= 18)).all()
    verdict = gradlab.verdict(ds)
    assert verdict.word == "exploding"
    assert any(f"overflowed at step {steps.min()} (gate g" in line for line in verdict.details)
    assert any("5 samples overflowed; each is analysed up to its last finite step" in line for line in verdict.details)


def test_overflow_at_once_leaves_nothing_to_analyse():
    own = network("elman")
    cell = make_cell("elman", input_size=3, hidden_size=6, activation="identity")
    params = {**own["params"], "W_xh": own["params"]["W_xh"] * 1e308}
    verdict = gradlab.verdict(gradlab.analyze(cell=cell, params=params, x=own["x"] * 1e10))
    assert verdict.word == "overflow"
    assert "The forward pass overflowed at step 1 (gate g, sample 0)" in str(verdict)


def test_overflow_in_one_model_only():
    own = network("elman", (3,), steps=40)
    cell = make_cell("elman", input_size=3, hidden_size=6, activation="identity")
    own["params"]["W_hh"][:, 1] *= 1e30
    ds = gradlab.analyze(cell=cell, params=own["params"], x=own["x"])
    places = json.loads(ds.attrs["overflow"])
    assert {tuple(p["model"]) for p in places} == {(1,)}
    assert (ds.valid_steps.sel(model=[0, 2]) == 40).all()
    assert (ds.valid_steps.isel(model=1) < 15).all()


def test_an_lstm_names_the_gate_that_overflowed():
    own = network("lstm")
    cell = make_cell("lstm", input_size=3, hidden_size=6, activation="identity")
    own["params"]["W_xh"][2] *= 1e308
    ds = gradlab.analyze(cell=cell, params=own["params"], x=own["x"] * 1e10)
    assert json.loads(ds.attrs["overflow"])[0]["gate"] == "g"


# bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lsmt"}, "cell: unknown cell 'lsmt'. Did you mean 'lstm'\\?"),
        ({"stepz": 3}, "stepz: unknown field 'stepz'. Did you mean 'steps'\\?"),
        ({"steps": 0, "gain": -1}, "gain: expected at least 0.0, got -1\nsteps: expected at least 1, got 0"),
        ({"x": np.zeros((5, 2, 3))}, r"params=, x= and other arrays go with a Cell"),
        ({"cell": "elman", "lengths": np.ones(2)}, r"go with a Cell: cell=gradlab.make_cell"),
    ],
)
def test_bad_fields(arguments, message):
    with pytest.raises(InputError, match=message):
        gradlab.analyze(**arguments)


def test_a_config_and_fields_together():
    with pytest.raises(InputError, match=r"give a RunConfig or its fields, not both; config.replace\(...\)"):
        gradlab.analyze(gradlab.RunConfig(), steps=3)
    with pytest.raises(InputError, match="give a RunConfig or its fields, not both"):
        gradlab.analyze(gradlab.RunConfig(), cell="lstm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": None}, "needs params= and x=, and no RunConfig"),
        ({"x": None}, "needs params= and x="),
        (
            {"steps": 3},
            "with a cell of your own, steps does not apply; give loss, clip, clip_threshold, truncate, seed",
        ),
        ({"gain": 3.0, "forget_bias": 1.0}, "forget_bias, gain does not apply"),
        ({"loss": "evry"}, "loss: unknown loss 'evry'. Did you mean 'every'"),
        ({"dL_dh": np.zeros((23, 5, 6))}, r"dL_dh: expected shape \(24, 5, 6\), got \(23, 5, 6\)"),
        ({"initial_state": np.zeros((1, 5, 6))}, r"initial_state: expected shape \(2, 5, 6\), got \(1, 5, 6\)"),
        ({"x": np.zeros((24, 5, 4))}, r"x: expected shape \(T, B, 3\)"),
        ({"x": [[0.0]]}, "expected a NumPy or CuPy array, got list"),
    ],
)
def test_bad_networks(change, message):
    with pytest.raises(InputError, match=message):
        gradlab.analyze(**{**network(), **change})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_is_not_finite_says_where(bad):
    """It is no overflow of the forward pass, and must not be called one."""
    (own := network())["x"][7, 3, 1] = bad
    with pytest.raises(InputError, match=r"x.*(nan|inf).*step 8.*sample 3"):
        gradlab.analyze(**own)
    with pytest.raises(InputError, match="initial_state.*(nan|inf)"):
        gradlab.analyze(**network(), initial_state=np.full((2, 5, 6), bad))


def test_data_that_looks_batch_first_gets_a_hint():
    own = network(steps=6, batch=40)
    with pytest.warns(UserWarning, match=r"6 steps of 40 samples; batch first\? use np.swapaxes\(x, 0, 1\)"):
        gradlab.analyze(**own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradlab.analyze(**network(steps=40, batch=40))
