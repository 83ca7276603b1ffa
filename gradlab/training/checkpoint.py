"""A training run in one safetensors file: arrays, and the rest as JSON in its metadata."""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from ..config.train import TrainConfig
from ..data import require_regular
from ..errors import InputError
from ..importers import TRAINING
from ..version import __version__
from .history import snapshot_names

WAITS = 100 if os.name == "nt" else 0  # for whoever reads the last checkpoint, 10 ms each
FACTS = ("iteration", "status", "versions", "digest", "task")  # that a run needs beside arrays and configuration
OF_FILE = ("input_size", "output_size", "length", "baseline")  # attributes of a task that its file decides
MATTER = ("gradlab", "numpy", "machine", "threads")  # of the versions: the bits of a result
MAY_DIFFER = ("evaluate_every", "snapshot_every")  # more looks at it are the same training


def write(path: Path, arrays: Mapping[str, np.ndarray], config: TrainConfig, **facts: Any) -> None:
    """Write, flush to the disk, and only then rename: whatever happens, a whole checkpoint stays.

    Raises InputError where the file cannot be written; the one before is left as it was.
    """
    from safetensors.numpy import save

    meta = {"config": config.model_dump(), **facts}
    data = save({name: np.asarray(a, order="C") for name, a in arrays.items()}, {TRAINING: json.dumps(meta)})
    unfinished = path.with_name(f".{path.name}.unfinished")  # what a kill leaves is overwritten the next time
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(unfinished, path)
        _sync_directory(path.parent)
    except OSError as error:
        kept = "the last one is intact" if path.exists() else "make room, or name a file elsewhere"
        raise InputError(f"cannot write the checkpoint {path}: {error.strerror}; {kept}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _replace(unfinished: Path, path: Path) -> None:
    """Rename; on Windows again and again for a while, as nothing can take the place of a file that is being read."""
    for _ in range(WAITS):
        with suppress(PermissionError):
            os.replace(unfinished, path)
            return
        time.sleep(0.01)
    os.replace(unfinished, path)


def _sync_directory(folder: Path) -> None:
    """Make the renaming itself last, where a folder can be opened (not on Windows)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def versions() -> dict[str, str]:
    """What the bits of a run depend on besides its configuration."""
    return {
        "gradlab": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": str(max((lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"), default=1)),
    }


def read(path: Path, prefix: str = "") -> tuple[dict[str, np.ndarray], TrainConfig, dict[str, Any]]:
    """Arrays, those whose names begin with `prefix`, configuration, and FACTS by name.

    Raises InputError for files that are no whole checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(path)
        with safe_open(path, "numpy") as file:
            meta = (file.metadata() or {}).get(TRAINING)
            if meta is None:
                raise InputError(f"{path}: these are weights, not a training run; only `gradlab train` writes those")
            arrays = {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole checkpoint: {error}") from None
    return arrays, *_facts(path, meta)


def _facts(path: Path, meta: str) -> tuple[TrainConfig, dict[str, Any]]:
    try:
        facts = dict(json.loads(meta))
        task = {name: facts["task"][name] for name in OF_FILE}
        return TrainConfig(**facts["config"]), {name: facts[name] for name in FACTS} | {"task": task}
    except KeyError as error:
        raise _unusable(path, f"it lacks {error.args[0]}") from None
    except (ValueError, TypeError) as error:  # of JSON, or of a configuration, with a line per field
        raise _unusable(path, f"its metadata cannot be used ({'; '.join(str(error).splitlines())})") from None


def _unusable(path: Path, why: str) -> InputError:
    return InputError(f"{path}: {why}. The file is damaged, or another version of gradlab wrote it; start afresh")


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def require_whole(
    path: Path, arrays: Mapping[str, np.ndarray], fresh: Mapping[str, np.ndarray], config: TrainConfig, iteration: int
) -> None:
    """Raise InputError that names what is missing, foreign or of another shape among the arrays of a checkpoint.

    fresh: those of the same run before its first iteration.
    """
    snapshots = {f"history.snapshots.{name}" for name in snapshot_names(config.layers)}
    wanted = fresh.keys() | (snapshots if snapshots & arrays.keys() else set())
    if wanted != arrays.keys():
        lacking, foreign = (", ".join(sorted(names)) for names in (wanted - arrays.keys(), arrays.keys() - wanted))
        raise _unusable(
            path, " and ".join([f"it lacks {lacking}"] * bool(lacking) + [f"it holds {foreign}"] * bool(foreign))
        )
    count = len(arrays.get("history.snapshots.iteration", ()))
    for name, array in arrays.items():
        shape = _shape(name, array.shape, fresh, iteration, count)
        if array.shape != shape:
            raise _unusable(path, f"{name} has shape {array.shape}, expected {shape}")


def _shape(
    name: str, shape: tuple[int, ...], fresh: Mapping[str, np.ndarray], iteration: int, snapshots: int
) -> tuple[int, ...]:
    """What an array of shape `shape` should have: the number of clipped norms and of scores is free."""
    if name.startswith("history.rows."):
        return (iteration,)
    if name.startswith("history.snapshots."):
        return (snapshots, *shape[1:])
    if name == "history.scores":
        return (*shape[:1], 3)
    return shape if name.startswith("clipper.") else fresh[name].shape


def require_input(path: Path, saved: str | None, found: str | None, file: str | None) -> None:
    """Raise InputError where the file that was learnt from has another digest now."""
    if saved != found:
        raise InputError(f"{path}: {file} has changed since it was learnt from; put it back as it was, or start afresh")


def compare_versions(path: Path, saved: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Warn where going on cannot be expected to be bit for bit."""
    other = [name for name in MATTER if saved.get(name) != found[name]]
    if other:
        then, now = (", ".join(f"{name} {of.get(name)}" for name in other) for of in (saved, found))
        text = f"{path} was trained with {then}; going on with {now} is the same training, but not bit for bit"
        warnings.warn(text, UserWarning, stacklevel=4)


def require_same(path: Path, saved: TrainConfig, config: TrainConfig) -> None:
    """Raise InputError that names the fields in which a checkpoint belongs to another training run."""
    ours, theirs = config.model_dump(), saved.model_dump()
    free = (*MAY_DIFFER, *(("iterations",) if config.schedule == "constant" else ()))  # else they set the rate
    other = [name for name in ours if ours[name] != theirs[name] and name not in free]
    if other:
        found = "; ".join(f"{name} is {theirs[name]!r} there, {ours[name]!r} here" for name in other)
        raise InputError(f"{path} is of another training run: {found}. Resume with the same fields, or start afresh")
