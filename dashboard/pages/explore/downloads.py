"""Downloads of a run: the Dataset, its curves as CSV, a report, a picture."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dash import Dash, Input, Output, State, ctx, dcc, no_update

import gradlab
from gradlab.errors import InputError
from gradlab.runs.verdicts import share_left, verdict

from ... import components, form, ids
from ...downloads import can_draw_pictures, netcdf
from ...work.runs import RUNS
from .draw import Request

LABELS = {
    "nc": "Dataset (.nc)",
    "csv": "Curves (.csv)",
    "html": "Report (.html, works offline)",
    "png": "Picture (.png)",
}
FACTORS = ("jacobian_frobenius", "jacobian_spectral")


def formats() -> list[str]:
    """What can be downloaded; a picture only where something can draw one."""
    return [fmt for fmt in LABELS if fmt != "png" or can_draw_pictures()]


def curves(ds: xr.Dataset, theme: str) -> bytes:
    """One row per step: share left (natural logarithm) and the one-step factors, medians over samples."""
    table = io.StringIO()
    writer = csv.writer(table)
    norms = ds.log_grad_norm.median("sample").transpose("time", "state").values.tolist()
    factors = np.stack([ds[name].median("sample").values for name in FACTORS], axis=1).tolist()
    writer.writerow(["t", "ln_share_left", *(f"ln_grad_norm_{state}" for state in ds.state.values), *FACTORS])
    for t, share in enumerate(share_left(ds).values.tolist()):
        writer.writerow([t, share, *norms[t], *(factors[t - 1] if t else ["", ""])])
    return table.getvalue().encode()


def report(ds: xr.Dataset, theme: str) -> bytes:
    """One page that needs no network."""
    found = verdict(ds)
    text: str = gradlab.plots.html_report(
        ds, found.headline, [*found.details, f"Why: {found.why}"] if found.why else found.details
    )
    return text.encode()


def picture(ds: xr.Dataset, theme: str) -> bytes:
    """The figure as it is on the page, on the page's background."""
    fig = gradlab.plots.explore(ds, theme=theme)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.png"
        gradlab.plots.save(fig, path)
        return path.read_bytes()


Writer = Callable[[xr.Dataset, str], bytes]
WRITERS: Mapping[str, Writer] = {"nc": netcdf, "csv": curves, "html": report, "png": picture}


def download(fmt: str, request: Request) -> tuple[Any, Any]:
    """The file, or a message where it cannot be made."""
    filled = form.read(request.raw)
    if filled.errors or filled.config not in RUNS:
        return no_update, components.message("There is no finished run to download yet.", "error")
    ds = RUNS.get(filled.config)
    try:
        content = WRITERS[fmt](ds, request.theme)
    except (InputError, OSError) as error:
        return no_update, components.message(str(error), "error")
    return dcc.send_bytes(content, f"gradlab-{ds.attrs['cell_name']}.{fmt}"), ""


def send(*arguments: Any) -> tuple[Any, Any]:
    """The callback: which entry was chosen, and the run on the page."""
    *_clicks, data = arguments
    fmt = next((fmt for fmt in LABELS if ctx.triggered_id == ids.download(fmt)), None)
    if not data or not fmt or not ctx.triggered[0]["value"]:
        return no_update, no_update
    return download(fmt, Request.parse(data))


def register(app: Dash) -> None:
    """One callback for the menu."""
    outputs = Output(ids.DOWNLOAD, "data"), Output(ids.FAILURE, "children", allow_duplicate=True)
    clicks = [Input(ids.download(fmt), "n_clicks") for fmt in formats()]
    app.callback(*outputs, *clicks, State(ids.REQUEST, "data"), prevent_initial_call=True)(send)
