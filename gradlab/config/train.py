"""TrainConfig: one description of a training run."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from ..engine.step_clipping import STEP_MODES
from ..errors import InputError
from ..learning.clipping import CLIPPERS
from ..learning.optimizers import OPTIMIZERS, SCHEDULES
from ..tasks import TASKS
from . import run
from .architecture import is_recurrent
from .base import MOST, field
from .network import NetworkConfig

CLIPS = (*CLIPPERS, *STEP_MODES)
CLIP_LABELS = run.CLIP_LABELS | {
    "agc": "update, per unit by its weights (AGC)",
    "autoclip": "update, at a percentile so far (AutoClip)",
}
OMEGA_FORMS = {"paper": "norms, as published", "code": "squared norms, as in the published code"}
NONFINITE = {"skip": "skip the update and count", "stop": "stop"}


def _clips(config: Any) -> bool:
    return bool(config.clip != "off")


class TrainConfig(NetworkConfig):
    """A training run: task, network, optimizer, clipping, and what is recorded. Immutable.

    A file given as `input` takes the place of a generated task: text is modelled, anything else forecast, unless `task`
    is one that reads files itself. Raises ConfigError that lists every wrong or unknown field at once.
    """

    input: str | None = field(  # type: ignore[assignment]
        None,
        "File",
        "A table (.csv), an array (.npy), a sound (.wav) or a text to learn from, instead of a generated task; what a "
        "task such as tagging, sentiment or sounds reads",
        "data",
        files=True,
    )
    column: str | None = field(
        None,
        "Column",
        "The column of a table to forecast (default: all that are features), or the one of the labels",
        "data",
        applies_if=lambda config: config.input is not None,
    )
    task: str = field(
        "adding",
        "Task",
        "What the network learns",
        "data",
        level="basic",
        choices=lambda: sorted(TASKS, key=lambda name: TASKS[name].needs_file),
        labels={name: cls.title for name, cls in TASKS.items()},
    )
    dropout: float = field(
        0.0,
        "Dropout",
        "Share of outputs left out between layers in training",
        "network",
        ge=0,
        le=0.9,
        min=0,
        max=0.9,
        step=0.05,
    )
    optimizer: str = field(
        "adam", "Optimizer", "The rule of the update", "training", level="basic", choices=lambda: list(OPTIMIZERS)
    )
    learning_rate: float = field(1e-3, "Learning rate", "Step size of the optimizer", "training", level="basic", gt=0)
    momentum: float = field(
        0.0,
        "Momentum",
        "Of sgd",
        "training",
        ge=0,
        le=0.999,
        min=0,
        max=0.99,
        step=0.01,
        applies_if=lambda config: config.optimizer == "sgd",
    )
    weight_decay: float | None = field(
        None,
        "Weight decay",
        "L2, added to the gradient; adamw shrinks the weights instead, by 0.01 where nothing is said",
        "training",
        ge=0,
    )
    schedule: str = field(
        "constant", "Schedule", "How the learning rate changes", "training", choices=lambda: list(SCHEDULES)
    )
    iterations: int = field(
        1000,
        "Iterations",
        "Updates in all",
        "training",
        level="basic",
        ge=1,
        le=MOST,
        min=100,
        max=10_000,
        step=100,
        limit=1_000_000,
    )
    clip: str = field(
        "off",
        "Clipping",
        "Of the weight update, or of the gradient inside backpropagation",
        "gradient",
        level="basic",
        choices=lambda: list(CLIPS),
        labels=CLIP_LABELS,
    )
    clip_threshold: float | None = field(
        None,
        "Threshold",
        "Norm, entry, ratio to the weights (agc, 0.01) or percentile (autoclip, 10); 1 where nothing else is said",
        "gradient",
        level="basic",
        gt=0,
        applies_if=_clips,
    )
    omega: float = field(
        0.0,
        "Omega",
        "Strength of Pascanu's regulariser against vanishing",
        "gradient",
        ge=0,
        min=0,
        max=4,
        step=0.1,
        applies_if=is_recurrent,
    )
    omega_form: str = field(
        "paper",
        "Form of Omega",
        "Which ratio is kept near 1",
        "gradient",
        choices=lambda: list(OMEGA_FORMS),
        labels=OMEGA_FORMS,
        applies_if=lambda config: is_recurrent(config) and config.omega > 0,
    )
    nonfinite: str = field(
        "skip",
        "Non-finite gradients",
        "What to do with an update that is not finite",
        "gradient",
        choices=lambda: list(NONFINITE),
        labels=NONFINITE,
    )
    snapshot_every: int = field(
        50,
        "Snapshot every",
        "Iterations between two looks at the gradient through time",
        "training",
        ge=1,
        le=MOST,
        min=10,
        max=500,
        step=10,
    )
    evaluate_every: int = field(
        100,
        "Evaluate every",
        "Iterations between two held-out scores",
        "training",
        ge=1,
        le=MOST,
        min=10,
        max=1000,
        step=10,
    )

    @field_validator("clip_threshold")
    @classmethod
    def _percentile(cls, value: float | None, info: Any) -> float | None:
        if value is not None and info.data.get("clip") == "autoclip" and value > 100:
            raise InputError(f"expected a percentile from 0 to 100 for autoclip, got {value:g}")
        return value
