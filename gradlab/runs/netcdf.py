"""A Dataset as the content of a netCDF file."""

from __future__ import annotations

import xarray as xr


def netcdf(ds: xr.Dataset) -> bytes:
    """The whole Dataset; `xarray.open_dataset` reads it.

    Made in memory: where a disk is full, HDF5 prints a traceback for every object still open and ends the process.
    """
    return bytes(ds.to_netcdf(engine="h5netcdf"))
