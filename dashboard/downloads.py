"""What the pages' downloads have in common."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import xarray as xr


@cache
def can_draw_pictures() -> bool:
    """Whether kaleido is installed and finds a browser."""
    try:
        import kaleido  # noqa: F401
        from choreographer.browsers.chromium import Chromium

        return bool(Chromium.find_browser(skip_local=False))
    except Exception:  # other versions of kaleido bring other parts, or none
        return False


def netcdf(ds: xr.Dataset, theme: str) -> bytes:
    """The whole Dataset; `xarray.open_dataset` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.nc"
        ds.to_netcdf(path, engine="h5netcdf")
        return path.read_bytes()
