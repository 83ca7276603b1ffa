"""TrainConfig -> the task and the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..cells import Cell, make_cell
from ..config import RunConfig, controls
from ..config.network import NetworkConfig
from ..config.train import TrainConfig
from ..data import column_names, is_text, read_file
from ..data.uploads import original_name
from ..errors import InputError
from ..layers import Dense, Dropout, Last, Layer, Recurrent, Residual, Sequential
from ..tasks import TASKS, Task, make_task

KEPT = 4  # files as tasks
OF_FILE = ("input_size", "output_size", "length", "baseline")  # attributes of a task that its file decides


def task_name(config: TrainConfig) -> str:
    """The task that is learnt: a file takes the place of a generated one."""
    if config.input is None or TASKS[config.task].needs_file:
        return config.task
    return "language_model" if is_text(config.input) else "forecast"


def build_task(config: TrainConfig) -> Task:
    """The task of a configuration. Raises InputError for files that cannot be used and steps that do not fit."""
    name = task_name(config)
    if not TASKS[name].needs_file:
        return make_task(name, steps=config.steps)
    if config.input is None:
        raise InputError(f"input: the task {name} learns from a file; name one", "input")
    if config.column is not None and "column" not in TASKS[name].__dataclass_fields__:
        raise InputError(f"column: '{config.column}' was asked for, but a text has no columns; leave it out", "column")
    return _file_task(name, config.steps, Path(config.input), config.column, _stamp(Path(config.input)))


def facts_of(task: Task) -> dict[str, Any]:
    """What a task's file has made of it, as far as a run that is looked at needs it."""
    return {name: getattr(task, name) for name in OF_FILE}


def remembered(config: TrainConfig, facts: Mapping[str, Any]) -> Task:
    """The task of a run, with what `facts_of` has told: nothing is read, so its file need not be there any more."""
    known = TASKS[task_name(config)]
    return type(known.__name__, (known,), {**facts, "__post_init__": lambda self: None})(steps=config.steps)


def label_hint(config: TrainConfig) -> str:
    """What to choose where a file with a column of labels takes the place of a generated task; empty elsewhere."""
    if config.input is None or TASKS[config.task].needs_file or task_name(config) != "forecast":
        return ""
    path, label = Path(config.input), TASKS["classification"].__dataclass_fields__["column"].default
    name = original_name(path)
    if config.column is not None or label not in column_names(name, read_file(path), labels=True):
        return ""
    return f"{name} has a column '{label}', yet it is forecast; the task classification learns its classes"


def untrained(config: TrainConfig, task: Task) -> RunConfig:
    """The net as it was drawn, to be analysed: on noise, over as many steps and features as the task has."""
    own = {name: getattr(config, name) for name in NetworkConfig.model_fields if name not in ("input", "column")}
    return RunConfig(**own | {"steps": task.length, "input_size": task.input_size})


@lru_cache(KEPT)
def _file_task(name: str, steps: int, path: Path, column: str | None, stamp: tuple[int, int] | None) -> Task:
    """A task of a file as it stood at `stamp`: a run that is followed while it trains does not parse it every time."""
    own = {} if column is None else {"column": column}
    return make_task(name, steps=steps, path=path, **own)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def input_digest(config: TrainConfig) -> str | None:
    """The SHA-256 of the file that is learnt from; None where there is none."""
    return None if config.input is None else _digest(Path(config.input), _stamp(Path(config.input)))


@lru_cache(KEPT)
def _digest(path: Path, stamp: tuple[int, int] | None) -> str:
    return hashlib.sha256(read_file(path)).hexdigest()


def build_network(config: TrainConfig, task: Task) -> Sequential:
    """Recurrent layers, with skip connections and dropout between them as configured, and a linear output."""
    layers: list[Layer] = []
    for n in range(config.layers):
        recurrent = Recurrent(_cell(config, task.input_size if n == 0 else config.hidden_size), **_drawn(config, task))
        layers.append(Residual(recurrent) if config.residual and n > 0 else recurrent)
        if config.dropout > 0:
            layers.append(Dropout(config.dropout))
    layers += [Last()] if task.output == "last" else []
    return Sequential(*layers, Dense(config.hidden_size, task.output_size))


def _cell(config: TrainConfig, input_size: int) -> Cell:
    own = {"leak": config.leak} if controls(TrainConfig)["leak"].applies_if(config) else {}
    return make_cell(
        config.cell, input_size=input_size, hidden_size=config.hidden_size, activation=config.activation, **own
    )


def _drawn(config: TrainConfig, task: Task) -> dict[str, Any]:
    """How a cell's weights are drawn."""
    fields = {name: getattr(config, name) for name in ("recurrent_init", "gain", "bias_scale", "input_scale")}
    if controls(TrainConfig)["forget_bias"].applies_if(config):
        fields |= {"forget_bias": config.forget_bias, "t_max": max(task.length, 3)}
    return fields
