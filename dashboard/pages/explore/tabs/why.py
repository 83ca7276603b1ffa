"""Why: the rate, split by the paths that the gradient takes."""

import xarray as xr
from dash import html

from gradlab.runs.behind import path_factors
from gradlab.runs.verdicts import verdict

from ....components import Component, table_details
from ..request import Run

TITLE = "Why"
TEXT = (
    "A step back multiplies the gradient by J = E + D W: what the state carries over by itself (E), and what goes "
    "through each gate and its recurrent weights (D W). The parts below add up to the measured rate; one of them may "
    "be negative."
)
LAYER = (
    "A step back through this layer multiplies the gradient by J = E + D W: what the state carries over by itself (E), "
    "and what goes through each gate (D W). The shares are of what comes back through the recurrence."
)


def content(run: Run) -> list[Component]:
    """The measured rate, split by the paths that the gradient takes; of a network's layer the shares alone."""
    if isinstance(run.found, xr.DataTree):
        return [html.P(LAYER), html.Div(_figures(run, f"Share of each path, {run.row.title}."), className="pair")]
    found = verdict(run.ds)
    parts = path_factors(run.ds, found.fitted_log_rate) | {"sum: the measured rate": found.rate}
    rows = [{"path": path, "part of the rate": f"{value:.3f}"} for path, value in parts.items()]
    figures = _figures(run, f"Share of each path. {found.headline}")
    table = table_details(rows, "Parts of the rate, by path")
    return [html.P(TEXT), html.Div(figures, className="pair"), table]


def _figures(run: Run, label: str) -> list[Component]:
    return [run.figure("paths", label), run.figure("gates", "Gate values and saturation over time.")]
