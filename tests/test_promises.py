"""Every promise in docs/promises.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "promises.md").read_text("utf-8"))


def test_every_promise_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "promises.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [row for row in rows if "tests/" not in row and row != "| promise | test |"] == []


def test_the_tests_are_there() -> None:
    missing = [(file, name) for file, name in NAMED if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == [] and len(NAMED) > 15
