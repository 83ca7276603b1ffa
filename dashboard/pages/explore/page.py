"""Explore: one net, live. The page's parts; what they do is in the explore_* modules beside this one.

Values flow in a circle that the browser closes (assets/explore.js): controls -> request -> drawn figure; when the hand
lets go, request -> settled -> address bar; and from the address bar, a preset or a file back to the controls.
"""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from gradlab.config.presets import PRESETS

from ... import controls, ids
from ...components import EMPTY_FIGURE, GRAPH_CONFIG, aria, copy_buttons, download_menu, icon, icon_button
from . import diagnosis, downloads, draw, open_tab, settle, steer, theory
from .tabs import TABS

PATH, LABEL = "/", "Explore"
HELP = {
    "The question": "A recurrent net learns from the past only if the gradient of the loss survives the way back "
    "through time. Each step back multiplies it by a matrix. This page shows what comes of it.",
    "The curve": "The loss sits at the last step, on the right. The curve shows what share of its gradient reaches "
    "each earlier step, in powers of ten: the thick line is the median over samples, the band 10 to 90 %.",
    "One-step factor": "What a single step does to a gradient: typically (thick) and at most (thin). Below 1 it "
    "shrinks. The measured rate differs from both, because the steps turn the gradient as well.",
    "Theory and diagnosis": "The dashed line is what theory predicts for such a net; the words beside the switch open "
    "where it holds. The card names the main cause from what was measured. Its buttons apply a change and pin this "
    "run, so that both curves stay in view: the predicted rate, then the measured one.",
    "Units": "The same gradient, unit by unit. The colours are fixed: what is lost fades into the page, blue is as at "
    "the last step, what is blown up burns. They mean the same in the strip above.",
    "Try": "Drag Gain to 3. Then choose LSTM, forget bias 0, and raise the bias. Pin a run to keep its curve.",
}

TRAIN_THIS = "Open Train with this net, its initialisation and its clipping"


def layout() -> Component:
    """The page: state, controls, stage."""
    empty = (ids.SEARCH, ids.REQUEST, ids.SETTLED, ids.DRAWN, ids.LOADED, ids.COPIES, ids.ADDRESS, ids.TRIED)
    state = [*(dcc.Store(id=name) for name in empty), dcc.Store(id=ids.PINS, data=[]), dcc.Download(id=ids.DOWNLOAD)]
    spoken = html.Div(id=ids.ANNOUNCEMENT, className="unseen", **aria(live="polite"))
    return html.Div([*state, spoken, control_panel(), stage()], className="explore")


def control_panel() -> Component:
    """What a person sets. On a narrow screen it is a sheet from which only the gain looks out."""
    words = [html.Span("All controls", className="when-closed"), html.Span("Close", className="when-open")]
    handle = html.Button(words, id=ids.SHEET, className="handle", **aria(expanded="false"))
    more = html.Details([html.Summary("More"), *controls.more()], id=ids.MORE, className="more")
    basic = [part for block in controls.basic() for part in _with_company(block)]
    scroll = html.Div([*_presets(), *basic, more, _pins()], className="scroll")
    return html.Aside([handle, scroll], id=ids.CONTROLS, className="controls sheet", **aria(label="Controls"))


def _with_company(block: Component) -> list[Component]:
    """The gain has the first visit's hint below it, and the realised weights."""
    if getattr(block, "id", None) != ids.field("gain"):
        return [block]
    close = icon_button(ids.HINT_CLOSE, "close", "Close the hint", "xs", variant="transparent")
    hint = html.Div(["Drag Gain to 3", close], id=ids.HINT, className="hint", role="note")
    return [block, hint, html.P(id=ids.REALISED, className="realised")]


def _presets() -> list[Component]:
    data = [{"value": name, "label": preset.label} for name, preset in PRESETS.items()]
    first = data[0]["value"]
    select = dmc.Select(id=ids.PRESET, label="Preset", data=data, value=first, allowDeselect=False, size="xs")
    reset = dmc.Button("Reset", id=ids.RESET, size="compact-xs", variant="subtle")
    look = {"size": "compact-xs", "variant": "default", "radius": "xl"}
    chips = [dmc.Button(label, id=ids.chip(name), **look) for name, label in steer.CHIPS.items()]
    return [html.Div([select, reset], className="preset"), html.Div(chips, className="chips")]


def _pins() -> Component:
    parts = [html.H2("Pinned"), html.Ul(id=ids.PIN_LIST)]
    return html.Section(parts, className="pins", **aria(label="Pinned runs"))


def stage() -> Component:
    """What the net does: verdict, diagnosis, strip, figure, tabs."""
    head = html.Div(
        [
            html.H1("Drawing the first run …", id=ids.VERDICT),
            html.P(id=ids.DETAILS, className="details"),
            actions(),
        ],
        className="head",
    )
    graph = dcc.Graph(id=ids.FIGURE, config=GRAPH_CONFIG, figure=EMPTY_FIGURE, style={"height": "580px"})
    label = aria(label="The gradient at every step")
    frame = html.Div(graph, id=ids.FIGURE_FRAME, role="img", className="figure", **label)
    strip, note = html.Div(id=ids.STRIP, className="strip"), html.P(id=ids.NOTE, className="note")
    card = html.Section(id=ids.CARD, className="card", **aria(label="Diagnosis"))
    parts = [head, *_messages(), card, strip, note, frame, _tabs()]
    return html.Section(parts, id=ids.STAGE, className="stage", **aria(label="The run"))


def actions() -> Component:
    """Pin, train, copy, download, and what theory says."""
    return html.Div(
        [
            dmc.Button("Pin", id=ids.PIN, size="compact-sm", leftSection=icon("pin")),
            copy_buttons(),
            html.A("Train this", id=ids.TRAIN_THIS, href="/train", className="go", title=TRAIN_THIS),
            download_menu({fmt: downloads.LABELS[fmt] for fmt in downloads.formats()}),
            html.Span(id=ids.COPIED, className="copied", role="status"),
            theory.block(),
        ],
        className="actions",
    )


def _messages() -> list[Component]:
    """Where a link, a failure or a long run speak."""
    run = dmc.Button("Run", id=ids.RUN, size="compact-md")
    drop = controls.upload(ids.MISSING, "Drop the file here, or click to choose it")
    return [
        html.Div(id=ids.NOTICES, role="status"),
        html.Div(drop, id=ids.MISSING, className="missing hidden"),
        html.Div(id=ids.FAILURE, role="alert"),
        html.Div([run, html.Span(id=ids.RUN_TEXT)], id=ids.RUN_BAR, className="run-bar hidden"),
    ]


def _tabs() -> Component:
    tabs = [dmc.TabsTab(tab.TITLE, value=name) for name, tab in TABS.items()]
    holders = {name: html.Div(id=ids.panel(name), className="panel") for name in TABS}
    panels = [dmc.TabsPanel(holder, value=name) for name, holder in holders.items()]
    toggle = dmc.Button("Show as table", id=ids.TABLE_TOGGLE, size="compact-sm", variant="subtle", color="gray")
    row = html.Div([dmc.TabsList(tabs), toggle], className="tab-row")
    table = html.Div(id=ids.TABLE, className="table hidden")
    tabbed = dmc.Tabs([row, table, *panels], id=ids.TABS, value=None, allowTabDeactivation=True)
    return html.Div([html.P(id=ids.WHY, className="why"), tabbed], className="tabs")


def register(app: Dash) -> None:
    """Every callback of the page."""
    parts = (controls, steer, draw, settle, theory, diagnosis)
    for part in (*parts, open_tab, downloads):
        part.register(app)
    app.clientside_callback(ClientsideFunction("explore", "start"), Output(ids.SEARCH, "data"), Input(ids.STAGE, "id"))
    others = {ids.PRESET: "value", ids.PINS: "data", ids.THEORY_LINE: "checked"}
    watched = [*controls.values(Input).values(), *(Input(name, prop) for name, prop in others.items())]
    app.clientside_callback(ClientsideFunction("explore", "collect"), *watched)
    browser_only = {
        "drawn": Input(ids.DRAWN, "data"),
        "loaded": Input(ids.LOADED, "data"),
        "address": Input(ids.ADDRESS, "data"),
        "run": Input(ids.RUN, "n_clicks"),
        "sheet": Input(ids.SHEET, "n_clicks"),
        "closeHint": Input(ids.HINT_CLOSE, "n_clicks"),
    }
    for name, trigger in browser_only.items():
        app.clientside_callback(ClientsideFunction("explore", name), trigger, prevent_initial_call=True)
    clicks = [Input(name, "n_clicks") for name in (ids.COPY_LINK, ids.COPY_PYTHON, ids.COPY_COMMAND)]
    copy = ClientsideFunction("explore", "copy")
    app.clientside_callback(copy, *clicks, State(ids.COPIES, "data"), prevent_initial_call=True)
    shown = Output(ids.TABLE, "className"), Output(ids.TABLE_TOGGLE, "children")
    toggled = Input(ids.TABLE_TOGGLE, "n_clicks")
    app.clientside_callback(ClientsideFunction("explore", "table"), *shown, toggled, prevent_initial_call=True)
