"""A process that reads an HDF5 file: from stdin its bytes, to stdout an .npz of what is in it.

The HDF5 library ends the whole process at some damaged files, so no process that is needed may use it on a stranger's.
It runs this file alone, without gradlab. Exit codes: 0 read, 3 refused, with the reason on stderr, others damaged.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MOST = 2**28  # numbers of an array: a file may say any shape
DEEPEST = 30  # groups within groups: links may go round
REFUSED = 3
DESCRIBED = ("", "model_weights")  # groups that say what is in a file
ATTRIBUTES = ("model_config", "layer_names")


class TooMuch(Exception):
    """A file holds more than any network does, and what."""


def main() -> None:
    """Read, write, and say why not."""
    try:
        with h5py.File(io.BytesIO(sys.stdin.buffer.read()), "r") as file:
            groups = dict(_groups(file, "", 0))
            arrays = [found for at, group in groups.items() for found in _arrays(group, at)]
            attributes = {at: _attributes(groups[at]) for at in DESCRIBED if at in groups}
    except TooMuch as error:
        sys.stderr.write(str(error))
        sys.exit(REFUSED)
    told = json.dumps({"paths": [path for path, _ in arrays], "attributes": attributes})
    buffer = io.BytesIO()
    np.savez(buffer, *(array for _, array in arrays), told=np.frombuffer(told.encode(), np.uint8))
    sys.stdout.buffer.write(buffer.getvalue())


def _groups(group: Any, at: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The group and all in it; links to other files are not followed."""
    yield at, group
    if depth > DEEPEST:
        raise TooMuch(f"more than {DEEPEST} groups within each other, which no network has")
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and group.get(name, getclass=True) is h5py.Group:
            yield from _groups(group[name], f"{at}/{name}".strip("/"), depth + 1)


def _arrays(group: Any, at: str) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of numbers of a group, that the file itself holds."""
    for name in group:
        found = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if isinstance(found, h5py.Dataset) and found.dtype.kind in "fiub" and not found.external:
            path = f"{at}/{name}".strip("/")
            if found.size > MOST:
                raise TooMuch(f"{found.size:,} numbers in {path}, more than any layer has")
            yield path, found[()]


def _attributes(group: Any) -> dict[str, Any]:
    """Texts, and lists of texts."""
    found = {name: group.attrs[name] for name in ATTRIBUTES if name in group.attrs}
    return {name: _text(v) if isinstance(v, str | bytes) else [*map(_text, v)] for name, v in found.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    main()
