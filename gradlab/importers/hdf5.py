"""HDF5 files, as Keras writes weights: the arrays in them by path, and what they say of themselves."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError

START = b"\x89HDF\r\n\x1a\n"
MOST = 2**28  # numbers of an array: a file may say any shape
DEEPEST = 30  # groups within groups: links may go round


@dataclass(frozen=True)
class HDF5:
    """Arrays by path, and attributes of groups by path and name, "" being the root."""

    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Mapping[str, Any]]


def read_hdf5(data: bytes) -> HDF5:
    """All arrays of numbers that the file itself holds. Raises InputError where it is damaged or holds too many."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            groups = dict(_groups(file, "", 0))
            arrays = {path: array for at, group in groups.items() for path, array in _arrays(group, at)}
            return HDF5(arrays, {at: dict(group.attrs) for at, group in groups.items()})
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"an HDF5 file that breaks off or is damaged ({error}); save it again") from None


def _groups(group: Any, at: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The group and all in it; links to other files are not followed."""
    import h5py

    yield at, group
    if depth > DEEPEST:
        raise InputError(f"an HDF5 file with more than {DEEPEST} groups within each other, which no network has")
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and group.get(name, getclass=True) is h5py.Group:
            yield from _groups(group[name], f"{at}/{name}".strip("/"), depth + 1)


def _arrays(group: Any, at: str) -> Iterator[tuple[str, np.ndarray]]:
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        found = group[name]
        if isinstance(found, h5py.Dataset) and found.dtype.kind in "fiub" and not found.external:
            path = f"{at}/{name}".strip("/")
            if found.size > MOST:
                raise InputError(f"an HDF5 file whose {path} has {found.size:,} numbers, more than any layer has")
            yield path, found[()]
