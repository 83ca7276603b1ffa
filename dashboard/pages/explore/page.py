"""Explore: one net, live. The page's parts; what they do is in the modules beside this one.

Values flow in a circle that the browser closes (assets/explore.js): controls -> request -> drawn figure; when the hand
lets go, request -> settled -> address bar; and from the address bar, a preset or a file back to the controls.
"""

import dash_mantine_components as dmc
import flask
from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from gradlab.config.presets import PRESETS

from ... import controls, drawing, ids, run_card
from ...components import Component, aria, figure_room, head, icon, icon_button
from ...downloads import menu
from ...work.jobs import JOBS
from ...work.runs import RUNS
from ...work.seeds import SEEDS
from . import diagnosis, downloads, draw, settle, steer, tabs, theory

PATH, LABEL = "/", "Explore"
LEAVE = "/leave"  # as in assets/drawing.js
STAYS: tuple[str, ...] = ()
HELP = {
    "The question": "A recurrent net learns from the past only if the gradient of the loss survives the way back "
    "through time. Each step back multiplies it by a matrix. This page shows what comes of it.",
    "The curve": "The loss sits at the last step, on the right. The curve shows what share of its gradient reaches "
    "each earlier step, in powers of ten: the thick line is the median over samples, the band 10 to 90 %. Where some "
    "samples vanish and others explode, the buttons above the figure show each group alone.",
    "One-step factor": "What a single step does to a gradient: typically (thick) and at most (thin). Below 1 it "
    "shrinks. The measured rate differs from both, because the steps turn the gradient as well.",
    "Theory and diagnosis": "The dashed line is what theory predicts for such a net; the words beside the switch open "
    "where it holds. The card names the main cause from what was measured. Its buttons apply a change and pin this "
    "run, so that both curves stay in view: the predicted rate, then the measured one.",
    "Units": "The same gradient, unit by unit, as root mean square over all samples, in which the largest count most. "
    "The colours are fixed: what is lost fades into the page, blue is as at the last step, what is blown up burns. "
    "They mean the same in the strip above.",
    "Try": "Drag Gain to 3. Then choose LSTM, forget bias 0, and raise the bias. Pin a run to keep its curve.",
}


def layout() -> Component:
    """The page: state, controls, stage."""
    stores = drawing.stores(ids.EXPLORE, "loaded", "copies", "address", "pressed", "tried")
    state = [*stores, dcc.Store(id=ids.EXPLORE.pins, data=[]), dcc.Download(id=ids.EXPLORE.download)]
    spoken = html.Div(id=ids.EXPLORE.announcement, className="unseen", **aria(live="polite"))
    return html.Div([*state, spoken, control_panel(), stage()], className="explore")


def control_panel() -> Component:
    """What a person sets. On a narrow screen it is a sheet from which only the gain looks out."""
    words = [html.Span("All controls", className="when-closed"), html.Span("Close", className="when-open")]
    handle = html.Button(words, id=ids.EXPLORE.sheet_toggle, className="handle", **aria(expanded="false"))
    more = html.Details([html.Summary("More"), *controls.more()], id=ids.EXPLORE.more, className="more")
    basic = [part for block in controls.basic() for part in _with_company(block)]
    scroll = html.Div([*_presets(), *basic, more, _pins()], className="scroll")
    return html.Aside([handle, scroll], id=ids.EXPLORE.controls, className="controls sheet", **aria(label="Controls"))


def _with_company(block: Component) -> list[Component]:
    """The gain has the first visit's hint below it, and the realised weights."""
    if getattr(block, "id", None) != ids.field("gain"):
        return [block]
    close = icon_button(ids.EXPLORE.hint_close, "close", "Close the hint", "xs", variant="transparent")
    hint = html.Div(["Drag Gain to 3", close], id=ids.EXPLORE.hint, className="hint", role="note")
    return [block, hint, html.P(id=ids.EXPLORE.realised, className="realised")]


def _presets() -> list[Component]:
    data = [{"value": name, "label": preset.label} for name, preset in PRESETS.items()]
    first = data[0]["value"]
    select = dmc.Select(id=ids.EXPLORE.preset, label="Preset", data=data, value=first, allowDeselect=False, size="xs")
    reset = dmc.Button("Reset", id=ids.EXPLORE.reset, size="compact-xs", variant="subtle")
    look = {"size": "compact-xs", "variant": "default", "radius": "xl"}
    chips = [dmc.Button(label, id=ids.part(ids.EXPLORE.chip, name), **look) for name, label in steer.CHIPS.items()]
    return [html.Div([select, reset], className="preset"), html.Div(chips, className="chips")]


def _pins() -> Component:
    parts = [html.H2("Pinned"), html.Ul(id=ids.EXPLORE.pin_list)]
    return html.Section(parts, className="pins", **aria(label="Pinned runs"))


def stage() -> Component:
    """What the net does: verdict, diagnosis, strip, figure, tabs."""
    frame = figure_room(ids.EXPLORE.figure, "The gradient at every step", 580)
    strip, note = html.Div(id=ids.EXPLORE.strip, className="strip"), html.P(id=ids.EXPLORE.note, className="note")
    card = html.Section(id=ids.EXPLORE.card, className="card", **aria(label="Diagnosis"))
    said = [head(ids.EXPLORE, "Drawing the first run …", actions()), *_messages(), card]
    parts = [*said, groups(), strip, note, frame, _tabs()]
    return html.Section(parts, id=ids.EXPLORE.stage, className="stage", **aria(label="The run"))


def groups() -> Component:
    """Which samples are shown, where they are not alike."""
    label = aria(label="Samples shown")
    switch = {"data": [{"value": "", "label": "all samples"}], "value": "", "size": "xs"}
    return dmc.SegmentedControl(id=ids.EXPLORE.group, className="group hidden", attributes={"root": label}, **switch)


def actions() -> Component:
    """Pin, train, copy, download, and what theory says."""
    return html.Div(
        [
            dmc.Button("Pin", id=ids.EXPLORE.pin, size="compact-sm", leftSection=icon("pin")),
            run_card.copy_buttons(ids.EXPLORE),
            run_card.train_link(id=ids.EXPLORE.train_this, href="/train"),
            run_card.compare_link(id=ids.EXPLORE.compare, href="/compare"),
            menu(ids.EXPLORE),
            html.Span(id=ids.EXPLORE.copied, className="copied", role="status"),
            theory.block(),
        ],
        className="actions",
    )


def _messages() -> list[Component]:
    """Where a link, a failure or a long run speak."""
    run = dmc.Button("Run", id=ids.EXPLORE.run, size="compact-md")
    cancel = dmc.Button("Cancel", id=ids.EXPLORE.cancel, size="compact-md", variant="default")
    run_bar = [run, cancel, html.Span(id=ids.EXPLORE.run_text)]
    drop = controls.upload(ids.EXPLORE.missing, "Drop the file here, or click to choose it")
    return [
        html.Div(id=ids.EXPLORE.notices, role="status"),
        html.Div(drop, id=ids.EXPLORE.missing, className="missing hidden"),
        html.Div(id=ids.EXPLORE.failure, role="alert"),
        html.Div(run_bar, id=ids.EXPLORE.run_bar, className="run-bar hidden"),
    ]


def _tabs() -> Component:
    heads = [dmc.TabsTab(tab.TITLE, value=name) for name, tab in tabs.TABS.items()]
    holders = {name: html.Div(id=ids.part(ids.EXPLORE.panel, name), className="panel") for name in tabs.TABS}
    panels = [dmc.TabsPanel(holder, value=name) for name, holder in holders.items()]
    toggle = dmc.Button("Show as table", id=ids.EXPLORE.table_toggle, size="compact-sm", variant="subtle", color="gray")
    row = html.Div([dmc.TabsList(heads), toggle], className="tab-row")
    table = html.Div(id=ids.EXPLORE.table, className="table hidden")
    tabbed = dmc.Tabs([row, table, *panels], id=ids.EXPLORE.tabs, value=None, allowTabDeactivation=True)
    return html.Div([html.P(id=ids.EXPLORE.why, className="why"), tabbed], className="tabs")


def leave() -> tuple[str, int]:
    """A page has gone, and says who it was: what nobody else waits for ends."""
    owner = flask.request.get_data(as_text=True)
    for results in (RUNS.results, diagnosis.DIAGNOSES, SEEDS):
        results.give_up(owner)
    JOBS.leave(owner)
    return "", 204


def register(app: Dash) -> None:
    """Every callback of the page."""
    app.server.post(LEAVE)(leave)
    for part in (controls, steer, draw, settle, diagnosis, tabs, downloads):
        part.register(app)
    drawing.register(app, ids.EXPLORE)
    run_card.register(app, ids.EXPLORE)
    others = {ids.EXPLORE.preset: "value", ids.EXPLORE.pins: "data", ids.EXPLORE.group: "value"}
    others[ids.EXPLORE.theory_line] = "checked"
    watched = [*controls.values(Input).values(), *(Input(name, prop) for name, prop in others.items())]
    app.clientside_callback(ClientsideFunction("explore", "collect"), *watched)
    table = Output(ids.EXPLORE.table, "className"), Output(ids.EXPLORE.table_toggle, "children")
    drawing.in_browser(
        app,
        "explore",
        drawn=[Input(ids.EXPLORE.drawn, "data")],
        loaded=[Input(ids.EXPLORE.loaded, "data")],
        run=[Input(ids.EXPLORE.run, "n_clicks")],
        cancel=[Input(ids.EXPLORE.cancel, "n_clicks")],
        sheet=[Input(ids.EXPLORE.sheet_toggle, "n_clicks")],
        closeHint=[Input(ids.EXPLORE.hint_close, "n_clicks")],
        table=[*table, Input(ids.EXPLORE.table_toggle, "n_clicks")],
    )
