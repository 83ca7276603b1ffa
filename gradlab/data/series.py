"""What a file holds, and the windows (T, B, D) that a net is driven by: of one long series, or samples cut already."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..registry import unknown
from ..wording import counted

STREAM = int.from_bytes(b"inputs", "big")  # keeps inputs apart from everything else drawn with the same seed


@dataclass(frozen=True)
class Content:
    """What a reader returns: names (D,) of the features, values (N, D) or (T, B, D), and how the file was read."""

    names: list[str]
    values: np.ndarray
    said: str


@dataclass(frozen=True)
class Series:
    """One series of N steps with D features: step n is `table[rows[n]]`, (K, D) and (N,), so that text stays small.

    said: one line on how the file was read.
    """

    table: np.ndarray
    rows: np.ndarray
    said: str = ""

    def windows(self, steps: int, batch_size: int, seed: int = 0) -> np.ndarray:
        """(T, B, D): T consecutive steps from B random starts, no start twice as long as there are enough.

        Raises InputError if the series is shorter than T.
        """
        return self.table[self.rows[window_places(len(self.rows), steps, batch_size, seed)]]


@dataclass(frozen=True)
class Batch:
    """Samples that the user has cut already, (T, B, D): used as they are, neither drawn at random nor standardised.

    said: one line on how the file was read.
    """

    values: np.ndarray
    said: str = ""

    def windows(self, steps: int, batch_size: int, seed: int = 0) -> np.ndarray:
        """(T, B, D): the first T steps of the first B samples. Raises InputError if there are fewer of either."""
        have_steps, have_samples, _ = self.values.shape
        if have_steps < steps:
            raise _too_few("step", steps, have_steps, "steps")
        if have_samples < batch_size:
            raise _too_few("sample", batch_size, have_samples, "batch_size")
        return self.values[:steps, :batch_size].copy()


def window_places(length: int, steps: int, batch_size: int, seed: int) -> np.ndarray:
    """(T, B): T places in a row of so many, from B random starts, no start twice as long as there are enough.

    Raises InputError where there are fewer than T.
    """
    starts = length - steps + 1
    if starts < 1:
        raise _too_few("step", steps, length, "steps")
    start = np.random.default_rng([seed, STREAM]).choice(starts, batch_size, replace=starts < batch_size)
    return start + np.arange(steps)[:, None]


def _too_few(what: str, wanted: int, got: int, field: str) -> InputError:
    have = f"the data have {counted(got, what)}"
    return InputError(f"{have}, fewer than the {wanted} asked for; use {got} or less", field)


def standardised(content: Content) -> Series:
    """Zero mean and unit variance per feature over the whole series; a constant feature among others becomes zero."""
    scaled = near_one(content.values)
    constant = scaled.max(axis=0) == scaled.min(axis=0)
    if constant.all():
        raise InputError("every value is the same, so there is nothing to standardise; choose data that vary")
    mean, spread = scaled.mean(axis=0), scaled.std(axis=0)
    scaled -= mean  # in place, as files may be large
    scaled[:, constant] = 0
    scaled /= np.where(constant, 1, spread)
    return Series(scaled, np.arange(len(scaled), dtype=np.int32), content.said)


def near_one(values: np.ndarray, axis: int | None = 0) -> np.ndarray:
    """`values` times powers of two, exact, that bring the largest along `axis` near 1, where no square overflows."""
    largest = np.maximum(values.max(axis=axis), -values.min(axis=axis))
    return np.ldexp(values, -np.frexp(largest)[1])


def one_hot(data: bytes, said: str = "") -> Series:
    """Each byte as one-hot over the D distinct bytes, in order, times sqrt(D): the features' mean square is 1."""
    codes, symbols = byte_codes(data)
    size = len(symbols)
    return Series(np.sqrt(size) * np.eye(size), codes, said)


def byte_codes(data: bytes) -> tuple[np.ndarray, bytes]:
    """(N,) the number of each byte among those that occur, and these, in order."""
    symbols = np.unique(np.frombuffer(data, np.uint8)).tobytes()
    numbers = bytes.maketrans(symbols, bytes(range(len(symbols))))
    return np.frombuffer(data.translate(numbers), np.uint8), symbols


def require_finite(values: np.ndarray) -> None:
    """Raise InputError, with the place, for a number of a file that is not finite."""
    finite = np.isfinite(values)
    if finite.all():
        return
    where = tuple(np.argwhere(~finite)[0].tolist())
    hint = ""
    if values.ndim == 3 and (np.diff(finite.all(axis=2).astype(np.int8), axis=0) <= 0).all():
        hint = "; where NaN pads shorter sequences, write 0 and give gradlab.analyze their lengths="
    raise InputError(f"{values[where]} at index {where}; every value must be finite{hint}")


def chosen_feature(content: Content, column: str | None) -> Content:
    """All features, or the one of that name or index. Raises InputError that lists the names."""
    if column is None:
        return content
    at = index_of(column, content.names)
    return Content([content.names[at]], content.values[..., [at]], content.said)


def index_of(column: str, names: list[str]) -> int:
    """Of a column by its name, else by its index as text. Raises InputError that lists the names."""
    for labels in (names, [str(i) for i in range(len(names))]):
        if column in labels:
            return labels.index(column)
    raise unknown("column", column, names)
