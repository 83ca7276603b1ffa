"""What analyze(record=...) adds about long products, against the functions that compute it."""

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS
from gradlab.products import log_lags, log_norms, norms, path_split, singular_values
from gradlab.quantities import QUANTITIES
from gradlab.runs.probe import probe_gradient

from ..contract import random_problem
from ..engine.test_contract import as_cupy  # noqa: F401 - a fixture

SIZES = (30, 4, 2, 5)  # T, B, D, H
REQUESTS = ("products", "singular_values", "credit", "path_split")
OWN = [name for name, q in QUANTITIES.items() if q.request in REQUESTS]
LENGTHS = np.array([30, 12, 30, 1])


def recorded(name, request, models=(), lengths=None):
    """(Dataset, trajectory, the probe's gradients) of a random net."""
    problem = random_problem(name, models, SIZES)
    given = {"cell": problem.cell, "params": problem.params, "x": problem.x, "initial_state": problem.initial}
    ds = gradlab.analyze(**given, lengths=lengths, record=[request])
    traj = problem.unroll(lengths=lengths)
    return ds, traj, gradlab.bptt(traj, probe_gradient(traj, 0))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("models", [(), (3,)], ids=["one", "models"])
def test_norms(name, models):
    ds, traj, _ = recorded(name, "products", models)
    found = log_norms(gradlab.jacobian(traj))
    assert ds.log_product_norm.dims == ("time", *(["model"] if models else []), "sample")
    np.testing.assert_allclose(ds.log_product_norm, found.frobenius, rtol=1e-12)
    np.testing.assert_allclose(ds.log_product_spectral, found.spectral, rtol=1e-12)
    np.testing.assert_allclose(ds.product_residual, found.residual, atol=1e-12)
    assert "log_product_norm_estimate" not in ds
    assert ds.log_product_norm.attrs["scale"] == "log"


def test_norms_end_with_the_sample():
    ds, traj, _ = recorded("gru", "products", lengths=LENGTHS)
    found = log_norms(gradlab.jacobian(traj)).frobenius
    for sample, length in enumerate(LENGTHS):
        values = ds.log_product_norm.sel(sample=sample)
        np.testing.assert_allclose(values[: length + 1], found[: length + 1, sample], rtol=1e-12)
        assert np.isnan(values[length + 1 :]).all()


def test_samples_that_are_left_out_are_nan(monkeypatch):
    monkeypatch.setattr(norms, "BUDGET", 2.5 * 5**3 * 30)
    ds, traj, _ = recorded("elman", "products")
    assert np.isfinite(ds.log_product_norm.sel(sample=[0, 1])).all()
    assert np.isnan(ds.log_product_norm.sel(sample=[2, 3])).all()


def test_an_estimate_has_another_name(monkeypatch):
    monkeypatch.setattr(norms, "BUDGET", 1.0)
    ds, traj, _ = recorded("elman", "products")
    found = log_norms(gradlab.jacobian(traj), method="probes")
    np.testing.assert_allclose(ds.log_product_norm_estimate, found.frobenius, rtol=1e-12)
    np.testing.assert_allclose(ds.log_product_norm_stderr, found.stderr, atol=1e-12)
    assert {"log_product_norm", "log_product_spectral", "product_residual"}.isdisjoint(ds)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_singular_values(lengths):
    ds, traj, grads = recorded("lstm", "singular_values", lengths=lengths)
    assert list(ds.span.values) == log_lags(30)
    ends = np.full(4, 30) if lengths is None else lengths
    for sample, end in enumerate(ends):
        alone = gradlab.unroll(traj.cell, traj.params, traj.x[:end, [sample]], traj.states[0][:, [sample]])
        adjoint = grads.mantissas[end][:, [sample]]
        for lag in log_lags(30):
            at = ds.sel(span=lag, sample=sample)
            if 30 - lag > end:
                assert np.isnan(at.log_singular_values).all()
                continue
            found = singular_values(gradlab.jacobian(alone), int(end), 30 - lag, adjoint=adjoint)
            np.testing.assert_allclose(at.log_singular_values, found.logs[:, 0], atol=1e-6)
            assert at.singular_alignment.sum() == pytest.approx(1.0)


def test_only_the_leading_singular_values_are_kept():
    ds = gradlab.analyze(hidden_size=40, steps=12, batch_size=2, record=["singular_values"])
    assert ds.log_singular_values.sizes["index_sv"] == 16
    assert (ds.log_singular_values.diff("index_sv") <= 1e-9).all()


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_split_of_a_span(lengths):
    ds, traj, grads = recorded("lstm", "path_split", lengths=lengths)
    assert list(ds.span_path.values) == ["carry", "i", "f", "g", "o", "interaction"]
    expected = path_split(gradlab.jacobian(traj), 30, 30 - 5, grads.mantissas[30])
    at = ds.sel(span=5, sample=0)
    np.testing.assert_allclose(at.span_path_share, expected.shares[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(at.span_path_log_norm, expected.norms[:, 0], rtol=1e-9)
    shares = ds.span_path_share.sum("span_path", skipna=False)
    outside = np.zeros((len(ds.span), 4), bool) if lengths is None else 30 - ds.span.values[:, None] > LENGTHS
    np.testing.assert_allclose(shares.transpose("span", "sample").values[~outside], 1, atol=1e-9)
    assert np.isnan(shares.transpose("span", "sample").values[outside]).all()


def test_credit():
    ds, traj, _ = recorded("lstm", "credit")
    logs = ds.log_credit.sel(credit_sample=0).transpose("loss_time", "time")
    assert list(ds.loss_time.values) == list(range(1, 31))
    np.testing.assert_allclose(np.diag(logs.sel(time=slice(1, None))), 0, atol=1e-12)  # unit gradients, not yet moved
    assert (logs.values[np.arange(31)[None, :] > np.arange(1, 31)[:, None]] == -np.inf).all()
    norms = log_norms(gradlab.jacobian(traj), 20).spectral[:, 0]
    assert (logs.sel(loss_time=20)[:21] <= norms + 1e-2).all()


def test_long_triangles_are_thinned():
    ds = gradlab.analyze(hidden_size=3, steps=450, batch_size=1, record=["credit"])
    assert ds.log_credit.sizes["loss_time"] == 200
    assert ds.loss_time[-1] == 450


@pytest.mark.parametrize("request_name", REQUESTS)
def test_only_on_request_and_told_of_progress(request_name):
    plain = gradlab.analyze(steps=12, hidden_size=4)
    assert set(OWN).isdisjoint(plain)
    shares = []
    ds = gradlab.analyze(steps=12, hidden_size=4, record=[request_name], on_progress=shares.append)
    assert {name for name in OWN if QUANTITIES[name].request == request_name} & set(ds)
    assert shares[-1] == pytest.approx(1.0)

    def cancel(share):
        raise gradlab.Cancelled

    with pytest.raises(gradlab.Cancelled):
        gradlab.analyze(steps=12, hidden_size=4, record=[request_name], on_progress=cancel)


@pytest.mark.parametrize("cell", CELLS)
def test_on_the_device_as_on_the_host(cell, as_cupy):  # noqa: F811
    fields = {"cell": cell, "steps": 14, "batch_size": 2, "hidden_size": 3, "record": REQUESTS}
    host, device = (gradlab.analyze(**fields, device=name) for name in ("cpu", "cuda"))
    for name in set(OWN) & set(host):
        np.testing.assert_allclose(device[name], host[name], rtol=1e-6, atol=1e-7, err_msg=name)
