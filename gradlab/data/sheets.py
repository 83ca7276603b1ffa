"""Tables in .xlsx and .parquet files, by python-calamine and pyarrow, which are in the extra `tables`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .files import LIMIT, require_few_values, unzipped
from .layout import Layout, Row
from .series import index_of
from .table import Column, Table, read_table

STAMP = "2000-01-01"  # stands for any cell of a column of dates or times

if TYPE_CHECKING:
    import pandas as pd


def read_excel(data: bytes, text_column: str | None = None) -> Table:
    """The first sheet of a workbook; a row of it is a line. Raises InputError for what is none."""
    calamine = _library("python_calamine", ".xlsx")
    with unzipped(data, ".xlsx", "save it as .csv") as archive:
        if (size := sum(member.file_size for member in archive.infolist())) > LIMIT:
            raise InputError(f"it unpacks to {size / 1e6:,.0f} MB; data may have {LIMIT / 1e6:.0f} MB")
        sheet = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    return read_table(_as_text(rows), text_column, ",")


def _as_text(rows: list[list[Any]]) -> bytes:
    """The rows as CSV; a row with nothing but its first cell is a title, and has no more."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(row if any(cell != "" for cell in row[1:]) else [cell for cell in row[:1] if cell != ""])
    return text.getvalue().encode()


@dataclass
class Frame(Table):
    """A table that pandas has read."""

    frame: pd.DataFrame | None = None

    def row(self, index: int) -> Row:
        """Number, from 1, and cells of a row."""
        assert self.frame is not None
        return index + 1, [str(cell) for cell in self.frame.iloc[index]]


def read_parquet(data: bytes, text_column: str | None = None) -> Table:
    """A table in a Parquet file, its index among the columns. Raises InputError for what is none."""
    _library("pyarrow", ".parquet")
    parquet = _library("pyarrow.parquet", ".parquet")
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        require_few_values(file.metadata.num_rows * file.metadata.num_columns)
        frame = file.read().to_pandas()
    except InputError:
        raise
    except Exception as error:  # of Arrow, and of what pandas notes in JSON of the columns: damaged, almost anything
        raise InputError(f"not a readable .parquet ({error}); save it as .csv") from None
    if frame.index.name is not None:
        frame = frame.reset_index(allow_duplicates=True)
    if not len(frame) or not len(frame.columns):
        raise InputError("no row of data in it; expected numbers in columns, one step per row")
    names = [str(name) for name in frame.columns]
    columns = [_column(frame.iloc[:, i]) for i in range(len(names))]
    at = None if text_column is None else index_of(text_column, names)
    text = [] if at is None else [str(cell) for cell in frame.iloc[:, at]]
    return Frame(Layout("", ".", 0, 1, names), columns, text, "UTF-8", b"", 0, frame)


def _column(cells: pd.Series) -> Column:
    column = Column(".")
    if cells.dtype.kind in "Mm":
        column.parts, column.rows, column.wrong, column.example = [np.full(len(cells), np.nan)], len(cells), 0, STAMP
    else:
        column.add(cells if cells.dtype.kind in "iuf" else cells.astype("str"))
    return column


def _library(name: str, suffix: str) -> ModuleType:
    """A library that reads such files. Raises InputError, with the way to get it, where it is not there."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise InputError(
            f"{suffix} files need {name.partition('.')[0]}: pip install 'gradlab[tables]', or save it as .csv"
        ) from None
