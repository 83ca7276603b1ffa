"""Parts of the page: text with powers, the verdict, the strip, tables, pins. Pure functions from data to components."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component as Component

from gradlab.wording import counted, times

from . import ids

Content = str | Component
GREEK = {"sigma": "σ", "chi": "χ"}
HIDDEN, CLEAR = {"visible": False}, "rgba(0,0,0,0)"
EMPTY_FIGURE: dict[str, Any] = {
    "data": [],
    "layout": {"xaxis": HIDDEN, "yaxis": HIDDEN, "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR},
}
GRAPH_CONFIG: Any = {"displayModeBar": False, "displaylogo": False, "showSendToCloud": False, "responsive": True}
VERBS = ("vanishes", "explodes", "is carried", "overflowed")


def aria(**names: str) -> dict[str, Any]:
    """Attributes for assistive technology: aria(label="Close")."""
    return {f"aria-{name}": value for name, value in names.items()}


def icon(name: str) -> Component:
    """A sign of the icon style sheet; words beside it say the same."""
    return html.Span(className=f"icon icon-{name}", **aria(hidden="true"))


def icon_button(component_id: Any, sign: str, label: str, size: str = "sm", **look: Any) -> Component:
    """A button that is only a sign; its label is spoken and shown on hover."""
    named = {"root": aria(label=label) | {"title": label}}
    return dmc.ActionIcon(icon(sign), id=component_id, size=size, attributes=named, **({"variant": "subtle"} | look))


def typeset(text: str) -> list[Content]:
    """Plain text with real powers, indices, Greek letters and multiplication signs: 10^-19, sigma_w, x0.64.

    A name in quotes, such as 'x0', stays as it is.
    """
    return powers(re.sub(r"\b(?<!')(sigma|chi)(?=_\w\b)", lambda match: GREEK[match[1]], times(text)))


def powers(text: str) -> list[Content]:
    """Plain text with real powers and indices of Greek letters, all else untouched: it may name columns and files."""
    parts: list[Content] = []
    for piece in re.split(r"(?<=10)(\^-?\d+(?:\.\d+)?)|(?<=[σχ])(_\w)\b", text):
        if piece and piece[0] in "^_":
            parts.append((html.Sup if piece[0] == "^" else html.Sub)(piece[1:].replace("-", "−")))
        elif piece:
            parts.append(piece)
    return parts


def statement(word: str, sign: str, text: str) -> list[Component]:
    """A sentence in the look of a verdict of that word."""
    verb = next((v for v in VERBS if v in text), "")
    before, _, after = text.partition(verb) if verb else ("", "", text)
    sentence = [*typeset(before), html.Span(verb, className="verb"), *typeset(after)]
    icon = html.Span(sign, className="sign", **aria(hidden="true"))
    return [html.Span([icon, html.Span(sentence)], className=f"verdict {word.replace(' ', '-')}")]


def head(page: ids.Ids, first: str, actions: Component, **heading: Any) -> Component:
    """The words of a page, `first` until there is something to say, and what can be done."""
    verdict = html.H1(first, id=page.verdict, **heading)
    return html.Div([verdict, html.P(id=page.details, className="details"), actions], className="head")


def strip(boxes: Sequence[Mapping[str, Any]], steps: int, unit: str = "step") -> dict[str, Any]:
    """The unrolled net as the browser paints it: one box per step or some steps, coloured by what is left there."""
    per_box = -(-steps // len(boxes))
    scale = f"each box = {counted(per_box, unit)}"
    return {
        "first": boxes[0]["label"].partition("-")[0],
        "scale": scale,
        "words": f"The unrolled net, {scale}. {boxes[0]['text']}",
        "boxes": [[box["colour"], box["text"]] for box in boxes],
    }


def layer_strip(strips: Sequence[Mapping[str, Any]], chosen: str, places: int, unit: str) -> dict[str, Any]:
    """The layers of a network as the browser paints them: a row of boxes for each, one of which is shown."""
    last = strips[0]
    rows = [{"path": s["path"], "title": s["title"]} | strip(s["boxes"], places, unit) for s in strips]
    return strip(last["boxes"], places, unit) | {"rows": rows, "chosen": chosen}


def table(rows: Sequence[Mapping[str, Any]], caption: str) -> Component:
    """Rows with the same keys as a table; the keys are its head."""
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in (rows[0] if rows else {})]))
    body = html.Tbody([html.Tr([html.Td(typeset(str(value))) for value in row.values()]) for row in rows])
    return html.Table([html.Caption(caption), head, body], className="data-table")


def table_details(rows: Sequence[Mapping[str, Any]], caption: str) -> Component:
    """A table that opens on demand."""
    return _on_demand(table(rows, caption))


def table_room(component_id: str) -> Component:
    """Room for a table that comes later and opens on demand."""
    return _on_demand(html.Div(id=component_id, className="table", tabIndex=0))


def _on_demand(content: Component) -> Component:
    return html.Details([html.Summary("Show as table"), content], className="as-table")


def figure(fig: Any, label: str) -> Component:
    """A figure as an image with words, at the height that it asks for."""
    return _framed(fig, label, fig.layout.height or 320)


def figure_room(component_id: str, label: str, height: int) -> Component:
    """Room for a figure that comes later, so high at first; the words are its frame's."""
    frame = _framed(EMPTY_FIGURE, label, height)
    frame.id, frame.children.id = ids.part(component_id, "frame"), component_id
    return frame


def _framed(fig: Any, label: str, height: int) -> Any:
    graph = dcc.Graph(figure=fig, config=GRAPH_CONFIG, style={"height": f"{height}px"})
    return html.Div(graph, role="img", className="figure", **aria(label=label))


def message(text: str, kind: str = "info") -> Component:
    """A line that says what happened and what to do; an error quotes names, which keep their letters."""
    return html.Div(powers(text) if kind == "error" else typeset(text), className=f"notice {kind}")
