"""Downloads of a run: the Dataset, its curves as CSV, a report, a picture."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from dash import Dash, State

import gradlab
from gradlab.errors import InputError
from gradlab.runs.verdicts import share_left, verdict

from ... import downloads, ids
from .request import Run, finished

FACTORS = ("jacobian_frobenius", "jacobian_spectral")


def curves(ds: xr.Dataset) -> bytes:
    """One row per step: share left (natural logarithm) and the one-step factors, medians over samples."""
    table = io.StringIO()
    writer = csv.writer(table)
    norms = ds.log_grad_norm.median("sample").transpose("time", "state").values.tolist()
    factors = np.stack([ds[name].median("sample").values for name in FACTORS], axis=1).tolist()
    writer.writerow(["t", "ln_share_left", *(f"ln_grad_norm_{state}" for state in ds.state.values), *FACTORS])
    for t, share in enumerate(share_left(ds).values.tolist()):
        writer.writerow([t, share, *norms[t], *(factors[t - 1] if t else ["", ""])])
    return table.getvalue().encode()


def report(ds: xr.Dataset) -> bytes:
    """One page that needs no network."""
    found = verdict(ds)
    why = [f"Why: {found.why}"] if found.why else []
    text: str = gradlab.plots.html_report(ds, found.headline, [*found.details, *why])
    return text.encode()


WRITERS: Mapping[str, Callable[[Run], bytes]] = {
    "nc": lambda run: downloads.netcdf(run.ds),
    "csv": lambda run: curves(run.ds),
    "html": lambda run: report(run.ds),
    "png": lambda run: downloads.picture(gradlab.plots.explore(run.ds, theme=run.theme)),
}


def download(fmt: str, request: Mapping[str, Any] | None) -> tuple[bytes, str]:
    """Content and name of a file of the run on the page. Raises InputError before there is one."""
    if request is None or (run := finished(request)) is None:
        raise InputError("There is no finished run to download yet.")
    return WRITERS[fmt](run), f"gradlab-{run.ds.attrs['cell_name']}.{fmt}"


def register(app: Dash) -> None:
    """The menu."""
    downloads.register(app, ids.EXPLORE, download, State(ids.EXPLORE.request, "data"))
