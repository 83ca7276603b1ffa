"""How a table is laid out, told by its first lines: what separates cells, where the names and the numbers begin."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..errors import InputError
from .cells import NOTHING, decimal_sign, number

HEAD = 10**6  # bytes, and lines, that tell the layout
LINES = 200
LABELLED = 20  # lines that tell where the numbers begin
ENOUGH = 20_000  # cells that tell the decimal sign
COLUMNS = 10_000  # more take too long
BLANKS = " "  # runs of them, as a separator
SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", BLANKS: "blanks"}
COMMENTS = ("#", "%", "//")  # that a line before the table may begin with
SHOWN = 40  # characters of a line in a message
MOSTLY = 0.9  # of the rows: in what is a table though its name does not say so, or of one unit
Row = tuple[int, list[str]]  # line number and cells


@dataclass(frozen=True)
class Layout:
    """What separates cells, the decimal sign, the lines (from 1) where names and numbers begin, and the names."""

    separator: str
    decimal: str
    top: int
    line: int
    names: list[str]
    nameless: bool = False  # the first column, though others have names
    skipped: list[str] = field(default_factory=list)  # lines before it that are neither names nor numbers, in words


def split(lines: Sequence[str], separator: str) -> list[Row]:
    """Line number and cells of every line that is not blank. Raises InputError for what is not CSV."""
    if separator == BLANKS:
        return [(n, line.split()) for n, line in enumerate(lines, 1) if line.strip()]
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is not CSV: {error}") from None
    return rows


def find_layout(head: str, separator: str = "") -> Layout:
    """The layout of a table that begins with these lines; separator: where it is known. Raises InputError for none."""
    lines = head.split("\n")[:LINES]
    top = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith(COMMENTS)), len(lines))
    if lines[top:] and lines[top].lower().startswith("sep=") and len(lines[top].strip()) <= 5:
        separator, top = lines[top].rstrip("\r")[4:5] or separator, top + 1
    blanked = [""] * top + lines[top:]
    separator = separator or _separator(blanked)
    rows = split(blanked, separator)
    if not rows:
        raise InputError("no row of data in it; expected numbers in columns, one step per line")
    width = Counter(len(cells) for _, cells in rows).most_common(1)[0][0]
    if separator == "," and width == 2 and _one_column(rows):
        return find_layout(head, ";")
    if width > COLUMNS:
        raise InputError(f"line {rows[0][0]} has {width:,} cells; a table may have {COLUMNS:,} columns")
    cells = islice((cell for _, cells in rows for cell in cells), ENOUGH)
    sign = decimal_sign(cells, separator == ",")
    return _with_names(rows, width, separator, sign, lines[:top])


def _one_column(rows: list[Row]) -> bool:
    """Whether the comma is a decimal sign: it stands in every line but the heading, and makes a number of it."""
    return len(rows) > 1 and len(rows[0][1]) == 1 and all(number(",".join(cells), ",") for _, cells in rows[1:])


def _separator(lines: list[str]) -> str:
    """The sign that cuts most lines into equally many cells, most of them numbers; a comma where none cuts any."""
    scores = {sign: _score(lines, sign) for sign in SEPARATORS}
    best = max(scores, key=scores.__getitem__)  # the first one of equals
    return best if scores[best] > 0 else ","


def _score(lines: list[str], separator: str) -> float:
    try:
        rows = split(lines, separator)
    except InputError:
        return 0.0
    widths = Counter(len(cells) for _, cells in rows)
    width, count = widths.most_common(1)[0] if rows else (1, 0)
    if width == 1:
        return 0.0
    cells = [cell for _, row in rows if len(row) == width for cell in row][: 10 * LINES]
    numbers = sum(any(number(cell, sign) for sign in ".,") for cell in cells)
    return count / len(rows) + numbers / len(cells)


def _with_names(rows: list[Row], width: int, separator: str, decimal: str, comments: list[str]) -> Layout:
    """The layout with the names of the columns: in a row before the numbers, and units may follow them."""
    first = next(n for n, (_, cells) in enumerate(rows) if len(cells) == width)
    table = [cells for _, cells in rows[first:] if len(cells) == width]
    labels = table[: _label_rows(table, decimal)]
    title, body = rows[:first], rows[first + len(labels) :]
    if title and not labels:
        if first > 1 or len(title[0][1]) != width - 1:
            raise ragged(rows[0][0], len(rows[0][1]), rows[first])
        unclosed = not any(cells[-1] for cells in table)  # a separator ends each row, yet not the names
        labels, title = [[*title[0][1], ""] if unclosed else ["", *title[0][1]]], []  # R names all but the rows' names
    if not body:
        raise InputError("no row of data in it; expected numbers in columns, one step per line")
    if len(body[0][1]) != width:
        raise ragged(rows[first][0], width, body[0])
    units = rows[first + 1 : first + len(labels)]
    labels = labels or _in_comment(comments, width, separator, decimal)
    skipped = [_skipped(*row) for row in (*title, *units)]
    nameless = bool(labels) and not labels[0][0]
    return Layout(separator, decimal, rows[first][0], body[0][0], _names(labels, width), nameless, skipped)


def _label_rows(table: list[list[str]], decimal: str) -> int:
    """How many rows hold names, and units or more of them, before the numbers begin."""
    table = table[:LABELLED]
    numbers = [[number(cell, decimal) is not None for cell in row] for row in table]
    if not any(numbers[0]):
        count = 1
    elif _counts_columns(table, decimal):
        return 1
    elif any(_is_word(cell) for cell, below in zip(table[0], _numeric(numbers[1:]), strict=False) if below):
        return 1  # a name above numbers, though others are numbers, such as years
    else:
        return 0
    while count < len(table) - 1 and _are_units(table[count:], numbers[count:]):
        count += 1
    return count


def _counts_columns(table: list[list[str]], decimal: str) -> bool:
    """Whether the first row is pandas' 0, 1, 2 ... above columns without names, with an index or above fractions."""
    index = not table[0][0]
    if table[0][index:] != [str(i) for i in range(len(table[0]) - index)]:
        return False
    return index or len(table) > 1 and all(decimal in cell for row in table[1:] for cell in row)


def _are_units(table: list[list[str]], numbers: list[list[bool]]) -> bool:
    """Whether the first row holds words above numbers, and above words none that a row of data could have."""
    words = 0
    for at, numeric in enumerate(_numeric(numbers[1:])):
        cell = table[0][at]
        if numeric and numbers[0][at]:
            return False
        if not numeric and cell and (any(map(str.isdigit, cell)) or any(row[at] == cell for row in table[1:])):
            return False
        words += numeric and _is_word(cell)
    return words > 0


def _numeric(numbers: list[list[bool]]) -> list[bool]:
    """Which columns are numbers in at least half of these rows."""
    return [2 * sum(column) >= len(column) for column in zip(*numbers, strict=True)]


def _is_word(cell: str) -> bool:
    return cell.lower() not in NOTHING and number(cell) is None and number(cell, ",") is None


def _in_comment(comments: list[str], width: int, separator: str, decimal: str) -> list[list[str]]:
    """The names that the last comment before a table without names holds, where it has one for each column."""
    named = split([comments[-1].lstrip("".join(COMMENTS))], separator) if comments else []
    if len(named) == 1 and len(named[0][1]) == width and not any(number(cell, decimal) for cell in named[0][1]):
        return [named[0][1]]
    return []


def _names(labels: list[list[str]], width: int) -> list[str]:
    """The first row's names, else those of all rows together; a column without one of its own goes by its index."""
    if not labels:
        return [str(i) for i in range(width)]
    together = [" ".join(filter(None, cells)) for cells in zip(*labels, strict=True)]
    once, also = Counter(labels[0]), Counter(together)
    found = [
        name if name and once[name] == 1 else longer if also[longer] == 1 else ""
        for name, longer in zip(labels[0], together, strict=True)
    ]
    taken = set(found)
    return [name or (str(i) if str(i) not in taken else f"column {i}") for i, name in enumerate(found)]


def _skipped(line: int, cells: list[str]) -> str:
    text = ", ".join(filter(None, cells))
    return f"line {line} ({text if len(text) <= SHOWN else text[:SHOWN] + '...'})"


def ragged(first: int, width: int, row: Row) -> InputError:
    """That a row has not as many cells as the first line has."""
    line, cells = row
    return InputError(
        f"line {line} has {len(cells)} cells, line {first} has {width}; every line needs the same: delete line {line} "
        "if it is a note"
    )


def is_table(head: str) -> bool:
    """Whether lines are a table, whatever it is called: nearly all rows of one width, with a column of numbers."""
    try:
        layout = find_layout(head)
        rows = split(head.split("\n")[layout.line - 1 : layout.line - 1 + LINES], layout.separator)
    except InputError:
        return False
    even = [cells for _, cells in rows if len(cells) == len(layout.names)]
    if len(even) < 2 or len(even) < MOSTLY * len(rows):
        return False
    columns = list(zip(*even, strict=True))
    if layout.separator == BLANKS and 2 * sum(_have_digits(column) for column in columns) <= len(columns):
        return False  # words in a line
    return any(
        sum(number(cell, layout.decimal) is not None for cell in column) >= MOSTLY * len(even) for column in columns
    )


def _have_digits(cells: Sequence[str]) -> bool:
    return sum(any(map(str.isdigit, cell)) for cell in cells) >= MOSTLY * len(cells)
