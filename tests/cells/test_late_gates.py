"""Cells with a late gate: their Jacobians by the chain rule, what they become at the edges, what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.cells.gru_v1 import GRUv1
from gradlab.cells.lem import LEM
from gradlab.engine import frobenius
from gradlab.engine.cell_declaration import CellCheckError
from gradlab.engine.linearize import linearize
from gradlab.errors import InputError

T, B, D, H = 9, 3, 2, 5
LATE = ("gru_v1", "mgu", "lem")


def trajectory(name, seed=0, **options):
    cell = make_cell(name, input_size=D, hidden_size=H, **options)
    x = np.random.default_rng(seed).normal(size=(T, B, D))
    return gradlab.unroll(cell, cell.init(seed, gain=1.4, bias_scale=0.5), x)


def diagonal(values):
    return values[..., None] * np.eye(H)


def test_the_jacobian_of_gru_v1():
    """diag(z) + diag((h - n) z') U_z + diag(dn) [U_n diag(r) + U_n diag(h r') U_r]."""
    traj = trajectory("gru_v1")
    (u_r, u_z, u_n), h = traj.weights["W_hh"], traj.states[:-1, 0]
    r, z, n = np.moveaxis(traj.gates, 1, 0)
    dn = (1 - z) * (1 - n * n)
    expected = diagonal(z) + ((h - n) * z * (1 - z))[..., None] * u_z
    expected = expected + dn[..., None] * (u_n @ diagonal(r) + u_n @ ((h * r * (1 - r))[..., None] * u_r))
    np.testing.assert_allclose(gradlab.jacobian(traj).dense(), expected, rtol=1e-12, atol=1e-14)


def test_the_jacobian_of_mgu():
    traj = trajectory("mgu")
    (u_f, u_n), h = traj.weights["W_hh"], traj.states[:-1, 0]
    f, n = np.moveaxis(traj.gates, 1, 0)
    df, dn = f * (1 - f), f * (1 - n * n)
    expected = diagonal(1 - f) + ((n - h) * df)[..., None] * u_f
    expected = expected + dn[..., None] * (u_n @ diagonal(f) + u_n @ ((h * df)[..., None] * u_f))
    np.testing.assert_allclose(gradlab.jacobian(traj).dense(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", LATE)
def test_a_closed_update_carries_everything(name):
    """Where no unit is renewed the gradient comes back as it is, to the last bit, at any length."""
    cell = make_cell(name, input_size=1, hidden_size=H)
    params = {key: 0 * value for key, value in cell.init(0).items()}
    params["W_hh"] += 1.0
    closed = {"gru_v1": (1, 1e4), "mgu": (0, -1e4), "lem": (slice(0, 2), -1e4)}[name]
    params["b_h"][closed[0]] = closed[1]
    ds = gradlab.analyze(cell=cell, params=params, x=np.zeros((3000, 2, 1)))
    np.testing.assert_allclose(ds.log_grad_norm.sel(state=cell.states[0]), 0, atol=1e-12)
    assert gradlab.verdict(ds).word == "carried"


@pytest.mark.parametrize("name", LATE)
def test_paths_name_where_the_gradient_goes(name):
    """A late gate's path is gone with its weights, and so is what other gates do through it."""
    traj = trajectory(name)
    paths = gradlab.jacobian(traj).paths()
    assert list(paths) == ["carry", *traj.cell.gates]
    whole = sum(path.dense() for path in paths.values())
    np.testing.assert_allclose(whole, gradlab.jacobian(traj).dense(), rtol=1e-12, atol=1e-14)
    params = dict(traj.params) | {"W_hh": traj.params["W_hh"].copy()}
    params["W_hh"][-1] = 0
    cut = gradlab.jacobian(gradlab.unroll(traj.cell, params, traj.x)).paths()
    assert not cut[traj.cell.gates[-1]].dense().any()
    if name == "gru_v1":  # r acts through the candidate alone
        assert not cut["r"].dense().any()


def test_norms_of_matrices_are_of_as_many_samples_as_are_affordable(monkeypatch):
    traj = trajectory("gru_v1")
    whole = gradlab.jacobian(traj).frobenius()
    for cost, samples in ((1, 1), (2 * T * H**3, 2)):
        monkeypatch.setattr(frobenius, "DENSE", cost)
        part = gradlab.jacobian(traj).frobenius()
        np.testing.assert_array_equal(part[:, :samples], whole[:, :samples])
        assert np.isnan(part[:, samples:]).all()
    ds = gradlab.analyze(cell=traj.cell, params=traj.params, x=traj.x)
    assert ds.jacobian_frobenius.isnull().sum() == T and gradlab.plots.explore(ds).data


def test_matrices_of_some_samples_are_made_anew(monkeypatch):
    traj = trajectory("gru_v1")
    jacobian = gradlab.jacobian(traj)
    part = jacobian._part(linearize(traj, 0, T))
    whole = part.dense(np.empty((T, B, H, H)))
    monkeypatch.setattr(frobenius, "DENSE", 2 * T * H**3)
    exact = np.linalg.norm(whole[:, :2], axis=(-2, -1))
    np.testing.assert_allclose(frobenius.frobenius_norms(part, None)[:, :2], exact, rtol=1e-12)
    single = part.astype(np.float32).dense(np.empty((T, B, H, H), np.float32))
    np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-5)


def test_the_step_of_lem_is_its_slowest_forgetting():
    """At dt = 0.01 both states keep at least 99 % of themselves."""
    traj = trajectory("lem", dt=0.01)
    kept = np.diagonal(gradlab.jacobian(traj).paths()["carry"].dense(), axis1=-2, axis2=-1)
    assert kept.min() >= 0.99 and kept.max() < 1


def test_what_is_refused():
    with pytest.raises(InputError, match="dt: expected a number above 0 and at most 1, got 0"):
        make_cell("lem", input_size=D, hidden_size=H, dt=0)
    for name in ("mgu", "lem"):
        with pytest.raises(InputError, match="forget_bias: .* has no forget gate"):
            make_cell(name, input_size=D, hidden_size=H).init(0, forget_bias=1.0)
    with pytest.raises(NotImplementedError, match="LSTM has no late gate"):
        make_cell("lstm", input_size=D, hidden_size=H).middle(np)


@dataclass(frozen=True, repr=False)
class Wrong(GRUv1):
    """A cell that is wrong in one of several ways."""

    how: str = ""
    name = "wrong"

    def middle(self, xp, r, z, h):
        return {"several": (r * h,), "shape": 1.0}.get(self.how, r * h)

    def middle_partials(self, xp, r, z, h):
        wrong = {"key": {"n": h}, "value": {"r": 1.001 * h, "h": r}, "sign": {"r": h, "h": -r}, "none": None}
        return wrong.get(self.how, {"r": h, "h": r})


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("several", r"Wrong: middle: expected an array made from the arguments, .* got tuple"),
        ("shape", r"Wrong: middle: expected an array made from the arguments, of shape .*, got 1.0"),
        ("none", r"Wrong: middle_partials: expected a mapping of names, got None"),
        ("key", r"Wrong: middle_partials: expected names of r, z, h, got 'n'"),
        ("value", r"d middle / d r is wrong at"),
        ("sign", r"d middle / d h is wrong at"),
    ],
)
def test_a_wrong_middle_is_found(how, match):
    with pytest.raises(CellCheckError, match=match):
        gradlab.check_cell(Wrong(3, 5, "tanh", how=how))
    gradlab.check_cell(Wrong(3, 5, "tanh"))


def test_a_wrong_place_of_a_late_gate_is_found():
    class NotLast(GRUv1):
        recurrent = slice(0, 2)

    class NoSwitch(GRUv1):
        late = 2

    with pytest.raises(CellCheckError, match="late: expected a last gate that the recurrent weights feed, got"):
        gradlab.check_cell(NotLast(3, 5, "tanh"))

    class ReadsBoth(LEM):
        reads = ("y", "z")

    with pytest.raises(CellCheckError, match=r"late: expected weights that read one state, got \('y', 'z'\)"):
        gradlab.check_cell(ReadsBoth(3, 5, "tanh"))
    with pytest.raises(CellCheckError, match="late: expected True or False, got 2"):
        gradlab.check_cell(NoSwitch(3, 5, "tanh"))
