"""Weights: eigenvalues and singular values."""

from dash import html

from ....components import Component, table_details
from ..draw import weight_measures
from .base import Run, figure

TITLE = "Weights"
TEXT = (
    "Eigenvalues tell what a linear net does in the long run, singular values what a single step can do. "
    "A random direction meets std·√H."
)


def content(run: Run) -> list[Component]:
    """Where the recurrent weights' eigenvalues and singular values lie."""
    measures = {name: [f"{value:.3f}" for value in values] for name, values in weight_measures(run.ds).items()}
    columns = {"gate": run.ds.recurrent_gate.values.tolist()} | measures
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    label = "Eigenvalues with the unit circle, and singular values, of the recurrent weights."
    table = table_details(rows, "Recurrent weights by gate")
    return [html.P(TEXT), figure("weights", run, label), table]
