"""Train: the gradient flow while a net learns. The page's parts; what they do is in the train_* modules beside it.

Values flow as in Explore: controls -> request -> looks of the controls; when the hand lets go, address bar. A run is
a process of its own (work/training.py); its id in the address finds it again, and a tick reads what it has saved.
"""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from gradlab.config.train import TrainConfig

from ... import controls, form, ids
from ...components import EMPTY_FIGURE, GRAPH_CONFIG, aria, copy_buttons, download_menu
from . import advisor, downloads, follow, steer
from .examples import EXAMPLES, OFFERS

PATH, LABEL = "/train", "Train"
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
    stores = (ids.TRAIN_SEARCH, ids.TRAIN_REST, ids.TRAIN_REQUEST, ids.TRAIN_SETTLED, ids.TRAIN_DRAWN, ids.TRAIN_LOOK)
    more = (ids.TRAIN_ADDRESS, ids.TRAIN_COPIES, ids.TRAIN_SHOWN, ids.TRAIN_POKE, ids.TRAIN_TICK)
    state = [*(dcc.Store(id=name) for name in (*stores, *more)), dcc.Store(id=ids.TRAIN_RUNS, data=[])]
    return html.Div([*state, dcc.Download(id=ids.TRAIN_DOWNLOAD), panel(), stage()], className="explore train")


def panel() -> Component:
    """What a person sets."""
    look = {"size": "compact-xs", "variant": "default", "radius": "xl"}
    chips = [dmc.Button(example.label, id=ids.train_example(name), **look) for name, example in EXAMPLES.items()]
    examples = [
        html.H2("Examples"),
        html.Div(chips, className="chips"),
        html.P(id=ids.TRAIN_EXAMPLE, className="about"),
    ]
    more = html.Details([html.Summary("More"), *controls.more(TrainConfig)], id=ids.TRAIN_MORE, className="more")
    recent = html.Section(
        [html.H2("Latest runs"), html.Ul(id=ids.TRAIN_RECENT)], className="pins", **aria(label="Latest runs")
    )
    task = ids.field(form.key("task", TrainConfig))  # first, as everything else serves it
    basic = sorted(controls.basic(TrainConfig), key=lambda block: getattr(block, "id", None) != task)
    parts = [*examples, *basic, more, recent]
    return html.Aside(html.Div(parts, className="scroll"), className="controls", **aria(label="Controls"))


def stage() -> Component:
    """What the nets do: verdict, buttons, figures."""
    head = [
        html.H1("Loading …", id=ids.TRAIN_VERDICT, **aria(live="polite")),
        html.P(id=ids.TRAIN_DETAILS, className="details"),
        actions(),
    ]
    messages = [
        html.Div(id=ids.TRAIN_NOTICES, role="status"),
        html.Div(id=ids.TRAIN_FAILURE, role="alert"),
        html.Div(id=ids.TRAIN_TROUBLE, role="status"),
    ]
    columns = html.Div([course(), flow()], className="columns")
    preview = html.Div(id=ids.TRAIN_PREVIEW, className="preview")
    parts = [html.Div(head, className="head"), *messages, preview, columns]
    return html.Section(parts, id=ids.TRAIN_STAGE, className="stage waiting", **aria(label="The runs"))


def actions() -> Component:
    """Start, pause, resume, stop; how far it is; copies and downloads."""
    offers = [
        html.Button([html.B(offer.label), html.Span(offer.text)], id=name, className="offer", title=offer.text)
        for name, offer in OFFERS.items()
    ]
    steering = {ids.TRAIN_PAUSE: "Pause", ids.TRAIN_RESUME: "Resume", ids.TRAIN_STOP: "Stop"}
    buttons = [html.Button(text, id=name, className="steer") for name, text in steering.items()]
    share = html.Progress(id=ids.TRAIN_SHARE, value="0", max="1", **aria(label="Done so far"))
    return html.Div(
        [
            html.Div(offers, className="offers"),
            html.Div([*buttons, share], className="steering"),
            html.Div([copy_buttons("train-"), download_menu(downloads.formats(), "train-")], className="take-away"),
            html.Span(id=ids.TRAIN_COPIED, className="copied", role="status"),
        ],
        className="actions",
    )


def course() -> Component:
    """The runs over their iterations."""
    graph = dcc.Graph(id=ids.TRAIN_COURSE, config=GRAPH_CONFIG, figure=EMPTY_FIGURE, style={"height": "600px"})
    frame = html.Div(graph, id=ids.TRAIN_COURSE_FRAME, role="img", className="figure", **aria(label="The runs"))
    parts = [frame, table(ids.TRAIN_TABLE)]
    return html.Section(parts, className="course", **aria(label="The runs over their iterations"))


def table(component_id: str) -> Component:
    """Room for the same as a figure in numbers."""
    inner = html.Div(id=component_id, className="table", tabIndex=0)
    return html.Details([html.Summary("Show as table"), inner], className="as-table")


def flow() -> Component:
    """The gradient at one moment of the training, and what to clip at."""
    graph = dcc.Graph(id=ids.TRAIN_FLOW, config=GRAPH_CONFIG, figure=EMPTY_FIGURE, style={"height": "360px"})
    frame = html.Div(graph, id=ids.TRAIN_FLOW_FRAME, role="img", className="figure", **aria(label="The gradient"))
    slider = dmc.Slider(
        id=ids.TRAIN_BACK,
        min=0,
        max=1,
        value=0,
        label=None,
        updatemode="drag",
        size="sm",
        thumbLabel="Back in training",
    )
    layers = dmc.SegmentedControl(id=ids.TRAIN_LAYER, data=[{"value": "0", "label": "Layer 1"}], value="0", size="xs")
    title = html.H2(["The gradient ", html.Span(id=ids.TRAIN_WHEN)])
    parts = [title, layers, html.Div(slider, className="slider"), frame]
    said = html.Div(id=ids.TRAIN_FLOW_VERDICT, className="said")
    parts += [said, table(ids.TRAIN_FLOW_TABLE), advice()]
    return html.Section(parts, className="flow", **aria(label="The gradient through time"))


def advice() -> Component:
    """The clip advisor's card."""
    buttons = [
        html.Button("Use this threshold", id=ids.TRAIN_USE),
        html.Button("Try it in a short run", id=ids.TRAIN_CHECK),
    ]
    parts = [html.H2("Clip advisor"), html.Div(id=ids.TRAIN_ADVICE)]
    parts += [
        html.Div(buttons, id=ids.TRAIN_ADVICE_BUTTONS, className="hidden"),
        html.Div(id=ids.TRAIN_EFFECT, className="effect", role="status"),
    ]
    label = aria(label="Clip advisor")
    return html.Section(parts, id=ids.TRAIN_CARD, className="card hidden", **label)


def register(app: Dash) -> None:
    """Every callback of the page."""
    controls.register(app, TrainConfig)
    for part in (steer, follow, advisor, downloads):
        part.register(app)
    start = ClientsideFunction("train", "start")
    app.clientside_callback(start, Output(ids.TRAIN_SEARCH, "data"), Input(ids.TRAIN_STAGE, "id"))
    watched = [*controls.values(Input, TrainConfig).values(), Input(ids.TRAIN_RUNS, "data")]
    app.clientside_callback(ClientsideFunction("train", "collect"), *watched, prevent_initial_call=True)
    for name, store in {"drawn": ids.TRAIN_DRAWN, "shown": ids.TRAIN_SHOWN, "address": ids.TRAIN_ADDRESS}.items():
        app.clientside_callback(ClientsideFunction("train", name), Input(store, "data"), prevent_initial_call=True)
    clicks = [Input(f"train-{name}", "n_clicks") for name in (ids.COPY_LINK, ids.COPY_PYTHON, ids.COPY_COMMAND)]
    copy = ClientsideFunction("explore", "copy")
    app.clientside_callback(copy, *clicks, State(ids.TRAIN_COPIES, "data"), prevent_initial_call=True)
