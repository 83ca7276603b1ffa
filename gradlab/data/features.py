"""Which columns of a table are features by themselves: numbers, and neither an index nor a counter nor a time stamp."""

from __future__ import annotations

import re

import numpy as np

from ..wording import counted
from .layout import MOSTLY
from .table import Column, Table

LISTED = 5  # columns by name, in words
STRAIGHT = 0.02  # of its step is how far a counter may be off: its numbers may have been rounded
FIRST = 100  # numbers that are looked at before all
COUNTED = 4  # numbers that make a counter
_TIME_NAME = re.compile(
    r"times?|timestamps?|datetime|dates?|days?|years?|months?|epoch|unix|utc|t|zeit(stempel)?|uhrzeit|datum|jahr|tag|monat"
    r"|temps|heure|fecha|hora|tiempo|tijd"
)
_INDEX_NAME = re.compile(r"index|idx|id|no|nr|num|n|i|row(id|num)?|record|sample|step|seq|line|obs|unnamed")
_STAMP = re.compile(
    r"\d{1,4}[-/.:]\d{1,2}(?:[-/.:T ].*)?|\d{1,4}[-/. ]?[^\W\d_]{3,9}[-/. ,]*\d{0,4}.*|\d{4}-?[QW]\d{1,2}"
)
_WORD = re.compile(r"[^\W\d_]+")


def numeric(table: Table) -> list[int]:
    """Positions of the columns that are mostly numbers: there a bad cell is an error, no reason to skip the column."""
    return [
        i
        for i, column in enumerate(table.columns)
        if 2 * column.numbers > column.rows and column.fit >= MOSTLY * column.numbers
    ]


def features(table: Table) -> tuple[list[int], dict[int, str]]:
    """Positions of the columns that are features by themselves, and of the others, each with the reason.

    Raises InputError, with the line, for a bad cell in a numeric column.
    """
    found, left_out = [], {i: _no_numbers(column) for i, column in enumerate(table.columns)}
    for i in numeric(table):
        reason = _orders_rows(table.numbers(i), table.layout.names[i], i == 0 and table.layout.nameless)
        if reason:
            left_out[i] = reason
        else:
            found.append(i)
            del left_out[i]
    return found, left_out


def _no_numbers(column: Column) -> str:
    """Why a column that is not mostly numbers is none."""
    if column.empty == column.rows:
        return "empty"
    if _STAMP.fullmatch(column.example):
        return "time stamp"
    if not column.numbers:
        return "words"
    if column.fit < MOSTLY * column.numbers:
        return "numbers in several units"
    return f"numbers in {column.numbers:,} of {counted(column.rows, 'row')}"


def _orders_rows(values: np.ndarray, name: str, nameless: bool) -> str:
    """What a column of numbers is that only orders the rows; empty for a feature."""
    if len(values) < COUNTED:
        return ""
    words = [word.lower() for word in _WORD.findall(name)]
    whole = bool((values == np.floor(values)).all())
    if _is_counter(values):
        return f"counter {', '.join(f'{v:.15g}' for v in values[:3])} ..."
    rises = bool((np.diff(values) >= 0).all()) and values[0] < values[-1]
    if rises and (any(map(_TIME_NAME.fullmatch, words)) or whole and _is_calendar(values)):
        return "time stamp"
    if whole and (nameless or any(map(_INDEX_NAME.fullmatch, words))) and len(np.unique(values)) == len(values):
        return "index"
    return ""


def _is_counter(values: np.ndarray) -> bool:
    """Whether the numbers lie on a line, up to their rounding; the first ones mostly tell."""
    if len(values) > FIRST and not _is_counter(values[:FIRST]):
        return False
    step = (values[-1] - values[0]) / (len(values) - 1)
    off = np.abs(values - values[0] - step * np.arange(len(values)))
    return bool(step != 0 and off.max() <= STRAIGHT * abs(step))


def _is_calendar(values: np.ndarray) -> bool:
    """Whether whole numbers are dates such as 20240131, or seconds or milliseconds since 1970 of this century."""
    months, days = values // 100 % 100, values % 100
    dates = (values >= 19000101) & (values < 22000000) & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    seconds = values / (1000 if values[0] > 1e11 else 1)
    return bool(dates.all() or ((seconds > 946_684_800) & (seconds < 4_102_444_800)).all())


def list_of(names: list[str]) -> str:
    """Names in quotes, the first ones and how many more."""
    more = len(names) - LISTED
    return ", ".join(f"'{name}'" for name in names[:LISTED]) + (f" and {more:,} more" if more > 0 else "")


def left_out_text(names: list[str], left_out: dict[int, str]) -> str:
    """Which columns are left out and why; those of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for i, reason in left_out.items():
        by_reason.setdefault(reason, []).append(names[i])
    return ", ".join(f"{list_of(found)} ({reason})" for reason, found in by_reason.items())
