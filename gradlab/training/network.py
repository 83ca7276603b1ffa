"""TrainConfig -> the task and the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..arrays import device_namespace
from ..config.train import TrainConfig
from ..data import column_names, is_text, read_file, stamp
from ..data.uploads import original_name
from ..errors import InputError
from ..layers import Dense, Sequential
from ..runs.architectures import body, reader, width
from ..runs.cost import require_memory
from ..tasks import TASKS, Task, make_task

KEPT = 4  # files as tasks


def task_name(config: TrainConfig) -> str:
    """The task that is learnt: a file takes the place of a generated one."""
    if config.input is None or TASKS[config.task].needs_file:
        return config.task
    return "language_model" if is_text(config.input) else "forecast"


@dataclass(frozen=True)
class TaskFacts:
    """What a task says of itself, in its place: a file that it was learnt from may have changed or be gone.

    The fields are those of `gradlab.tasks.Task`; what its file decides comes from the checkpoint.
    """

    title: str
    output: str
    metric: str
    unit_text: str
    baseline_text: str
    solved_below: float | None
    input_size: int
    output_size: int
    length: int
    baseline: float

    @classmethod
    def of(cls, config: TrainConfig, by_file: Mapping[str, Any]) -> TaskFacts:
        """Those of the task that a configuration names; by_file: the values of `whole.OfFile`."""
        known = TASKS[task_name(config)]
        texts = ("title", "output", "metric", "unit_text", "baseline_text", "solved_below")
        return cls(**{name: getattr(known, name) for name in texts}, **by_file)


def build_task(config: TrainConfig) -> Task:
    """The task of a configuration. Raises InputError for files that cannot be used and steps that do not fit."""
    name = task_name(config)
    if not TASKS[name].needs_file:
        return make_task(name, steps=config.steps)
    if config.input is None:
        raise InputError(f"input: the task {name} learns from a file; name one", "input")
    if config.column is not None and "column" not in TASKS[name].__dataclass_fields__:
        raise InputError(f"column: '{config.column}' was asked for, but a text has no columns; leave it out", "column")
    return _file_task(name, config.steps, Path(config.input), config.column, stamp(config.input))


def file_text(config: TrainConfig) -> str:
    """One line on how the file that is learnt was read; empty where there is none."""
    return build_task(config).said


def label_hint(config: TrainConfig) -> str:
    """What to choose where a file with a column of labels takes the place of a generated task; empty elsewhere."""
    if config.input is None or TASKS[config.task].needs_file or task_name(config) != "forecast":
        return ""
    path, label = Path(config.input), TASKS["classification"].__dataclass_fields__["column"].default
    name = original_name(path)
    if config.column is not None or label not in column_names(name, read_file(path), labels=True):
        return ""
    return f"{name} has a column '{label}', yet it is forecast; the task classification learns its classes"


@lru_cache(KEPT)
def _file_task(name: str, steps: int, path: Path, column: str | None, at: tuple[int, int] | None) -> Task:
    """A task of a file as it stood `at` a time: a run that is followed while it trains does not parse it every time."""
    own = {} if column is None else {"column": column}
    return make_task(name, steps=steps, path=path, **own)


def input_digest(config: TrainConfig) -> str | None:
    """The SHA-256 of the file that is learnt from; None where there is none."""
    return None if config.input is None else _digest(Path(config.input), stamp(config.input))


@lru_cache(KEPT)
def _digest(path: Path, at: tuple[int, int] | None) -> str:
    return hashlib.sha256(read_file(path)).hexdigest()


def require_trainable(config: TrainConfig) -> None:
    """Raise InputError for what keeps a configuration from being trained: its file, its steps, its device."""
    build_network(config, build_task(config))
    device_namespace(config.device)


def build_network(config: TrainConfig, task: Task) -> Sequential:
    """The layers that are configured, what reads all steps where one answer is wanted, and a linear output.

    Raises InputError for a network that takes more memory than there is.
    """
    require_memory(config)
    layers = list(body(config, task.input_size, task.length, config.dropout).values())
    layers += [reader(config)] if task.output == "last" else []
    return Sequential(*layers, Dense(width(config), task.output_size))
