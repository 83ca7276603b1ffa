"""A file as what a net can read: its kind, told by how it begins and by its name, and the reader of that kind."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath

import numpy as np

from ..errors import InputError, about
from ..wording import counted
from .array_files import ZIP, read_array
from .encodings import as_utf8, decoded
from .features import features, left_out_text, list_of, numeric
from .files import LIMIT, as_path, named_content, read_file, stamp
from .layout import HEAD, SEPARATORS, is_table
from .series import Batch, Content, Series, byte_codes, index_of, one_hot, standardised
from .sheets import read_excel, read_parquet
from .sound import read_sound
from .table import Table, head_of, read_table
from .tokens import Tokens, read_tokens

KEPT = 2  # files that are kept as they were read
_SUFFIXES = {
    "table": (".csv", ".tsv", ".tab", ".psv"),
    "excel": (".xlsx", ".xlsm"),
    "parquet": (".parquet", ".pq"),
    "array": (".npy", ".npz"),
    "sound": (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"),
}
TABLES: dict[str, Callable[..., Table]] = {"table": read_table, "excel": read_excel, "parquet": read_parquet}
_KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}
_BEGINNINGS = {
    b"\x93NUMPY": "array",
    b"PAR1": "parquet",
    b"RIFF": "sound",
    b"RF64": "sound",
    b"fLaC": "sound",
    b"OggS": "sound",
    b"ID3": "sound",
}


def kind_of(name: str, data: bytes) -> str:
    """A kind of `_SUFFIXES`, or "text": by how a file begins, else its name, else whether it is a table."""
    if data.startswith(ZIP):
        return "excel" if b"[Content_Types].xml" in data[:HEAD] else "array"
    for beginning, kind in _BEGINNINGS.items():
        if data.startswith(beginning):
            return kind
    if known := _KINDS.get(PurePath(name).suffix.lower()):
        return known
    try:
        return "table" if is_table(head_of(as_utf8(data[: HEAD + 4], "ignore")[0])) else "text"
    except InputError:
        return "text"


def parse(name: str, data: bytes, column: str | None = None, frames: str = "samples") -> Series | Batch:
    """A file's content: a table, an array, a sound or a text. A 3-dimensional array is a Batch.

    frames: of FRAMES, how a sound is read. Raises InputError, with the file's name in front, if the content cannot be
    used.
    """
    with _naming(name, data):
        kind = kind_of(name, data)
        if kind == "text":
            return _text(name, data, column)
        content = _numbers(name, data, kind, column, frames)
        return Batch(content.values, content.said) if content.values.ndim == 3 else standardised(content)


def read_input(path: Path, column: str | None = None, frames: str = "samples") -> Series | Batch:
    """The same of a file, which is kept as it was read for as long as it does not change."""
    if column is not None and not isinstance(column, str):
        raise InputError(f"column: expected a name or an index as text, got {column!r}", "column")
    return _read_input(path, column, frames, stamp(path))


@lru_cache(KEPT)
def _read_input(path: Path, column: str | None, frames: str, at: tuple[int, int] | None) -> Series | Batch:
    return parse(*named_content(path, LIMIT), column, frames)


def is_text(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a text; of one that cannot be read its name tells."""
    return _kind(Path(path), stamp(path)) == "text"


def is_sound(path: str | os.PathLike[str]) -> bool:
    """The same of a sound."""
    return _kind(Path(path), stamp(path)) == "sound"


def is_treebank(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a text of trees in brackets, as it begins with one; one that cannot be read is none."""
    return is_text(path) and _begins_with_bracket(Path(path), stamp(path))


@lru_cache
def _begins_with_bracket(path: Path, at: tuple[int, int] | None) -> bool:
    try:
        return read_file(path, LIMIT).lstrip()[:1] == b"("
    except InputError:
        return False


@lru_cache
def _kind(path: Path, at: tuple[int, int] | None) -> str:
    try:
        return kind_of(*named_content(path, LIMIT))
    except InputError:
        return kind_of(path.name, b"")


def raw_series(path: str | os.PathLike[str], column: str | None = None, frames: str = "samples") -> Content:
    """Names (D,), numbers (N, D) of a table, an array or a sound as they are, and how the file was read.

    frames: of FRAMES, how a sound is read. Raises InputError, as for text, which has none.
    """
    name, data = named_content(path, LIMIT)
    with _naming(name, data):
        kind = kind_of(name, data)
        content = None if kind == "text" else _numbers(name, data, kind, column, frames)
        if content is None or content.values.ndim != 2:
            raise InputError("expected a series, one value or row per step, in a table, an array or a sound")
        return content


def text_codes(path: str | os.PathLike[str]) -> tuple[np.ndarray, bytes]:
    """(N,) the number of each byte of a UTF-8 text among the bytes that occur, and those bytes, in order."""
    name, data = named_content(path, LIMIT)
    with _naming(name, data):
        if kind_of(name, data) != "text":
            raise InputError("expected a text; numbers are forecast, not modelled as characters")
        decoded(data)
        return byte_codes(data)


def read_text(path: str | os.PathLike[str], column: str | None = None) -> tuple[str, bytes, str]:
    """The name, the bytes and the characters of a UTF-8 text. Raises InputError for all else, and for a column."""
    name, data = named_content(path, LIMIT)
    with _naming(name, data):
        if kind_of(name, data) != "text":
            raise InputError("expected a text")
        return name, data, _decoded(data, column)


def text_tokens(path: str | os.PathLike[str], tokens: str, column: str | None = None) -> Tokens:
    """A text as words or bytes, kept as `read_input` keeps what it reads. Raises InputError for what is no text."""
    return _text_tokens(as_path(path), tokens, column, stamp(path))


@lru_cache(KEPT)
def _text_tokens(path: Path, tokens: str, column: str | None, at: tuple[int, int] | None) -> Tokens:
    name, data, text = read_text(path, column)
    with _naming(name, data):
        found = read_tokens(data, text, tokens)
    return replace(found, said=f"Read {name} as text: {found.said}")


@dataclass(frozen=True)
class Labelled:
    """Labelled sequences: values (N, T), 0 beyond each length, lengths (N,), labels (N,), and the classes' names.

    said: one line on how the file was read.
    """

    values: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    classes: list[str]
    said: str


def labelled_rows(path: str | os.PathLike[str], column: str = "label") -> Labelled:
    """Labelled sequences of a table, one per line. Cells may be empty at a line's end only.

    Raises InputError, with line and column, for anything else.
    """
    name, data = named_content(path, LIMIT)
    with _naming(name, data):
        table = TABLES.get(kind_of(name, data), read_table)(data, column)
        at = index_of(column, table.layout.names)
        rest = [i for i in range(len(table.columns)) if i != at]
        if not rest:
            raise InputError(f"beside '{column}' there is no column of values")
        values = np.stack([table.numbers(i, gaps=True) for i in rest], axis=1)
        filled = ~np.isnan(values)
        lengths = filled.sum(axis=1)
        gap = (filled != (np.arange(len(rest)) < lengths[:, None])).any(axis=1) | (lengths == 0)
        if gap.any():
            line, _ = table.row(int(gap.argmax()))
            raise InputError(f"line {line}: a cell before the sequence's end is empty")
        classes, labels = np.unique(table.text, return_inverse=True)
        sizes = f"{counted(table.rows, 'sequence')} of up to {counted(lengths.max(), 'value')}"
        said = f"Read {name} as {_how(table)}: {sizes}"
        return Labelled(np.nan_to_num(values, copy=False), lengths, labels, [str(c) for c in classes], said)


def column_names(name: str, data: bytes, labels: bool = False) -> list[str]:
    """What `column` can choose from: the numeric columns of a table, the features of an array or sound, none in text.

    labels: every column of a table, as any may hold the labels; nothing of other files. Raises InputError as `parse`
    does.
    """
    with _naming(name, data):
        kind = kind_of(name, data)
        if kind in TABLES:
            table = TABLES[kind](data)
            return table.layout.names if labels else [table.layout.names[i] for i in numeric(table)]
        return [] if labels or kind == "text" else _numbers(name, data, kind, None).names


@contextmanager
def _naming(name: str, data: bytes) -> Iterator[None]:
    """What is wrong with a file's content is about the input, or how it is read, with the file's name in front."""
    with about("input", name, keep=("column", "frames", "tokens")):
        if not data:
            raise InputError("the file is empty")
        yield


def _numbers(name: str, data: bytes, kind: str, column: str | None, frames: str = "samples") -> Content:
    if kind in TABLES:
        content = _features(TABLES[kind](data), column)
    else:
        content = read_sound(data, column, frames) if kind == "sound" else read_array(data, column)
    return Content(content.names, content.values, f"Read {name} as {content.said}")


def _features(table: Table, column: str | None) -> Content:
    """The chosen column, else every feature, as (N, D)."""
    names, left_out = table.layout.names, dict[int, str]()
    if column is not None:
        chosen = [index_of(column, names)]
    else:
        chosen, left_out = features(table)
    if not chosen:
        raise _without_features(names, left_out)
    values = np.stack([table.numbers(i) for i in chosen], axis=-1)
    rest = f"; left out: {left_out_text(names, left_out)}" if left_out else ""
    found = [names[i] for i in chosen]
    return Content(found, values, f"{_how(table)}: {counted(table.rows, 'row')} of {list_of(found)}{rest}")


def _without_features(names: list[str], left_out: dict[int, str]) -> InputError:
    text = f"no column holds numbers; its columns: {left_out_text(names, left_out)}"
    if any(not reason.endswith(("words", "empty", "rows")) for reason in left_out.values()):
        text = f"no column is a feature by itself: {left_out_text(names, left_out)}; choose one by its name"
    return InputError(text, "column")


def _how(table: Table) -> str:
    """What a table was told by, in words."""
    layout = table.layout
    parts = [SEPARATORS[layout.separator]] if layout.separator and len(layout.names) > 1 else []
    parts += ["decimal commas"] if layout.decimal == "," else []
    parts += [table.encoding] if table.encoding != "UTF-8" else []
    parts += [f"without {', '.join(layout.skipped)}"] if layout.skipped else []
    parts += [f"without {table.comments} comment lines"] if table.comments else []
    return f"a table ({', '.join(parts)})" if parts else "a table"


def _decoded(data: bytes, column: str | None) -> str:
    """A text's characters. Raises InputError for a column, which it does not have."""
    if column is not None:
        text = f"column '{column}' was asked for, but text has no columns; leave it out, or rename to .csv"
        raise InputError(text, "column")
    return decoded(data)


def _text(name: str, data: bytes, column: str | None) -> Series:
    _decoded(data, column)
    series = one_hot(data, "")
    said = f"Read {name} as text: {len(data):,} bytes, {len(series.table)} different ones, each a feature"
    return Series(series.table, series.rows, said)
