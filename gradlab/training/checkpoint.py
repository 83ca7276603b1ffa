"""A training run in one safetensors file: arrays, and the rest as JSON in its metadata."""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout
from threadpoolctl import threadpool_info

from ..config.train import TrainConfig
from ..data import disk, require_regular
from ..errors import InputError
from ..importers import TRAINING
from ..version import __version__
from .whole import facts_of

MATTER = ("gradlab", "numpy", "machine", "threads")  # of the versions: the bits of a result
MAY_DIFFER = ("evaluate_every", "snapshot_every")  # more looks at it are the same training


def write(path: Path, arrays: Mapping[str, np.ndarray], config: TrainConfig, **facts: Any) -> None:
    """Write the whole of it, as `disk.write` does. Raises InputError where that fails; the one before is left."""
    from safetensors.numpy import save

    meta = {"config": config.model_dump(), **facts}
    data = save({name: np.asarray(a, order="C") for name, a in arrays.items()}, {TRAINING: json.dumps(meta)})
    disk.write(path, data, *_words(path), "checkpoint")


def _words(path: Path) -> tuple[str, str]:
    """What cannot be written if that fails, and what to do then."""
    return f"the checkpoint {path}", "the last one is intact" if path.exists() else disk.ELSEWHERE


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep a checkpoint for one training; what killed ones left of it is removed.

    Raises InputError where another training holds it, or it cannot be written.
    """
    with disk.writing(*_words(path), "checkpoint"):
        target = disk.place(path)
        lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
        _acquire(lock, path)
    try:
        disk.sweep(target)
        disk.require_writable(target, *_words(path), "checkpoint")
        yield
    finally:
        with suppress(OSError):  # Windows has none that is open removed, and removes it with the release
            os.unlink(lock.lock_file)
        lock.release()


def _acquire(lock: BaseFileLock, path: Path) -> None:
    try:
        lock.acquire()
    except Timeout:  # it is an OSError, too
        text = f"{path}: another training writes this checkpoint; wait for its end, or name another file"
        raise InputError(text, "checkpoint") from None


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
    """Arrays, those whose names begin with `prefix`, configuration, and the fields of `whole.Facts` by name.

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
    except (SafetensorError, TypeError, AttributeError) as error:  # the last two: numbers that NumPy does not have
        raise InputError(f"{path}: not a whole checkpoint: {error}") from None
    return arrays, *facts_of(path, meta)


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


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
