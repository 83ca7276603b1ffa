"""What surrounds every page: head, header, theme, help."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, html
from dash.development.base_component import Component

from . import ids
from .components import aria, icon, icon_button
from .pages import PAGES

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

HELP = {
    "The question": "A recurrent net learns from the past only if the gradient of the loss survives the way back "
    "through time. Each step back multiplies it by a matrix. This page shows what comes of it.",
    "The curve": "The loss sits at the last step, on the right. The curve shows what share of its gradient reaches "
    "each earlier step, in powers of ten: the thick line is the median over samples, the band 10 to 90 %.",
    "One-step factor": "What a single step does to a gradient: typically (thick) and at most (thin). Below 1 it "
    "shrinks. The measured rate differs from both, because the steps turn the gradient as well.",
    "Units": "The same gradient, unit by unit. The colours are fixed: what is lost fades into the page, blue is as at "
    "the last step, what is blown up burns. They mean the same in the strip above.",
    "Try": "Drag Gain to 3. Then choose LSTM, forget bias 0, and raise the bias. Pin a run to keep its curve.",
}


def layout() -> Component:
    """The shell with its page."""
    page = html.Div([header(), html.Main(PAGES[0].layout()), help_drawer()])
    return dmc.MantineProvider(page, id=ids.PROVIDER, theme=THEME, forceColorScheme="light")


def header() -> Component:
    """Brand, navigation over the pages that exist, theme, help."""
    links = [html.A(page.LABEL, href=page.PATH, className="nav", **aria(current="page")) for page in PAGES]
    brand = html.A([icon("brand"), "gradlab"], href="/", className="brand")
    tools = html.Div(
        [
            icon_button(ids.THEME_TOGGLE, "theme", "Switch between light and dark", "lg", color="gray"),
            icon_button(ids.HELP_OPEN, "help", "How to read this page", "lg", color="gray"),
        ],
        className="tools",
    )
    return html.Header([brand, html.Nav(links, **aria(label="Pages")), tools])


def help_drawer() -> Component:
    """How to read the page."""
    parts = [part for title, text in HELP.items() for part in (html.H3(title), html.P(text))]
    return dmc.Drawer(
        parts,
        id=ids.HELP,
        title="How to read this page",
        position="right",
        size=360,
        closeButtonProps=aria(label="Close"),
    )


def register(app: Dash) -> None:
    """Theme and help work in the browser alone."""
    theme = ClientsideFunction("shell", "theme")
    app.clientside_callback(theme, Output(ids.PROVIDER, "forceColorScheme"), Input(ids.THEME_TOGGLE, "n_clicks"))
    clicked, opened = Input(ids.HELP_OPEN, "n_clicks"), State(ids.HELP, "opened")
    toggle = ClientsideFunction("shell", "open")
    app.clientside_callback(toggle, Output(ids.HELP, "opened"), clicked, opened, prevent_initial_call=True)
