"""What a training run has shown, as its checkpoint keeps it: enough to look at, without a network or a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..cells import Cell
from ..config import RunConfig
from ..config.architecture import has_cell
from ..config.network import NetworkConfig
from ..config.train import TrainConfig
from ..lazy import lazy
from ..learning.clipping import CLIPPERS, make_clipper
from ..runs.build import cell_of
from ..tasks import Task
from . import checkpoint
from .history import History
from .network import TaskFacts, features, net_text
from .outcome import outcome
from .rivals import Rival, cut, memory_text, nulls, rival_texts, strongest
from .tracks import SAMPLES, Track, tracks
from .whole import Sizes, require_whole

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
    def cell(self) -> Cell | None:
        """Of the recurrent layers, the first one's; None where there are none."""
        return cell_of(self.config, features(self.config, self.task)) if has_cell(self.config) else None

    @property
    def net_text(self) -> str:
        """The net in a few words, its cell as Python writes it."""
        return net_text(self.config, self.cell)

    @lazy
    def tracks(self) -> list[Track]:
        """The layers whose gradient snapshots show."""
        return tracks(self.config, self.task)

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
    def nulls(self) -> list[Rival]:
        """What needs no net, compared with it at the latest evaluation; empty before the first."""
        return nulls(self.task, self.history)

    @property
    def cut(self) -> Rival | None:
        """The net with its state cut before every step; None where that was not tried."""
        return cut(self.task, self.history)

    @property
    def strongest(self) -> Rival | None:
        """What is hardest to beat without a net; None before the first evaluation."""
        return strongest(self.nulls) if self.nulls else None

    @property
    def against(self) -> str:
        """Its name in words; empty before the first evaluation."""
        return self.strongest.short if self.strongest else ""

    @property
    def memory_text(self) -> str:
        """Whether a net that has learnt needs its memory; empty where it has not, or that was not tried."""
        return memory_text(self.cut) if self.cut and self.outcome in ("learnt", "solved") else ""

    @property
    def untrained(self) -> RunConfig:
        """The net as it was drawn, to be analysed: on noise, over as many steps and features as the task has."""
        own = {name: getattr(self.config, name) for name in NetworkConfig.model_fields if name not in OF_DATA}
        return RunConfig(**own | {"steps": self.task.length, "input_size": features(self.config, self.task)})

    def require_whole(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise InputError where the arrays of a file are not those of such a run."""
        samples = min(SAMPLES, self.config.batch_size)
        require_whole(
            path, arrays, self.arrays(), Sizes(self.iteration, samples, len(rival_texts(self.task)), self.tracks)
        )

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
        record.require_whole(path, arrays)
        record.history = History.of(checkpoint.part(arrays, "history."))
        return record
