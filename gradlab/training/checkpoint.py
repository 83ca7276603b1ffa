"""A training run in one safetensors file: arrays, and the rest as JSON in its metadata."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from .. import __version__
from ..config.train import TrainConfig
from ..errors import InputError
from ..importers import TRAINING

WAITS = 100 if os.name == "nt" else 0  # for whoever reads the last checkpoint, 10 ms each
MAY_DIFFER = ("evaluate_every", "snapshot_every")  # more looks at it are the same training


def write(path: Path, arrays: Mapping[str, np.ndarray], config: TrainConfig, **facts: Any) -> None:
    """Write, flush to the disk, and only then rename: whatever happens, a whole checkpoint stays.

    Raises InputError where the file cannot be written; the one before is left as it was.
    """
    from safetensors.numpy import save

    meta = {"config": config.model_dump(), "versions": versions(), **facts}
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
        raise InputError(f"cannot write the checkpoint {path}: {error.strerror}; the last one is intact") from None
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
        "threads": str(max((library["num_threads"] for library in threadpool_info()), default=1)),
    }


def read(path: Path) -> tuple[dict[str, np.ndarray], TrainConfig, dict[str, Any]]:
    """Arrays, configuration and facts. Raises InputError for files that are no whole checkpoint."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            meta = (file.metadata() or {}).get(TRAINING)
            if meta is None:
                raise InputError(f"{path}: these are weights, not a training run; only `gradlab train` writes those")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole checkpoint: {error}") from None
    facts = json.loads(meta)
    return arrays, TrainConfig(**facts.pop("config")), facts


def require_same(path: Path, saved: TrainConfig, config: TrainConfig) -> None:
    """Raise InputError that names the fields in which a checkpoint belongs to another training run."""
    ours, theirs = config.model_dump(), saved.model_dump()
    free = (*MAY_DIFFER, *(("iterations",) if config.schedule == "constant" else ()))  # else they set the rate
    other = [name for name in ours if ours[name] != theirs[name] and name not in free]
    if other:
        found = "; ".join(f"{name} is {theirs[name]!r} there, {ours[name]!r} here" for name in other)
        raise InputError(f"{path} is of another training run: {found}. Resume with the same fields, or start afresh")
