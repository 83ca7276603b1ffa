"""A pytest plugin, `-p tests.mutants.order`: what is likely to fail comes first; a failure is written to a file.

$MUTANTS_FIRST names tests, and parts of paths, in order of their rank. $MUTANTS_FAILED is the file.
"""

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = os.environ["MUTANTS_FIRST"].split("\n")
    items.sort(key=lambda item: next((n for n, name in enumerate(first) if name in item.nodeid), len(first)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        Path(os.environ["MUTANTS_FAILED"]).write_text(report.nodeid, "utf-8")
