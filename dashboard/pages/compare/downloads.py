"""Downloads of a comparison: Dataset, curves, report, picture."""

from collections.abc import Callable, Mapping

import xarray as xr
from dash import Dash, State

import gradlab
from gradlab.errors import InputError
from gradlab.runs.curves import csv_of_comparison
from gradlab.runs.netcdf import netcdf
from gradlab.runs.ranking import said

from ... import downloads, ids
from .draw import Request, look


def report(ds: xr.Dataset) -> bytes:
    """One page that needs no network."""
    found = said(ds)
    text: str = gradlab.plots.comparison_report(ds, *((found.headline, found.details) if found else ("", [])))
    return text.encode()


WRITERS: Mapping[str, Callable[[xr.Dataset, str], bytes]] = {
    "nc": lambda ds, theme: netcdf(ds),
    "csv": lambda ds, theme: csv_of_comparison(ds).encode(),
    "html": lambda ds, theme: report(ds),
    "png": lambda ds, theme: gradlab.plots.png(gradlab.plots.comparison(ds, theme)),
}


def download(fmt: str, request: Request | None) -> tuple[bytes, str]:
    """Content and name of a file of what is there so far. Raises InputError before there is anything."""
    if request is None or not (shown := look(request)).so_far.found:
        raise InputError("There is nothing to download before a first curve has come.")
    return WRITERS[fmt](shown.ds, request.theme), f"gradlab-comparison.{fmt}"


def register(app: Dash) -> None:
    """The menu."""
    downloads.register(app, ids.COMPARE, download, State(ids.COMPARE.request, "data"))
