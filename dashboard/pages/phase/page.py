"""Phase: where theory puts the border between fading and exploding gradients, over two of the three scales.

Values flow as in Explore: controls -> request -> drawn map; when the hand lets go, address bar (assets/phase.js).
"""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from gradlab.config import RunConfig
from gradlab.config import controls as config_controls

from ... import controls, ids
from ...components import EMPTY_FIGURE, GRAPH_CONFIG, aria
from . import draw

PATH, LABEL = "/phase", "Phase"
HELP = {
    "The question": "How large may the weights be before the gradient stops fading and starts to explode? For a wide "
    "plain net with random weights theory has an answer without running one.",
    "The map": "Two of the three scales are the axes: the spread of the recurrent weights, of the biases, and of the "
    "input's part. The third is held. The colour tells what is left of the gradient after 100 steps back, on the "
    "same scale as everywhere: lost fades into the page, blue is carried, what explodes burns.",
    "χ₁": "The factor by which the squared gradient grows per step. At 1, on the thick line, the net is critical: left "
    "of it the gradient vanishes, right of it it explodes.",
    "From map to net": "Click a point, or choose it with the controls and press Open in Explore. There the measured "
    "rate of a real net stands beside this prediction.",
}
AXES_LABELS = {"w-b": "Gain and bias scale", "w-v": "Gain and input scale", "b-v": "Bias and input scale"}


def layout() -> Component:
    """The page: state, controls, stage."""
    stores = (ids.PHASE_SEARCH, ids.PHASE_BASE, ids.PHASE_REQUEST, ids.PHASE_SETTLED, ids.PHASE_DRAWN)
    return html.Div([*(dcc.Store(id=name) for name in stores), panel(), stage()], className="explore phase")


def panel() -> Component:
    """What a person sets: activation, axes, and the point."""
    look = {"allowDeselect": False, "size": "xs", "comboboxProps": {"shadow": "md"}}
    entries = controls.options("activation")
    axes = [{"value": name, "label": label} for name, label in AXES_LABELS.items()]
    choices = [
        dmc.Select(id=ids.PHASE_ACTIVATION, label="Activation", data=entries, value=RunConfig().activation, **look),
        dmc.Select(id=ids.PHASE_AXES, label="Axes", data=axes, value="w-b", **look),
    ]
    fields = [html.Div(choice, className="field choice") for choice in choices]
    scales = [_scale(name, field) for name, field in draw.SIGMAS.items()]
    parts = [html.H2("Theory"), *fields, html.H2("The point"), *scales]
    return html.Aside(html.Div(parts, className="scroll"), className="controls", **aria(label="Controls"))


def _scale(name: str, field: str) -> Component:
    control = config_controls()[field]
    role = html.P(id=ids.phase_role(name), className="role")
    return html.Div([*controls.number(name, control, getattr(RunConfig(), field)), role], className="field number")


def stage() -> Component:
    """What theory says: the point in words, the map."""
    head = [
        html.H1("Drawing the map …", id=ids.PHASE_VERDICT, **aria(live="polite")),
        html.P(id=ids.PHASE_DETAILS, className="details"),
        html.Div(
            [html.A("Open in Explore", id=ids.PHASE_OPEN, href="/", className="button"), _hint()], className="actions"
        ),
    ]
    graph = dcc.Graph(id=ids.PHASE_FIGURE, config=GRAPH_CONFIG, figure=EMPTY_FIGURE, style={"height": "560px"})
    frame = html.Div(
        graph, id=ids.PHASE_FRAME, role="img", className="figure", **aria(label="Map of the gradient's rate")
    )
    table = html.Details(
        [html.Summary("Show as table"), html.Div(id=ids.PHASE_TABLE, className="table", tabIndex=0)],
        className="as-table",
    )
    messages = [html.Div(id=ids.PHASE_NOTICES, role="status"), html.Div(id=ids.PHASE_FAILURE, role="alert")]
    where = html.Section(id=ids.PHASE_WHERE, className="where", **aria(label="Where this holds and fails"))
    return html.Section([html.Div(head, className="head"), *messages, frame, where, table], className="stage")


def _hint() -> Component:
    """A click opens where a pointer can hover, and chooses where it cannot (assets/phase.js)."""
    texts = {"with-pointer": "or click a point of the map", "with-finger": "or tap the map to choose another point"}
    return html.Span([html.Span(text, className=name) for name, text in texts.items()], className="quiet")


def register(app: Dash) -> None:
    """Every callback of the page."""
    draw.register(app)
    for name in draw.SIGMAS:
        controls.pair(app, name)
    opened = Output(ids.PHASE_SEARCH, "data"), Input(ids.PHASE_FRAME, "id")
    app.clientside_callback(ClientsideFunction("phase", "start"), *opened)
    watched = [Input(component, "value") for component in draw.CONTROLS.values()]
    collect = ClientsideFunction("phase", "collect")
    app.clientside_callback(collect, *watched, Input(ids.PHASE_BASE, "data"), prevent_initial_call=True)
    drawn = ClientsideFunction("phase", "drawn")
    app.clientside_callback(drawn, Input(ids.PHASE_DRAWN, "data"), prevent_initial_call=True)
    settled = ClientsideFunction("phase", "settled")
    shown = State(ids.PHASE_DRAWN, "data")
    app.clientside_callback(settled, Input(ids.PHASE_SETTLED, "data"), shown, prevent_initial_call=True)
    click = ClientsideFunction("phase", "click")
    app.clientside_callback(click, Input(ids.PHASE_FIGURE, "clickData"), shown, prevent_initial_call=True)
