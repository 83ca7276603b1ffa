"""A result as the content of a file, in the format that the ending of its name says."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .netcdf import netcdf

if TYPE_CHECKING:  # a command that may save something loads xarray only when it does
    import xarray as xr

_INDEX = ".zmetadata"


def zarr_zip(ds: xr.Dataset | xr.DataTree) -> bytes:
    """The whole result as a Zarr store in one file; `xarray.open_zarr(zarr.storage.ZipStore(path))` reads it.

    Of a tree, `xarray.open_datatree(..., engine="zarr")`. The same result gives the same bytes.
    """
    import xarray as xr
    from zarr.storage import MemoryStore

    tree = xr.DataTree(ds) if isinstance(ds, xr.Dataset) else ds
    stored: dict[str, Any] = {}
    tree.to_zarr(MemoryStore(stored), zarr_format=2)  # format 3 does not say how texts of a fixed length are kept
    files = {name: stored[name].to_bytes() for name in sorted(stored)}
    files[_INDEX] = _in_order(files[_INDEX], tree)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return packed.getvalue()


def _in_order(index: bytes, tree: xr.DataTree) -> bytes:
    """The list of what a store holds, in the tree's order and not in the alphabet's; siblings stay together."""
    inside = [f"{node.path}/{name}" for node in tree.subtree for name in (*node.variables, *node.children)]
    place = {path.strip("/"): i for i, path in enumerate(["", *inside])}
    found = json.loads(index)
    found["metadata"] = dict(sorted(found["metadata"].items(), key=lambda item: place[item[0].rpartition("/")[0]]))
    return json.dumps(found).encode()


FORMATS: dict[str, Callable[[xr.Dataset | xr.DataTree], bytes]] = {".nc": netcdf, ".zarr.zip": zarr_zip}
