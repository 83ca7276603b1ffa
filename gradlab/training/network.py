"""TrainConfig -> the task and the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..arrays import device_namespace
from ..cells import Cell
from ..config.architecture import is_tree, reads_all
from ..config.train import TrainConfig
from ..data import column_names, folder_digest, is_text, read_file, stamp
from ..data.uploads import original_name
from ..errors import InputError
from ..layers import Attention, Dense, Embedding, EncoderDecoder, Layer, Sequential
from ..runs.architectures import body, reader, width
from ..runs.cost import require_memory
from ..tasks import TASKS, Task, make_task
from ..wording import counted
from .fitting import require_fitting

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
    loss: str
    output: str
    form: str
    target_steps: int
    symbols: bool
    metric: str
    unit_text: str
    baseline_text: str
    other_nulls: Mapping[str, str]
    solved_below: float | None
    input_size: int
    output_size: int
    length: int
    baseline: float

    @classmethod
    def of(cls, config: TrainConfig, by_file: Mapping[str, Any]) -> TaskFacts:
        """Those of the task that a configuration names; by_file: the values of `whole.OfFile`."""
        known = TASKS[task_name(config)]
        own = [name for name in cls.__dataclass_fields__ if name not in by_file]
        return cls(**{name: getattr(known, name) for name in own}, **by_file)


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
    """The SHA-256 of the file or folder that is learnt from; None where there is none."""
    return None if config.input is None else _digest(Path(config.input), stamp(config.input))


@lru_cache(KEPT)
def _digest(path: Path, at: tuple[int, int] | None) -> str:
    return folder_digest(path) if path.is_dir() else hashlib.sha256(read_file(path)).hexdigest()


def require_trainable(config: TrainConfig) -> None:
    """Raise InputError for what keeps a configuration from being trained: its file, its steps, its device."""
    build_network(config, build_task(config))
    device_namespace(config.device)


def build_network(config: TrainConfig, task: Task) -> Sequential:
    """The layers that are configured, what reads all steps where one answer is wanted, and a linear output.

    Symbols are embedded first; of a task over pairs the layers are those of an encoder, and again of a decoder, between
    them attention if it is configured. Raises InputError for a network that takes more memory than there is, or that
    cannot learn the task.
    """
    require_memory(config)
    require_fitting(config, task)
    if task.form == "pair":
        return Sequential(_pair(config, task), Dense(width(config) * (1 + reads_all(config)), task.output_size))
    layers = [*_embedding(config, task), *_layers(config, task)]
    layers += [reader(config)] if task.output == "last" else []
    return Sequential(*layers, Dense(width(config), task.output_size))


def net_text(config: TrainConfig, cell: Cell | None) -> str:
    """A net in a few words; its cell, if it has one, as Python writes it."""
    if cell is None:
        return f"transformer of {counted(config.layers, 'block')}, {counted(config.hidden_size, 'unit')}"
    if is_tree(config):
        return f"tree of {cell!r}"
    parts = [repr(cell), *([counted(config.layers, "layer")] if config.layers > 1 else [])]
    parts += ["both directions"] * config.bidirectional + [f"{config.attention} attention"] * reads_all(config)
    return ", ".join(parts)


def features(config: TrainConfig, task: Task | TaskFacts) -> int:
    """How many numbers the first layer takes at a step: symbols are embedded in as many as there are units."""
    return config.hidden_size if task.symbols else task.input_size


def _layers(config: TrainConfig, task: Task) -> Iterable[Layer]:
    return body(config, features(config, task), task.length, config.dropout).values()


def _embedding(config: TrainConfig, task: Task) -> list[Layer]:
    return [Embedding(task.input_size, config.hidden_size)] if task.symbols else []


def _pair(config: TrainConfig, task: Task) -> EncoderDecoder:
    encoder, decoder = (Sequential(*_embedding(config, task), *_layers(config, task)) for _ in range(2))
    return EncoderDecoder(encoder, decoder, Attention(width(config), config.attention) if reads_all(config) else None)
