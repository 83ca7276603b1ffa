"""One cell of a table as a number: its decimal sign, what stands between thousands, and the unit around it."""

import re
from collections.abc import Iterable

SIGNS = (".", ",")  # of decimals
LONGEST = 100  # characters of a number
NOTHING = {"", "-", "?", "na", "n/a", "nan", "null", "none", "nil", "missing", "#n/a", "."}  # where a value is missing
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE)


def _pattern(decimal: str) -> re.Pattern[str]:
    """sign, currency, number, unit; between thousands a comma or point, a blank or an apostrophe, always the same."""
    between = "".join(sign for sign in SIGNS if sign != decimal)
    whole = rf"\d{{1,3}}(?P<between>[{between}'\u2019\s])\d{{3}}(?:(?P=between)\d{{3}})*(?!\d)|\d+"
    number = rf"(?=[.,]?\d)(?P<whole>{whole})?(?:{re.escape(decimal)}(?P<part>\d*))?(?P<power>[eE][+-]?\d+)?"
    unit = r"\s?(?P<unit>[^\d\s.,+\-'\u2019/:_]\S{0,11})?"
    return re.compile(rf"(?P<sign>[+\-\u2212]?)(?P<currency>[$\u20ac\u00a3\u00a5\u20b9]?)\s?{number}{unit}")


_PATTERNS = {decimal: _pattern(decimal) for decimal in SIGNS}


def number(cell: str, decimal: str = ".") -> tuple[float, str] | None:
    """Value and unit, "" where there is none, of a cell without blanks around it; None where it is no number."""
    if len(cell) > LONGEST:
        return None
    match = _PATTERNS[decimal].fullmatch(cell)
    if match is None:
        return (float(cell), "") if _NOT_FINITE.fullmatch(cell) else None
    whole = re.sub(r"\D", "", match["whole"]) if match["between"] else match["whole"]
    value = float(f"{whole or 0}.{match['part'] or 0}{match['power'] or ''}")
    return (-value if match["sign"] in ("-", "\u2212") else value), match["currency"] + (match["unit"] or "")


_DECIMALS = {  # what only a number with this sign before its decimals can be
    ".": re.compile(r"[^\d,.]*(?:\d{1,3}(?:,\d{3})+|\d*)\.\d+[^\d,.]*|[^\d,.]*\d{1,3}(?:,\d{3}){2,}[^\d,.]*"),
    ",": re.compile(r"[^\d,.]*(?:\d{1,3}(?:\.\d{3})+|\d*),\d+[^\d,.]*|[^\d,.]*\d{1,3}(?:\.\d{3}){2,}[^\d,.]*"),
}
_THOUSANDS = re.compile(r"[^\d,.]*\d{1,3}(?:,\d{3})+[^\d,.]*")


def decimal_sign(cells: Iterable[str], comma_separates: bool) -> str:
    """The decimal sign of a table by its cells; comma_separates: its cells, so that 1,234 in quotes is a thousand."""
    points = commas = 0
    for cell in cells:
        points += _DECIMALS["."].fullmatch(cell) is not None
        commas += _DECIMALS[","].fullmatch(cell) is not None and not (comma_separates and _THOUSANDS.fullmatch(cell))
    return "," if commas > points else "."
