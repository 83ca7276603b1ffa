"""What follows when the hand lets go: address bar, spoken verdict, copies, table, pins, where theory holds."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import xarray as xr
from dash import ALL, Dash, Input, Output, State, ctx, no_update

import gradlab
from gradlab.config import RunConfig
from gradlab.config.links import GROUP, from_query, to_command, to_python, to_query
from gradlab.errors import InputError
from gradlab.plots import THEMES
from gradlab.runs.attributes import text_of
from gradlab.runs.group import said_of_group
from gradlab.runs.verdicts import Verdict, verdict
from gradlab.wording import factor_text

from ... import form, ids, run_card
from ...addresses import ARRIVAL
from ...answers import answer, outputs
from ...components import Component, message, table
from ...posts import Clicks, Text
from ...work.runs import RUNS
from . import theory
from .draw import add_pin, label, preview_note
from .request import MAX_PINS, Request, Run, finished, group_of

FIGURE = "Gradient at every step, one-step factors and units."


def settle(request: Request) -> dict[str, Any]:
    """The callback: everything that a changed run changes outside the figure; nothing while a control is wrong."""
    filled = form.read(request.raw)
    if filled.errors:
        return answer(OUTPUTS, {"theory_where": []})
    pins = [from_query(query).config for query in request.pins]
    query, run = to_query(filled.config, pins), finished(request)
    group = text_of(run.found, "group") if run else request.group
    link = f"?{query}" + (f"&{urlencode([(GROUP, group)])}" if group else "")
    changes = {
        "address": no_update if says(request.search, filled.config, pins, group) else link,
        "copies": run_card.copies(ids.EXPLORE, link, to_python(filled.config), to_command(filled.config)),
        "train_this": f"/train?{query}&{urlencode([ARRIVAL])}",
        "compare": f"/compare?{query}",
        "compare_text": "Compare pinned" if pins else "Compare",
        "pin_list": pin_list(request.pins, request.theme),
        **pin_button(to_query(filled.config), request.pins),
        **spoken(filled.config, run),
    }
    return answer(OUTPUTS, changes)


def spoken(config: RunConfig, run: Run | None) -> dict[str, Any]:
    """The run in words, or its preview, or neither."""
    if run:
        return of_run(run.found)
    ds = RUNS.previewed(config)
    return {"theory_where": []} if ds is None else of_preview(ds, config)


def says(search: str, config: RunConfig, pins: Sequence[RunConfig], group: str) -> bool:
    """Whether an address means what the page shows."""
    link = from_query(search)
    return (link.config, link.pins[:MAX_PINS], group_of(search)) == (config, list(pins), group)


def of_run(ds: xr.Dataset | xr.DataTree) -> dict[str, Any]:
    """The run for whoever does not see the figure, and what is behind the line of the theory."""
    found = verdict(ds)
    return {
        "announcement": " ".join([found.headline, *said_of_group(ds), *found.details]),
        "figure_label": " ".join([FIGURE, found.headline, *said_of_group(ds)]),
        "table": table(gradlab.plots.table(ds), " ".join([found.headline, *_of_all(found)])),
        "theory_where": theory.where(ds) if isinstance(ds, xr.Dataset) else [],
    }


def _of_all(found: Verdict) -> list[str]:
    """That the table has samples that the verdict is not about, where it has."""
    return ["Medians over all samples."] if len(found.samples) > 1 else []


def of_preview(ds: xr.Dataset | xr.DataTree, config: RunConfig) -> dict[str, Any]:
    """The same of a preview, which says that it is one; the table is of whole runs."""
    said = f"{preview_note(config)}. {verdict(ds).headline}"
    return {
        "announcement": said,
        "figure_label": f"{FIGURE} {said}",
        "table": message("The table waits for the whole run."),
        "theory_where": theory.where(ds) if isinstance(ds, xr.Dataset) else [],
    }


def pin_button(query: str, pins: Sequence[str]) -> dict[str, Any]:
    """Whether this run can be pinned, and why not."""
    if query in pins:
        return {"pin_disabled": True, "pin_text": "Pinned"}
    full = len(pins) >= MAX_PINS
    return {"pin_disabled": full, "pin_text": f"{MAX_PINS} pins at most" if full else "Pin"}


def pin_list(pins: Sequence[str], theme: str) -> list[Component]:
    """The pinned runs, in the colours that they have in the figure."""
    return [_pin(query, colour) for query, colour in zip(pins, THEMES[theme].pins, strict=False)]


def _pin(query: str, colour: str) -> Component:
    config = from_query(query).config
    try:
        rate = factor_text(verdict(RUNS.get(config)).fitted_log_rate) if config in RUNS else ""
    except InputError:
        rate = ""
    return run_card.pin_row(query, label(config), rate, colour)


def change_pins(_pin: Clicks, _unpin: list[Clicks], pins: list[Text], request: Request | None) -> Any:
    """The callback: one pin more or less."""
    if isinstance(ctx.triggered_id, dict):
        gone = ctx.triggered_id["query"] if ctx.triggered[0]["value"] else None
        return [query for query in pins if query != gone] if gone else no_update
    filled = form.read(request.raw) if request else None
    if filled is None or filled.errors:
        return no_update
    return add_pin(pins, to_query(filled.config))


OUTPUTS = {
    **outputs(ids.EXPLORE, data="address copies", children="announcement table pin_list theory_where"),
    **outputs(ids.EXPLORE, href="train_this compare"),
    "compare_text": Output(ids.EXPLORE.compare, "children"),
    "figure_label": Output(ids.part(ids.EXPLORE.figure, "frame"), "aria-label"),
    "pin_disabled": Output(ids.EXPLORE.pin, "disabled"),
    "pin_text": Output(ids.EXPLORE.pin, "children"),
}


def register(app: Dash) -> None:
    """Settle when the hand lets go; pin and unpin."""
    app.callback(output=OUTPUTS, inputs=[Input(ids.EXPLORE.settled, "data")], prevent_initial_call=True)(settle)
    clicks = Input(ids.EXPLORE.pin, "n_clicks"), Input(ids.unpin(ALL), "n_clicks")
    page = State(ids.EXPLORE.pins, "data"), State(ids.EXPLORE.request, "data")
    app.callback(Output(ids.EXPLORE.pins, "data"), *clicks, *page, prevent_initial_call=True)(change_pins)
