"""Words for numbers: counts, exact digits, and how messages quote what came."""

import re
from pathlib import Path

import pytest

from gradlab.errors import echo
from gradlab.wording import counted, exact_text

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("count", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (2000, "2,000 steps")])
def test_a_count_agrees_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "step") == text


def test_no_file_spells_the_plural_of_a_count_itself() -> None:
    spelled = re.compile(r"""['"]s['"] if|else ['"]s['"]""")
    sources = [path for room in ("gradlab", "dashboard") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in sources if spelled.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (0.001, "0.001"),
        (0.012345678901234567, "0.012345678901234567"),
        (1e20, "1e+20"),
        (1 / 3, str(1 / 3)),
    ],
)
def test_the_digits_that_mean_exactly_this_number(value: float, text: str) -> None:
    assert exact_text(value) == text and float(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("many", "'many'"),
        (10**39, f"1{'0' * 39}"),
        (10**75, f"1{'0' * 17}...{'0' * 19}"),
        (-(10**75), f"-1{'0' * 16}...{'0' * 19}"),
        ("9" * 5000, f"'{'9' * 17}...{'9' * 18}'"),
        ([1, -1], "[1, -1]"),
        (None, "None"),
    ],
)
def test_messages_quote_what_came_in_few_characters(value: object, text: str) -> None:
    assert echo(value) == text


def test_a_number_too_long_for_python_to_write_is_quoted_by_its_length() -> None:
    assert echo(10**5000) == "a number of about 5,000 digits"
