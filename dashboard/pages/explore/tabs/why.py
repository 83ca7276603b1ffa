"""Why: the rate, split by the paths that the gradient takes."""

from dash import html

from gradlab.runs.verdicts import path_factors, verdict

from ....components import Component, table_details
from ..request import Run

TITLE = "Why"
TEXT = (
    "A step back multiplies the gradient by J = E + D W: what the state carries over by itself (E), and what goes "
    "through each gate and its recurrent weights (D W). The parts below add up to the measured rate; one of them may "
    "be negative."
)


def content(run: Run) -> list[Component]:
    """The measured rate, split by the paths that the gradient takes."""
    found = verdict(run.ds)
    parts = path_factors(run.ds, found.log_rate) | {"sum: the measured rate": found.rate}
    rows = [{"path": path, "part of the rate": f"{value:.3f}"} for path, value in parts.items()]
    figures = [
        run.figure("paths", f"Share of each path. {found.headline}"),
        run.figure("gates", "Gate values and saturation over time."),
    ]
    table = table_details(rows, "Parts of the rate, by path")
    return [html.P(TEXT), html.Div(figures, className="pair"), table]
