"""Downloads of a run: the Dataset, its curves as CSV, a report, a picture."""

from collections.abc import Callable, Mapping

import xarray as xr
from dash import Dash, State

import gradlab
from gradlab.errors import InputError
from gradlab.runs.curves import csv_of_curves
from gradlab.runs.netcdf import netcdf
from gradlab.runs.verdicts import verdict

from ... import downloads, ids
from .request import Request, Run, finished


def report(ds: xr.Dataset) -> bytes:
    """One page that needs no network."""
    found = verdict(ds)
    why = [f"Why: {found.why}"] if found.why else []
    text: str = gradlab.plots.html_report(ds, found.headline, [*found.details, *why])
    return text.encode()


WRITERS: Mapping[str, Callable[[Run], bytes]] = {
    "nc": lambda run: netcdf(run.ds),
    "csv": lambda run: csv_of_curves(run.ds).encode(),
    "html": lambda run: report(run.ds),
    "png": lambda run: gradlab.plots.png(gradlab.plots.explore(run.ds, theme=run.theme)),
}


def download(fmt: str, request: Request | None) -> tuple[bytes, str]:
    """Content and name of a file of the run on the page. Raises InputError before there is one."""
    if request is None or (run := finished(request)) is None:
        raise InputError("There is no finished run to download yet.")
    return WRITERS[fmt](run), f"gradlab-{run.ds.attrs['cell_name']}.{fmt}"


def register(app: Dash) -> None:
    """The menu."""
    downloads.register(app, ids.EXPLORE, download, State(ids.EXPLORE.request, "data"))
