"""What the pages' downloads have in common."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from dash import Dash, Input, Output, State, ctx, dcc, html, no_update

from gradlab.errors import InputError

from .components import Component, icon, message
from .ids import Ids, part
from .posts import Clicks, checked

LABELS = {
    "nc": "Dataset (.nc)",
    "csv": "Curves (.csv)",
    "html": "Report (.html, works offline)",
    "png": "Picture (.png)",
}


@cache
def can_draw_pictures() -> bool:
    """Whether kaleido is installed and finds a browser."""
    try:
        import kaleido  # noqa: F401
        from choreographer.browsers.chromium import Chromium

        return bool(Chromium.find_browser(skip_local=False))
    except Exception:  # other versions of kaleido bring other parts, or none
        return False


def formats(labels: Mapping[str, str]) -> dict[str, str]:
    """What can be downloaded, with its label; a picture only where something can draw one."""
    return {fmt: label for fmt, label in labels.items() if fmt != "png" or can_draw_pictures()}


def menu(page: Ids, labels: Mapping[str, str] = LABELS) -> Component:
    """The formats to choose from."""
    items = [html.Li(html.Button(label, id=part(page.download, fmt))) for fmt, label in formats(labels).items()]
    return html.Details([html.Summary([icon("download"), "Download"]), html.Ul(items)], className="menu")


def sent(make: Callable[..., tuple[bytes, str]], *given: Any) -> tuple[Any, Any]:
    """What is made, a file's content and name, as the browser takes it; or a message where it cannot be made."""
    try:
        return dcc.send_bytes(*make(*given)), ""
    except (InputError, OSError) as error:
        return no_update, message(str(error), "error")


def register(
    app: Dash, page: Ids, make: Callable[..., tuple[bytes, str]], *state: State, labels: Mapping[str, str] = LABELS
) -> None:
    """One callback for the menu, with make(format, *state) -> (content, file name)."""

    make = checked(make)

    def send(clicks: list[Clicks], given: list[Any]) -> tuple[Any, Any]:
        fmt = str(ctx.triggered_id).removeprefix(part(page.download, ""))
        return sent(make, fmt, *given) if ctx.triggered[0]["value"] else (no_update, no_update)

    outputs = [Output(page.download, "data"), Output(page.failure, "children", allow_duplicate=True)]
    clicks = [Input(part(page.download, fmt), "n_clicks") for fmt in formats(labels)]
    app.callback(output=outputs, inputs=[clicks, list(state)], prevent_initial_call=True)(send)
