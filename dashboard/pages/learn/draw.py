"""What an open chapter shows: its figure, the guess beside the truth, what is seen, where it goes on."""

from dataclasses import dataclass
from typing import Any

from dash import Dash, Input, Output

from gradlab.config.links import to_query
from gradlab.errors import InputError, echo
from gradlab.plots.learn import Scene, guess_place

from ... import ids
from ...answers import answer, outputs
from ...components import table, typeset
from ...posts import Plain, Text, Theme
from .chapter import Chapter
from .chapters import BY_SLUG


@dataclass(frozen=True)
class Request:
    """What the browser wants drawn; guess: the reader's, None before it is given."""

    chapter: Text
    values: dict[Text, Plain]
    guess: float | None
    theme: Theme
    narrow: bool


def show(request: Request) -> dict[str, Any]:
    """The callback: the figure for a request, with the answer where there is a guess."""
    chapter = _chapter(request.chapter)
    values = chapter.read(request.values)
    found, told = chapter.measure(values), request.guess is not None
    at = (chapter.guess.at, chapter.guess.read(request.guess or 0.0))
    fig = chapter.draw(found, Scene(request.theme, request.narrow, told, at))
    changes = {
        "figure": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "place": guess_place(fig, chapter.guess.at),
        "body": "body told" if told else "body",
        "label": f"{chapter.title} {chapter.say(found) if told else chapter.guess.question}",
        "explore": f"{chapter.path}?{to_query(chapter.config(values))}",
        "go": f"Open in {'Train' if chapter.path == '/train' else 'Explore'}",
        "failure": "",
        "drawn": {"values": values},
    }
    return answer(OUTPUTS, changes | (_told(chapter, found, values, at[1]) if told else {}))


def _chapter(slug: str) -> Chapter:
    if slug not in BY_SLUG:
        raise InputError(f"chapter: expected one of {', '.join(BY_SLUG)}, got {echo(slug)}", "chapter")
    return BY_SLUG[slug]


def _told(chapter: Chapter, found: Any, values: dict[str, Any], guess: float) -> dict[str, Any]:
    """The answer: the guess beside the truth while the controls are where it was made, what is seen, the table."""
    judged = chapter.guess.judged(guess, chapter.truth(found)) if values == chapter.start else ""
    return {
        "judged": typeset(judged),
        "seen": typeset(chapter.say(found)),
        "table": table(chapter.rows(found), chapter.title),
    }


OUTPUTS = {
    **outputs(ids.LEARN, children="judged seen table failure", figure="figure", data="drawn", href="explore"),
    **outputs(ids.LEARN, className="body"),
    "go": Output(ids.LEARN.explore, "children"),
    "style": Output(ids.LEARN.figure, "style"),
    "place": Output(ids.LEARN.marker, "style"),
    "label": Output(ids.part(ids.LEARN.figure, "frame"), "aria-label"),
}


def register(app: Dash) -> None:
    """Draw whenever the browser asks."""
    app.callback(output=OUTPUTS, inputs=[Input(ids.LEARN.request, "data")], prevent_initial_call=True)(show)
