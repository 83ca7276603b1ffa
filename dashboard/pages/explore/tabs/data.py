"""Data: the input that drove the net, and everything that was recorded."""

import numpy as np
from dash import html
from dash.development.base_component import Component

import gradlab
from gradlab.runs.architectures import input_of
from gradlab.runs.attributes import text_of
from gradlab.runs.recorded import CAPTION, median_rows
from gradlab.wording import counted

from .... import components, form
from ..request import Run

TITLE = "Data"
ROWS = 8  # of the table


def content(run: Run) -> list[Component]:
    """The input that the net was driven by, and every recorded quantity in numbers."""
    x = np.asarray(gradlab.to_numpy(input_of(run.config)), dtype=float)
    steps, samples, features = x.shape
    source = form.file_label(form.file_key(run.config.input) or "")
    text = (
        f"{source}: {counted(steps, 'step')} of {counted(samples, 'sample')} with {counted(features, 'feature')}; "
        f"mean {x.mean():.2f}, standard deviation {x.std():.2f}."
    )
    said = text_of(run.found, "input")
    head = x[:ROWS, 0, :ROWS]
    rows = [{"step": t} | {f"x{d}": f"{v:.3f}" for d, v in enumerate(row, 1)} for t, row in enumerate(head, 1)]
    table = components.table_details(rows, "First steps of the first sample")
    recorded = components.table(median_rows(run.ds), CAPTION)
    words = [html.P(line) for line in (text, said) if line]
    return [*words, components.figure(gradlab.plots.data(x, theme=run.theme), text), table, recorded]
