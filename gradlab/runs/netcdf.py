"""A Dataset, or a tree of them, as the content of a netCDF file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def netcdf(ds: xr.Dataset | xr.DataTree) -> bytes:
    """The whole result; `xarray.open_dataset` reads it, of a tree `xarray.open_datatree`.

    Made in memory: where a disk is full, HDF5 prints a traceback for every object still open and ends the process.
    """
    return bytes(ds.to_netcdf(engine="h5netcdf"))
