"""Train: the gradient flow while a net learns. The page's parts; what they do is in the modules beside it.

Values flow as in Explore: controls -> request -> looks of the controls; when the hand lets go, address bar. A run is
a process of its own (work/training.py); its id in the address finds it again, and a tick reads what it has saved.
"""

import dash_mantine_components as dmc
from dash import Dash, Input, dcc, html

from gradlab.config.train import TrainConfig

from ... import controls, drawing, form, ids, run_card
from ...addresses import ARRIVAL
from ...components import Component, aria, figure_room, head, table_room
from ...downloads import menu
from . import advisor, downloads, follow, steer
from .examples import EXAMPLES, STARTS

PATH, LABEL = "/train", "Train"
STAYS = ("run", ARRIVAL[0])
HELP = {
    "The question": "A net learns from the past only if the gradient of its loss survives the way back through time. "
    "This page trains a net and shows both: what it learns, and what becomes of its gradient meanwhile.",
    "Loss": "The thin line is the loss of every batch, the thick one its running mean, the circles data that training "
    "never sees. The dotted line is what can be had without learning, and says of what: below it, the net has learnt.",
    "Gradient norm": "How long the gradient of all weights is. Clipping shortens those above the threshold; marks on "
    "top show when it did.",
    "The map": "Every column is a look at the gradient through time at that iteration: the loss is on top, the first "
    "step at the bottom. What is lost on the way fades into the page, blue is as at the last step, what explodes "
    "burns. The scale is the same on every page.",
    "The gradient now": "The same look as a curve, as in Explore. The slider goes back through training.",
    "Pause and reload": "A run is a process of its own. The address names it: reload the page, or close it and come "
    "back, and it is still there. It pauses when the app ends.",
}


def layout() -> Component:
    """The page: state, controls, stage."""
    stores = drawing.stores(ids.TRAIN, "rest", "look", "address", "copies", "shown", "poke", "tick")
    state = [*stores, dcc.Store(id=ids.TRAIN.runs, data=[]), dcc.Download(id=ids.TRAIN.download)]
    return html.Div([*state, panel(), stage()], className="explore train")


def panel() -> Component:
    """What a person sets."""
    look = {"size": "compact-xs", "variant": "default", "radius": "xl"}
    chips = [
        dmc.Button(example.label, id=ids.part(ids.TRAIN.example, name), **look) for name, example in EXAMPLES.items()
    ]
    examples = [
        html.H2("Examples"),
        html.Div(chips, className="chips"),
        html.P(id=ids.TRAIN.example, className="about"),
    ]
    more = html.Details([html.Summary("More"), *controls.more(TrainConfig)], id=ids.TRAIN.more, className="more")
    recent = html.Section(
        [html.H2("Latest runs"), html.Ul(id=ids.TRAIN.recent)], className="pins", **aria(label="Latest runs")
    )
    task = ids.field(form.key("task", TrainConfig))  # first, as everything else serves it
    basic = sorted(controls.basic(TrainConfig), key=lambda block: getattr(block, "id", None) != task)
    parts = [*examples, *basic, more, recent]
    return html.Aside(html.Div(parts, className="scroll"), className="controls", **aria(label="Controls"))


def stage() -> Component:
    """What the nets do: verdict, buttons, figures."""
    messages = [
        html.Div(id=ids.TRAIN.notices, role="status"),
        html.Div(id=ids.TRAIN.failure, role="alert"),
        html.Div(id=ids.TRAIN.trouble, role="status"),
    ]
    columns = html.Div([course(), flow()], className="columns")
    preview = html.Div(id=ids.TRAIN.preview, className="preview")
    parts = [head(ids.TRAIN, "Loading …", actions(), **aria(live="polite")), *messages, preview, columns]
    return html.Section(parts, id=ids.TRAIN.stage, className="stage waiting", **aria(label="The runs"))


def actions() -> Component:
    """Start, pause, resume, stop; how far it is; copies and downloads."""
    starts = [
        html.Button([html.B(start.label), html.Span(start.text)], id=name, className="offer", title=start.text)
        for name, start in STARTS.items()
    ]
    steering = {ids.TRAIN.pause: "Pause", ids.TRAIN.resume: "Resume", ids.TRAIN.stop: "Stop"}
    buttons = [html.Button(text, id=name, className="steer") for name, text in steering.items()]
    share = html.Progress(id=ids.TRAIN.share, value="0", max="1", **aria(label="Done so far"))
    return html.Div(
        [
            html.Div(starts, className="offers"),
            html.Div([*buttons, share], className="steering"),
            html.Div([run_card.copy_buttons(ids.TRAIN), menu(ids.TRAIN, downloads.LABELS)], className="take-away"),
            html.Span(id=ids.TRAIN.copied, className="copied", role="status"),
        ],
        className="actions",
    )


def course() -> Component:
    """The runs over their iterations."""
    parts = [figure_room(ids.TRAIN.course, "The runs", 600), table_room(ids.TRAIN.table)]
    return html.Section(parts, className="course", **aria(label="The runs over their iterations"))


def flow() -> Component:
    """The gradient at one moment of the training, and what to clip at."""
    frame = figure_room(ids.TRAIN.flow, "The gradient", 360)
    slider = controls.slider(ids.TRAIN.back, "Back in training", 0, min=0, max=1)
    layers = dmc.SegmentedControl(id=ids.TRAIN.layer, data=[{"value": "0", "label": "Layer 1"}], value="0", size="xs")
    title = html.H2(["The gradient ", html.Span(id=ids.TRAIN.when)])
    parts = [title, layers, slider, frame]
    said = html.Div(id=ids.TRAIN.flow_verdict, className="said")
    parts += [said, table_room(ids.TRAIN.flow_table), advice()]
    return html.Section(parts, className="flow", **aria(label="The gradient through time"))


def advice() -> Component:
    """The clip advisor's card."""
    buttons = [
        html.Button("Use this threshold", id=ids.TRAIN.use),
        html.Button("Try it in a short run", id=ids.TRAIN.check),
    ]
    parts = [
        html.H2("Clip advisor"),
        html.Div(id=ids.TRAIN.advice),
        html.Div(buttons, id=ids.TRAIN.advice_buttons, className="hidden"),
        html.Div(id=ids.TRAIN.effect, className="effect", role="status"),
    ]
    return html.Section(parts, id=ids.TRAIN.card, className="card hidden", **aria(label="Clip advisor"))


def register(app: Dash) -> None:
    """Every callback of the page."""
    controls.register(app, TrainConfig)
    for part in (steer, follow, advisor, downloads):
        part.register(app)
    drawing.register(app, ids.TRAIN)
    run_card.register(app, ids.TRAIN)
    watched = [*controls.values(Input, TrainConfig).values(), Input(ids.TRAIN.runs, "data")]
    stores = {name: [Input(getattr(ids.TRAIN, name), "data")] for name in ("drawn", "shown")}
    drawing.in_browser(app, "train", collect=watched, **stores)
