"""What callbacks answer."""

from collections.abc import Mapping
from typing import Any

from dash import no_update


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
