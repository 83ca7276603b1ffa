"""Phase: where theory puts the border between fading and exploding gradients, over two of the three scales.

Values flow as in Explore: controls -> request -> drawn map; when the hand lets go, address bar (assets/phase.js).
"""

import dash_mantine_components as dmc
from dash import Dash, Input, State, html

from gradlab.config import RunConfig
from gradlab.config import controls as config_controls

from ... import controls, drawing, ids
from ...components import Component, aria, figure_room, head, table_room
from ...run_card import explore_link
from . import draw

PATH, LABEL = "/phase", "Phase"
STAYS = ("axes",)
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
    return html.Div([*drawing.stores(ids.PHASE, "base"), panel(), stage()], className="explore phase")


def panel() -> Component:
    """What a person sets: activation, axes, and the point."""
    look = {"allowDeselect": False, "size": "xs", "comboboxProps": {"shadow": "md"}}
    entries = controls.options("activation")
    axes = [{"value": name, "label": label} for name, label in AXES_LABELS.items()]
    choices = [
        dmc.Select(id=ids.PHASE.activation, label="Activation", data=entries, value=RunConfig().activation, **look),
        dmc.Select(id=ids.PHASE.axes, label="Axes", data=axes, value="w-b", **look),
    ]
    fields = [html.Div(choice, className="field choice") for choice in choices]
    scales = [_scale(name, field) for name, field in draw.SIGMAS.items()]
    parts = [html.H2("Theory"), *fields, html.H2("The point"), *scales]
    return html.Aside(html.Div(parts, className="scroll"), className="controls", **aria(label="Controls"))


def _scale(name: str, field: str) -> Component:
    control = config_controls()[field]
    role = html.P(id=ids.part(ids.PHASE.role, name), className="role")
    return html.Div([*controls.number(name, control, getattr(RunConfig(), field)), role], className="field number")


def stage() -> Component:
    """What theory says: the point in words, the map."""
    actions = html.Div([explore_link(id=ids.PHASE.open, href="/", className="button"), _hint()], className="actions")
    words = head(ids.PHASE, "Drawing the map …", actions, **aria(live="polite"))
    frame = figure_room(ids.PHASE.figure, "Map of the gradient's rate", 560)
    messages = [html.Div(id=ids.PHASE.notices, role="status"), html.Div(id=ids.PHASE.failure, role="alert")]
    where = html.Section(id=ids.PHASE.where, className="where", **aria(label="Where this holds and fails"))
    return html.Section([words, *messages, frame, where, table_room(ids.PHASE.table)], className="stage")


def _hint() -> Component:
    """A click opens where a pointer can hover, and chooses where it cannot (assets/phase.js)."""
    texts = {"with-pointer": "or click a point of the map", "with-finger": "or tap the map to choose another point"}
    return html.Span([html.Span(text, className=name) for name, text in texts.items()], className="quiet")


def register(app: Dash) -> None:
    """Every callback of the page."""
    draw.register(app)
    for name in draw.SIGMAS:
        controls.pair(app, name)
    drawing.register(app, ids.PHASE)
    watched = [Input(component, "value") for component in draw.CONTROLS.values()]
    shown = State(ids.PHASE.drawn, "data")
    drawing.in_browser(
        app,
        "phase",
        collect=[*watched, Input(ids.PHASE.base, "data")],
        drawn=[Input(ids.PHASE.drawn, "data")],
        settled=[Input(ids.PHASE.settled, "data"), shown],
        click=[Input(ids.PHASE.figure, "clickData"), shown],
    )
