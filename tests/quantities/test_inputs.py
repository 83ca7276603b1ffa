"""What reaches the inputs, against the gradients themselves and a chain whose answer is known at any length."""

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.quantities.inputs import by_lag
from gradlab.runs.probe import probe_gradient

from .test_quantities import B, T, network

LENGTHS = np.array([T, 9, 16, 4])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("models", [(), (3,)], ids=["one", "models"])
def test_of_every_cell(name, lengths, models):
    own = network(name, models=models)
    ds = gradlab.analyze(**own, lengths=lengths)
    traj = gradlab.unroll(own["cell"], own["params"], own["x"], lengths=lengths)
    norms = np.linalg.norm(gradlab.bptt(traj, probe_gradient(traj, 0)).inputs, axis=-1)
    counts = np.full(B, T) if lengths is None else lengths
    found = ds.log_input_grad_norm.transpose("input_time", ..., "sample").values
    share = ds.log_input_share.transpose("lag", ..., "sample").values
    assert list(ds.input_time.values) == list(range(1, T + 1)) and list(ds.lag.values) == list(range(T))
    assert ds.log_input_share.attrs["relative_to"] == "lag 0"
    for sample, count in enumerate(counts):
        np.testing.assert_allclose(np.exp(found[:count, ..., sample]), norms[:count, ..., sample], rtol=1e-10)
        assert np.isnan(found[count:, ..., sample]).all() and np.isnan(share[count:, ..., sample]).all()
        expected = norms[:count, ..., sample][::-1] / norms[count - 1, ..., sample]
        np.testing.assert_allclose(np.exp(share[:count, ..., sample]), expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_chain_of_one_unit_at_any_length(dtype):
    cell = make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    params = {name: value * 0 + dtype(0.25) for name, value in cell.init(0, dtype=dtype).items()}
    ds = gradlab.analyze(cell=cell, params=params, x=np.zeros((5000, 1, 1), dtype))
    np.testing.assert_allclose(ds.log_input_share[:, 0], np.arange(5000) * np.log(0.25), rtol=1e-12)
    np.testing.assert_allclose(ds.log_input_grad_norm[::-1, 0], np.arange(1, 5001) * np.log(0.25), rtol=1e-12)


def test_where_the_last_input_gets_nothing_shares_are_of_the_probe():
    own = network("elman")
    own["params"]["W_xh"][...] = 0
    ds = gradlab.analyze(**own)
    assert ds.log_input_share.attrs["relative_to"] == "probe" and np.isneginf(ds.log_input_share).all()


def test_by_lag():
    logs, inside = np.array([[-3.0, -5.0], [-2.0, -1.0], [-1.0, 9.0]]), np.array([[1, 1], [1, 1], [1, 0]], bool)
    found, of = by_lag(logs, inside)
    assert of == "lag 0"
    np.testing.assert_array_equal(found, [[0, 0], [-1, -4], [-2, np.nan]])
    for nothing in (-np.inf, np.nan):
        logs[2, 0] = nothing
        found, of = by_lag(logs, inside)
        assert of == "probe"
        np.testing.assert_array_equal(found, [[nothing, -1], [-2, -5], [-3, np.nan]])


def test_places_of_a_sample_need_not_be_one_run():
    logs = np.arange(5.0)[:, None]
    found, _ = by_lag(logs, np.array([1, 1, 0, 1, 0], bool)[:, None])
    np.testing.assert_array_equal(found[:, 0], [0, -2, -3, np.nan, np.nan])
