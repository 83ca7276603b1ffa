"""What follows when the hand lets go: address bar, spoken verdict, copies, table, pins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dash import ALL, Dash, Input, Output, State, ctx, no_update
from dash.development.base_component import Component

import gradlab
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_command, to_python, to_query
from gradlab.errors import InputError
from gradlab.plots import THEMES
from gradlab.runs.verdicts import verdict
from gradlab.wording import factor_text

from ... import components, form, ids
from ...addresses import ARRIVAL
from ...work.runs import RUNS
from .draw import MAX_PINS, Request, add_pin, label


def settle(data: dict[str, Any]) -> dict[str, Any]:
    """The callback: everything that a changed run changes outside the figure; nothing while a control is wrong."""
    request = Request.parse(data)
    filled = form.read(request.raw)
    if filled.errors:
        return dict.fromkeys(OUTPUTS, no_update)
    config = filled.config
    pins = [from_query(query).config for query in request.pins]
    spoken = _spoken(config) if config in RUNS else {}
    return dict.fromkeys(OUTPUTS, no_update) | {
        "address": new_address(request.search, config, pins),
        "copies": copies(config, pins),
        "train": f"/train?{to_query(config, pins)}&{urlencode([ARRIVAL])}",
        "pin_list": pin_list(request.pins, request.theme),
        **pin_button(to_query(config), request.pins),
        **spoken,
    }


def new_address(search: str, config: RunConfig, pins: Sequence[RunConfig]) -> Any:
    """The address of what the page shows; untouched where it says that already."""
    link = from_query(search)
    if link.config == config and link.pins[:MAX_PINS] == list(pins):
        return no_update
    return f"?{to_query(config, list(pins))}"


def copies(config: RunConfig, pins: Sequence[RunConfig]) -> dict[str, str]:
    """The texts behind the three copy buttons."""
    return {
        ids.COPY_LINK: f"?{to_query(config, list(pins))}",
        ids.COPY_PYTHON: to_python(config),
        ids.COPY_COMMAND: to_command(config),
    }


def _spoken(config: RunConfig) -> dict[str, Any]:
    ds = RUNS.get(config)
    found = verdict(ds)
    return {
        "announcement": " ".join([found.headline, *found.details]),
        "figure_label": f"Gradient at every step, one-step factors and units. {found.headline}",
        "table": components.table(gradlab.plots.table(ds), found.headline),
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
        rate = factor_text(verdict(RUNS.get(config)).log_rate) if config in RUNS else ""
    except InputError:
        rate = ""
    return components.pin_row(query, label(config), rate, colour)


def change_pins(_pin: Any, _unpin: Any, pins: list[str], request: dict[str, Any] | None) -> Any:
    """The callback: one pin more or less."""
    if isinstance(ctx.triggered_id, dict):
        gone = ctx.triggered_id["query"] if ctx.triggered[0]["value"] else None
        return [query for query in pins if query != gone] if gone else no_update
    filled = form.read(request["raw"]) if request else None
    if filled is None or filled.errors:
        return no_update
    return add_pin(pins, to_query(filled.config))


OUTPUTS = {
    "address": Output(ids.ADDRESS, "data"),
    "copies": Output(ids.COPIES, "data"),
    "train": Output(ids.TRAIN_THIS, "href"),
    "announcement": Output(ids.ANNOUNCEMENT, "children"),
    "figure_label": Output(ids.FIGURE_FRAME, "aria-label"),
    "table": Output(ids.TABLE, "children"),
    "pin_list": Output(ids.PIN_LIST, "children"),
    "pin_disabled": Output(ids.PIN, "disabled"),
    "pin_text": Output(ids.PIN, "children"),
}


def register(app: Dash) -> None:
    """Settle when the hand lets go; pin and unpin."""
    app.callback(output=OUTPUTS, inputs=[Input(ids.SETTLED, "data")], prevent_initial_call=True)(settle)
    clicks = Input(ids.PIN, "n_clicks"), Input(ids.unpin(ALL), "n_clicks")
    page = State(ids.PINS, "data"), State(ids.REQUEST, "data")
    app.callback(Output(ids.PINS, "data"), *clicks, *page, prevent_initial_call=True)(change_pins)
