"""The words of the field, each with a definition that a touch and a key reach."""

import tomllib
from pathlib import Path

from dash import html

from .components import Component, typeset

TERMS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def term(name: str, shown: str = "") -> Component:
    """A word that opens its definition; shown: how the sentence has it, the word itself by default.

    Raises KeyError for a word that the glossary lacks.
    """
    entry = TERMS[name]
    word = html.Summary(typeset(shown or entry["label"]))
    return html.Details([word, html.Span(typeset(entry["text"]), className="meaning")], className="term")


def glossary() -> Component:
    """All words in the order of the alphabet."""
    entries = sorted(TERMS.values(), key=lambda entry: entry["label"].lower())
    return html.Dl([part for entry in entries for part in (_word(entry), html.Dd(typeset(entry["text"])))])


def _word(entry: dict[str, str]) -> Component:
    return html.Dt(typeset(entry["label"]))
