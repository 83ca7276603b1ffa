"""A Dataset as pandas frames: one for each set of dimensions, so that no number is repeated."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import xarray as xr

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Dims = tuple[str, ...]


def frames(ds: xr.Dataset) -> dict[Dims, pd.DataFrame]:
    """The quantities of a Dataset as a DataFrame for each set of dimensions: these as index, quantities as columns.

    Of any Dataset of gradlab, fresh or read from a file. `attrs` of a frame hold for each column what the Dataset says
    of it: long_name, units, symbol, scale. Quantities without dimensions stand in a frame of one row under the key ().
    All frames together take a few times the Dataset's memory, where `ds.to_dataframe()` repeats every quantity over
    all dimensions. Raises InputError for anything but a Dataset.

        by = gradlab.frames(gradlab.analyze(cell="lstm"))
        by["step", "sample"].groupby("step").jacobian_frobenius.median()   # index: step, sample
        by["gate", "step"].gate_mean.unstack("gate")                       # a column for each gate
        by["state", "time", "sample"].reset_index()                        # long, for seaborn
        by["step", "sample"].attrs["jacobian_frobenius"]["long_name"]
    """
    if not isinstance(ds, xr.Dataset):
        raise InputError(f"frames: expected a Dataset of gradlab, got {type(ds).__name__}", "ds")
    labels = [name for name in ds.coords if name not in ds.dims]
    plain = ds.reset_coords(labels)  # what labels a dimension besides its index is a column like any other
    return {dims: _frame(plain[names], dims) for dims, names in _by_dims(plain).items()}


def _by_dims(ds: xr.Dataset) -> dict[Dims, list[Hashable]]:
    """Dimensions -> the variables that have them, in the order of the first of them."""
    groups: dict[frozenset[Hashable], list[Hashable]] = {}
    for name, variable in ds.data_vars.items():
        groups.setdefault(frozenset(variable.dims), []).append(name)
    return {tuple(map(str, ds[names[0]].dims)): names for names in groups.values()}


def _frame(ds: xr.Dataset, dims: Dims) -> pd.DataFrame:
    """Variables that have the same dimensions, with what is known of each."""
    if dims:
        frame = ds.to_dataframe(dim_order=list(dims))
    else:
        frame = ds.expand_dims("row").to_dataframe().reset_index(drop=True)
    frame.attrs = {str(name): dict(variable.attrs) for name, variable in ds.data_vars.items()}
    return frame
