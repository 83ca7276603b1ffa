"""What a training run records: a row per iteration, scores now and then, and snapshots of the gradient through time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import to_numpy
from ..layers import RecurrentTape, recurrent_tapes
from ..quantities import Quantity, Recorder, Recording, of_snapshots

SAMPLES = 16  # of the batch that a snapshot keeps
COLUMNS = {  # of a row: name -> long name
    "loss": "Training loss",
    "log_grad_norm_before": "ln of the parameter gradient's norm before clipping",
    "log_grad_norm_after": "ln of the parameter gradient's norm after clipping",
    "clip_angle": "Angle between the gradients before and after clipping",
    "clipped": "Whether the gradient was clipped",
    "skipped": "Whether the update was skipped because a number overflowed",
    "update_ratio": "Norm of the update over the norm of the weights",
    "learning_rate": "Learning rate",
    "omega": "Pascanu's regulariser",
}
BESIDE = ("units", "valid_steps")  # what a snapshot keeps of a layer besides its quantities


@dataclass
class History:
    """Grows as the net learns. rows: column -> value per iteration. scores: (iteration, held-out loss, metric).

    snapshots: one dict per snapshot, "iteration" and "layer.quantity" -> array.
    """

    rows: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    scores: list[tuple[int, float, float]] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, float]) -> None:
        """One iteration."""
        for name, values in self.rows.items():
            values.append(float(row[name]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays, for a checkpoint."""
        found = {f"rows.{name}": np.asarray(values, dtype=float) for name, values in self.rows.items()}
        found["scores"] = np.asarray(self.scores, dtype=float).reshape(-1, 3)
        for name in self.snapshots[0] if self.snapshots else ():
            found[f"snapshots.{name}"] = np.stack([snapshot[name] for snapshot in self.snapshots])
        return found

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> History:
        """The inverse of `arrays`."""
        rows = {name: arrays[f"rows.{name}"].tolist() for name in COLUMNS}
        scores = [(int(i), float(a), float(b)) for i, a, b in arrays["scores"]]
        names = [name.removeprefix("snapshots.") for name in arrays if name.startswith("snapshots.")]
        count = len(arrays[f"snapshots.{names[0]}"]) if names else 0
        return cls(rows, scores, [{name: arrays[f"snapshots.{name}"][i] for name in names} for i in range(count)])


def snapshot_names(layers: int) -> set[str]:
    """What a snapshot of as many recurrent layers holds."""
    return {"iteration", *(f"{n}.{name}" for n in range(layers) for name in (*of_snapshots(), *BESIDE))}


def snapshot(iteration: int, tape: Any) -> dict[str, Any]:
    """What a recorded backward pass shows of every recurrent layer; a few samples of it, float32."""
    found: dict[str, Any] = {"iteration": np.asarray(iteration)}
    for n, recurrent in enumerate(recurrent_tapes(tape).values()):
        found |= {f"{n}.{name}": value for name, value in _layer(recurrent).items()}
    return found


def recording_of(tape: RecurrentTape) -> Recording:
    """What every quantity of `gradlab.quantities` can be computed from.

    Raises ValueError unless the layer's last backward pass was observed: `backward(..., Pass(observe=Recorder))`.
    """
    if tape.gradients is None or not isinstance(tape.observer, Recorder):
        raise ValueError("nothing is recorded yet: call backward(..., Pass(observe=Recorder)) first")
    return Recording(tape.trajectory, tape.gradients, tape.gradients, tape.clipped, tape.observer)


def _layer(tape: RecurrentTape) -> dict[str, np.ndarray]:
    recording = recording_of(tape)
    found = {name: _few(q, to_numpy(q.compute(recording))) for name, q in of_snapshots().items()}
    found["units"] = np.asarray(tape.trajectory.cell.hidden_size)
    found["valid_steps"] = tape.trajectory.valid_steps[:SAMPLES]
    return found


def _few(q: Quantity, values: np.ndarray) -> np.ndarray:
    """The first samples of a quantity, float32; a net in training is one model."""
    samples = tuple(slice(SAMPLES if dim == "sample" else None) for dim in q.dims if dim != "*")
    return values[samples].astype(np.float32)
