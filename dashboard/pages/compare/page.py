"""Compare: up to six runs on one lag axis, ranked by how far their gradient reaches.

Values flow as in Explore: fields of the runs -> request -> figure; while seeds are still to come the browser asks again
for what there is (assets/compare.js); when the hand lets go, address bar.
"""

from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html

from gradlab.config import RunConfig
from gradlab.config import controls as config_controls
from gradlab.config.presets import PRESETS
from gradlab.runs.comparison import SEEDS

from ... import controls, drawing, ids, run_card
from ...components import Component, aria, figure_room, head, icon_button, table_room
from ...downloads import menu
from . import downloads, draw, steer
from .address import MOST_SEEDS, OWN
from .examples import EXAMPLES
from .slots import FIELDS, PLACES, key, parts

PATH, LABEL = "/compare", "Compare"
STAYS = OWN
HELP = {
    "The question": "What does each architecture do to the gradient that has to cross k steps? All runs stand on one "
    "axis: the last step is on the right, and to the left the curves show what is left so many steps before it.",
    "The curves": "Each is the share of the gradient that reaches the input at that step, in powers of ten: the median "
    "over seeds, with a band of 10 to 90 %. Thin dots are what theory predicts, where there is a theory.",
    "The ranking": "Per step back is the factor by which one step changes the gradient, over the whole length, with "
    "its standard error over seeds. After 10, 50, 100 and 300 steps, and at its end (so many steps back), what is "
    "left. Step time is measured, memory predicted, of one step of training. A press on a column's name ranks by it.",
    "Equal size": "Runs keep the hidden size that they have, or all get about as many parameters as the first one.",
    "Change a run": "Open it on the left for its main settings; Open in Explore shows all of them, with the other runs "
    "pinned, and Compare leads back.",
}
EQUAL_LABELS = {"hidden size": "Own hidden size", "parameters": "Equal parameters"}


def layout() -> Component:
    """The page: state, controls, stage."""
    stores = drawing.stores(ids.COMPARE, "along", "address", "copies", "tick", "sort")
    state = [*stores, dcc.Store(id=ids.COMPARE.rows, data=[]), dcc.Download(id=ids.COMPARE.download)]
    spoken = html.Div(id=ids.COMPARE.announcement, className="unseen", **aria(live="polite"))
    return html.Div([*state, spoken, panel(), stage()], className="explore compare")


def panel() -> Component:
    """What a person sets: examples, how runs are compared, and the runs."""
    look = {"size": "compact-xs", "variant": "default", "radius": "xl"}
    chips = [
        dmc.Button(example.label, id=ids.part(ids.COMPARE.example, name), **look) for name, example in EXAMPLES.items()
    ]
    content = [html.H2("Examples"), html.Div(chips, className="chips"), *_how(), html.H2("Runs"), _runs(), _add()]
    return html.Aside(html.Div(content, className="scroll"), className="controls", **aria(label="Controls"))


def _how() -> list[Component]:
    """What is equal among the runs, and how many seeds each has."""
    data = [{"value": name, "label": label} for name, label in EQUAL_LABELS.items()]
    equal = dmc.SegmentedControl(id=ids.COMPARE.equal, data=data, value="hidden size", size="xs", fullWidth=True)
    number = {"min": 1, "max": MOST_SEEDS, "clampBehavior": "none", "allowDecimal": False, "size": "xs"}
    seeds = dmc.NumberInput(id=ids.COMPARE.seeds, label="Seeds of each run", value=SEEDS, **number)
    return [html.Div(equal, className="equal"), html.Div(seeds, className="field number")]


def _runs() -> Component:
    """A slot for every run that there may be; those in use are shown."""
    return html.Ul([_slot(n) for n in PLACES], className="slots")


def _slot(n: int) -> Component:
    place = parts(n)
    title = html.Summary([html.Span(className="swatch"), html.Span(id=place["name"])])
    links = [
        run_card.explore_link(id=place["explore"], href="/"),
        run_card.train_link(id=place["train"], href="/train"),
    ]
    fields = [_field(n, name) for name in FIELDS]
    opened = html.Details([title, *fields, html.Div(links, className="links")])
    remove = icon_button(place["remove"], "close", f"Take out run {n + 1}", "xs", color="gray")
    return html.Li([opened, remove], id=place["slot"], className="slot hidden")


def _field(n: int, name: str) -> Component:
    """A quick field of a run."""
    control, component = config_controls()[name], ids.control(key(n, name))
    common: Any = {"id": component, "label": control.label, "labelProps": {"title": control.help}, "size": "xs"}
    if draw.KINDS[name] == "choice":
        more = {"data": controls.options(name), "allowDeselect": False, "comboboxProps": {"shadow": "md"}}
        field = dmc.Select(value=getattr(RunConfig(), name), **common, **more)
    elif draw.KINDS[name] == "text":
        field = dmc.TextInput(value="0", **common)
    else:
        field = dmc.NumberInput(
            value=getattr(RunConfig(), name), step=control.step or 1, clampBehavior="none", **common
        )
    return html.Div(field, id=ids.field(key(n, name)), className=f"field {draw.KINDS[name]}")


def _add() -> Component:
    data = [{"value": name, "label": preset.label} for name, preset in PRESETS.items()]
    look = {"allowDeselect": False, "size": "xs", "comboboxProps": {"shadow": "md"}}
    select = dmc.Select(id=ids.COMPARE.preset, label="Add a preset", data=data, value=data[0]["value"], **look)
    button = dmc.Button("Add", id=ids.COMPARE.add, size="compact-xs", variant="default")
    return html.Div([select, button], className="preset")


def stage() -> Component:
    """What the runs show: which reaches farthest, the curves, the ranking."""
    messages = [html.Div(id=ids.COMPARE.notices, role="status"), html.Div(id=ids.COMPARE.failure, role="alert")]
    frame = figure_room(ids.COMPARE.figure, "What is left of the gradient, by steps back", 480)
    content = [head(ids.COMPARE, "Computing …", actions()), *messages, frame, table_room(ids.COMPARE.table), ranking()]
    return html.Section(content, id=ids.COMPARE.stage, className="stage", **aria(label="The runs"))


def actions() -> Component:
    """Copy, download, and how far the computation is."""
    share = html.Progress(id=ids.COMPARE.share, value="0", max="1", **aria(label="Computed so far"))
    return html.Div(
        [
            run_card.copy_buttons(ids.COMPARE, ("copy_link", "copy_python")),
            menu(ids.COMPARE),
            html.Span(id=ids.COMPARE.copied, className="copied", role="status"),
            html.Div([share, html.Span(id=ids.COMPARE.progress)], className="so-far"),
        ],
        className="actions",
    )


def ranking() -> Component:
    """The runs in order; the heads of the columns choose which."""
    heads = html.Thead(html.Tr([_column(name) for name in draw.HEADS]))
    caption = html.Caption("The runs in order; what is left is the median over seeds")
    table = html.Table([caption, heads, html.Tbody(id=ids.COMPARE.ranking)], id=ids.COMPARE.columns)
    return html.Div(table, className="table ranking", tabIndex=0)


def _column(name: str) -> Component:
    look: Any = {"scope": "col", "className": draw.cell_class(name)}
    if (by := draw.COLUMNS.get(name)) is None:
        return html.Th(name, **look)
    button = html.Button(name, id=ids.part(ids.COMPARE.sort, by), title=f"Rank by this: {name}")
    return html.Th(button, id=ids.part(ids.COMPARE.by, by), **look, **aria(sort="none"))


def register(app: Dash) -> None:
    """Every callback of the page."""
    for part in (steer, draw, downloads):
        part.register(app)
    drawing.register(app, ids.COMPARE)
    run_card.register(app, ids.COMPARE, ("copy_link", "copy_python"))
    fields = [Input(ids.control(key(n, name)), "value") for n in PLACES for name in FIELDS]
    others = {"rows": "data", "along": "data", "equal": "value", "seeds": "value", "sort": "data"}
    watched = [*fields, *(Input(getattr(ids.COMPARE, name), prop) for name, prop in others.items())]
    sort = [Input(ids.part(ids.COMPARE.sort, by), "n_clicks") for by in draw.COLUMNS.values()]
    drawing.in_browser(
        app,
        "compare",
        collect=watched,
        drawn=[Input(ids.COMPARE.drawn, "data")],
        settled=[Input(ids.COMPARE.settled, "data"), State(ids.COMPARE.drawn, "data")],
        sort=[Output(ids.COMPARE.sort, "data"), *sort],
    )
