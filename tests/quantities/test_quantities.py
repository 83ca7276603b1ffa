"""Every recorded quantity against its definition, computed the long way from trajectory and adjoints."""

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.quantities import QUANTITIES
from gradlab.runs.probe import probe_gradient

from ..contract import CROWDED

T, B, D, H = 21, 4, 3, 5
each_cell = pytest.mark.parametrize("name", CELLS)


def network(name, models=(), dtype="float64", gain=1.5, activation="tanh", **options):
    cell = make_cell(name, input_size=D, hidden_size=H, activation=activation, **options)
    x = np.random.default_rng(3).normal(size=(T, *models, B, D)).astype(dtype)
    params = cell.init(1, models=models, dtype=dtype, gain=gain, bias_scale=0.5)
    return {"cell": cell, "params": params, "x": x}


def run(name, lengths=None, dL_dh=None, seed=0, **options):
    """(Dataset, trajectory, gradients) of one network; `dL_dh` None is the probe."""
    own = network(name, **options)
    ds = gradlab.analyze(**own, lengths=lengths, dL_dh=dL_dh, seed=seed)
    traj = gradlab.unroll(own["cell"], own["params"], own["x"], lengths=lengths)
    return ds, traj, gradlab.bptt(traj, probe_gradient(traj, seed) if dL_dh is None else dL_dh)


def pre_activations(traj, name):
    """What the nonlinearity of one gate is applied to, (T, B, H); GRU's r m and the peepholes included."""
    cell, gates = traj.cell, dict(zip(traj.cell.gates, np.moveaxis(traj.gate_inputs, 1, 0), strict=True))
    pre = traj.pre[:, cell.gates.index(name)]
    if (cell.name, name) == ("gru", "n"):
        return pre + gates["r"] * gates["m"]
    if cell.name == "indrnn":
        return pre + traj.params["p"][0] * traj.states[:-1, 0]
    if cell.name == "min_lstm" and name != "g":
        odds = np.log1p(np.exp(-gates["i"])) - np.log1p(np.exp(-gates["f"]))
        return odds if name == "f" else -odds
    if cell.name == "peephole_lstm" and name != "g":
        c = traj.states[1:, 1] if name == "o" else traj.states[:-1, 1]
        return pre + traj.params["p"]["ifo".index(name)] * c
    return pre


def nonlinearity(cell, name):
    """phi of one gate, from the equations."""
    if name == cell.candidate or cell.name == "lru" or (cell.name, name) == ("lem", "g"):
        return cell.activation
    return ACTIVATIONS["identity" if (cell.name, name) == ("gru", "m") else "sigmoid"]


# gates


@each_cell
@pytest.mark.parametrize("lengths", [None, np.array([21, 9, 16, 4])], ids=["full", "lengths"])
def test_gates(name, lengths):
    ds, traj, _ = run(name, lengths)
    inside = np.ones((T, B), bool) if lengths is None else np.arange(1, T + 1)[:, None] <= lengths
    for gate in traj.cell.gates:
        phi, a = nonlinearity(traj.cell, gate), pre_activations(traj, gate)
        slope = phi.slope(np, a)
        expected = {
            "gate_mean": phi.value(np, a),
            "gate_saturation": slope < 0.1 * slope_limit(phi),
            "activation_slope": slope,
        }
        for key, values in expected.items():
            if key == "activation_slope" and gate != traj.cell.candidate:
                continue
            found = ds[key] if key == "activation_slope" else ds[key].sel(gate=gate)
            mean = np.array([v[i].mean() for v, i in zip(values, inside, strict=True)])
            np.testing.assert_allclose(found, mean, rtol=1e-10, atol=1e-12, err_msg=f"{key} {gate}")


def slope_limit(phi):
    return phi.slope(np, np.zeros(1))[0]  # of tanh, sigmoid and identity


def test_saturation_counts_strong_input():
    weak, strong = (gradlab.analyze(input_scale=s, steps=T, batch_size=8) for s in (0.1, 20.0))
    assert float(weak.gate_saturation.mean()) < 0.01
    assert float(strong.gate_saturation.mean()) > 0.8
    assert float(strong.activation_slope.mean()) < 0.2 < float(weak.activation_slope.mean())


def test_without_saturated_units_the_share_is_zero_and_unknown_beyond_the_longest_sample():
    calm = {"activation": "identity", "gain": 0.5}
    ds, _, _ = run("elman", **calm)
    assert (ds.gate_saturation == 0).all()
    ds, _, _ = run("elman", np.array([5, 9, 2, 4]), **calm)
    assert (ds.gate_saturation[:, :9] == 0).all()
    assert np.isnan(ds.gate_saturation[:, 9:]).all()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_squares_of_an_input_neither_under_nor_overflow(scale):
    own = network("elman")
    own["params"]["b_h"] *= 0
    usual, own["x"] = gradlab.analyze(**own).input_drive, scale * own["x"]
    np.testing.assert_allclose(gradlab.analyze(**own).input_drive / scale, usual, rtol=1e-12)


@each_cell
@pytest.mark.parametrize("lengths", [None, np.array([21, 9, 16, 4])], ids=["full", "lengths"])
@pytest.mark.parametrize("models", [(), (3,)], ids=["one", "models"])
def test_dead_units_and_input_drive(name, lengths, models):
    """A biased net, in which some units stay saturated; by the long way from pre-activations and weights."""
    own = network(name, models, gain=0.5)
    cell, bias = own["cell"], own["params"]["b_h"]
    bias[cell.gates.index(cell.candidate)] += np.array([9.0, -9.0, 0.0, 0.0, 0.0])
    own["x"][-1, ..., -1, :] = 0.0 if lengths is None else np.inf  # a masked step is left out
    ds, traj = gradlab.analyze(**own, lengths=lengths), gradlab.unroll(cell, own["params"], own["x"], lengths=lengths)
    v = own["params"]["W_xh"][cell.driven_gates.index(cell.candidate)]
    drive = np.einsum("t...bd,...hd->t...bh", np.nan_to_num(own["x"], posinf=0.0), v)
    drive += bias[cell.gates.index(cell.candidate)][..., None, :]
    inside = np.ones((T, B), bool) if lengths is None else np.arange(1, T + 1)[:, None] <= lengths
    squares = np.moveaxis((drive**2).mean(axis=-1), 0, -2)[..., inside].mean(axis=-1)
    np.testing.assert_allclose(ds.input_drive, np.sqrt(squares))
    with np.errstate(all="ignore"):
        low = nonlinearity(cell, cell.candidate).slope(np, candidate_inputs(traj)) < 0.1
    low = np.moveaxis(low, 0, -3)[..., inside, :]
    np.testing.assert_allclose(ds.dead_units, low.all(axis=-2).mean(axis=-1))
    assert (ds.dead_units >= 0.4).all()


def candidate_inputs(traj):
    """What the candidate's nonlinearity is applied to, with model axes; GRU's r m included."""
    pre = traj.pre[:, traj.cell.gates.index(traj.cell.candidate)]
    return pre + traj.gate_inputs[:, 1] * traj.gate_inputs[:, 3] if traj.cell.name == "gru" else pre


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_its_slope_recorded(activation):
    ds, traj, _ = run("elman", activation=activation)
    with np.errstate(all="ignore"):  # as the engine calls it
        slope = ACTIVATIONS[activation].slope(np, traj.pre[:, 0])
    np.testing.assert_allclose(ds.activation_slope, slope.mean(axis=(-2, -1)), rtol=1e-9)


# states and gradients


@each_cell
def test_state_rms(name):
    ds, traj, _ = run(name)
    np.testing.assert_allclose(ds.state_rms.T, np.sqrt((traj.states**2).mean(axis=(-2, -1))), rtol=1e-12)


def test_state_rms_at_extreme_magnitudes():
    cell = make_cell("elman", input_size=1, hidden_size=2, activation="identity")
    params = cell.init(0, recurrent_init="identity", gain=1e10)
    ds = gradlab.analyze(cell=cell, params=params, x=np.zeros((30, 1, 1)), initial_state=np.full((1, 1, 2), 1e-200))
    np.testing.assert_allclose(ds.state_rms.sel(state="h"), 1e-200 * 1e10 ** np.arange(31.0), rtol=1e-10)


def recurrent_part(traj, gates, t):
    """sum over samples of delta_t r^T of each recurrent gate, with what a late gate's weights see in the place of r."""
    early, late = traj.seen(slice(t, t + 1))
    found = [d[t].T @ early[0] for d in gates[traj.cell.early]] + ([gates[-1, t].T @ late[0]] if traj.cell.late else [])
    return np.stack(found) if found else np.zeros_like(traj.weights["W_hh"])


@each_cell
def test_weight_gradient_of_each_step(name):
    """|| sum over samples of delta_t r_{t-1}^T || from an explicit loop, and the steps sum to the whole."""
    dL_dh = np.random.default_rng(0).normal(size=(T, B, H))
    ds, traj, grads = run(name, dL_dh=dL_dh)
    cell, total = traj.cell, dict.fromkeys(traj.params, 0.0)
    deltas = np.ldexp(grads.deltas, grads.exponents[1:][None, ..., None])
    gates, rest = deltas[: len(cell.gates)], deltas[len(cell.gates) :]
    for t in range(T):
        step = {
            "W_xh": np.einsum("gbh,bd->ghd", gates[cell.driven][:, t], traj.x[t]),
            "W_hh": recurrent_part(traj, gates, t),
            "b_h": gates[:, t].sum(axis=1),
            "p": rest[:, t].sum(axis=1),
        }
        step = cell.pull_back(traj.params, step)
        for key in traj.params:
            with np.errstate(divide="ignore"):  # h_0 = 0: the first step adds nothing to W_hh's gradient
                expected = np.log(np.linalg.norm(step[key]))
            found = float(ds.log_weight_grad_step_norm.sel(parameter=key, step=t + 1))
            assert found == pytest.approx(expected, abs=1e-9), (key, t)
            total[key] = total[key] + step[key]
    for key, gradient in total.items():
        np.testing.assert_allclose(grads.params[key], gradient, rtol=1e-9, atol=1e-12)
        with np.errstate(divide="ignore"):  # a parameter may be empty
            expected = np.log(np.linalg.norm(gradient))
        assert float(ds.log_weight_grad_norm.sel(parameter=key)) == pytest.approx(expected)


@pytest.mark.parametrize("lengths", [None, np.array([21, 9, 16, 4])], ids=["full", "lengths"])
@each_cell
def test_gradient_of_each_unit(name, lengths):
    """Root mean square over the samples that are still running, both states together."""
    ds, _, grads = run(name, lengths)
    inside = np.ones((T + 1, B), bool) if lengths is None else np.arange(T + 1)[:, None] <= lengths
    squares = (grads.adjoints**2).sum(axis=1)
    with np.errstate(divide="ignore"):
        expected = [0.5 * np.log(s[i].mean(axis=0)) for s, i in zip(squares, inside, strict=True)]
    np.testing.assert_allclose(ds.log_grad_unit, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_units_and_steps_at_extreme_magnitudes(gain, dtype):
    """A net that multiplies by g at each step: the unit's curve and each step's share of dL/db are lines."""
    cell = make_cell("elman", input_size=1, hidden_size=2, activation="identity")
    params = cell.init(0, recurrent_init="identity", gain=gain, dtype=dtype)
    x = np.zeros((600, 3, 1), dtype)
    ds = gradlab.analyze(cell=cell, params=params, x=x)
    rate = np.log(float(params["W_hh"][0, 0, 0]))
    back = 600.0 - np.arange(601)
    unit = ds.log_grad_unit - ds.log_grad_unit.isel(time=-1)
    np.testing.assert_allclose(unit, np.repeat(back[:, None] * rate, 2, axis=1), rtol=1e-6, atol=1e-5)
    steps = ds.log_weight_grad_step_norm.sel(parameter="b_h")
    np.testing.assert_allclose(steps - steps.isel(step=-1), back[1:] * rate, rtol=1e-6, atol=1e-5)
    assert (ds.log_weight_grad_step_norm.sel(parameter="W_hh") == -np.inf).all()
    assert not np.isnan(ds.log_grad_norm).any()


def test_a_small_state_makes_a_small_gradient_and_no_zero():
    """-inf is for exact zeros: h = 1e-25 times delta = 1 is 1e-25, though its square leaves single precision."""
    cell = make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    params = cell.init(0, recurrent_init="identity", dtype="float32")
    initial = np.full((1, 1, 1), 1e-25, np.float32)
    ds = gradlab.analyze(cell=cell, params=params, x=np.zeros((12, 1, 1), np.float32), initial_state=initial)
    np.testing.assert_allclose(ds.log_weight_grad_step_norm.sel(parameter="W_hh"), np.log(1e-25), rtol=1e-5)


# Jacobians


@each_cell
def test_paths(name):
    ds, traj, grads = run(name)
    dense = {key: path.dense() for key, path in gradlab.jacobian(traj).paths().items()}
    adjoint = np.moveaxis(grads.adjoints[1:], 1, -2).reshape(T, B, -1, 1)
    pulled = {key: np.swapaxes(m, -1, -2) @ adjoint for key, m in dense.items()}
    whole = sum(pulled.values())
    for key in dense:
        norm = np.linalg.norm(dense[key], axis=(-2, -1))
        np.testing.assert_allclose(ds.jacobian_path_norm.sel(path=key), norm, rtol=1e-9, atol=1e-12)
        share = (pulled[key] * whole).sum(axis=(-2, -1)) / (whole * whole).sum(axis=(-2, -1))
        np.testing.assert_allclose(ds.path_share.sel(path=key), share, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ds.jacobian_frobenius, np.linalg.norm(sum(dense.values()), axis=(-2, -1)), rtol=1e-10)
    sigma = np.linalg.norm(sum(dense.values()), 2, axis=(-2, -1))
    # where singular values crowd, the residual tells of one of them
    bound = max(ds.jacobian_spectral.attrs["residual"], 1e-9) + CROWDED.get(name, 0.0)
    assert (np.abs(ds.jacobian_spectral / sigma - 1) <= bound).all()


@each_cell
def test_spectra_of_the_recurrent_weights(name):
    ds, traj, _ = run(name)
    for k, gate in enumerate(traj.cell.recurrent_gates):
        w = traj.weights["W_hh"][k][:, :H]  # of the first state that is read
        found = ds.recurrent_eigenvalues.sel(recurrent_gate=gate)
        values = found.sel(part="real").values + 1j * found.sel(part="imag").values
        np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(np.linalg.eigvals(w)), atol=1e-10)
        sigma = ds.recurrent_singular_values.sel(recurrent_gate=gate)
        np.testing.assert_allclose(sigma, np.linalg.svd(w, compute_uv=False), atol=1e-12)
        assert (np.diff(sigma) <= 0).all()


@pytest.mark.parametrize("models", [(), (3,)])
@pytest.mark.parametrize("name", ["indrnn", "lru"])
def test_the_spectrum_of_a_diagonal_recurrence_is_its_diagonal(name, models):
    ds = gradlab.analyze(**network(name, models=models))
    p = network(name, models=models)["params"]["p"]
    expected = np.exp(-np.exp(p[0]) + 1j * np.exp(p[1])) if name == "lru" else p[0] + 0j
    found = ds.recurrent_eigenvalues.sel(recurrent_gate="carry").transpose(..., "index", "part").values
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, rtol=1e-12)
    sigma = ds.recurrent_singular_values.sel(recurrent_gate="carry").transpose(..., "index").values
    np.testing.assert_allclose(sigma, -np.sort(-np.abs(expected)), rtol=1e-12)
    np.testing.assert_allclose(ds.spectral_radius.sel(recurrent_gate="carry"), sigma[..., 0], rtol=1e-12)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
def test_where_gates_alone_keep_the_state_there_is_no_spectrum(name):
    ds = gradlab.analyze(**network(name))
    assert ds.sizes["recurrent_gate"] == 0 == ds.recurrent_eigenvalues.size == ds.spectral_radius.size


def test_where_nothing_is_passed_back_shares_are_missing_and_curves_are_exactly_zero():
    cell = make_cell("elman", input_size=D, hidden_size=H, activation="relu")
    params = cell.init(0)
    params["b_h"] -= 100
    ds = gradlab.analyze(cell=cell, params=params, x=network("elman")["x"])
    assert (ds.log_grad_norm.isel(time=slice(0, T)) == -np.inf).all()
    assert np.isnan(ds.path_share).all()
    assert (ds.log_grad_unit.isel(time=slice(0, T)) == -np.inf).all()
    assert (ds.log_weight_grad_norm == -np.inf).all()
    assert float(ds.jacobian_frobenius.max()) == 0 == float(ds.jacobian_spectral.max())


# the registry


@pytest.mark.parametrize("name", QUANTITIES)
def test_each_quantity_says_what_it_is(name):
    quantity = QUANTITIES[name]
    assert quantity.name == name
    assert quantity.long_name and not quantity.long_name.endswith(".")
    assert quantity.symbol and quantity.units
    assert quantity.scale == ("log" if "log_" in name and not name.endswith("_stderr") else "linear")
    assert len(set(quantity.dims)) == len(quantity.dims)
    assert "*" in quantity.dims


@pytest.mark.parametrize("models", [(), (3,), (2, 3)])
@each_cell
def test_each_quantity_has_its_dims(name, models):
    ds = gradlab.analyze(**network(name, models=models), loss="every", clip="off")
    model_dims = {0: [], 1: ["model"], 2: ["model_0", "model_1"]}[len(models)]
    for key, quantity in QUANTITIES.items():
        if key in ds:
            assert set(ds[key].dims) == {*quantity.dims, *model_dims} - {"*"}
    always = {key for key, quantity in QUANTITIES.items() if not quantity.request}
    split = {"log_direct_grad_norm", "log_recurrent_grad_norm", "direct_share"}  # of a layer below another one
    assert always - set(ds) == {"log_grad_norm_before_clip", *split}
