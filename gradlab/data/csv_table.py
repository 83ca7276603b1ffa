"""The cells of a table in a .csv file: names, line numbers, columns, numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..registry import unknown

FORMATS = ".csv, .npy, .wav (16-bit PCM) or UTF-8 text"
_QUOTED = re.compile(r'(?<![^,;\t])"(?:[^"]|"")*"')  # a cell in quotes; those within another cell quote nothing


def decoded(data: bytes) -> str:
    """UTF-8 as text. Raises InputError, with the first byte that is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}; readable are {FORMATS}"
        ) from None


def csv_columns(data: bytes) -> tuple[list[str], list[int], list[tuple[str, ...]]]:
    """Column names, line numbers of the rows, and cells by column."""
    rows = _csv_rows(decoded(data).removeprefix("\ufeff"))
    has_header = bool(rows) and _is_header(*(cells for _, cells in rows[:2]))
    names = _csv_names(rows[0][1], has_header) if rows else []
    body = rows[has_header:]
    if not body:
        raise InputError("no row of data in it; expected numbers in columns, one step per line")
    return names, [line for line, _ in body], list(zip(*(cells for _, cells in body), strict=True))


def _csv_rows(text: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank, all of one length."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    rows: list[tuple[int, list[str]]] = []
    blank = 0  # the first line without anything that follows a row
    try:
        for cells in reader:
            if "".join(cells).strip() or len(cells) > 1:
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
                _require_width(rows, blank)
            elif rows:
                blank = blank or reader.line_num
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is not CSV: {error}") from None
    return rows


def _delimiter(text: str) -> str:
    """Tab or semicolon where the first line has one outside quotes, as a comma may be a decimal sign there."""
    first = _QUOTED.sub("", text.lstrip("\r\n").partition("\n")[0])
    return next((sign for sign in "\t;" if sign in first), ",")


def _require_width(rows: list[tuple[int, list[str]]], blank: int) -> None:
    """Raise InputError where the last row has not the first one's cells, or one cell and a gap before it."""
    (first, head), (line, cells) = rows[0], rows[-1]
    if len(cells) != len(head):
        raise InputError(f"line {line} has {len(cells)} cells, line {first} has {len(head)}; every line needs the same")
    if blank and len(cells) == 1:
        raise InputError(f"line {blank} is empty, a gap in the only column; write a number there, or delete the line")


def _is_header(first: list[str], second: Sequence[str] = ()) -> bool:
    """A row without a number, or with a word above a number; a date above a date in a row of numbers is no header."""
    words = [_number(cell) is None for cell in first]
    return all(words) or any(word and _number(below) is not None for word, below in zip(words, second, strict=False))


def _csv_names(first: list[str], has_header: bool) -> list[str]:
    """The header's names; a column whose name is missing or not unique goes by its index."""
    unique = [has_header and bool(cell) and first.count(cell) == 1 for cell in first]
    return [cell if keep else str(i) for i, (cell, keep) in enumerate(zip(first, unique, strict=True))]


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)  # Python reads 2020_01 as 202001
    except ValueError:
        return None


def numeric(columns: list[tuple[str, ...]]) -> list[int]:
    """Indices of the columns that are mostly numbers: there a bad cell is an error, not a reason to skip the column."""
    return [i for i, cells in enumerate(columns) if 2 * sum(_number(c) is not None for c in cells) > len(cells)]


def numbers(name: str, lines: list[int], cells: tuple[str, ...]) -> np.ndarray:
    """The cells of a column. Raises InputError, with line and column, where one is no finite number."""
    values = [_number(cell) for cell in cells]
    for line, cell, value in zip(lines, cells, values, strict=True):
        if value is None or not math.isfinite(value):
            problem = "is not a number" if value is None else "is not finite"
            raise InputError(f"line {line}, column '{name}': '{cell}' {problem}; write numbers like 3.14 in every line")
    return np.array(values, dtype=np.float64)


def index_of(column: str, names: list[str]) -> int:
    """Of a column by its name, else by its index as text. Raises InputError that lists the names."""
    for labels in (names, [str(i) for i in range(len(names))]):
        if column in labels:
            return labels.index(column)
    raise unknown("column", column, names)
