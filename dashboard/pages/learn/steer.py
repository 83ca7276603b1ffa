"""Which chapter is open: from the address to its words, controls and neighbours, or to the list of all."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html

from gradlab.errors import echo

from ... import ids
from ...answers import answer, outputs
from ...components import Component, aria, message, typeset
from ...controls import slider
from ...posts import Text
from .chapter import Chapter, Choice, Slider
from .chapters import BY_SLUG, CHAPTERS

Guesses = dict[Text, float] | None  # by chapter, kept in the browser


def open_chapter(search: Text | None, guesses: Guesses) -> dict[str, Any]:
    """The callback: the chapter that an address names, or the list of all where it names none."""
    name = dict(parse_qsl((search or "").removeprefix("?"))).get("chapter", "")
    if name in BY_SLUG:
        return answer(OUTPUTS, _open(BY_SLUG[name], search or "", guesses or {}))
    notices = [message(f"There is no chapter {echo(name)}; here are all.", "error")] if name else []
    return answer(OUTPUTS, _list(search or "", guesses or {}) | {"notices": notices})


def _list(search: str, guesses: dict[str, float]) -> dict[str, Any]:
    """All chapters, with a tick at those that have a guess."""
    rows = [html.Li(_entry(chapter, search, chapter.slug in guesses)) for chapter in CHAPTERS]
    done = sum(chapter.slug in guesses for chapter in CHAPTERS)
    return {
        "whole": "learn index",
        "verdict": "Recurrent nets, by touching them",
        "details": f"{len(CHAPTERS)} questions, {done} of them done",
        "index": rows,
        "opened": None,
    }


def _entry(chapter: Chapter, search: str, done: bool) -> Component:
    tick = [html.Span("✓", className="tick", title="done"), html.Span(" done", className="unseen")] if done else []
    return html.A([chapter.title, *tick], href=address(search, chapter))


def _open(chapter: Chapter, search: str, guesses: dict[str, float]) -> dict[str, Any]:
    """Everything of a chapter that does not change with its controls."""
    guess, number = chapter.guess, CHAPTERS.index(chapter)
    start = guess.read(guesses.get(chapter.slug, guess.start))
    return {
        "whole": "learn chapter",
        "verdict": chapter.title,
        "details": f"Question {number + 1} of {len(CHAPTERS)}",
        "text": chapter.text,
        "question": typeset(guess.question),
        "controls": [control(part) for part in chapter.controls],
        "ways": ways(number, search),
        "notices": [],
        "opened": {"chapter": chapter.slug, "texts": guess.texts, "low": guess.low, "step": guess.step},
        "marks": {"min": guess.low, "max": guess.high, "step": guess.step, "value": start},
    }


def control(part: Slider | Choice) -> Component:
    """A control of a chapter, with a button where it plays."""
    component, label = ids.learn_control(part.name), html.Span(part.label, className="label")
    if isinstance(part, Choice):
        data = [{"value": value, "label": text} for value, text in part.options.items()]
        named = {"root": aria(label=part.label)}
        choice = dmc.SegmentedControl(id=component, data=data, value=part.value, size="sm", attributes=named)
        return html.Div([label, choice], className="knob")
    span = {"min": part.min, "max": part.max, "step": part.step}
    moved = slider(component, part.label, part.value, **span)
    plays: dict[str, Any] = {"data-plays": part.name, "data-last": part.max, "data-step": part.step}
    play = [html.Button("Play", className="play", **plays)] if part.plays else []
    value = html.Span(f"{part.value:g}", className="value", **{"data-value": part.name})  # type: ignore[arg-type]
    return html.Div([label, moved, value, *play], className="knob")


def ways(number: int, search: str) -> list[Component]:
    """To the chapter before, the list, and the one after."""
    neighbours = {"before": number - 1, "next": number + 1}
    links = {
        way: html.A(
            [html.Span({"before": "← ", "next": "Next: "}[way]), CHAPTERS[n].title],
            href=address(search, CHAPTERS[n]),
            className=way,
        )
        for way, n in neighbours.items()
        if 0 <= n < len(CHAPTERS)
    }
    every = html.A("All questions", href=address(search), className="every")
    return [part for part in (links.get("before"), every, links.get("next")) if part is not None]


def address(search: str, chapter: Chapter | None = None) -> str:
    """Of a chapter, or of the list; what else the address holds travels along."""
    pairs = [pair for pair in parse_qsl(search.removeprefix("?"), keep_blank_values=True) if pair[0] != "chapter"]
    pairs += [("chapter", chapter.slug)] if chapter else []
    return f"/learn?{urlencode(pairs)}" if pairs else "/learn"


OUTPUTS = {
    **outputs(ids.LEARN, children="verdict details text question controls ways notices index", data="opened"),
    **outputs(ids.LEARN, className="whole"),
    "marks": {prop: Output(ids.LEARN.guess, prop) for prop in ("min", "max", "step", "value")},
}


def register(app: Dash) -> None:
    """Open whatever the address names."""
    asked = [Input(ids.LEARN.search, "data"), State(ids.LEARN.guesses, "data")]
    app.callback(output=OUTPUTS, inputs=asked, prevent_initial_call=True)(open_chapter)
