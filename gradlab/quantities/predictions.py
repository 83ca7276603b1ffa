"""On request: what theory predicts for the run."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array
from .base import Recording, quantity


def _coords(run: Recording) -> dict[str, Any]:
    found = run.predictions
    texts = {f"theory_{key}": ("theory", [getattr(p, key) for p in found]) for key in ("label", "holds", "fails")}
    return {"theory": [p.name for p in found], **texts}


@quantity(
    ("theory", "*"),
    "ln rate",
    "log",
    request="theory",
    applies=lambda run: bool(run.predictions),
    coords=_coords,
)
def theory_log_rate(run: Recording) -> Array:
    """Predicted factor per step of the gradient's norm."""
    return np.stack([np.broadcast_to(p.log_rate, run.traj.models) for p in run.predictions])
