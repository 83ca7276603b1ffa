"""Settings and runs in a few words: what a run does that others beside it do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cells import CELLS
from ..wording import exact_text
from . import Config, RunConfig, controls
from .links import file_name, is_file


def setting_text(name: str, value: Any, of: type[Config] = RunConfig) -> str:
    """One field in words: "gain 3", "forget bias chrono"; what has a name stands for itself: "LSTM", "co2.csv"."""
    control = controls(of).get(name)
    label = control.label.lower() if control else name.replace("_", " ")
    if name == "cell" and value in CELLS:
        return CELLS[value].title
    if isinstance(value, str) and is_file(name, value):
        return file_name(value)
    if isinstance(value, bool):
        return label if value else f"no {label}"
    if control and control.choices:
        return (control.labels or {}).get(str(value), str(value))
    return f"{label} {exact_text(value) if isinstance(value, float) else value}"


def labels(configs: Sequence[RunConfig]) -> list[str]:
    """A name for each of several runs: the fields that apply to it and tell it from the others, else its cell.

    No two are equal: runs that nothing tells apart are numbered.
    """
    differing = [name for name in controls() if len({getattr(config, name) for config in configs}) > 1]
    texts = [_label(config, differing) for config in configs]
    numbers = [texts[:n].count(text) + 1 for n, text in enumerate(texts)]
    return [text if number == 1 else f"{text} ({number})" for text, number in zip(texts, numbers, strict=True)]


def _label(config: RunConfig, differing: Sequence[str]) -> str:
    """What is not as by default; where everything is, all that is told apart."""
    applying = [name for name in differing if name == "cell" or controls()[name].applies_if(config)]
    changed = [name for name in applying if name == "cell" or name in config.changes()]
    return ", ".join(setting_text(name, getattr(config, name)) for name in changed or applying or ["cell"])
