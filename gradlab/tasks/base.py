"""What a task is: batches to learn from, a score on held-out ones, and a loss to compare with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from ..arrays import is_whole
from ..errors import InputError, echo
from ..layers import Trees
from ..learning.losses import LOSSES, step_weights
from ..registry import Registry
from ..wording import value_text

LARGEST_ERROR = "largest error"
BLOCKS = 10  # of held-out data, over which the error of a comparison is taken


@dataclass(frozen=True)
class Batch:
    """Samples of a task, NumPy arrays.

    x (T, B, D), or symbols (T, B), whole numbers; of pairs (source, what the decoder reads). targets: (B, ...) where
    the last step counts, (T, B, ...) where every step does; class indices (ints), bits (floats 0 or 1) or values, as
    the task's loss wants them. lengths: (B,), `Trees`, a pair of lengths, or None where all samples are as long.
    starts: (B,), where windows of one long sequence begin in their part of it.
    """

    x: Any
    targets: np.ndarray
    lengths: Any = None
    starts: np.ndarray | None = None

    @property
    def samples(self) -> int:
        """B."""
        return int((self.x[0] if isinstance(self.x, tuple) else self.x).shape[1])

    def of_samples(self, samples: slice) -> Batch:
        """Some of the samples, and the targets of all."""
        return Batch(_inputs_of(self.x, samples), self.targets, _lengths_of(self.lengths, samples))


def _inputs_of(x: Any, samples: slice) -> Any:
    return tuple(part[:, samples] for part in x) if isinstance(x, tuple) else x[:, samples]


def _lengths_of(lengths: Any, samples: slice) -> Any:
    if lengths is None:
        return None
    if isinstance(lengths, tuple):
        return tuple(_lengths_of(part, samples) for part in lengths)
    return lengths.of_samples(samples) if isinstance(lengths, Trees) else lengths[samples]


@dataclass(frozen=True)
class Task(ABC):
    """A task over sequences of `steps` steps. Batches are drawn from the generator given, so a seed fixes them.

    loss: a name in `learning.LOSSES`. output: "last" or "every", the steps whose outputs count. metric: what `score`
    is on held-out samples, lower is better; `solved_below`: the score from which on the task counts as solved.
    unit_text: what 1 is in that metric, where the values are scaled. baseline: the loss of a prediction that needs no
    learning, `baseline_text` says of which. other_nulls: name -> words of what else a net has to beat.
    own_format: whether its file is one that other tasks cannot read.
    form: "sequence"; "pair" of a source and of `target_steps` steps to be said after it, for an encoder and a decoder;
    "tree" where samples are trees as well as sequences. foretells: whether the answers are what comes in later.
    symbols: whether x is whole numbers, for an `Embedding`; D is then how many there are. feature_names (D,): of the
    input's features; one_hot: whether a step shows one of them alone. class_names: of the answers, two of them where
    the output is one number that decides; empty where the answers are values.
    """

    steps: int

    name: ClassVar[str]
    title: ClassVar[str]
    loss: ClassVar[str]
    output: ClassVar[str] = "last"
    metric: ClassVar[str]
    unit_text: ClassVar[str] = ""
    baseline_text: ClassVar[str]
    other_nulls: ClassVar[Mapping[str, str]] = {}
    solved_below: ClassVar[float | None] = None
    needs_file: ClassVar[bool] = False
    own_format: ClassVar[bool] = False
    form: ClassVar[str] = "sequence"
    target_steps: ClassVar[int] = 0
    foretells: ClassVar[bool] = False
    symbols: ClassVar[bool] = False
    least_steps: ClassVar[int] = 2
    sizes: ClassVar[tuple[int, int]] = (1, 1)  # features of the input, numbers of the output
    feature_names: ClassVar[Sequence[str]] = ("value",)  # a property where a file has them, as class_names
    class_names: ClassVar[Sequence[str]] = ()
    one_hot: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not is_whole(self.steps) or self.steps < self.least_steps:
            raise InputError(f"steps: {self.name} needs at least {self.least_steps}, got {echo(self.steps)}", "steps")

    @property
    def input_size(self) -> int:
        """D: features, or different symbols."""
        return self.sizes[0]

    @property
    def output_size(self) -> int:
        """O."""
        return self.sizes[1]

    @property
    def said(self) -> str:
        """One line on how its file was read; empty where there is none."""
        return ""

    @property
    def length(self) -> int:
        """Steps of a sequence, the longest where they differ."""
        return self.steps

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The loss of what `baseline_text` says."""

    @abstractmethod
    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Samples to learn from, or held-out ones, which are drawn from data that training never sees."""

    @abstractmethod
    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """What each answer and step would cost (T, B), or (B,), the "baseline" and each of the `other_nulls`."""

    def losses(self, outputs: np.ndarray, batch: Batch) -> np.ndarray:
        """What each answer and step of a net's outputs (T, B, O) or (B, O) costs: (T, B) or (B,)."""
        lead = outputs.shape[:-1]
        each = outputs.reshape(-1, 1, outputs.shape[-1])  # every one a batch of its own
        targets = batch.targets.reshape(len(each), 1, *batch.targets.shape[len(lead) :])
        return np.asarray(LOSSES[self.loss](each, targets, model_axes=1)[0]).reshape(lead)

    def blocks(self, batch: Batch) -> np.ndarray:
        """The block from 0 on, (T, B) or (B,), of each held-out answer: by samples, which are independent."""
        count = min(BLOCKS, batch.samples)
        own = np.arange(batch.samples) * count // batch.samples
        return own if self.output == "last" else np.broadcast_to(own, batch.targets.shape[:2])

    def own_steps(self, batch: Batch) -> np.ndarray | None:
        """Which outputs count (T, B): those of a sample's own steps; None where all do, or the last step's alone."""
        lengths = batch.lengths[1] if isinstance(batch.lengths, tuple) else batch.lengths
        if self.output == "last" or lengths is None:
            return None
        return step_weights(lengths.lengths if isinstance(lengths, Trees) else lengths, len(batch.targets))

    def sample_text(self, batch: Batch) -> str:
        """The first sample as a person writes it; empty where it is numbers, or symbols that have names."""
        return ""

    def answer_text(self, batch: Batch) -> str:
        """The answer to the first sample; empty where there is one at every step that no name stands for."""
        if self.output == "last":
            answer = float(batch.targets[0].reshape(-1)[0])
            return self.class_names[int(answer)] if self.class_names else value_text(answer)
        if not (self.class_names and (self.symbols or self.form == "pair")):
            return ""
        own = self.own_steps(batch)
        said = batch.targets[:, 0] if own is None else batch.targets[own[:, 0], 0]
        return " ".join(self.class_names[k] for k in said)

    def score(self, loss: float, outputs: np.ndarray, batch: Batch) -> float:
        """The metric of a net's outputs (T, B, O) or (B, O): loss, share of wrong answers, or largest error."""
        if self.metric == LARGEST_ERROR:
            return float(abs(outputs - batch.targets).max())
        if self.metric != "error rate":
            return loss
        own, wrong = self.own_steps(batch), are_wrong(outputs, batch.targets)
        return float(np.mean(wrong if own is None else wrong[own]))


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
        text = f"{name} has no option {', '.join(sorted(unknown))}. Its options: {', '.join(own) or 'none'}"
        raise InputError(text, min(unknown))
    if cls.needs_file and "path" not in options:
        raise InputError(f"{name} learns from a file: give its path", "path")
    return cls(steps=steps, **options)


def are_wrong(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Which classes are wrong: the largest of several outputs, the sign of a single one."""
    if outputs.shape[-1] == 1:
        return np.asarray((outputs > 0) != targets)[..., 0]
    return np.asarray(outputs.argmax(axis=-1) != targets)
