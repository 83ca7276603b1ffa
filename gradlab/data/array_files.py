"""Arrays in .npy and .npz files."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np

from ..arrays import BATCH_FIRST, quiet
from ..errors import InputError
from ..wording import counted
from .files import require_few_values, unzipped
from .series import Content, chosen_feature, require_finite

ZIP = b"PK\3\4"
SHAPES = "(N,), (N, D) or (T, B, D)"
ALIKE = 0.5  # neighbours along one axis differ by less than this share of those along the other: there time runs
LOOKED_AT = 200  # steps and samples
FEW = 10  # steps are too few to look at, so that an axis of fewer counts samples


def read_array(data: bytes, column: str | None = None) -> Content:
    """(N,) as (N, 1), (N, D) or (T, B, D). Raises InputError for anything else.

    column: a feature by its index or its name in a structured array; of an archive also one of its arrays.
    """
    if data.startswith(ZIP):
        return _of_archive(data, column)
    return _content(io.BytesIO(data), column, "")


def _of_archive(data: bytes, column: str | None) -> Content:
    """The array of that name, else the first one of a .npz file."""
    with unzipped(data, ".npz", "write it with numpy.savez") as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        if not members:
            raise InputError("no array in it; write it with numpy.savez")
        chosen = column if column in members else next(iter(members))
        rest = ", ".join(f"'{name}'" for name in members if name != chosen)
        others = f"; left out: {rest} (name one as the column to read it)" if rest else ""
        with archive.open(members[chosen]) as file:
            content = _content(file, None if column == chosen else column, f" '{chosen}'")
    return Content(content.names, content.values, content.said + others)


def _content(file: IO[bytes], column: str | None, name: str) -> Content:
    array = _plain_array(file)
    values, names = array, None
    if array.dtype.names and all(array.dtype[field].kind in "buif" for field in array.dtype.names) and array.ndim == 1:
        names = list(array.dtype.names)
        values = np.stack([array[field].astype(np.float64) for field in names], axis=-1)
    if values.dtype.kind not in "buif" or not 1 <= values.ndim <= 3 or not values.size:
        raise InputError(
            f"expected real numbers in 1 to 3 dimensions, {SHAPES}, none of them 0; "
            f"got {values.dtype} in shape {values.shape}"
        )
    with quiet():  # a wider type may overflow here; the next line says where
        values = values.astype(np.float64, order="C", copy=False)
    require_finite(values)
    said = f"an array{name} of {array.dtype if names is None else 'records'}, {_axes(values)}"
    values = values[:, None] if values.ndim == 1 else values
    return chosen_feature(Content(names or [str(i) for i in range(values.shape[-1])], values, said), column)


def _plain_array(file: IO[bytes]) -> np.ndarray:
    """What numpy.save has written; its size is looked at before it is read."""
    start = file.read(len(np.lib.format.MAGIC_PREFIX))
    if start != np.lib.format.MAGIC_PREFIX:
        raise InputError("not a .npy file; write it with numpy.save")
    try:
        file.seek(0)
        require_few_values(_count(file))
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except InputError:
        raise
    except Exception as error:  # NumPy parses the header as Python, so a damaged one raises almost anything
        raise InputError(f"not a plain array ({error}); write it with numpy.save(..., allow_pickle=False)") from None


def _count(file: Any) -> int:
    """How many numbers the header announces."""
    major, _ = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    count = len(dtype.names or "x")
    for size in shape:
        count *= size
    return count


def _axes(values: np.ndarray) -> str:
    """How the axes were read, and a doubt where they may have been meant otherwise."""
    if values.ndim < 3:
        return f"{counted(len(values), 'step')}, {counted((*values.shape, 1)[1], 'feature')}"
    doubt = f"; {BATCH_FIRST}" if looks_batch_first(values) else ""
    sizes = ", ".join(map(counted, values.shape, ("step", "sample", "feature")))
    return f"read time first: {sizes}, taken as they are{doubt}"


def looks_batch_first(values: np.ndarray) -> bool:
    """Whether (T, B, D) may be (B, T, D): its second axis is smooth and the first is not, or else is the shorter one.

    A set of sequences mostly has more of them than steps, yet enough steps.
    """
    steps, samples, _ = values.shape
    if min(steps, samples) < 2:
        return False
    some = values[:LOOKED_AT, :LOOKED_AT]
    first, second = (float(np.abs(np.diff(some, axis=axis)).mean()) for axis in (0, 1))
    if min(first, second) < ALIKE * max(first, second):
        return second < first
    return FEW <= samples < steps
