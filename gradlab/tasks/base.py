"""What a task is: batches to learn from, a score on held-out ones, and what can be reached without memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError
from ..registry import Registry


@dataclass(frozen=True)
class Batch:
    """Samples of a task, NumPy arrays.

    x (T, B, D). targets: (B, ...) where the last step counts, (T, B, ...) where every step does; class indices (ints),
    bits (floats 0 or 1) or values, as the task's loss wants them. lengths (B,) or None; weights (T, B) of the steps in
    the loss, or None.
    """

    x: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Task(ABC):
    """A task over sequences of `steps` steps. Batches are drawn from the generator given, so a seed fixes them.

    loss: a name of `gradlab.losses`. output: "last" or "every", the steps whose outputs count. metric: what `score`
    computes on held-out samples, lower is better; `solved_below`: the score from which on the task counts as solved.
    baseline: the loss of the best prediction without any memory, `baseline_text` says which that is.
    """

    steps: int

    name: ClassVar[str]
    title: ClassVar[str]
    loss: ClassVar[str]
    output: ClassVar[str] = "last"
    metric: ClassVar[str]
    baseline_text: ClassVar[str]
    solved_below: ClassVar[float | None] = None
    needs_file: ClassVar[bool] = False
    least_steps: ClassVar[int] = 2
    sizes: ClassVar[tuple[int, int]] = (1, 1)  # features of the input, numbers of the output

    def __post_init__(self) -> None:
        if self.steps < self.least_steps:
            raise InputError(f"steps: {self.name} needs at least {self.least_steps}, got {self.steps}")

    @property
    def input_size(self) -> int:
        """D."""
        return self.sizes[0]

    @property
    def output_size(self) -> int:
        """O."""
        return self.sizes[1]

    @property
    def length(self) -> int:
        """Steps of a sequence, the longest where they differ."""
        return self.steps

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The loss without memory."""

    @abstractmethod
    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Samples to learn from, or held-out ones, which are drawn from data that training never sees."""

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """The metric of a net's outputs (T, B, O) or (B, O) on a batch."""
        return SCORES[self.metric](outputs, batch)


TASKS: Registry[type[Task]] = Registry("task")


def register(cls: type[Task]) -> type[Task]:
    """Class decorator: make the task known under its name."""
    return TASKS.add(cls.name, cls)


def make_task(name: str, *, steps: int, **options: Any) -> Task:
    """A task by its registered name; `options` are its own fields, such as `path` and `column` of one with a file.

    Raises InputError for unknown names and options, and for too few steps.
    """
    cls = TASKS[name]
    own = sorted({field.name for field in fields(cls)} - {"steps"})
    if unknown := set(options) - set(own):
        raise InputError(f"{name} has no option {', '.join(sorted(unknown))}. Its options: {', '.join(own) or 'none'}")
    if cls.needs_file and "path" not in options:
        raise InputError(f"{name} learns from a file: give its path")
    return cls(steps=steps, **options)


def _mean(values: np.ndarray, batch: Batch) -> float:
    """Over samples and steps by their weights, (T, B, ...) or (B, ...)."""
    if batch.weights is None:
        return float(values.mean())
    rest = values.reshape(*batch.weights.shape, -1).mean(axis=-1)
    return float((rest * batch.weights).sum() / batch.weights.sum())


def squared_error(outputs: np.ndarray, batch: Batch) -> float:
    """Mean squared error."""
    return _mean((outputs - batch.targets) ** 2, batch)


def class_error(outputs: np.ndarray, batch: Batch) -> float:
    """Share of wrong classes: the largest of several outputs, the sign of a single one."""
    found = outputs[..., 0] > 0 if outputs.shape[-1] == 1 else outputs.argmax(axis=-1)
    wanted = batch.targets[..., 0] if outputs.shape[-1] == 1 else batch.targets
    return _mean((found != wanted).astype(float), batch)


def cross_entropy(outputs: np.ndarray, batch: Batch) -> float:
    """Mean negative log likelihood of the classes, in nats."""
    top = outputs.max(axis=-1, keepdims=True)
    logs = outputs - top - np.log(np.exp(outputs - top).sum(axis=-1, keepdims=True))
    return _mean(-np.take_along_axis(logs, batch.targets[..., None], -1)[..., 0], batch)


SCORES = {"mean squared error": squared_error, "error rate": class_error, "nats per symbol": cross_entropy}
