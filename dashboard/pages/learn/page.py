"""Learn: eleven questions about recurrent nets, each with a figure to guess at and then to touch.

Values flow as in Explore: controls -> request -> drawn figure. The reader's guesses stay in the browser: a chapter
that has one is told. The address names the chapter; without one it is the list of all.
"""

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, dcc, html

from ... import drawing, ids
from ...components import Component, aria, figure_room, table_room
from ...glossary import glossary
from . import draw, steer

PATH, LABEL = "/learn", "Learn"
STAYS = ("chapter",)
HELP = {
    "A chapter": "A question, a few sentences, and a figure that gradlab computes for you. Drag the marker to where "
    "you think the answer is, press Show, then play with the controls.",
    "The figure": "Time runs to the right; the loss is at the last step, and the gradient comes back from there to the "
    "left. 1 is what reaches the last step. Below 10^-7 it is lost beside that in single precision.",
    "Your guesses": "They stay in this browser. A chapter with a tick has one.",
    "Open in Explore": "The same net with everything set, and all other controls.",
    "Present": "Larger type without controls. The arrow keys go from question to question, Escape ends it.",
}


def layout() -> Component:
    """The page: state, the list of chapters, the open chapter."""
    kept = dcc.Store(id=ids.LEARN.guesses, storage_type="local")
    stores = [*drawing.stores(ids.LEARN, "opened"), kept]
    messages = [html.Div(id=ids.LEARN.notices, role="status"), html.Div(id=ids.LEARN.failure, role="alert")]
    return html.Div([*stores, _head(), *messages, _chapter(), _index()], id=ids.LEARN.whole, className="learn")


def _head() -> Component:
    title = html.H1("Loading …", id=ids.LEARN.verdict, tabIndex=-1)
    present = html.Button("Present", className="present", title="Larger, by arrow keys; Escape ends it")
    return html.Div([html.P(id=ids.LEARN.details, className="count"), title, present], className="title")


def _chapter() -> Component:
    text = dcc.Markdown(id=ids.LEARN.text, mathjax=True, className="text")
    ways = html.Nav(id=ids.LEARN.ways, className="ways", **aria(label="Chapters"))
    body = html.Div([text, _stage()], id=ids.LEARN.body, className="body")
    return html.Article([body, ways], className="one")


def _stage() -> Component:
    """The question, the figure under the marker, then what came of it."""
    question = html.P(id=ids.LEARN.question, className="question")
    canvas = html.Div([figure_room(ids.LEARN.figure, "Figure", 400), _marker()], className="canvas")
    table = html.Div(table_room(ids.LEARN.table), className="after")
    return html.Section([question, canvas, _ask(), _answer(), table], className="figure-side")


def _marker() -> Component:
    """The guess: an upright slider over the figure."""
    slider = dcc.Input(id=ids.LEARN.guess, type="range", className="marker")
    label = html.Label([html.Span("Your guess, as the axis counts", className="unseen"), slider])
    return html.Div(label, id=ids.LEARN.marker, className="before")


def _ask() -> Component:
    said = html.Output(id=ids.LEARN.said, className="said")
    show = dmc.Button("Show", id=ids.LEARN.show, size="sm")
    return html.Div([html.Span("Drag the marker to your guess:"), said, show], className="ask before")


def _answer() -> Component:
    answer = [html.P(id=ids.LEARN.judged, className="judged"), html.P(id=ids.LEARN.seen, className="seen")]
    controls = html.Div(id=ids.LEARN.controls, className="knobs", role="group", **aria(label="Controls"))
    explore = html.A("Open in Explore", id=ids.LEARN.explore, href="/", className="button")
    return html.Div([html.Div(answer, **aria(live="polite")), controls, explore], className="answer after")


def _index() -> Component:
    words = html.Section([html.H2("Words"), glossary()], className="words")
    return html.Div([html.Ol(id=ids.LEARN.index, className="chapters"), words], className="all")


def register(app: Dash) -> None:
    """Every callback of the page."""
    steer.register(app)
    draw.register(app)
    drawing.register(app, ids.LEARN)
    opened, guesses = State(ids.LEARN.opened, "data"), State(ids.LEARN.guesses, "data")
    wanted: list[Any] = [
        Input(ids.learn_control(ALL), "value"),
        Input(ids.LEARN.opened, "data"),
        Input(ids.LEARN.guesses, "data"),
    ]
    guess = ids.LEARN.guess
    drawing.in_browser(
        app,
        "learn",
        collect=wanted,
        drawn=[Input(ids.LEARN.drawn, "data")],
        say=[Output(ids.LEARN.said, "children"), Input(guess, "value"), Input(ids.LEARN.opened, "data")],
        show=[
            Output(ids.LEARN.guesses, "data"),
            Input(ids.LEARN.show, "n_clicks"),
            State(guess, "value"),
            opened,
            guesses,
        ],
    )
