"""What a training run has shown, as its checkpoint keeps it: enough to look at, without a network or a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..cells import Cell
from ..config import RunConfig
from ..config.network import NetworkConfig
from ..config.train import TrainConfig
from ..learning.clipping import CLIPPERS, make_clipper
from ..runs.build import cell_of
from ..runs.labels import names
from ..tasks import Task
from . import checkpoint
from .history import SAMPLES, History
from .network import TaskFacts
from .outcome import outcome
from .whole import require_whole

OF_DATA = ("input", "column")  # fields that say what a run reads
STEP_THRESHOLD = 1.0  # of clipping inside backpropagation, where none is given


@dataclass(eq=False)
class TrainingRecord:
    """A training run to look at. status: "running", "done", "cancelled" or "stopped". iteration: updates so far.

    digest: SHA-256 of the file that is learnt from, if any. versions: what it was trained with last, or is about to be.
    """

    config: TrainConfig
    task: Task | TaskFacts = field(repr=False)
    iteration: int = 0
    status: str = "running"
    history: History = field(default_factory=History, repr=False)
    digest: str | None = field(default=None, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def cell(self) -> Cell:
        """Of the recurrent layers; the first one's input is the task's."""
        return cell_of(self.config, self.task.input_size)

    @property
    def threshold(self) -> float | None:
        """Of the clipping, where there is any."""
        mode, threshold = self.config.clip, self.config.clip_threshold
        if mode == "off":
            return None
        return make_clipper(mode, threshold).threshold if mode in CLIPPERS else threshold or STEP_THRESHOLD

    @property
    def outcome(self) -> str:
        """What it has come to, as `outcome.outcome` says."""
        return outcome(self.task, self.history)

    @property
    def untrained(self) -> RunConfig:
        """The net as it was drawn, to be analysed: on noise, over as many steps and features as the task has."""
        own = {name: getattr(self.config, name) for name in NetworkConfig.model_fields if name not in OF_DATA}
        return RunConfig(**own | {"steps": self.task.length, "input_size": self.task.input_size})

    @property
    def sizes(self) -> dict[str, int]:
        """Of the dimensions of a snapshot, with the iterations so far."""
        steps, units, samples = self.task.length, self.config.hidden_size, min(SAMPLES, self.config.batch_size)
        counts = {"step": steps, "time": steps + 1, "sample": samples, "unit": units, "index": units}
        named = {name: len(labels) for name, labels in names(self.cell).items()}
        return counts | named | {"iteration": self.iteration}

    def arrays(self) -> dict[str, np.ndarray]:
        """What of a checkpoint's arrays is recorded."""
        return {f"history.{name}": array for name, array in self.history.arrays().items()}

    @classmethod
    def load(cls, path: Path) -> TrainingRecord:
        """A run as it was saved; the file that was learnt from is not read, and may have changed or be gone.

        Raises InputError for files that are no whole checkpoint.
        """
        arrays, config, facts = checkpoint.read(path, "history.")
        record = TrainingRecord(config, TaskFacts.of(config, facts.pop("task")), **facts)
        require_whole(path, arrays, record.arrays(), config, record.sizes)
        record.history = History.of(checkpoint.part(arrays, "history."))
        return record
