"""What surrounds every page: head, header, theme, help."""

from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from . import ids, pages
from .components import Component, aria, icon, icon_button
from .posts import Text

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="See how the gradient of a recurrent network vanishes, holds or explodes.">
<title>{%title%}</title>
<link rel="icon" type="image/svg+xml" href="/assets/icon.svg">
<script src="/assets/early-theme.js"></script>
{%css%}
</head>
<body>
<noscript>gradlab draws in the browser: please allow JavaScript on this page.</noscript>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""

THEME = {
    "primaryColor": "indigo",
    "primaryShade": {"light": 7, "dark": 8},  # dark enough for white words on it
    "defaultRadius": "sm",
    "cursorType": "pointer",
}


def layout() -> Component:
    """The shell, before its page has come."""
    loading = html.P("Loading …", className="loading")
    main, path = html.Main(loading, id=ids.SHELL.page), dcc.Store(id=ids.SHELL.path)
    return dmc.MantineProvider(
        html.Div([path, header(), main, help_drawer()]), id=ids.SHELL.provider, theme=THEME, forceColorScheme="light"
    )


def header() -> Component:
    """Brand, room for the navigation, theme, help."""
    brand = html.A([icon("brand"), "gradlab"], href="/", className="brand")
    tools = html.Div(
        [
            icon_button(ids.SHELL.theme_toggle, "theme", "Switch between light and dark", "lg", color="gray"),
            icon_button(ids.SHELL.help_open, "help", "How to read this page", "lg", color="gray"),
        ],
        className="tools",
    )
    stays: dict[str, Any] = {"data-stays": " ".join(name for page in pages.PAGES for name in page.STAYS)}
    return html.Header([brand, html.Nav(id=ids.SHELL.navigation, **aria(label="Pages"), **stays), tools])


def navigation(current: Any) -> list[Component]:
    """Links to all pages; the browser lets the run on this one travel with them."""
    return [
        html.A(page.LABEL, href=page.PATH, className="nav", **(aria(current="page") if page is current else {}))
        for page in pages.PAGES
    ]


def help_drawer() -> Component:
    """How to read the page."""
    return dmc.Drawer(
        html.Div(id=ids.SHELL.help_text),
        id=ids.SHELL.help,
        title="How to read this page",
        position="right",
        size=360,
        closeButtonProps=aria(label="Close"),
    )


def open_page(path: Text) -> dict[str, Any]:
    """The callback: the page at a path, its place in the navigation, and how to read it."""
    by_path = {page.PATH: page for page in pages.PAGES}
    page = by_path.get(f"/{path.strip('/')}")
    if page is None:
        nothing = html.P(["There is no such page. ", html.A("Explore", href="/"), " is the first one."])
        return {"page": html.Div(nothing, className="loading"), "navigation": navigation(None), "help": []}
    words = [part for title, text in page.HELP.items() for part in (html.H3(title), html.P(text))]
    return {"page": page.layout(), "navigation": navigation(page), "help": words}


OUTPUTS = {
    "page": Output(ids.SHELL.page, "children"),
    "navigation": Output(ids.SHELL.navigation, "children"),
    "help": Output(ids.SHELL.help_text, "children"),
}


def register(app: Dash) -> None:
    """The page of the address; theme and help, which work in the browser alone."""
    path = ClientsideFunction("shell", "path")
    app.clientside_callback(path, Output(ids.SHELL.path, "data"), Input(ids.SHELL.page, "id"))
    app.callback(output=OUTPUTS, inputs=[Input(ids.SHELL.path, "data")], prevent_initial_call=True)(open_page)
    theme = ClientsideFunction("shell", "theme")
    app.clientside_callback(
        theme, Output(ids.SHELL.provider, "forceColorScheme"), Input(ids.SHELL.theme_toggle, "n_clicks")
    )
    clicked, opened = Input(ids.SHELL.help_open, "n_clicks"), State(ids.SHELL.help, "opened")
    toggle = ClientsideFunction("shell", "open")
    app.clientside_callback(toggle, Output(ids.SHELL.help, "opened"), clicked, opened, prevent_initial_call=True)
