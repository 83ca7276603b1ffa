"""A training run as labelled arrays: the whole of it, or one snapshot for the figures of a single run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..arrays import quiet
from ..config.train import CLIP_LABELS
from ..errors import InputError
from ..quantities.rates import joint
from ..runs.labels import variable
from ..runs.shares import median, to_end
from .history import COLUMNS
from .record import TrainingRecord
from .rivals import rival_texts
from .tracks import GRADIENT, Track

RIVAL_COLUMNS = {  # of `rivals.compared`
    "rival_loss": "Held-out loss of what the net is compared with",
    "rival_gain": "How much lower the net's held-out loss is",
    "rival_error": "Standard error of the gain, over blocks of held-out data",
    "rival_blocks": "Number of these blocks",
}
LOSS_UNITS = {"mse": "squared units of the answers", "cross_entropy": "nats", "binary_cross_entropy": "nats"}
SUMMARY = {  # of a snapshot -> its last dimension
    "surface": "time",
    "typical_factor": "step",
    "mean_gate": "gate",
    "spectral_radius": "recurrent_gate",
}


def dataset(run: TrainingRecord, earlier: xr.Dataset | None = None) -> xr.Dataset:
    """Everything recorded: rows by `iteration`, held-out scores by `evaluation`, snapshots by `snapshot`.

    surface (snapshot, layer, time): ln ||dL/dstate_t||, median over samples; of shorter samples, their own steps. The
    layers are those of `tracks`, by `layer_name`; without a cell there is nothing but the surface.
    earlier: of the same run, whose snapshots are taken over: a run that is followed is summarised as it grows.
    """
    history = run.history
    first = {name: ("iteration", values, {"long_name": COLUMNS[name]}) for name, values in history.rows.items()}
    scores = np.asarray(history.scores, dtype=float).reshape(-1, 3)
    second = {
        "held_out_loss": ("evaluation", scores[:, 1], {"long_name": "Held-out loss"}),
        "held_out_score": ("evaluation", scores[:, 2], {"long_name": f"Held-out {run.task.metric}"}),
    }
    texts = rival_texts(run.task)
    coords: dict[str, Any] = {"iteration": np.arange(1, run.iteration + 1), "evaluation": scores[:, 0].astype(int)}
    coords |= {"rival": list(texts), "rival_text": ("rival", list(texts.values()))}
    ds = xr.Dataset({**first, **second, **_rivals(run, len(texts))}, coords, _attributes(run))
    if not history.snapshots:
        return ds
    tracks = run.tracks
    ds = ds.merge(_snapshots(run, earlier)).assign(layer_name=("layer", [track.name for track in tracks]))
    return ds.assign_attrs(unit=tracks[0].unit)


def _rivals(run: TrainingRecord, count: int) -> dict[str, Any]:
    """What the net is compared with at each evaluation; NaN where something was not tried, or could not be measured."""
    found = np.array(run.history.rivals).reshape(-1, count, len(RIVAL_COLUMNS))
    tried = np.where(found[..., -1:] > 0, found, np.nan)
    units = run.task.unit_text or LOSS_UNITS[run.task.loss]
    made = {}
    for (name, text), values in zip(RIVAL_COLUMNS.items(), np.moveaxis(tried, -1, 0), strict=True):
        unit = "1" if name == "rival_blocks" else units
        made[name] = (("evaluation", "rival"), values, {"long_name": text, "units": unit})
    return made


def snapshot_dataset(run: TrainingRecord, index: int = -1, layer: int = 0) -> xr.Dataset:
    """One snapshot of one layer, a track of `tracks`, as `gradlab.plots.gradient_flow` takes it.

    Raises InputError where there is no such snapshot or layer.
    """
    count, tracks = len(run.history.snapshots), run.tracks
    if not -count <= index < count:
        text = f"snapshot: expected one of {count}, got number {index}; take more of them or train longer"
        raise InputError(text, "index")
    if not 0 <= layer < len(tracks):
        raise InputError(f"layer: expected 0 to {len(tracks) - 1}, got {layer}", "layer")
    snapshot, track = run.history.snapshots[index], tracks[layer]
    variables = {name: variable(q, _array(snapshot, layer, name), model_axes=0) for name, q in track.quantities.items()}
    variables["valid_steps"] = xr.Variable("sample", _array(snapshot, layer, "valid_steps"))
    dims = {str(dim): n for v in variables.values() for dim, n in v.sizes.items()} | {"step": track.steps}
    coords = {name: list(values) for name, values in (_counts(dims) | track.labels).items() if name in dims}
    title = f"{track.name} at iteration {int(snapshot['iteration'])}"
    return xr.Dataset(variables, coords, {"title": title, **_about(track)})


def _counts(sizes: Mapping[Any, int]) -> dict[str, Any]:
    """The labels of the dimensions that are counted."""
    return {name: range(name == "step", n + (name == "step")) for name, n in sizes.items()}


def _about(track: Track) -> dict[str, Any]:
    """Attributes of a track: its cell, if it has one; `apart` says whether verdicts can be read from its curve."""
    about: dict[str, Any] = {"apart": int(track.apart), "unit": track.unit}
    if track.cell is None:
        return about
    return about | {
        "cell": repr(track.cell),
        "cell_name": track.cell.name,
        "activation": track.cell.activation.name,
    }


def _array(snapshot: Mapping[str, Any], layer: int, name: str) -> np.ndarray:
    array = np.asarray(snapshot[f"{layer}.{name}"])
    with quiet():
        return array if array.dtype.kind == "i" else array.astype(float)


def _snapshots(run: TrainingRecord, earlier: xr.Dataset | None) -> xr.Dataset:
    """All snapshots; what `earlier` holds of them is not computed again."""
    names = [name for name in SUMMARY if earlier is not None and name in earlier]
    known = earlier[names] if earlier is not None and names else None
    fresh = run.history.snapshots[known.sizes["snapshot"] if known is not None else 0 :]
    if known is None or not fresh:
        return _summaries(run, fresh) if known is None else known
    return xr.concat([known, _summaries(run, fresh)], "snapshot", join="exact")


def _summaries(run: TrainingRecord, snapshots: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    tracks = run.tracks
    made = [_summary(snapshots, n, track) for n, track in enumerate(tracks)]
    steps = max(track.steps for track in tracks)
    variables: dict[str, Any] = {
        name: (("snapshot", "layer", own), np.stack([_padded(layer[name], own, steps) for layer in made], axis=1))
        for name, own in SUMMARY.items()
        if name in made[0]
    }
    sizes = {dim: n for dims, values in variables.values() for dim, n in zip(dims, values.shape, strict=True)}
    coords = _counts(sizes) | tracks[0].labels | {"snapshot": [int(snapshot["iteration"]) for snapshot in snapshots]}
    return xr.Dataset(variables, {name: list(values) for name, values in coords.items() if name in sizes})


def _padded(values: np.ndarray, dim: str, steps: int) -> np.ndarray:
    """Values (snapshot, ...), over as many steps as the longest layer has; NaN beyond a layer's own."""
    more = steps + (dim == "time") - values.shape[1] if dim in ("time", "step") else 0
    return np.pad(values, ((0, 0), (0, more)), constant_values=np.nan) if more else values


def _summary(snapshots: Sequence[Mapping[str, Any]], layer: int, track: Track) -> dict[str, np.ndarray]:
    """One layer's part of all snapshots (snapshot, ...), medians over samples and means over steps."""

    def stacked(name: str) -> np.ndarray:
        return np.stack([_array(snapshot, layer, name) for snapshot in snapshots])

    norms = joint(np.moveaxis(stacked(GRADIENT), 2, -1))
    if track.unit == "level":
        norms = np.stack([to_end(own, ends) for own, ends in zip(norms, stacked("valid_steps"), strict=True)])
    found = {"surface": median(norms)}
    return found if track.cell is None else found | _of_cells(stacked, len(track.cell.states) * track.units)


def _of_cells(stacked: Callable[[str], np.ndarray], side: int) -> dict[str, np.ndarray]:
    """What there is of a layer with a cell, whose one-step Jacobians have so many rows."""
    factors, gates = stacked("jacobian_frobenius"), stacked("gate_mean")
    with quiet():  # a damaged file may hold any number
        typical = np.exp(median(np.log(factors))) / math.sqrt(side)
    alive = ~np.isnan(gates)
    return {
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
        "title": f"{task.title}, {run.net_text}",
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
