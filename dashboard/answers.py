"""What callbacks answer."""

from collections.abc import Mapping
from typing import Any

from dash import Output, no_update

from .ids import Ids


def outputs(page: Ids, **names: str) -> dict[str, Any]:
    """Outputs that are called like their ids; names: words, by the property that is set."""
    return {name: Output(getattr(page, name), prop) for prop, words in names.items() for name in words.split()}


def answer(outputs: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Output -> its new value, for groups of outputs as well; what is not among the changes stays.

    Raises KeyError for a change of what is no output.
    """
    if unknown := changes.keys() - outputs.keys():
        raise KeyError(f"no outputs: {', '.join(sorted(unknown))}; the callback has {', '.join(outputs)}")
    return {
        name: answer(place, changes.get(name, {})) if isinstance(place, dict) else changes.get(name, no_update)
        for name, place in outputs.items()
    }
