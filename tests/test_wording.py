"""Words for numbers: counts, exact digits, and how messages quote what came."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from gradlab.errors import echo
from gradlab.wording import beside_one, counted, exact_text, length_text, plain

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("count", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (2000, "2,000 steps")])
def test_a_count_agrees_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "step") == text


def test_no_file_spells_the_plural_of_a_count_itself() -> None:
    spelled = re.compile(r"""['"]s['"] if|else ['"]s['"]""")
    sources = [path for room in ("gradlab", "dashboard") for path in (ROOT / room).rglob("*.py")]
    assert [path.name for path in sources if spelled.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("steps", "text"), [(0.346, "0.35 steps"), (1.0, "1 step"), (9.94, "9.9 steps"), (11.6, "12 steps")]
)
def test_a_measured_length_agrees_with_its_noun(steps: float, text: str) -> None:
    assert length_text(steps, "step") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.1, "0.10"),
        (-0.5, "-0.50"),
        (0.0996, "0.1"),
        (-1.23e-5, "-1.2e-05"),
        (999.0, "999.00"),
        (1234.0, "1.2e+03"),
        (math.inf, "over 10^308"),
    ],
)
def test_a_number_within_a_sentence(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        ((0.5, 0.2), ["0.50", "0.20", "0.70"]),
        ((0.996, 0.002), ["0.996", "0.002", "0.998"]),
        ((0.99, 0.0099999), ["0.99000000", "0.00999990", "0.99999990"]),
        ((0.996, 0.0061), ["0.996", "0.006", "1.002"]),
        ((1.2, -0.2), ["1.20", "-0.20", "1.00"]),
        ((0.5, -0.0001), ["0.50", "0.00", "0.50"]),
        ((0.01, 0.002), ["0.01", "0.002", "0.012"]),
        ((2.0, 3e200), ["2.00", "3e+200", "3e+200"]),
        ((0.99987,), ["0.9999"]),
        ((0.05,), ["0.05"]),
    ],
)
def test_a_sum_is_on_its_side_of_1_as_it_is_printed(parts: tuple[float, ...], texts: list[str]) -> None:
    assert beside_one(*parts) == texts


@pytest.mark.parametrize("seed", range(50))
def test_whatever_its_parts_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    carry = rng.uniform(-1, 2)
    gates = 1 - carry + rng.choice([-1, 1]) * 10 ** rng.uniform(-8, 0)
    shown = [float(text) for text in beside_one(carry, gates)]
    assert (shown[0] + shown[1] > 1) == (shown[2] > 1) == (carry + gates > 1)


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
