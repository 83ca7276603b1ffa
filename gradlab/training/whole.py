"""Whether a checkpoint is whole: what it says and holds is looked at before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..config.architecture import has_cell, is_tree
from ..config.train import TrainConfig
from ..errors import InputError
from ..quantities import of_snapshots
from ..runs.build import cell_of
from ..tasks import Task
from ..tasks.base import BLOCKS
from .tracks import Track

LARGEST = 2**44  # numbers, more than any memory holds
SNAPSHOTS = "history.snapshots."
WHOLE = ("iteration", "units", "valid_steps")  # what of a snapshot counts something
_CHECKED = ConfigDict(strict=True, allow_inf_nan=False)

Arrays = Mapping[str, np.ndarray]


class OfFile(BaseModel):
    """Attributes of a task that its file decides."""

    model_config = _CHECKED
    input_size: int = Field(ge=1)
    output_size: int = Field(ge=1)
    length: int = Field(ge=1)
    baseline: float


class Facts(BaseModel):
    """What a run needs beside arrays and configuration."""

    model_config = _CHECKED
    iteration: int = Field(ge=0)
    status: Literal["running", "done", "cancelled", "stopped"]
    versions: dict[str, Annotated[str, Field(max_length=100)]]
    digest: str | None
    task: OfFile


def facts_of(path: Path, text: str) -> tuple[TrainConfig, dict[str, Any]]:
    """Configuration, and the fields of `Facts` by name, from the JSON of a checkpoint. Raises InputError for others."""
    try:
        given = json.loads(text)
        config, facts = TrainConfig(**given["config"]), Facts.model_validate(given)
    except KeyError as error:
        raise unusable(path, f"it lacks {error.args[0]}") from None
    except ValidationError as error:
        raise unusable(path, _problem(error)) from None
    except (ValueError, TypeError, RecursionError) as error:  # of JSON, or of a configuration, with a line per field
        raise unusable(path, f"its metadata cannot be used ({'; '.join(str(error).splitlines())})") from None
    if _numbers(config, facts.task) > LARGEST:
        raise unusable(path, "its metadata cannot be used (no memory holds a network and a batch of these sizes)")
    return config, facts.model_dump()


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "missing":
        return f"it lacks {first['loc'][-1]}"
    return f"its metadata cannot be used ({'.'.join(map(str, first['loc']))}: {first['msg']})"


def _numbers(config: TrainConfig, task: OfFile) -> int:
    """About how many numbers a training step keeps."""
    length = max(config.steps, task.length)
    units = (1 if is_tree(config) else config.layers) * config.hidden_size
    return units * (config.hidden_size + task.input_size + task.output_size + config.batch_size * length)


def unusable(path: Path, why: str) -> InputError:
    """The error for a checkpoint that is no good."""
    return InputError(f"{path}: {why}. The file is damaged, or another version of gradlab wrote it; start afresh")


def require_room(path: Path, arrays: Arrays, config: TrainConfig) -> None:
    """Raise InputError, before weights are drawn, for a network far larger than its arrays."""
    diagonal = has_cell(config) and cell_of(config, 1).diagonal  # which has no matrix
    layers, units = 1 if is_tree(config) else config.layers, config.hidden_size
    if layers * units ** (1 if diagonal else 2) > sum(array.size for array in arrays.values()):
        raise unusable(path, f"its arrays are too small for {layers} layers of {units} units")


def require_task(path: Path, saved: Mapping[str, Any], task: Task) -> None:
    """Raise InputError for a checkpoint of a task of other sizes than its configuration and its file make."""
    for name in ("input_size", "output_size", "length"):
        if saved[name] != getattr(task, name):
            raise unusable(path, f"{name} of its task is {saved[name]}, expected {getattr(task, name)}")


@dataclass(frozen=True)
class Sizes:
    """What the shapes of a run's arrays follow from: its iterations, samples of a snapshot, rivals, and its tracks."""

    iteration: int
    samples: int
    rivals: int
    tracks: Sequence[Track]


def require_whole(path: Path, arrays: Arrays, fresh: Arrays, sizes: Sizes) -> None:
    """Raise InputError that names what is missing, foreign, or of another kind, shape or range among the arrays.

    fresh: those of the same run before its first iteration.
    """
    _require_names(path, arrays, fresh, sizes.tracks)
    counts = _count(arrays, f"{SNAPSHOTS}iteration"), _count(arrays, "history.scores")
    for name, array in arrays.items():
        shape = _shape(name, array.shape, fresh, sizes, *counts)
        if array.shape != shape:
            raise unusable(path, f"{name} has shape {array.shape}, expected {shape}")
        if array.dtype.kind != _kind(name) if name.startswith(SNAPSHOTS) else array.dtype != fresh[name].dtype:
            raise unusable(path, f"{name} has numbers of another kind, {array.dtype}")
        if not _in_range(name, array, sizes):
            raise unusable(path, f"{name} has numbers out of range")


def _count(arrays: Arrays, name: str) -> int:
    return len(np.atleast_1d(arrays.get(name, [])))


def _require_names(path: Path, arrays: Arrays, fresh: Arrays, tracks: Sequence[Track]) -> None:
    wanted = set(fresh)
    if any(name.startswith(SNAPSHOTS) for name in arrays):
        if len(tracks) > len(arrays):
            raise unusable(path, f"it lacks the snapshots of most of {len(tracks)} layers")
        held = (f"{n}.{name}" for n, track in enumerate(tracks) for name in track.names)
        wanted |= {f"{SNAPSHOTS}{name}" for name in ("iteration", *held)}
    if wanted != arrays.keys():
        lacking, foreign = (", ".join(sorted(names)) for names in (wanted - arrays.keys(), arrays.keys() - wanted))
        raise unusable(
            path, " and ".join([f"it lacks {lacking}"] * bool(lacking) + [f"it holds {foreign}"] * bool(foreign))
        )


def _shape(
    name: str, shape: tuple[int, ...], fresh: Arrays, sizes: Sizes, snapshots: int, scores: int
) -> tuple[int, ...]:
    """What an array of shape `shape` should have: the number of clipped norms and of scores is free."""
    if name.startswith("history.rows."):
        return (sizes.iteration,)
    if name.startswith(SNAPSHOTS):
        dims = _dims(_leaf(name))
        return (snapshots, *(_track(name, sizes).sizes(sizes.samples)[dim] for dim in dims))
    if name == "history.scores":
        return (*shape[:1], 3)
    if name == "history.rivals":
        return (scores, sizes.rivals if scores else 0, 4)
    same = len(shape) == fresh[name].ndim
    return shape if name.startswith("clipper.") and same else fresh[name].shape


def _track(name: str, sizes: Sizes) -> Track:
    """That of a snapshot's entry."""
    return sizes.tracks[int(name.removeprefix(SNAPSHOTS).partition(".")[0])]


def _dims(leaf: str) -> tuple[str, ...]:
    """Of one snapshot's entry of that name; a net in training is one model."""
    if leaf in WHOLE:
        return ("sample",) if leaf == "valid_steps" else ()
    return tuple(dim for dim in of_snapshots()[leaf].dims if dim != "*")


def _kind(name: str) -> str:
    return "i" if _leaf(name) in WHOLE else "f"


def _in_range(name: str, array: np.ndarray, sizes: Sizes) -> bool:
    """Whether what counts or numbers something lies where it can."""
    limits = _limits(name, sizes)
    if limits is None:
        return True
    column = {"history.scores": 0, "history.rivals": -1}.get(name)
    numbers = array if column is None else array[..., column]
    return bool(((limits[0] <= numbers) & (numbers <= limits[1])).all())


def _limits(name: str, sizes: Sizes) -> tuple[int, int] | None:
    if name == "history.scores":
        return 1, sizes.iteration
    if name == "history.rivals":
        return 0, BLOCKS
    if name == "optimizer.updates":
        return 0, sizes.iteration
    if not name.startswith(SNAPSHOTS) or _leaf(name) not in WHOLE:
        return None
    if _leaf(name) == "iteration":
        return 0, sizes.iteration - 1
    track = _track(name, sizes)
    return (track.units,) * 2 if _leaf(name) == "units" else (0, track.steps)


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
