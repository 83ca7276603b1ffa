"""What theory predicts for the run, beside what was measured: one line under the verdict, and what is behind it."""

import math

import dash_mantine_components as dmc
import xarray as xr
from dash import html

from gradlab.plots import short_label, theory_misses
from gradlab.runs.verdicts import Verdict
from gradlab.wording import factor_text

from ... import ids
from ...components import Component, Content, typeset

NOTHING = "No theory here predicts the rate of such a net."


def block() -> Component:
    """Room for the line, what it opens, and the switch of the line in the figure."""
    words = html.Details(
        [html.Summary(id=ids.EXPLORE.theory), html.Div(id=ids.EXPLORE.theory_where, className="where")]
    )
    # Kept by the browser: it is the reader's, not the run's.
    switch = dmc.Switch(id=ids.EXPLORE.theory_line, label="line", checked=True, size="xs", persistence=True)
    return html.Div([words, switch], className="theory")


def line(ds: xr.Dataset, found: Verdict) -> list[Content]:
    """The best prediction beside the measured rate."""
    if "theory_log_rate" not in ds:
        return [NOTHING]
    predicted = factor_text(float(ds.theory_log_rate[0]))
    measured = f", measured {factor_text(found.fitted_log_rate)}" if found.steps > 1 else ""
    return typeset(f"Theory {predicted} ({short_label(ds)}){measured}")


def miss(ds: xr.Dataset) -> str:
    """Why the best prediction is far from the measured rate; empty where it is not."""
    if not theory_misses(ds):
        return ""
    return f"Theory misses this run; its line is grey. {ds.theory_fails.values[0]}".replace("chi_1", "χ₁")


def where(ds: xr.Dataset) -> list[Component]:
    """All predictions, with where each holds and fails."""
    if "theory_log_rate" not in ds:
        return []
    names = ("theory_label", "theory_holds", "theory_fails")
    parts = zip(ds.theory_log_rate.values.tolist(), *(ds[name].values.tolist() for name in names), strict=True)
    return [
        html.P([html.B(typeset(f"{factor_text(rate)}, {label}. ")), *typeset(f"{holds} {fails}")])
        for rate, label, holds, fails in parts
        if not math.isnan(rate)
    ]
