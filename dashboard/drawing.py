"""What pages share with assets/drawing.js: the stores that their values run through, callbacks of the browser alone."""

from collections.abc import Sequence

from dash import ClientsideFunction, Dash, Input, Output, State, dcc
from dash.development.base_component import Component

from .ids import Ids


def stores(page: Ids, *more: str) -> list[Component]:
    """The page's stores, empty; `more`: names of those that not every page has."""
    return [dcc.Store(id=getattr(page, name)) for name in ("search", "request", "settled", "drawn", *more)]


def in_browser(app: Dash, script: str, **callbacks: Sequence[Output | Input | State]) -> None:
    """Callbacks of assets/<script>.js by name, with what they answer to and are called with."""
    for name, places in callbacks.items():
        app.clientside_callback(ClientsideFunction(script, name), *places, prevent_initial_call=True)


def register(app: Dash, page: Ids) -> None:
    """The address is read when the page has come, and written."""
    start = ClientsideFunction("drawing", "start")
    app.clientside_callback(start, Output(page.search, "data"), Input(page.verdict, "id"))
    if "address" in page.names:
        in_browser(app, "drawing", address=[Input(page.address, "data")])
