"""Weights: eigenvalues and singular values."""

import numpy as np
from dash import html

from ....components import Component, table_details
from ..draw import weight_measures
from ..request import Run

TITLE = "Weights"
TEXT = (
    "Eigenvalues tell what a linear net does in the long run, singular values what a single step can do. "
    "A random direction meets std·√H."
)
NONE = "No gate of this cell has recurrent weights: its units keep their state by gates that see the input alone."
LEFT_OUT = "The eigenvalues of weights so large would cost more than the run: they are left out here."


def content(run: Run) -> list[Component]:
    """Where the recurrent weights' eigenvalues and singular values lie."""
    if not run.ds.sizes["recurrent_gate"]:
        return [html.P(NONE)]
    measures = {name: [_number(value) for value in values] for name, values in weight_measures(run.ds).items()}
    columns = {"gate": run.ds.recurrent_gate.values.tolist()} | measures
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    label = "Eigenvalues with the unit circle, and singular values, of the recurrent weights."
    table = table_details(rows, "Recurrent weights by gate")
    costly = [html.P(LEFT_OUT)] if np.isnan(run.ds.recurrent_eigenvalues).any() else []
    return [html.P(TEXT), *costly, run.figure("weights", label), table]


def _number(value: float) -> str:
    return "left out" if np.isnan(value) else f"{value:.3f}"
