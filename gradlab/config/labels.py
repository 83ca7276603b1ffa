"""Settings and runs in a few words: what a run does that others beside it do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from ..cells import CELLS
from ..wording import counted, exact_text
from . import Config, RunConfig, controls
from .architecture import has_cell, is_tree
from .links import file_name, is_file

WORDS = {"norm": "{}-LN", "attention": "{} attention", "tree": "{} tree"}  # of names that say little alone


def setting_text(name: str, value: Any, of: type[Config] = RunConfig) -> str:
    """One field in words: "gain 3", "forget bias chrono"; what has a name stands for itself: "LSTM", "co2.csv"."""
    control = controls(of).get(name)
    label = control.label.lower() if control else name.replace("_", " ")
    if name == "cell" and value in CELLS:
        return CELLS[value].title
    if name == "layers":
        return counted(value, "layer")
    if name == "clip" and value == "off":
        return "no clipping"
    if isinstance(value, str) and is_file(name, value):
        return file_name(value)
    if isinstance(value, bool):
        return label if value else f"no {label}"
    if control and control.choices:
        return WORDS[name].format(value) if name in WORDS else (control.labels or {}).get(str(value), str(value))
    return f"{label} {exact_text(value) if isinstance(value, float) else value}"


def kind_text(config: RunConfig) -> str:
    """What network a run is of: "LSTM", "LSTM, balanced tree", "transformer"; of own weights the file's name."""
    if config.weights is not None:
        return file_name(config.weights)
    if not has_cell(config):
        return setting_text("architecture", config.architecture)
    cell = setting_text("cell", config.cell)
    return f"{cell}, {setting_text('tree', config.tree)}" if is_tree(config) else cell


def labels(configs: Sequence[RunConfig]) -> list[str]:
    """A name for each of several runs: what network it is of, and what tells it from others of that kind.

    Where all are of one kind, what tells them apart alone. No two names are equal: runs that nothing tells apart are
    numbered.
    """
    kinds = [kind_text(config) for config in configs]
    groups = {kind: [run for run, other in zip(configs, kinds, strict=True) if other == kind] for kind in kinds}
    names: list[str] = []
    for run, kind in zip(configs, kinds, strict=True):
        text = _label(run, kind, groups)
        numbered = (f"{text} ({number})" for number in count(2))
        names.append(next(name for name in chain([text], numbered) if name not in names))
    return names


def _label(config: RunConfig, kind: str, groups: Mapping[str, Sequence[RunConfig]]) -> str:
    """The kind, unless all are of it; what is not as by default, or where everything is, all that is told apart."""
    others = [name for name in controls() if name != "weights"]  # whose file is the kind
    differing = [name for name in others if len({getattr(run, name) for run in groups[kind]}) > 1]
    applying = [name for name in differing if controls()[name].applies_if(config)]
    shown = [name for name in applying if name in config.changes() or name == "norm"]
    names = shown or ([] if len(groups) > 1 else applying)
    parts = [kind] if len(groups) > 1 or not names else []
    return ", ".join([*parts, *(setting_text(name, getattr(config, name)) for name in names)])
