"""What can be done with a run wherever it is shown: open it in Explore, train it, compare it, copy it."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, State, html

from . import ids
from .components import Component, aria, icon_button, typeset
from .drawing import in_browser

COPIED = {"copy_link": "link", "copy_python": "Python", "copy_command": "command"}


def explore_link(**props: Any) -> Component:
    """To the run, or to what of it Explore can show."""
    return html.A("Open in Explore", **props)


def train_link(**props: Any) -> Component:
    """To a set-up with the run's net."""
    title = "Open Train with this net, its initialisation and its clipping"
    return html.A("Train this", className="go", title=title, **props)


def compare_link(**props: Any) -> Component:
    """To the run beside others."""
    return html.A("Compare", className="go", title="Open Compare with this run and the pinned ones", **props)


def copy_buttons(page: ids.Ids, names: Sequence[str] = tuple(COPIED)) -> Component:
    """Link, Python, command, or those of them that there are."""
    look = {"variant": "default", "size": "compact-sm"}
    buttons = [
        dmc.Button(
            COPIED[name], id=getattr(page, name), attributes={"root": aria(label=f"Copy {COPIED[name]}")}, **look
        )
        for name in names
    ]
    return html.Div([html.Span("Copy"), dmc.ButtonGroup(buttons)], className="copy")


def copies(page: ids.Ids, link: str, python: str, command: str) -> dict[str, str]:
    """The texts behind the copy buttons; the browser puts the page's place before the link."""
    return {page.copy_link: link, page.copy_python: python, page.copy_command: command}


def pin_row(query: str, label: str, rate: str, colour: str) -> Component:
    """One pinned run: its colour in the figure, what it is, its rate, and the two things to do with it."""
    name = [html.Span(label, className="pin-label"), html.Span(typeset(rate), className="pin-rate")]
    reopen = html.Button(name, id=ids.reopen(query), className="pin-open", title="Open this run again")
    remove = icon_button(ids.unpin(query), "close", f"Remove pin {label}", color="gray")
    return html.Li([html.Span(className="swatch", style={"background": colour}), reopen, remove])


def register(app: Dash, page: ids.Ids, names: Sequence[str] = tuple(COPIED)) -> None:
    """Copying, in the browser alone."""
    clicks = [Input(getattr(page, name), "n_clicks") for name in names]
    in_browser(app, "run_card", copy=[*clicks, State(page.copies, "data")])
