"""What a training run records: a row per iteration, scores now and then, and snapshots of the gradient through time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


@dataclass
class History:
    """Grows as the net learns. rows: column -> value per iteration. scores: (iteration, held-out loss, metric).

    rivals: at each evaluation the (K, 4) of `rivals.compared`: of the nulls, and of the net with its state cut.
    snapshots: one dict per snapshot, "iteration" and "track.quantity" -> array, see `tracks`.
    """

    rows: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    scores: list[tuple[int, float, float]] = field(default_factory=list)
    rivals: list[np.ndarray] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, float]) -> None:
        """One iteration."""
        for name, values in self.rows.items():
            values.append(float(row[name]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays, for a checkpoint."""
        found = {f"rows.{name}": np.asarray(values, dtype=float) for name, values in self.rows.items()}
        found["scores"] = np.asarray(self.scores, dtype=float).reshape(-1, 3)
        found["rivals"] = np.stack(self.rivals) if self.rivals else np.zeros((0, 0, 4))
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
        return cls(
            rows,
            scores,
            list(arrays["rivals"]),
            [{name: arrays[f"snapshots.{name}"][i] for name in names} for i in range(count)],
        )
