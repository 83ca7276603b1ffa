"""Datasets as pandas frames: every number once, under its labels, whatever the Dataset is of."""

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gradlab
from gradlab import training
from gradlab.quantities.base import requests
from tests.throwaway_cells import Memory

SMALL = {"hidden_size": 6, "batch_size": 3, "steps": 20}


def models():
    cell = gradlab.make_cell("gru", input_size=2, hidden_size=4)
    x = np.random.default_rng(0).normal(size=(15, 3, 2))
    return gradlab.analyze(cell=cell, params=cell.init(0, models=(2, 3)), x=x, lengths=np.array([15, 4, 0]))


def trained():
    run = gradlab.train(task="adding", steps=12, hidden_size=6, batch_size=4, iterations=9, snapshot_every=3, layers=2)
    return training.dataset(run), training.snapshot_dataset(run)


MADE = {
    "elman": lambda: gradlab.analyze(**SMALL),
    "everything": lambda: gradlab.analyze(**SMALL, cell="lstm", record=requests(), clip="norm"),
    "clipped inside": lambda: gradlab.analyze(**SMALL, gain=5.0, clip="step_norm", loss="every"),
    "overflow": lambda: gradlab.analyze(**SMALL, activation="relu", gain=1e30),
    "model axes": models,
    "one model": lambda: models().isel(model_0=1, model_1=0),
    "no recurrent weights": lambda: gradlab.analyze(
        cell=Memory(2, 4, "tanh"), params=Memory(2, 4, "tanh").init(), x=np.ones((9, 2, 2))
    ),
    "training": lambda: trained()[0],
    "snapshot": lambda: trained()[1],
    "empty": xr.Dataset,
}


@pytest.fixture(scope="module")
def made():
    return {kind: make() for kind, make in MADE.items()}


def assert_whole(ds, frames):
    """Every variable and label of a Dataset stands in one frame, each number once, where its labels say."""
    labels = {name: ds.coords[name] for name in ds.coords if name not in ds.dims}
    expected = dict(ds.data_vars) | labels
    assert sorted(name for frame in frames.values() for name in frame.columns) == sorted(expected)
    for dims, frame in frames.items():
        assert len(frame) == math.prod(ds.sizes[dim] for dim in dims)
        assert dims == () or list(frame.index.names) == list(dims)
        for name in frame.columns:
            assert set(expected[name].dims) == set(dims)
            assert frame.attrs[name] == expected[name].attrs
            pd.testing.assert_series_equal(
                frame[name].reset_index(drop=True),
                pd.Series(expected[name].transpose(*dims).values.ravel(), name=name),
                check_dtype=False,
            )


@pytest.mark.parametrize("kind", MADE)
def test_every_number_stands_once_under_its_labels(made, kind):
    ds = made[kind]
    frames = gradlab.frames(ds)
    assert_whole(ds, frames)
    for dims, frame in frames.items():
        for level, dim in enumerate(dims):
            known = ds[dim].values if dim in ds.coords else np.arange(ds.sizes[dim])
            assert set(frame.index.get_level_values(level)) == (set(known.tolist()) if len(frame) else set())


@pytest.mark.parametrize("kind", ["everything", "model axes", "overflow", "training", "empty"])
def test_what_is_read_back_from_a_file_gives_the_same(made, kind, tmp_path):
    made[kind].to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as read:
        found = gradlab.frames(read)
    for dims, frame in gradlab.frames(made[kind]).items():
        pd.testing.assert_frame_equal(
            found[dims][frame.columns], frame, check_index_type=False, check_column_type=False
        )


@pytest.mark.parametrize("kind", ["elman", "everything", "model axes", "training"])
def test_memory_is_that_of_the_data(made, kind):
    """Index and columns of a frame are a few times what its numbers take."""
    ds = made[kind]
    taken = sum(frame.memory_usage(deep=False).sum() for frame in gradlab.frames(ds).values())
    assert taken < 4 * ds.nbytes + 20_000


def test_what_one_does_with_them():
    ds = gradlab.analyze(**SMALL, cell="lstm")
    by = gradlab.frames(ds)
    factors = by["step", "sample"].groupby("step").jacobian_frobenius.median()
    np.testing.assert_allclose(factors, ds.jacobian_frobenius.median("sample"))
    gates = by["gate", "step"].gate_mean.unstack("gate")
    np.testing.assert_array_equal(gates["f"], ds.gate_mean.sel(gate="f"))
    long = by["state", "time", "sample"].reset_index()
    assert list(long.columns) == ["state", "time", "sample", "log_grad_norm"]
    assert by["step", "sample"].attrs["jacobian_frobenius"]["units"] == "1"
    assert by[()].loc[0, "input_drive"] == float(ds.input_drive)
    assert by["step", "sample"].jacobian_frobenius.loc[3, 1] == float(ds.jacobian_frobenius.sel(step=3, sample=1))


def test_labels_beside_the_index_are_columns(made):
    frame = gradlab.frames(made["everything"])["theory",]
    assert {"theory_log_rate", "theory_label", "theory_holds", "theory_fails"} <= set(frame.columns)
    assert list(frame.theory_label) == made["everything"].theory_label.values.tolist()


@pytest.mark.parametrize("wrong", [None, {}, xr.DataArray([1.0])], ids=["None", "dict", "DataArray"])
def test_what_is_no_dataset_is_refused(wrong):
    with pytest.raises(gradlab.InputError, match="frames: expected a Dataset of gradlab, got"):
        gradlab.frames(wrong)
