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
    """A name for each of several runs: its cell, and what tells it from others of that cell.

    Where all have one cell, what tells them apart alone. No two names are equal: runs that nothing tells apart are
    numbered.
    """
    texts = [_label(config, [other for other in configs if other.cell == config.cell], configs) for config in configs]
    numbers = [texts[:n].count(text) + 1 for n, text in enumerate(texts)]
    return [text if number == 1 else f"{text} ({number})" for text, number in zip(texts, numbers, strict=True)]


def _label(config: RunConfig, akin: Sequence[RunConfig], among: Sequence[RunConfig]) -> str:
    """The cell, unless all runs have it; what is not as by default, or where everything is, all that is told apart."""
    differing = [name for name in controls() if len({getattr(run, name) for run in akin}) > 1]
    applying = [name for name in differing if controls()[name].applies_if(config)]
    changed = [name for name in applying if name in config.changes()]
    names = ["cell", *changed] if len(akin) < len(among) else changed or applying or ["cell"]
    return ", ".join(setting_text(name, getattr(config, name)) for name in names)
