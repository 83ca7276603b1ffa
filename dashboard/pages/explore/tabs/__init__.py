"""The tabs below the figure, in order; only the open one is computed.

Each has TITLE and content(run), or, where that takes a while, WORK.
"""

import xarray as xr
from dash import Dash, Input, Output

from gradlab.errors import InputError
from gradlab.runs.group import all_samples

from .... import ids
from ....components import Component, message
from ....posts import Text
from ..request import Request, Run, finished
from . import chaos, clipping, data, frame, travel, weights, why

TABS = {"why": why, "weights": weights, "travel": travel, "chaos": chaos, "clipping": clipping, "data": data}
OF_ALL = {  # where a tab shows what was recorded over samples, which a group of them does not have for itself
    "why": "Values and saturation of the gates are of",
    "clipping": "The gradient of the weights is of",
    "data": "What is recorded over samples, such as gates and units, is of",
}
OF_LAYERS = ("why", "weights")  # of a network


def content(tab: str, request: Request) -> list[Component]:
    """One tab's content."""
    if (run := finished(request)) is None:
        return [message("Nothing to show until the whole run is drawn.")]
    if reason := unavailable(tab, run):
        return [message(reason)]
    try:
        filled = frame.content(TABS[tab].WORK, run) if hasattr(TABS[tab], "WORK") else TABS[tab].content(run)
        return [*of_all(tab, run), *filled]
    except InputError as error:
        return [message(str(error), "error")]


def unavailable(tab: str, run: Run) -> str:
    """Why a tab has nothing to say of a network, or of the layer that is shown; empty where it has."""
    if isinstance(run.found, xr.Dataset) or tab == "data":
        return ""
    if tab not in OF_LAYERS:
        return "This is computed for a single cell: choose one layer, and nothing beside it."
    return "" if run.row.kind == "cell" else "Choose a recurrent layer in the rows above: this one has none of it."


def of_all(tab: str, run: Run) -> list[Component]:
    """Where a group of samples is shown, what of a tab is of all of them."""
    shown = tab in OF_ALL and "group" in run.found.attrs
    return [message(f"{OF_ALL[tab]} all {all_samples(run.found)} samples.")] if shown else []


def panels(tab: Text | None, request: Request | None) -> dict[str, list[Component]]:
    """The callback: the open tab's content; the others are empty."""
    return {name: content(name, request) if name == tab and request else [] for name in TABS}


def register(app: Dash) -> None:
    """Fill the panel when a tab opens and when the run has changed."""
    outputs = {name: Output(ids.part(ids.EXPLORE.panel, name), "children") for name in TABS}
    inputs = [Input(ids.EXPLORE.tabs, "value"), Input(ids.EXPLORE.settled, "data")]
    app.callback(output=outputs, inputs=inputs, prevent_initial_call=True)(panels)
    for tab in TABS.values():
        if hasattr(tab, "WORK"):
            frame.register(app, tab.WORK)
