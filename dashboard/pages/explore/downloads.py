"""Downloads of a run: the Dataset, its curves as CSV, a report, a picture."""

from collections.abc import Callable, Mapping

import plotly.graph_objects as go
import xarray as xr
from dash import Dash, State

import gradlab
from gradlab.errors import InputError
from gradlab.runs.attributes import text_of
from gradlab.runs.curves import csv_of_curves
from gradlab.runs.group import said_of_group
from gradlab.runs.netcdf import netcdf
from gradlab.runs.verdicts import verdict

from ... import downloads, ids
from ...work.runs import RUNS
from .request import Request, Run, finished


def report(ds: xr.Dataset | xr.DataTree) -> bytes:
    """One page that needs no network."""
    found = verdict(ds)
    why = [f"Why: {found.why}"] if found.why else []
    text: str = gradlab.plots.html_report(ds, found.headline, [*said_of_group(ds), *found.details, *why])
    return text.encode()


def picture(run: Run) -> go.Figure:
    """The figure that the page shows, without its pins."""
    if isinstance(run.found, xr.DataTree):
        return gradlab.plots.network(run.found, run.row.path, run.theme)
    return gradlab.plots.explore(run.found, theme=run.theme)


WRITERS: Mapping[str, Callable[[Run], bytes]] = {
    "nc": lambda run: netcdf(RUNS.get(run.config)),  # whatever is shown of it
    "csv": lambda run: csv_of_curves(run.found).encode(),
    "html": lambda run: report(run.found),
    "png": lambda run: gradlab.plots.png(picture(run)),
}


def download(fmt: str, request: Request | None) -> tuple[bytes, str]:
    """Content and name of a file of the run on the page. Raises InputError before there is one."""
    if request is None or (run := finished(request)) is None:
        raise InputError("There is no finished run to download yet.")
    return WRITERS[fmt](run), f"gradlab-{text_of(run.ds, 'cell_name', run.config.architecture)}.{fmt}"


def register(app: Dash) -> None:
    """The menu."""
    downloads.register(app, ids.EXPLORE, download, State(ids.EXPLORE.request, "data"))
