"""A training run as labelled arrays: the whole of it, or one snapshot for the figures of a single run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..arrays import quiet
from ..config.train import CLIP_LABELS
from ..errors import InputError
from ..quantities import of_snapshots
from ..runs.labels import coordinates, variable
from ..runs.verdicts import joint, median
from .history import COLUMNS
from .record import TrainingRecord

SUMMARY = {  # of a snapshot -> its last dimension
    "surface": "time",
    "typical_factor": "step",
    "mean_gate": "gate",
    "spectral_radius": "recurrent_gate",
}


def dataset(run: TrainingRecord, earlier: xr.Dataset | None = None) -> xr.Dataset:
    """Everything recorded: rows by `iteration`, held-out scores by `evaluation`, snapshots by `snapshot`.

    surface (snapshot, layer, time): ln ||dL/dstate_t||, median over samples; of shorter samples, their own steps.
    earlier: of the same run, whose snapshots are taken over: a run that is followed is summarised as it grows.
    """
    history = run.history
    first = {name: ("iteration", values, {"long_name": COLUMNS[name]}) for name, values in history.rows.items()}
    scores = np.asarray(history.scores, dtype=float).reshape(-1, 3)
    second = {
        "held_out_loss": ("evaluation", scores[:, 1], {"long_name": "Held-out loss"}),
        "held_out_score": ("evaluation", scores[:, 2], {"long_name": f"Held-out {run.task.metric}"}),
    }
    coords: dict[str, Any] = {"iteration": np.arange(1, run.iteration + 1), "evaluation": scores[:, 0].astype(int)}
    ds = xr.Dataset({**first, **second}, coords, _attributes(run))
    return ds.merge(_snapshots(run, earlier)) if history.snapshots else ds


def snapshot_dataset(run: TrainingRecord, index: int = -1, layer: int = 0) -> xr.Dataset:
    """One snapshot of one recurrent layer, as `gradlab.plots.gradient_flow` takes it.

    Raises InputError where there is no such snapshot or layer.
    """
    count = len(run.history.snapshots)
    if not -count <= index < count:
        text = f"snapshot: expected one of {count}, got number {index}; take more of them or train longer"
        raise InputError(text, "index")
    if not 0 <= layer < run.config.layers:
        raise InputError(f"layer: expected 0 to {run.config.layers - 1}, got {layer}", "layer")
    snapshot, cell = run.history.snapshots[index], run.cell
    variables = {name: variable(q, _array(snapshot, layer, name), model_axes=0) for name, q in of_snapshots().items()}
    variables["valid_steps"] = xr.Variable("sample", _array(snapshot, layer, "valid_steps"))
    steps, samples = variables["jacobian_frobenius"].shape
    labels, dims = coordinates(cell, steps, samples), {dim for v in variables.values() for dim in v.dims}
    coords = {name: values for name, values in labels.items() if name in dims}
    title = f"Layer {layer + 1} at iteration {int(snapshot['iteration'])}"
    attrs = {"title": title, "cell": repr(cell), "cell_name": cell.name, "activation": cell.activation.name}
    return xr.Dataset(variables, coords, attrs)


def _array(snapshot: Mapping[str, Any], layer: int, name: str) -> np.ndarray:
    array = np.asarray(snapshot[f"{layer}.{name}"])
    with quiet():
        return array if array.dtype.kind == "i" else array.astype(float)


def _snapshots(run: TrainingRecord, earlier: xr.Dataset | None) -> xr.Dataset:
    """All snapshots; what `earlier` holds of them is not computed again."""
    known = earlier[list(SUMMARY)] if earlier is not None and "surface" in earlier else None
    fresh = run.history.snapshots[known.sizes["snapshot"] if known is not None else 0 :]
    if known is None or not fresh:
        return _summaries(run, fresh) if known is None else known
    return xr.concat([known, _summaries(run, fresh)], "snapshot", join="exact")


def _summaries(run: TrainingRecord, snapshots: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    layers, cell = range(run.config.layers), run.cell
    made = [_summary(snapshots, n, len(cell.states)) for n in layers]
    variables = {
        name: (("snapshot", "layer", own), np.stack([layer[name] for layer in made], axis=1))
        for name, own in SUMMARY.items()
    }
    steps = made[0]["typical_factor"].shape[1]
    coords = {
        "snapshot": [int(snapshot["iteration"]) for snapshot in snapshots],
        "layer": list(layers),
        "time": np.arange(steps + 1),
        "step": np.arange(1, steps + 1),
        "gate": list(cell.gates),
        "recurrent_gate": list(cell.recurrent_gates),
    }
    return xr.Dataset(variables, coords)


def _summary(snapshots: Sequence[Mapping[str, Any]], layer: int, states: int) -> dict[str, np.ndarray]:
    """One layer's part of all snapshots (snapshot, ...), medians over samples and means over steps."""

    def stacked(name: str) -> np.ndarray:
        return np.stack([_array(snapshot, layer, name) for snapshot in snapshots])

    norms = joint(np.moveaxis(stacked("log_grad_norm"), 2, -1))
    factors, gates = stacked("jacobian_frobenius"), stacked("gate_mean")
    side = states * int(snapshots[0][f"{layer}.units"])
    with quiet():  # a damaged file may hold any number
        typical = np.exp(median(np.log(factors))) / math.sqrt(side)
    alive = ~np.isnan(gates)
    return {
        "surface": median(norms),
        "typical_factor": typical,
        "mean_gate": np.where(alive, gates, 0.0).sum(axis=-1) / np.maximum(alive.sum(axis=-1), 1),
        "spectral_radius": stacked("spectral_radius"),
    }


def _attributes(run: TrainingRecord) -> dict[str, Any]:
    config, task = run.config, run.task
    threshold = {} if run.threshold is None else {"threshold": run.threshold}
    unit = {"unit_text": task.unit_text} if task.unit_text else {}
    solved = {} if task.solved_below is None else {"solved_below": task.solved_below}
    return {
        "title": f"{task.title}, {run.cell!r}",
        "config": config.model_dump_json(),
        "status": run.status,
        "task": task.title,
        "baseline": task.baseline,
        "baseline_text": task.baseline_text,
        "metric": task.metric,
        "clip": CLIP_LABELS[config.clip],
        "versions": json.dumps(run.versions),
        **unit,
        **threshold,
        **solved,
    }
