"""Recorded quantities in a few numbers: medians against NumPy's, and how they read."""

import math

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.quantities import QUANTITIES, requests
from gradlab.runs.recorded import median_rows, medians

SMALL = {"cell": "lstm", "steps": 30, "batch_size": 3, "hidden_size": 5}


@pytest.fixture(scope="module")
def run():
    return gradlab.analyze(record=requests(), **SMALL)


def test_every_quantity_of_a_run_and_nothing_else(run):
    found = medians(run)
    assert found.keys() == {name for name in run.data_vars if name in QUANTITIES}
    assert "valid_steps" in run and "valid_steps" not in found
    for name, q in found.items():
        median = q.pop("median")
        assert q == {key: run[name].attrs[key] for key in ("long_name", "symbol", "units", "scale")}
        assert all(map(math.isfinite, median.values() if isinstance(median, dict) else [median])), name


def test_medians_are_over_what_is_numbered_and_by_name_elsewhere(run):
    found = {name: q["median"] for name, q in medians(run).items()}
    assert found["jacobian_frobenius"] == pytest.approx(np.median(run.jacobian_frobenius))
    assert found["gate_mean"] == pytest.approx({g: np.median(run.gate_mean.sel(gate=g)) for g in "ifgo"})
    real = run.recurrent_eigenvalues.sel(recurrent_gate="f", part="real")
    assert found["recurrent_eigenvalues"]["f real"] == pytest.approx(np.median(real))
    assert list(found["path_share"]) == ["carry", "i", "f", "g", "o"]


def test_missing_values_are_left_out():
    own = {"cell": gradlab.make_cell("elman", input_size=2, hidden_size=3)}
    own |= {"params": own["cell"].init(0), "x": np.ones((9, 2, 2))}
    ds = gradlab.analyze(**own, lengths=np.array([9, 4]))
    assert np.isnan(ds.jacobian_frobenius).any()
    assert medians(ds)["jacobian_frobenius"]["median"] == pytest.approx(np.nanmedian(ds.jacobian_frobenius))


def test_a_run_that_was_saved_tells_the_same(run, tmp_path):
    run.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "run.nc") as read:
        assert medians(read) == medians(run)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("log_product_norm", -50 * math.log(10), "10^-50"),
        ("log_product_norm", -math.inf, "0"),
        ("log_product_norm", math.inf, "not finite"),
        ("log_product_norm", math.nan, "-"),
        ("jacobian_spectral", 0.25, "0.25"),
        ("jacobian_spectral", 0.0, "0"),
        ("jacobian_spectral", math.nan, "-"),
    ],
)
def test_how_a_median_reads(name, value, text):
    (row,) = median_rows(xr.Dataset({name: ("sample", [value])}))
    symbol = {"log_product_norm": "||ds_T/ds_t||_F", "jacobian_spectral": "||J_t||_2"}[name]
    assert row == {"quantity": QUANTITIES[name].long_name, "symbol": symbol, "unit": "1", "median": text}


def test_units_and_names_are_told(run):
    rows = {row["quantity"]: row for row in median_rows(run)}
    assert rows["Standard error of each Lyapunov exponent"]["unit"] == "nats per step"
    gates = {gate: f"{float(run.gate_mean.sel(gate=gate).median()):.3g}" for gate in "ifgo"}
    said = ", ".join(f"{gate} {value}" for gate, value in gates.items())
    assert rows["Mean gate value over units and samples"]["median"] == said
