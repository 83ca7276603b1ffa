"""A table in text: its bytes as columns of numbers, by pandas; every bad cell is told with its line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..lazy import lazy
from .cells import number
from .encodings import as_utf8
from .files import require_few_values
from .layout import BLANKS, HEAD, Layout, Row, find_layout, ragged, split
from .series import index_of

if TYPE_CHECKING:
    import pandas as pd

CELLS, ROWS = 200_000, 100  # cells that are read at a time, and the least number of rows
_GAP = re.compile(rb"\n[ \t]*\n")
_COMMENT = re.compile(rb"^#[^\n]*", re.MULTILINE)


@dataclass
class Column:
    """What is known of a column while its rows come in: values (N,), NaN where a cell is no number."""

    decimal: str
    parts: list[np.ndarray] = field(default_factory=list)
    rows: int = 0
    numbers: int = 0  # cells that are numbers, in whatever unit, finite or not
    fit: int = 0  # those in the column's unit, which is that of the first one
    empty: int = 0
    wrong: int | None = None  # the first row whose cell is there, yet no finite number in the column's unit
    unit: str | None = None
    example: str = ""  # of a cell that is no number

    def add(self, cells: pd.Series) -> None:
        """More rows."""
        if cells.dtype.kind in "iuf":
            values, there = self._plain(cells)
        else:
            values, there = self._formatted(cells)
        wrong = there & ~np.isfinite(values)
        if self.wrong is None and wrong.any():
            self.wrong = self.rows + int(wrong.argmax())
        self.parts.append(values)
        self.rows += len(values)
        self.empty += len(values) - int(there.sum())

    def _plain(self, cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Of cells that pandas has read as numbers: values, and which cells are there."""
        values = cells.to_numpy(np.float64)
        there = ~np.isnan(values)
        count = int(there.sum())
        self.unit = "" if count and self.unit is None else self.unit
        self.numbers += count
        self.fit += 0 if self.unit else count
        return (np.full_like(values, np.nan) if self.unit else values), there

    def _formatted(self, cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """The same of cells with units, signs between thousands, or words; each different cell is read once."""
        codes, distinct = cells.factorize()
        texts = [str(cell).strip() for cell in distinct]
        found = [number(text, self.decimal) for text in texts]
        self.unit = next((each[1] for each in found if each), None) if self.unit is None else self.unit
        self.example = self.example or next((text for text, each in zip(texts, found, strict=True) if not each), "")
        counts = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
        self.numbers += sum(count for count, each in zip(counts, found, strict=True) if each)
        self.fit += sum(count for count, each in zip(counts, found, strict=True) if each and each[1] == self.unit)
        values = [each[0] if each and each[1] == self.unit else np.nan for each in found]
        some = np.array([text != "" for text in texts] + [False])  # the last is that of the code -1, an empty cell
        return np.array([*values, np.nan])[codes], some[codes]

    @lazy
    def values(self) -> np.ndarray:
        """(N,): call it when all rows are there."""
        values = self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts)
        self.parts.clear()
        return values


@dataclass
class Table:
    """Columns of a table by position, with what its cells were told by; text: the cells of the column asked for."""

    layout: Layout
    columns: list[Column]
    text: list[str]
    encoding: str
    body: bytes  # from the first row of numbers on
    comments: int  # lines that were passed over in it

    @property
    def rows(self) -> int:
        """N."""
        return self.columns[0].rows

    def row(self, index: int) -> Row:
        """Line number and cells of a row, for a message."""
        if b'"' in self.body:
            return next(islice(_lines(self.body, self.layout), index, None))
        filled = (each for each in enumerate(io.BytesIO(self.body), self.layout.line) if not each[1].isspace())
        line, text = next(islice(filled, index, None))
        return line, split([text.decode()], self.layout.separator)[0][1]

    def numbers(self, index: int, gaps: bool = False) -> np.ndarray:
        """(N,): the column's. Raises InputError, with line and column, where one is no finite number.

        gaps: let empty cells pass, as NaN.
        """
        column = self.columns[index]
        wrong = column.wrong
        if not gaps and column.empty:
            first = int(np.isnan(column.values).argmax())
            wrong = first if wrong is None else min(wrong, first)
        if wrong is None:
            return column.values
        line, cells = self.row(wrong)
        if len(cells) != len(self.columns):
            raise ragged(self.layout.top, len(self.columns), (line, cells))
        cell, name = cells[index], self.layout.names[index]
        raise InputError(f"line {line}, column '{name}': '{cell}' {self._problem(cell, column)}")

    def _problem(self, cell: str, column: Column) -> str:
        found = number(cell, self.layout.decimal)
        hint = "write numbers like 3.14 in every line, or delete the line if it is a note"
        if found is None:
            return f"is not a number; {hint}"
        if found[1] != column.unit:
            return f"is not in {column.unit or 'plain numbers'} as the cells above are; write all in one unit"
        return f"is not finite; {hint}"


def read_table(data: bytes, text_column: str | None = None, separator: str = "") -> Table:
    """A table in text; text_column: by name or index, a column whose cells are wanted as they are written.

    separator: of cells, where it is known. Raises InputError for what is no table, with the line.
    """
    utf8, encoding = as_utf8(data)
    if b"\r" in utf8:
        utf8 = utf8.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    layout = find_layout(head_of(utf8), separator)
    body = _from_line(utf8, layout.line)
    if len(layout.names) == 1 and (gap := _GAP.search(body)):
        line = layout.line + body.count(b"\n", 0, gap.start()) + 1
        raise InputError(f"line {line} is empty, a gap in the only column; write a number there, or delete the line")
    body, comments = _without_comments(body, layout)
    require_few_values(body.count(b"\n") * len(layout.names))
    at = None if text_column is None else index_of(text_column, layout.names)
    columns = [Column(layout.decimal) for _ in layout.names]
    text: list[str] = []
    try:
        for frame in _frames(body, layout, at):
            for i, column in enumerate(columns):
                column.add(frame[i])
            if at is not None:
                text += frame[at].fillna("").str.strip().tolist()
    except ValueError as error:  # pandas' parser tells no line of the file
        _require_width(body, layout)
        raise InputError(f"not a table: {error}") from None
    if columns[-1].empty:
        _require_width(body, layout)
    return Table(layout, columns, text, encoding, body, comments)


def head_of(utf8: bytes) -> str:
    """The lines that tell the layout; the last one is whole unless it is a very long one."""
    head = utf8[:HEAD]
    if len(utf8) > HEAD and (cut := head.rfind(b"\n")) > HEAD // 2:
        head = head[:cut]
    return head.decode(errors="ignore").replace("\r\n", "\n").replace("\r", "\n")


def _from_line(utf8: bytes, line: int) -> bytes:
    """What begins with a line, without blanks at the end."""
    start = 0
    for _ in range(line - 1):
        start = utf8.index(b"\n", start) + 1
    return utf8[start:].rstrip()


def _without_comments(body: bytes, layout: Layout) -> tuple[bytes, int]:
    """The body with lines that begin with # made empty, unless they have the cells of a row; how many."""
    separators, count = (len(layout.names) - 1, 0)

    def emptied(match: re.Match[bytes]) -> bytes:
        nonlocal count
        if separators and match[0].count(layout.separator.encode()) == separators:
            return match[0]
        count += 1
        return b""

    return (_COMMENT.sub(emptied, body) if b"#" in body else body), count


def _frames(body: bytes, layout: Layout, text_column: int | None) -> Iterator[pd.DataFrame]:
    """Rows as pandas reads them, some at a time, so that memory stays small; empty cells are NaN."""
    import pandas as pd

    width = len(layout.names)
    with pd.read_csv(
        io.BytesIO(body),
        sep=r"\s+" if layout.separator == BLANKS else layout.separator,
        decimal=layout.decimal,
        header=None,
        names=range(width),
        index_col=False,
        dtype=None if text_column is None else {text_column: "str"},
        keep_default_na=False,
        na_values=[""],
        skipinitialspace=True,
        chunksize=max(ROWS, CELLS // width),
    ) as frames:
        yield from frames


def _lines(body: bytes, layout: Layout) -> Iterator[Row]:
    """Line number in the file and cells of one row after the other."""
    lines = io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="\n")
    if layout.separator == BLANKS:
        yield from ((layout.line + n, line.split()) for n, line in enumerate(lines) if line.strip())
        return
    reader = csv.reader(lines, delimiter=layout.separator, skipinitialspace=True)
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield layout.line + reader.line_num - 1, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"line {layout.line + reader.line_num - 1} is not CSV: {error}") from None


def _require_width(body: bytes, layout: Layout) -> None:
    """Raise InputError for the first row that has more or fewer cells than there are columns."""
    for row in _lines(body, layout):
        if len(row[1]) != len(layout.names):
            raise ragged(layout.top, len(layout.names), row)
